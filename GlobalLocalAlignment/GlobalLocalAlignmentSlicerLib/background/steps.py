"""Longer work on the main thread in short steps, with the window alive between them; reading files beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any

from .backgroundprocess import StartTimer, startQtTimer

STEP_MILLISECONDS = 5


class Steps:
    """Runs a generator one step at a time; whoever waits for the end is called by the generator itself.

    Args:
        steps: each ``yield`` gives the window time; an exception ends the run and is raised where the timer calls.
        startTimer: the timer of Qt where it is not given.
    """

    def __init__(self, steps: Generator[None, None, None], startTimer: StartTimer | None = None) -> None:
        self._steps = steps
        self.running = True
        self._stopTimer = (startTimer or startQtTimer)(self.step, STEP_MILLISECONDS)

    def step(self) -> None:
        """Do the next step."""
        if not self.running:
            return
        try:
            next(self._steps)
        except StopIteration:
            self._end()
        except BaseException:
            self._end()
            raise

    def cancel(self) -> None:
        """Do no further step; the generator may clean up in ``finally``."""
        if self.running:
            self._end()
            self._steps.close()

    def _end(self) -> None:
        self.running = False
        self._stopTimer()


def runOut(steps: Generator[None, None, Any]) -> Any:
    """Take all steps at once; returns what the generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Beside:
    """A function that touches neither the scene nor widgets, run on a thread of its own.

    Args:
        function: what to do.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether ``result`` can be asked for without waiting."""
        return not self._thread.is_alive()

    def result(self) -> Any:
        """What the function returned; an exception of it is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error
