"""One training: begun here, taken up again, or watched while another process trains it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..background.backgroundprocess import (
    POLL_MILLISECONDS,
    BackgroundProcess,
    StartTimer,
    callCore,
    reasonOf,
    startQtTimer,
)
from ..translation import tr as _
from .runwatcher import CONFIGURATION_NAME, EVENTS_NAME, STOP_NAME, RunState, RunWatcher

INPUTS_PREFIX = "gla-training-"
PREPARING = "prepare"
AUTOMATIC = "auto"
ALIVE_SECONDS = 2.0
"""How often it is looked whether a process that is not ours still trains a run."""

SILENT_SECONDS = 1800.0
"""Longer than an iteration and a checkpoint of the largest networks on a slow processor take."""


class TrainingRun:
    """A run folder and whoever trains it.

    Args:
        folder: the run folder; it need not be there yet.
        onChanged: called when there is something new to show, the end among it.
        onText: called with lines for the log.
        startTimer: see ``BackgroundProcess``.
        python: see ``BackgroundProcess``.
        isTrained: whether a process trains a run folder, None where that cannot be known.

    Attributes:
        inputs: temporary folder with cases of the scene, None where there is none.
    """

    def __init__(
        self,
        folder: Path,
        onChanged: Callable[[], None],
        onText: Callable[[str], None],
        startTimer: StartTimer | None = None,
        python: str | None = None,
        isTrained: Callable[[Path], bool | None] | None = None,
    ) -> None:
        self.folder = folder
        self.onChanged, self.onText = onChanged, onText
        self._startTimer, self._python = startTimer or startQtTimer, python
        self._isTrained = isTrained or trainedByAProcess
        self._watcher = RunWatcher(folder)
        self._process: BackgroundProcess | None = None
        self._stopTimer: Callable[[], None] = lambda: None
        self._temporary: Path | None = None
        self._aliveAt, self._alive = 0.0, None
        self._over = False
        self._heard = self._begun = self._stopping = self._refused = self._endedHere = False
        self.inputs: Path | None = None
        self.prepared, self.ofPrepared = 0, 0
        self.problems: list[str] = []

    @property
    def state(self) -> RunState:
        """What the run says of itself; see ``status`` for what is known beside."""
        return self._watcher.state

    @property
    def ours(self) -> bool:
        """Whether a process that was started here trains the run."""
        return self._process is not None and self._process.running

    @property
    def active(self) -> bool:
        """Whether the run is being trained, here or elsewhere."""
        return self.status in ("preparing", "running", "stopping")

    @property
    def elsewhere(self) -> bool:
        """Whether a process that was not started here trains the run."""
        return self.active and not self.ours

    @property
    def status(self) -> str:
        """``new``, ``preparing``, ``running``, ``stopping``, ``stopped``, ``failed``, ``finished`` or ``interrupted``.

        A run is interrupted where it says that it runs, no process trains it and none has said why: the computer went
        down, or somebody ended the process.
        """
        said = self.state.status
        if self.ours:
            if self._stopping:
                return "stopping"
            return "running" if said == "running" and self.state.stage != PREPARING else "preparing"
        if said == "running":
            if self._alive is False or self._over:
                # on a full disk the run itself could not say it
                return "failed" if self._refused else "stopped" if self._endedHere else "interrupted"
            return "stopping" if self._stopping else "running"
        if said == "new" and self.problems:
            return "failed"
        return said

    @property
    def model(self) -> Path | None:
        """The trained model, None while there is none."""
        return self._watcher.model

    def configuration(self) -> dict[str, Any]:
        """Settings of the run, empty where they cannot be read."""
        return self._watcher.configuration()

    @property
    def resumable(self) -> bool:
        """Whether the run can be taken up again."""
        return self.status in ("stopped", "failed", "interrupted") and (self.folder / CONFIGURATION_NAME).is_file()

    def prepareInputs(self) -> Path:
        """Make the folder for cases of the scene.

        Raises:
            OSError: there is no place for it.
        """
        self.inputs = Path(tempfile.mkdtemp(prefix=INPUTS_PREFIX))
        return self.inputs

    def begin(self, words: list[str]) -> None:
        """Start the training of a new run.

        Args:
            words: options of ``gla train`` beside the output folder.

        Raises:
            OSError: the process cannot be started.
        """
        self._start(["train", "--output", str(self.folder), *words])

    def resume(self, device: str = AUTOMATIC) -> None:
        """Go on with the run.

        Args:
            device: another one than that of the run, which may be gone.

        Raises:
            OSError: the process cannot be started.
        """
        other = [] if device == AUTOMATIC else ["--device", device]
        self._start(["train", "--output", str(self.folder), "--resume", *other])

    def fail(self, problem: str) -> None:
        """The training could not begin."""
        self.problems.append(problem)
        self._end()

    def watch(self) -> None:
        """Follow the run; its whole past is read first, a part with each poll."""
        self._stopTimer()
        self._over = False
        self._stopTimer = self._startTimer(self.poll, POLL_MILLISECONDS)

    def poll(self) -> None:
        """Read what is new; what the timer calls."""
        changed = self._watcher.poll()
        if changed:
            self._dropInputs()
        elif not self.ours and not self._over:
            self._lookWhoTrains()
        if changed:
            self.onChanged()

    def stop(self) -> None:
        """Ask for a clean stop after this iteration; a second time ends a process that was started here at once.

        Raises:
            OSError: the run folder cannot be written.
        """
        self._stopping = True
        if not self.ours:
            self._watcher.askToStop()
        elif self._begun:
            self._process.stop()
        else:
            # nothing has been trained, and a run that is taken up again forgets requests of before
            self._process.end()
        self.onChanged()

    def leave(self) -> None:
        """Watch no longer; a training goes on without Slicer."""
        self._stopTimer()
        if self.ours:
            self._process.leave()
            if self._heard:
                # it knows its words; where an open file can be removed, what it prints goes with it. Cases of the
                # scene are needed until they are slices: whoever opens the run next removes them
                shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            self._discard(inputs=True)

    def _start(self, words: list[str]) -> None:
        self._temporary = Path(tempfile.mkdtemp(prefix="gla-"))
        self._heard = self._begun = self._stopping = self._refused = self._endedHere = False
        self.problems = []
        self._watcher = RunWatcher(self.folder)
        try:
            self._process = callCore(
                words,
                self._temporary,
                self._take,
                self._hear,
                self._finish,
                self.folder / STOP_NAME,
                self._startTimer,
                self._python,
            )
        except OSError:
            self._discard(inputs=not (self.folder / CONFIGURATION_NAME).is_file())
            raise
        self.watch()

    def _take(self, event: dict[str, Any]) -> None:
        """Events before there is a run folder; later the folder tells them."""
        self._heard = True
        self._begun = self._begun or event["event"] == "run_started"
        if event["event"] == "progress" and event.get("stage") == PREPARING:
            self.prepared, self.ofPrepared = int(event.get("iteration") or 0), int(event.get("of") or 0)
            self.onChanged()
        elif event["event"] in ("warning", "failed"):
            self.onText(str(event.get("message", "")))

    def _hear(self, line: str) -> None:
        if line.startswith(("error: ", "internal error: ")):
            self._refused = True
            self.problems.append(line.removeprefix("error: "))
        self.onText(line)

    def _finish(self, code: int) -> None:
        while self._watcher.poll():
            pass
        if code not in (0, 3) and not self.problems and not self._stopping and self.state.status != "failed":
            self.problems.append(reasonOf(code, self.folder, self._temporary, lower=whatToLower()))
        if self.state.status == "running" and self._isTrained(self.folder):
            # another process had the run before: this one was refused, and that one is watched on
            self._stopping = False
            self._discard(inputs=True)
            self.onChanged()
        else:
            self._end()

    def _lookWhoTrains(self) -> None:
        """For a run that is trained elsewhere: is it still, and if not, it is over."""
        if self.state.status == "running":
            if time.monotonic() < self._aliveAt:
                return
            self._aliveAt = time.monotonic() + ALIVE_SECONDS
            self._alive = self._isTrained(self.folder)
            if self._alive is not False:
                return
        self._end()

    def _end(self) -> None:
        self._over = True
        self._stopTimer()
        # who asks twice ends the process, which says nothing any longer
        self._endedHere, self._stopping = self._stopping and self._process is not None, False
        # a run that ended before it had its slices needs them to go on, as long as it is shown
        self._discard(inputs=not self.resumable)
        self.onChanged()

    def _dropInputs(self) -> None:
        """Remove images of patients from the temporary folder once the run has its slices."""
        if self.state.stage in ("", PREPARING):
            return
        for folder in {self.inputs, *inputsOf(self.configuration() if self.inputs is None else {})}:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        self.inputs = None

    def _discard(self, inputs: bool) -> None:
        for folder in (self._temporary, self.inputs if inputs else None):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        self._temporary = None
        self.inputs = None if inputs else self.inputs


def whatToLower() -> str:
    """What makes a training take less memory."""
    return _("the batch sizes or the size of the plane, or choose a smaller preset")


def inputsOf(configuration: dict[str, Any]) -> set[Path]:
    """Temporary folders with cases of a scene that a run was begun with, in this session or an earlier one."""
    found = set()
    for role in ("source", "target", "validation"):
        domain = configuration.get(role)
        for text in domain.get("images", []) if isinstance(domain, dict) else []:
            folder = Path(str(text)).parent.parent
            # nothing but folders that were made here is ever removed, whatever a configuration says
            if folder.name.startswith(INPUTS_PREFIX) and folder.parent == Path(tempfile.gettempdir()):
                found.add(folder)
    return found


def trainedByAProcess(folder: Path) -> bool | None:
    """Whether a process, on this computer or one that shares the folder, holds the lock of a run.

    None where nobody can tell: the file system has no locks, or what looks at them is not installed. A run that has
    been silent for long is taken for abandoned then.
    """
    from GlobalLocalAlignmentLib.training.lock import LOCK_NAME, is_locked

    if (folder / LOCK_NAME).is_file() and find_spec("filelock") is not None:
        return is_locked(folder)
    try:
        silent = time.time() - (folder / EVENTS_NAME).stat().st_mtime
    except OSError:
        return False
    return None if silent < SILENT_SECONDS else False
