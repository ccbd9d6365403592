"""Cases on disk, found and looked at by the core: their volumes never come into Slicer."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .backgroundprocess import BackgroundProcess, StartTimer, writeCall
from .structures import Found
from .trainingcases import LABELLED, DiskFolder, TrainingCase


class DiskCheck:
    """One look at a folder.

    Args:
        folder: what to look at.
        preset: whose intensity rules the images must be visible under.
        onCase: called with each case as soon as it is known.
        onFinished: called once with the reason why the folder cannot be used as a whole, empty where it can.
        startTimer: see ``BackgroundProcess``.
        python: see ``BackgroundProcess``.
    """

    def __init__(
        self,
        folder: DiskFolder,
        preset: str,
        onCase: Callable[[TrainingCase], None],
        onFinished: Callable[[str], None],
        startTimer: StartTimer | None = None,
        python: str | None = None,
    ) -> None:
        self.folder, self.preset, self.onCase, self.onFinished = folder, preset, onCase, onFinished
        self._startTimer, self._python = startTimer, python
        self._process: BackgroundProcess | None = None
        self._temporary: Path | None = None
        self._errors: list[str] = []
        self._count = 0

    @property
    def running(self) -> bool:
        """Whether ``onFinished`` is still to come."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start the look.

        Raises:
            OSError: the process cannot be started.
        """
        role = self.folder.role
        words = ["--events", "check", "--preset", self.preset, f"--{role}-images", str(self.folder.images)]
        if role in LABELLED:
            words += [f"--{role}-labels", str(self.folder.labelmaps or self.folder.images)]
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

    def abandon(self) -> None:
        """End the look; nothing is called any longer."""
        self.onCase, self.onFinished = lambda case: None, lambda problem: None
        if self._process is not None:
            self._process.end()

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "case":
            self._count += 1
            values = [value for value in event.get("values") or [] if isinstance(value, int)]
            self.onCase(
                TrainingCase(
                    self.folder.role,
                    str(event.get("name", "")),
                    folder=self.folder,
                    checked=True,
                    problem=str(event.get("message") or ""),
                    found=tuple(Found("", value) for value in values),
                )
            )
        elif event["event"] == "failed":
            self._errors.append(str(event.get("message", "")))

    def _hear(self, line: str) -> None:
        self._errors.append(line.removeprefix("error: "))

    def _finish(self, code: int) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
        problem = ""
        if code != 0 and self._count == 0:
            last = self._errors[-1] if self._errors else _("exit code {code}").format(code=code)
            missing = "ModuleNotFoundError" in last or "No module named" in last
            problem = _("the core's packages are not installed yet") if missing else last
        self.onFinished(problem)
