"""A batch of volumes on disk: the core segments them in the background, and none of them comes into Slicer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..background.backgroundjob import BackgroundJob
from ..background.backgroundprocess import StartTimer, callCore, reasonOf
from .batchfolder import STOP_NAME, BatchEntry

STOPPED = 3
"""Exit code of the core after it was asked to stop."""


class DiskBatch(BackgroundJob):
    """One call of the core for a folder of volumes.

    Args:
        onPlanned: called once the list in the output folder says what is done and what waits.
        onEntry: called with each case that is through; its results stand in the list.
        onProgress: called with the share that is done, 0 to 1, and the seconds left, None while unknown.
        onText: called with lines for the log.
        onFinished: called once with what went wrong as a whole, empty where nothing did.
        startTimer, python: see ``BackgroundProcess``.
    """

    def __init__(
        self,
        onPlanned: Callable[[], None],
        onEntry: Callable[[BatchEntry], None],
        onProgress: Callable[[float, float | None], None],
        onText: Callable[[str], None],
        onFinished: Callable[[str], None],
        startTimer: StartTimer | None = None,
        python: str | None = None,
    ) -> None:
        super().__init__(startTimer, python)
        self.onPlanned, self.onEntry, self.onProgress = onPlanned, onEntry, onProgress
        self.onText, self.onFinished = onText, onFinished
        self._output: Path | None = None
        self._begun = False
        self._errors: list[str] = []

    def start(self, words: Sequence[str], output: Path) -> None:
        """Start the core.

        Args:
            words: the command and its options, the output folder among them.
            output: the output folder; it need not be there yet.

        Raises:
            OSError: the process cannot be started.
        """
        self._output, self._begun, self.stopAsked, self._errors = output, False, False, []
        # what the core prints is for this window; the output folder holds what lasts
        self.prepare()
        try:
            self._process = callCore(
                words,
                self.folder,
                self._take,
                self._hear,
                self._finish,
                output / STOP_NAME,
                self._startTimer,
                self._python,
            )
        except OSError:
            self.discard()
            raise

    def stop(self) -> None:
        """Let the core stop after the slices in hand; asked twice, or before it has begun, end it at once."""
        if not self.running:
            return
        self.stopAsked = True
        if self._begun:
            self._process.stop()
        else:
            # a file would be taken for one of an earlier batch
            self._process.end()

    def _silence(self) -> None:
        self.onPlanned, self.onEntry = lambda: None, lambda entry: None
        self.onProgress, self.onText = lambda share, seconds: None, lambda line: None
        self.onFinished = lambda problem: self.discard()

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "stage_started":
            self._begun = True
            self.onPlanned()
        elif kind == "progress" and event.get("of"):
            self.onProgress(float(event["iteration"]) / float(event["of"]), event.get("seconds_left"))
        elif kind == "result":
            self.onEntry(
                BatchEntry(
                    str(event.get("name", "")),
                    str(event.get("state", "")),
                    float(event.get("seconds") or 0),
                    str(event.get("message") or ""),
                )
            )
        elif kind in ("warning", "failed"):
            self.onText(str(event.get("message", "")))

    def _hear(self, line: str) -> None:
        if line.startswith(("error: ", "internal error: ")):
            self._errors.append(line.removeprefix("error: "))
        self.onText(line)

    def _finish(self, code: int) -> None:
        problem = ""
        if code not in (0, STOPPED) and not self.stopAsked:
            general = [line for line in self._errors if line.startswith("internal error: ")]
            if not self._begun or general:
                problem = "\n".join(general or self._errors) or reasonOf(code, self.folder, self._output)
            elif code != 2:
                # of single cases the list tells
                problem = reasonOf(code, self.folder, self._output)
        self.discard()
        self.onFinished(problem)
