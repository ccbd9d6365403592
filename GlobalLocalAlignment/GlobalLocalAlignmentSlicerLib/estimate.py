"""How long a training would take on this computer, and how much memory: measured by the core in the background."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .backgroundprocess import BackgroundProcess, StartTimer, reasonOf, writeCall
from .cardtext import duration
from .trainingsettings import TrainingOptions

GIBIBYTE = 1 << 30
NEARLY_ALL = 0.9
"""A share of the memory that leaves too little for everything else."""


class Estimate:
    """One estimate.

    Args:
        options: what the user chose.
        onFinished: called once with the answer in words.
        startTimer: see ``BackgroundProcess``.
        python: see ``BackgroundProcess``.
    """

    def __init__(
        self,
        options: TrainingOptions,
        onFinished: Callable[[str], None],
        startTimer: StartTimer | None = None,
        python: str | None = None,
    ) -> None:
        self.options, self.onFinished = options, onFinished
        self._startTimer, self._python = startTimer, python
        self._process: BackgroundProcess | None = None
        self._temporary: Path | None = None
        self._answer, self._problem = "", ""

    @property
    def running(self) -> bool:
        """Whether ``onFinished`` is still to come."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start measuring.

        Raises:
            OSError: the process cannot be started.
        """
        options = self.options
        words = ["--events", "estimate", "--preset", options.preset]
        words += ["--device", options.device, "--precision", options.precision, *options.words()]
        self._temporary = Path(tempfile.mkdtemp(prefix="gla-"))
        self._process = BackgroundProcess(
            [writeCall(words, self._temporary / "call.txt")],
            self._temporary / "output.txt",
            self._take,
            self._hear,
            self._finish,
            startTimer=self._startTimer,
            python=self._python,
        )
        self._process.start()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "estimate":
            self._answer = describeEstimate(event)
        elif event["event"] == "failed":
            self._problem = str(event.get("message", ""))

    def _hear(self, line: str) -> None:
        if line.startswith("error: "):
            self._problem = line.removeprefix("error: ")

    def _finish(self, code: int) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
        stopped = self._process is not None and self._process.stopAsked
        self.onFinished("" if stopped else self._answer or self._problem or reasonOf(code))


def describeEstimate(event: dict[str, Any]) -> str:
    """An estimate of the core in words, with a warning where memory is short."""
    memory, there = float(event["memory_bytes"]), float(event.get("device_memory_bytes") or 0)
    text = _("About {time} on {device}, {memory:.1f} GiB of memory. Cutting slices and pictures are not in it.").format(
        time=duration(float(event["seconds"])), device=event["device"], memory=memory / GIBIBYTE
    )
    if there and memory > NEARLY_ALL * there:
        text += " " + _("That is more than can be had of {there:.1f} GiB: lower the batch sizes.").format(
            there=there / GIBIBYTE
        )
    return text
