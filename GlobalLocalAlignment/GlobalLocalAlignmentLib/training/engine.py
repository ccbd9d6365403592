"""The loop around a stage: progress, previews, checkpoints, resume and a clean stop."""

from __future__ import annotations

import copy
import gc
import math
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..config import Configuration
from ..errors import InputError, StopRequested
from ..machinefaults import Refusal, refusal_of
from .adjustments import ADJUSTMENTS_NAME, Adjustment, Adjustments
from .checkpoints import drop_newer, iterations_kept, load_latest, save_checkpoint
from .events import STOP_NAME, EventLog
from .parts import Parts, in_parts
from .runaway import NumberGuard, OptimizerWatch, Runaway, all_finite
from .stability import StabilityWatch, Symptom

STAGE_SUBJECT = "stage "
"""What the message of an error begins with that is about the training itself."""

LOWER = 0.5
"""By which all learning rates are multiplied each time that numbers run away."""

START_ANEW = "start anew with a lower learning rate, or in 32 bits with --precision 32"

GUARD_KEY = "guard"
"""Of the guard's part in the state of a checkpoint."""

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
        parts: in how many the batches go through the networks of the stage that trains.
    """

    folder: Path
    configuration: Configuration
    fabric: Fabric
    events: EventLog
    stop_asked: Callable[[], bool] = field(default=lambda: False)
    parts: Parts = field(default_factory=Parts)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def adjustments(self) -> Adjustments:
        """What the run had to change so far."""
        return Adjustments(self.checkpoints / ADJUSTMENTS_NAME)

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, methods: Sequence[str] = ()
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """A network that a stage trains and its optimiser, on the device; its batches may come in parts.

        Args:
            network: see ``in_parts``.
            optimizer: of its weights.
            methods: that are called beside ``forward``.
        """
        in_parts(network, self.parts, methods)
        network, optimizer = self.fabric.setup(network, optimizer)
        for name in methods:
            network.mark_forward_method(name)
        return network, optimizer

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
    batch_size: int
    """Slices of each domain in a batch: the most parts that it can go in."""

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


AnyStage = TypeVar("AnyStage", bound=Stage)


def run_stage(make: Callable[[], AnyStage], context: RunContext, recovers: bool = True) -> AnyStage:
    """Train a stage to its end, from its newest checkpoint where there is one.

    Where its numbers run away, or memory runs out within a step, the stage is made anew and goes on from its last good
    checkpoint, as a run that is resumed does: with lower learning rates, as often as the configuration allows it, or
    with its batches in twice as many parts, until a part is a slice.

    Args:
        make: the stage, untrained.
        context: the run.
        recovers: whether anything is changed; several processes of one training never do.

    Returns:
        the stage, trained.

    Raises:
        StopRequested: the user asked to stop; a checkpoint was written first.
        InputError: numbers ran away too often, or a checkpoint cannot be written.
    """
    recovers = recovers and context.fabric.world_size == 1
    adjustments = context.adjustments()
    while True:
        stage = make()
        try:
            setback = _attempt(stage, context, adjustments, recovers)
        finally:
            context.parts.count = 1
        if setback is None:
            return stage
        # what it holds of memory is needed by the next one
        del stage
        gc.collect()
        if context.fabric.device.type == "cuda":
            torch.cuda.empty_cache()
        _adjust(setback, context, adjustments)


@dataclass(frozen=True)
class _Setback:
    """Why a stage has to go back.

    Attributes:
        stage: its name.
        of: its iterations.
        reason: in words.
        since: checkpoints of later iterations are no good.
        parts: in how many its batches go from now on, None where numbers ran away.
    """

    stage: str
    of: int
    reason: str
    since: int
    parts: int | None = None


def _attempt(stage: Stage, context: RunContext, adjustments: Adjustments, recovers: bool) -> _Setback | None:
    """Train a stage from its newest checkpoint to its end, or to where it has to go back."""
    settings = context.configuration.training
    guard, watch = NumberGuard(settings.report_every), OptimizerWatch()
    first = _resume(stage, guard, context)
    context.events.emit("stage_started", stage.name, iteration=first, of=stage.iterations)
    progress = _Progress(stage, context, first)
    postponed = False

    def runaway(found: Runaway) -> _Setback:
        return _Setback(stage.name, stage.iterations, found.reason, found.since)

    with watch.watching():
        for iteration in range(first, stage.iterations):
            context.parts.count = adjustments.parts(stage.name, iteration)
            watch.share = adjustments.learning_rate_share(stage.name, iteration)
            values = _step(stage, iteration, recovers and context.parts.count < stage.batch_size)
            if values is None:
                reason = f"memory ran out at iteration {iteration + 1}"
                parts = min(2 * context.parts.count, stage.batch_size)
                return _Setback(stage.name, stage.iterations, reason, iteration, parts)
            if "learning_rate" in values:
                values["learning_rate"] = watch.share * values["learning_rate"]
            progress.add(values)
            # what is wrong first is named first
            guard.add(watch.largest_gradient() | values)
            done = iteration + 1
            last = done == stage.iterations
            if last or done % settings.report_every == 0:
                progress.report(done)
                found = guard.look(done)
                if found is not None:
                    return _given_up(runaway(found), recovers)
            if last or done % settings.preview_every == 0:
                _show(stage, context, done)
            stopping = (context.fabric.world_size == 1 or done % settings.report_every == 0) and context.should_stop()
            due = postponed or done % settings.checkpoint_every == 0
            # a state that may turn out to be the start of a divergence is none to go back to
            postponed = due and guard.suspicious and not (last or stopping)
            if last or stopping or (due and not postponed):
                progress.report(done)
                found = guard.look(done) if done % settings.report_every else None
                state = {**stage.state(), GUARD_KEY: guard.state()}
                if found is None and not all_finite(state):
                    found = Runaway(f"a weight is not a number at iteration {done}", done)
                if found is not None:
                    return _given_up(runaway(found), recovers)
                _save(stage.name, state, context, done)
            if stopping and not last:
                context.events.emit("stopped", stage.name, iteration=done, of=stage.iterations)
                raise StopRequested
    context.events.emit("stage_finished", stage.name, seconds=round(progress.elapsed(), 1))
    return None


def _step(stage: Stage, iteration: int, recovers: bool) -> dict[str, Tensor | float] | None:
    """Numbers of an iteration, None where memory ran out. The error, whose frames hold tensors, ends here."""
    try:
        return stage.step(iteration)
    except (RuntimeError, MemoryError) as error:
        if not recovers or refusal_of(error) is not Refusal.MEMORY:
            raise
    return None


def _given_up(setback: _Setback, recovers: bool) -> _Setback:
    """The setback, or its error where nothing is changed."""
    if recovers:
        return setback
    raise InputError(f"{STAGE_SUBJECT}{setback.stage}", setback.reason, START_ANEW)


def _adjust(setback: _Setback, context: RunContext, adjustments: Adjustments) -> None:
    """Go back to the last good checkpoint and change what has to be changed.

    Raises:
        InputError: it was done too often.
    """
    name, most, folder = setback.stage, context.configuration.training.rollbacks, context.checkpoints
    before = adjustments.rollbacks(name)
    if setback.parts is None and len(before) >= most:
        times = f", and lower learning rates did not help {len(before)} times" if before else ""
        raise InputError(f"{STAGE_SUBJECT}{name}", f"{setback.reason}{times}", START_ANEW)
    drop_newer(folder, name, setback.since)
    kept = iterations_kept(folder, name)
    if setback.parts is None and len(kept) > 1 and before and before[-1].iteration == kept[-1]:
        # it was gone back there the last time, and nothing good has come since
        drop_newer(folder, name, kept[-2])
        kept.pop()
    back = kept[-1] if kept else 0
    share = LOWER * adjustments.lowest_share(name) if setback.parts is None else 1.0
    adjustments.add(Adjustment(name, back, setback.reason, share, setback.parts or 1))
    if setback.parts is None:
        change = f"{share:g} of the learning rate (time {len(before) + 1} of at most {most})"
    else:
        change = f"each batch in {setback.parts} parts that count together; batch norm sees one part at a time"
    context.events.emit(
        "adjusted",
        name,
        iteration=back,
        of=setback.of,
        learning_rate_share=adjustments.learning_rate_share(name, back),
        parts=adjustments.parts(name, back),
        message=f"{setback.reason}; goes on from iteration {back} with {change}",
    )


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

    def elapsed(self) -> float:
        return time.monotonic() - self.started


def _resume(stage: Stage, guard: NumberGuard, context: RunContext) -> int:
    found = load_latest(
        context.checkpoints, stage.name, lambda message: context.events.emit("warning", stage.name, message=message)
    )
    if found is None:
        return 0
    iteration, state = found
    try:
        guard.load(state.pop(GUARD_KEY, {}))
        stage.load(state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if refusal_of(error) is not None:
            raise
        # half of it may be in the stage by now, so that neither an older one nor a new start would be right
        raise InputError(
            context.checkpoints,
            f"holds a checkpoint of {stage.name} at iteration {iteration} that does not fit this run",
            "remove it to go on from the one before it",
        ) from error
    return iteration


def _save(name: str, state: dict[str, Any], context: RunContext, done: int) -> None:
    if not context.fabric.is_global_zero:
        return
    try:
        path = save_checkpoint(context.checkpoints, name, done, state)
    except OSError as error:
        raise InputError(
            error.filename or context.checkpoints,
            f"the checkpoint cannot be written ({error.strerror or error})",
            "make space and go on with --resume, the checkpoint before it is intact",
        ) from error
    context.events.emit("checkpoint", name, iteration=done, file=f"checkpoints/{path.name}")


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
        # the tensors stay the same ones through steps and through the loading of a checkpoint
        self._followed: nn.Module | None = None
        self._pairs: dict[bool, tuple[list[Tensor], list[Tensor]]] = {}

    @torch.no_grad()
    def update(self, network: nn.Module, iteration: int) -> None:
        """Move towards the network's weights after ``iteration`` (counted from 0)."""
        keep = min(self.decay, (1 + iteration) / (10 + iteration))
        if self._followed is not network:
            self._follow(network)
        # in one go: hundreds of small calls keep a GPU waiting
        torch._foreach_lerp_(*self._pairs[True], 1 - keep)
        if self._pairs[False][0]:
            torch._foreach_copy_(*self._pairs[False])

    def _follow(self, network: nn.Module) -> None:
        """Pair the tensors of the average with those of the network, floating-point ones apart from counters."""
        averages, currents = self.network.state_dict(), network.state_dict()
        self._pairs = {True: ([], []), False: ([], [])}
        for name, average in averages.items():
            ours, theirs = self._pairs[average.is_floating_point()]
            ours.append(average)
            theirs.append(currents[name])
        self._followed = network


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters of an optimiser one learning rate, or the ``rate_share`` of it that their group asks for."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("rate_share", 1.0)
