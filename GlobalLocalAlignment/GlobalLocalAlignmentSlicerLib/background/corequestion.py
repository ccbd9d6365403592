"""A question that the core answers in the background: it has a place of its own, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .backgroundjob import BackgroundJob
from .backgroundprocess import callCore, reasonOf


class CoreQuestion(BackgroundJob):
    """One call of the core that trains nothing and writes nothing.

    Args:
        words: the command and its options.
        onEvent: called with each event.
        onFinished: called once with why there is no answer; empty where there is one, or where it was stopped.
    """

    def __init__(
        self,
        words: Sequence[str],
        onEvent: Callable[[dict[str, Any]], None],
        onFinished: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.words, self.onEvent, self.onFinished = words, onEvent, onFinished
        self._problem = ""

    def start(self) -> None:
        """Ask.

        Raises:
            OSError: the process cannot be started.
        """
        self.prepare()
        try:
            self._process = callCore(self.words, self.folder, self._report, self._hear, self._finish)
        except OSError:
            self.discard()
            raise

    def _silence(self) -> None:
        self.onEvent, self.onFinished = lambda event: None, lambda problem: None

    def _report(self, event: dict[str, Any]) -> None:
        self.onEvent(event)

    def _hear(self, line: str) -> None:
        # the last line of what a process says that fails is the reason
        self._problem = line.removeprefix("error: ")

    def _finish(self, code: int) -> None:
        self.discard()
        failed = code != 0 and not self.stopAsked
        self.onFinished((self._problem or reasonOf(code)) if failed else "")
