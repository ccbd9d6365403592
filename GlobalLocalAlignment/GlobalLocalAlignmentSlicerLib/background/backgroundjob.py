"""A call with a temporary folder of its own: files of patients lie in it, and go with it."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from .backgroundprocess import BackgroundProcess, StartTimer


class BackgroundJob(ABC):
    """What the jobs of the panels share: one process, one temporary folder, and one end.

    A job is prepared, started, and ends by itself, by ``stop`` or by ``abandon``. Derived classes start the process,
    and report in ``onFinished``.

    Args:
        startTimer, python: see ``BackgroundProcess``.

    Attributes:
        folder: temporary, from ``prepare`` to ``discard``.
        stopAsked: ``stop`` was called, before or after the start.
    """

    def __init__(self, startTimer: StartTimer | None = None, python: str | None = None) -> None:
        self._startTimer, self._python = startTimer, python
        self._process: BackgroundProcess | None = None
        self.folder: Path | None = None
        self.stopAsked = False

    @property
    def running(self) -> bool:
        """Whether the process is at work, and its end still to be told."""
        return self._process is not None and self._process.running

    def prepare(self) -> None:
        """Make the temporary folder.

        Raises:
            OSError: there is no place for it.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="gla-"))

    def poll(self) -> None:
        """What the timer calls."""
        if self._process is not None:
            self._process.poll()

    def stop(self) -> None:
        """End the process; what is done counts."""
        self.stopAsked = True
        if self._process is not None:
            self._process.stop()

    def abandon(self) -> None:
        """End the process and leave nothing of it; nothing is told any longer, the end neither."""
        self.stopAsked = True
        self._silence()
        if self.running:
            self._process.end()
        # at once, because Slicer may be quitting and its timers with it; what the process still writes before it has
        # gone is removed with its end, where a timer is left to see it
        self.discard()

    def discard(self) -> None:
        """Remove the temporary folder with all that is in it."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def _silence(self) -> None:
        """Put functions in the place of those that are told of the job; that of its end discards it."""
