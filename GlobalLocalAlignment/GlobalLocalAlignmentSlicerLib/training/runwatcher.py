"""What a run folder says about a training: read while it grows, and again in a later session."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..background.backgroundprocess import parseEvent
from ..background.linetail import LineTail

EVENTS_NAME, CONFIGURATION_NAME, MODEL_NAME, STOP_NAME = "events.jsonl", "config.json", "model.safetensors", "stop"
KNOWN_SCHEMA = 1
LINES_A_POLL = 500
LARGEST_NUMBER = 1e15
"""What is larger, or no number, is nothing that a training tells."""

MOST_POINTS = 2000
"""Points of a curve that are kept at most, however long the run."""

MOST_WARNINGS = 20

Curve = list[tuple[int, float]]


class EvenCurve(list):
    """A curve of (iteration, value) whose points are thinned out evenly where they become too many.

    The newest point is always there.
    """

    step = 0
    """Iterations that lie at least between two points."""

    def add(self, iteration: int, value: float) -> None:
        """Add a point, in the place of those that a run has gone back from."""
        while self and self[-1][0] >= iteration:
            self.pop()
        if len(self) > 1 and self[-1][0] - self[-2][0] < self.step:
            self.pop()
        self.append((iteration, value))
        if len(self) > MOST_POINTS:
            self.step = 2 * (self[-1][0] - self[0][0]) // MOST_POINTS + 1
            kept = self[:1]
            for point in self[1:-1]:
                if point[0] - kept[-1][0] >= self.step:
                    kept.append(point)
            self[:] = [*kept, self[-1]]


@dataclass
class RunState:
    """Everything that is shown of a training.

    Attributes:
        status: ``new``, ``running``, ``stopped``, ``failed`` or ``finished``, as the run itself has said last.
        stage: name of the stage that spoke last.
        iteration: done in this stage.
        of: iterations of this stage, 0 while unknown.
        rate: iterations a second.
        secondsLeft: in this stage.
        device: what the training runs on.
        message: why it failed.
        warnings: what else was said to be wrong or had to be changed, each once, the newest ones.
        curves: by stage and name, (iteration, value) in rising order, no more than ``MOST_POINTS`` each.
        previews: newest picture of each stage.
        newer: the run was written by a newer version, whose events may mean something else.
    """

    status: str = "new"
    stage: str = ""
    iteration: float = 0
    of: int = 0
    rate: float = 0.0
    secondsLeft: float | None = None
    device: str = ""
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    curves: dict[str, dict[str, EvenCurve]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(EvenCurve)))
    previews: dict[str, Path] = field(default_factory=dict)
    newer: bool = False


class RunWatcher:
    """Follows the events of a run folder, wherever the process that writes them was started.

    Args:
        folder: the run folder; it may still be empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = RunState()
        self._tail = LineTail(folder / EVENTS_NAME)

    @property
    def model(self) -> Path | None:
        """The trained model, None while there is none."""
        path = self.folder / MODEL_NAME
        return path if path.is_file() else None

    def poll(self) -> bool:
        """Read what is new; whether there was anything. A long run is read over several calls."""
        lines = self._tail.read(LINES_A_POLL)
        for line in lines:
            event = parseEvent(line)
            if event is not None:
                self._take(event)
        return bool(lines)

    def configuration(self) -> dict[str, Any]:
        """Settings of the run, empty where they cannot be read."""
        try:
            content = json.loads((self.folder / CONFIGURATION_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def askToStop(self) -> None:
        """Ask for a clean stop after the current iteration, in whichever process the training runs.

        Raises:
            OSError: the folder cannot be written.
        """
        (self.folder / STOP_NAME).touch()

    def _take(self, event: dict[str, Any]) -> None:
        state, kind = self.state, event["event"]
        state.newer = state.newer or _number(event.get("schema"), 0) > KNOWN_SCHEMA
        state.stage = str(event.get("stage", state.stage))
        if kind in ("run_started", "stage_started", "progress"):
            state.status = "running"
        if kind == "run_started":
            state.device, state.message = str(event.get("device", "")), ""
        elif kind == "stage_started":
            state.iteration, state.of = _number(event.get("iteration"), 0), int(_number(event.get("of"), 0))
            # the pace of the stage before says nothing of this one
            state.rate, state.secondsLeft = 0.0, None
        elif kind == "progress":
            state.iteration, state.of = _number(event.get("iteration"), 0), int(_number(event.get("of"), 0))
            state.rate = _number(event.get("rate"), 0.0)
            state.secondsLeft = _number(event.get("seconds_left"), None)
            self._extend(event, "")
        elif kind == "validation":
            self._extend(event, "Dice ")
        elif kind == "preview":
            self._preview(event)
        elif kind == "failed":
            state.message = str(event.get("message", ""))
        elif kind in ("warning", "adjusted") and str(event.get("message", "")) not in state.warnings:
            state.warnings.append(str(event.get("message", "")))
            del state.warnings[:-MOST_WARNINGS]
        if kind in ("failed", "stopped"):
            state.status = kind
        elif kind == "run_finished":
            state.status, state.secondsLeft = "finished", 0.0

    def _extend(self, event: dict[str, Any], prefix: str) -> None:
        values, iteration = event.get("values"), int(_number(event.get("iteration"), 0))
        for name, value in values.items() if isinstance(values, dict) else ():
            if _number(value, None) is None:
                continue
            # a run that was killed does the iterations since its last checkpoint once more
            self.state.curves[self.state.stage][prefix + name].add(iteration, float(value))

    def _preview(self, event: dict[str, Any]) -> None:
        path = (self.folder / str(event.get("file", ""))).resolve()
        # a run folder may come from anywhere: nothing outside it is opened
        if path.is_relative_to(self.folder.resolve()) and path.suffix == ".png":
            self.state.previews[self.state.stage] = path


def _number(value: Any, otherwise: Any) -> Any:
    """The number that an event gives; anybody may have written the line."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER
    return value if known else otherwise
