"""The loop around a stage: progress, previews, checkpoints, resume and a clean stop."""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..config import Configuration
from ..errors import InputError, StopRequested
from .checkpoints import load_latest, save_checkpoint
from .events import STOP_NAME, EventLog
from .stability import StabilityWatch, Symptom

RATE_MEMORY = 0.9
"""Share of the earlier rate that a new measurement keeps, so that the time left does not jump."""


@dataclass
class RunContext:
    """What a stage needs to know of the run it belongs to.

    Attributes:
        folder: the run folder.
        configuration: as written to ``config.json``.
        fabric: device and precision.
        events: where progress goes.
        stop_asked: set by a signal handler; the file ``stop`` in the run folder asks the same.
    """

    folder: Path
    configuration: Configuration
    fabric: Fabric
    events: EventLog
    stop_asked: Callable[[], bool] = field(default=lambda: False)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def refuse_several_processes(self, setting: str) -> None:
        """Raise InputError in a distributed run, for a setting that trains in one process alone."""
        if self.fabric.world_size > 1:
            raise InputError(setting, "trains in one process", "call without torchrun")

    def should_stop(self) -> bool:
        """Whether the user asked for a clean stop; every process of a distributed run gets the same answer."""
        asked = self.stop_asked() or (self.folder / STOP_NAME).exists()
        return bool(self.fabric.broadcast(asked)) if self.fabric.world_size > 1 else asked


class Stage(ABC):
    """One of the two trainings. A step depends on the iteration and the state alone, so a resumed run is exact."""

    name: str
    iterations: int
    symptoms: Sequence[Symptom] = ()
    """What to watch for in the numbers of its steps."""

    @abstractmethod
    def step(self, iteration: int) -> dict[str, Tensor | float]:
        """Train one iteration (counted from 0) and return named numbers, each a scalar on any device."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, tensors and plain values only."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` gave."""

    @abstractmethod
    def preview(self, path: Path) -> None:
        """Write a picture of what the stage can do by now."""

    def validate(self, iteration: int) -> dict[str, float]:
        """Dice of each structure on labelled target cases after so many iterations; empty unless it was asked for."""
        return {}


def run_stage(stage: Stage, context: RunContext) -> None:
    """Train a stage to its end, from its newest checkpoint where there is one.

    Raises:
        StopRequested: the user asked to stop; a checkpoint was written first.
        InputError: a loss is not a number, or a checkpoint cannot be written.
    """
    settings = context.configuration.training
    first = _resume(stage, context)
    context.events.emit("stage_started", stage.name, iteration=first, of=stage.iterations)
    progress = _Progress(stage, context, first)
    for iteration in range(first, stage.iterations):
        progress.add(stage.step(iteration))
        done = iteration + 1
        last = done == stage.iterations
        if last or done % settings.report_every == 0:
            progress.report(done)
        if last or done % settings.preview_every == 0:
            _show(stage, context, done)
        stopping = (context.fabric.world_size == 1 or done % settings.report_every == 0) and context.should_stop()
        if last or stopping or done % settings.checkpoint_every == 0:
            progress.report(done)
            _save(stage, context, done)
        if stopping and not last:
            context.events.emit("stopped", stage.name, iteration=done, of=stage.iterations)
            raise StopRequested
    context.events.emit("stage_finished", stage.name, seconds=round(progress.elapsed(), 1))


class _Progress:
    """Collects the numbers of the steps and reports their means with the rate and the time left."""

    def __init__(self, stage: Stage, context: RunContext, first: int) -> None:
        self.stage, self.context = stage, context
        self.started = self.reported_at = time.monotonic()
        self.reported = first
        self.rate: float | None = None
        self.sums: dict[str, list[Tensor]] = defaultdict(list)
        self.watch = StabilityWatch(stage.symptoms)

    def add(self, values: dict[str, Tensor | float]) -> None:
        for name, value in values.items():
            self.sums[name].append(torch.as_tensor(value).detach())

    def report(self, done: int) -> None:
        if done == self.reported:
            return
        values = {name: float(torch.stack(parts).float().mean()) for name, parts in self.sums.items()}
        now = time.monotonic()
        rate = (done - self.reported) / max(now - self.reported_at, 1e-9)
        self.rate = rate if self.rate is None else RATE_MEMORY * self.rate + (1 - RATE_MEMORY) * rate
        seconds_left = (self.stage.iterations - done) / self.rate
        self.sums.clear()
        self.reported, self.reported_at = done, now
        self.context.events.emit(
            "progress",
            self.stage.name,
            iteration=done,
            of=self.stage.iterations,
            rate=round(self.rate, 4),
            seconds_left=round(seconds_left, 1),
            values=values,
        )
        for message in self.watch.look(values):
            self.context.events.emit("warning", self.stage.name, message=message)
        broken = [name for name, value in values.items() if not math.isfinite(value)]
        if broken:
            raise InputError(
                f"stage {self.stage.name}",
                f"{broken[0]} is not a number at iteration {done}",
                "start anew with a lower learning rate, or in 32 bits with --precision 32",
            )

    def elapsed(self) -> float:
        return time.monotonic() - self.started


def _resume(stage: Stage, context: RunContext) -> int:
    found = load_latest(
        context.checkpoints, stage.name, lambda message: context.events.emit("warning", stage.name, message=message)
    )
    if found is None:
        return 0
    iteration, state = found
    stage.load(state)
    return iteration


def _save(stage: Stage, context: RunContext, done: int) -> None:
    if not context.fabric.is_global_zero:
        return
    try:
        path = save_checkpoint(context.checkpoints, stage.name, done, stage.state())
    except OSError as error:
        raise InputError(
            error.filename or context.checkpoints,
            f"the checkpoint cannot be written ({error.strerror or error})",
            "make space and go on with --resume, the checkpoint before it is intact",
        ) from error
    context.events.emit("checkpoint", stage.name, iteration=done, file=f"checkpoints/{path.name}")


def _show(stage: Stage, context: RunContext, done: int) -> None:
    if not context.fabric.is_global_zero:
        return
    path = context.folder / "previews" / f"{stage.name}_{done:07d}.png"
    path.parent.mkdir(exist_ok=True)
    stage.preview(path)
    context.events.emit("preview", stage.name, iteration=done, file=f"previews/{path.name}")
    scores = stage.validate(done)
    if scores:
        numbers = [value for value in scores.values() if not math.isnan(value)]
        mean = sum(numbers) / len(numbers) if numbers else math.nan
        context.events.emit("validation", stage.name, iteration=done, values=scores, mean=mean)


class WeightAverage:
    """Exponential moving average of the weights and running statistics of a network.

    Early on the decay is smaller, so that the start of the training is soon forgotten. A decay of 0 follows the
    network.

    Args:
        network: the network that is trained.
        decay: share of the average that one step keeps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        """Move towards the network's weights after ``iteration`` (counted from 0)."""
        keep = min(self.decay, (1 + iteration) / (10 + iteration))
        averages, currents = self.network.state_dict(), network.state_dict()
        for name, average in averages.items():
            current = currents[name]
            if average.is_floating_point():
                average.lerp_(current, 1 - keep)
            else:
                average.copy_(current)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters of an optimiser one learning rate, or the ``rate_share`` of it that their group asks for."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_share", 1.0)
