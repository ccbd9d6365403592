"""A question that the core answers in the background: it has a place of its own, and leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .backgroundprocess import BackgroundProcess, callCore, reasonOf


class CoreQuestion:
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
        self.words, self.onEvent, self.onFinished = words, onEvent, onFinished
        self._process: BackgroundProcess | None = None
        self._folder: Path | None = None
        self._problem = ""

    @property
    def running(self) -> bool:
        """Whether ``onFinished`` is still to come."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Ask.

        Raises:
            OSError: the process cannot be started.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="gla-"))
        try:
            self._process = callCore(self.words, self._folder, self.onEvent, self._hear, self._finish)
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def _hear(self, line: str) -> None:
        # the last line of what a process says that fails is the reason
        self._problem = line.removeprefix("error: ")

    def _finish(self, code: int) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        failed = code != 0 and not self._process.stopAsked
        self.onFinished((self._problem or reasonOf(code)) if failed else "")
