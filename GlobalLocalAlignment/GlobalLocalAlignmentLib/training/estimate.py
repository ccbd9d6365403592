"""How long a training takes and how much memory, from some iterations of each kind on random slices.

Nothing of it depends on what the slices show, so no data are needed. Cutting the slices, translating them, previews and
checkpoints are left out: they are minutes, not an hour.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from ..config import Configuration, Label
from ..devices import device_description, make_fabric, resolve_device, resolve_precision
from ..errors import InputError
from ..machinefaults import Refusal, refusal_of
from ..slicestore import CaseSlices, SliceStore
from ..translators import translator_stage
from .engine import RunContext, run_stage
from .events import EventLog, duration
from .memory import PeakMemory, total_memory
from .methods import segmentation_stage

STAGE = "estimate"
ITERATIONS, SECONDS = 40, 10.0
"""Most iterations that are measured of a kind, and the time after which no further one is begun."""

ASSUMED_STRUCTURES = 4
"""Structures where the settings name none and leave them to the label files; time hardly depends on their number."""


@dataclass(frozen=True)
class Kind:
    """Iterations of a training that cost the same.

    Attributes:
        title: for people.
        section: of the configuration, ``synthesis`` or ``segmentation``.
        iterations: of this kind in the training.
        changes: settings of the section that make every iteration one of this kind.
    """

    title: str
    section: str
    iterations: int
    changes: dict[str, Any]


@dataclass(frozen=True)
class Pace:
    """What was measured of a kind: its iterations in the training, how many a second, and seconds of all of them."""

    title: str
    iterations: int
    rate: float
    seconds: float


@dataclass(frozen=True)
class Estimate:
    """What a training takes on this machine.

    Attributes:
        device: description of the device.
        precision: ``32`` or ``bf16``.
        seconds: of all iterations.
        memory_bytes: peak, on the device; see ``PeakMemory``.
        device_memory_bytes: of the device or, without one, of the machine.
        kinds: paces by name of the kind.
    """

    device: str
    precision: str
    seconds: float
    memory_bytes: int
    device_memory_bytes: int
    kinds: dict[str, Pace]

    def lines(self) -> list[str]:
        """Text for a person: a line for each kind, then time, memory and device."""
        width = max(len("memory"), *(len(pace.title) for pace in self.kinds.values())) + 2
        rows = [
            (pace.title, f"{pace.rate:.3g} iterations a second, {pace.iterations} in {duration(pace.seconds)}")
            for pace in self.kinds.values()
        ]
        short = ", too little" if self.memory_bytes > self.device_memory_bytes else ""
        rows += [
            ("total", duration(self.seconds)),
            ("memory", f"{_size(self.memory_bytes)} of {_size(self.device_memory_bytes)}{short}"),
            ("device", f"{self.device}, precision {self.precision}"),
        ]
        return [f"{title:{width}}{text}" for title, text in rows]


def kinds_of(configuration: Configuration) -> dict[str, Kind]:
    """The kinds of iterations that a training with these settings has, by name, in their order."""
    settings, kinds = configuration.segmentation, {}
    if settings.style_transfer and configuration.synthesis.model is None:
        kinds["synthesis"] = Kind("stage one", "synthesis", configuration.synthesis.iterations, {})
    if not (settings.feature_discriminator or settings.output_discriminator):
        kinds["segmentation"] = Kind("stage two", "segmentation", settings.iterations, {})
        return kinds
    for name, title, iterations, warm_up in (
        ("warm_up", "stage two, warming up", settings.warm_up, sys.maxsize),
        ("aligned", "stage two, aligned", settings.iterations - settings.warm_up, 0),
    ):
        if iterations > 0:
            kinds[name] = Kind(title, "segmentation", iterations, {"warm_up": warm_up, "ramp": 0})
    return kinds


def estimate_training(configuration: Configuration, events: EventLog) -> Estimate:
    """Measure what a training takes on this machine.

    Args:
        configuration: the settings; their volumes are not looked at.
        events: gets the progress, and the result as ``estimate``.

    Raises:
        InputError: no such device, or its memory does not suffice.
    """
    device = resolve_device(configuration.training.device)
    precision = resolve_precision(configuration.training.precision, device)
    fabric = make_fabric(device, precision)
    fabric.launch()
    if not configuration.labels:
        labels = [Label(value=value, name=f"label {value}") for value in range(1, ASSUMED_STRUCTURES + 1)]
        configuration = configuration.model_copy(update={"labels": labels})
    kinds, paces = kinds_of(configuration), {}
    progress = _Progress(events, len(kinds))
    events.emit("stage_started", STAGE, of=len(kinds))
    # a mapped file cannot be removed on Windows while anything still refers to it
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        stores = [_random_store(folder / role, configuration, role == "source") for role in ("source", "target")]
        with PeakMemory(fabric.device) as memory:
            for index, (name, kind) in enumerate(kinds.items()):
                context = RunContext(folder, _settings(configuration, kind), fabric, EventLog(None))
                try:
                    rate = _measure(kind, context, stores, lambda share, index=index: progress(index + share))
                except (RuntimeError, MemoryError) as error:
                    if refusal_of(error) is not Refusal.MEMORY:
                        raise
                    refused = _too_large(configuration, kind, fabric)
                    events.emit("failed", STAGE, message=str(refused))
                    raise refused from None
                paces[name] = Pace(kind.title, kind.iterations, rate, kind.iterations / rate)
    estimate = Estimate(
        device_description(fabric.device),
        precision,
        sum(pace.seconds for pace in paces.values()),
        memory.peak,
        total_memory(fabric.device),
        paces,
    )
    events.emit("estimate", STAGE, **asdict(estimate))
    events.emit("stage_finished", STAGE, seconds=round(progress.elapsed(), 1))
    return estimate


def _measure(kind: Kind, context: RunContext, stores: list[SliceStore], on_share: Callable[[float], None]) -> float:
    """Iterations a second."""
    make = {"synthesis": translator_stage, "segmentation": segmentation_stage}[kind.section]
    stopwatch = Stopwatch(on_share)
    context.events.listeners.append(stopwatch)
    with suppress(Enough):
        # what is to be measured is the training as it is configured
        run_stage(lambda: make(context, *stores), context, recovers=False)
    return stopwatch.rate


class Enough(Exception):
    """Ends a stage between the report of an iteration and anything that would be written after it."""


class Stopwatch:
    """Listener that times a stage which reports every iteration, and ends it with ``Enough``.

    A report waits for the device, so the time between two of them is that of an iteration. The first iteration makes
    ready what the others use and is not counted.

    Args:
        on_share: called after each iteration with how far the measurement is, up to 1.
        clock: seconds.
    """

    def __init__(self, on_share: Callable[[float], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.on_share, self.clock = on_share, clock
        self.started, self.times = 0.0, []

    def __call__(self, entry: dict[str, Any]) -> None:
        """Take one event of the stage."""
        now = self.clock()
        if entry["event"] == "stage_started":
            self.started = now
        elif entry["event"] == "progress":
            self.times.append(now)
            share = max(len(self.times) / ITERATIONS, (now - self.started) / SECONDS)
            done = share >= 1 and len(self.times) > 1
            self.on_share(1.0 if done else min(share, 0.99))
            if done:
                raise Enough

    @property
    def rate(self) -> float:
        """Iterations a second."""
        return (len(self.times) - 1) / max(self.times[-1] - self.times[0], 1e-9)


class _Progress:
    """Reports kinds that are done, the one under way by its share."""

    def __init__(self, events: EventLog, of: int) -> None:
        self.events, self.of, self.started = events, of, time.monotonic()

    def __call__(self, done: float) -> None:
        rate = done / max(self.elapsed(), 1e-9)
        self.events.emit(
            "progress",
            STAGE,
            iteration=round(done, 3),
            of=self.of,
            rate=round(rate, 4),
            seconds_left=round((self.of - done) / rate, 1),
            values={},
        )

    def elapsed(self) -> float:
        return time.monotonic() - self.started


def _settings(configuration: Configuration, kind: Kind) -> Configuration:
    """Settings with which every iteration is one of this kind and is reported, and nothing is written."""
    section = getattr(configuration, kind.section)
    # the learning rate falls to zero at the end, which the measurement must not reach
    changes = {**kind.changes, "iterations": max(section.iterations, ITERATIONS + 1)}
    never = sys.maxsize
    training = {"report_every": 1, "preview_every": never, "checkpoint_every": never}
    return configuration.model_copy(
        update={
            kind.section: section.model_copy(update=changes),
            "training": configuration.training.model_copy(update=training),
        }
    )


def _random_store(folder: Path, configuration: Configuration, labelled: bool) -> SliceStore:
    chance = np.random.default_rng(configuration.training.seed)
    count = 2 * max(configuration.synthesis.batch_size, configuration.segmentation.batch_size)
    shape = (count, *configuration.plane.size)
    images = chance.uniform(-1, 1, shape).astype(np.float32)
    labels = chance.integers(0, len(configuration.labels) + 1, shape, np.uint8) if labelled else None
    case = CaseSlices("random", images, labels, list(range(count)))
    return SliceStore.build(folder, [case], configuration.plane.size, labelled)


def _too_large(configuration: Configuration, kind: Kind, fabric: Fabric) -> InputError:
    section = getattr(configuration, kind.section)
    rows, columns = configuration.plane.size
    return InputError(
        f"device {fabric.device}",
        f"has too little memory for {kind.title} with batches of {section.batch_size} slices of {rows} x {columns}",
        f"lower {kind.section}.batch_size, plane.size or {kind.section}.width",
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
