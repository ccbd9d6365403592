"""Synthesis for many files, and what all batches share: progress, and one failure that does not end the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .cases import find_volumes, stem
from .errors import ErrorCollector, InputError
from .machinefaults import Refusal, explained
from .prediction import Predictor
from .training.events import EventLog
from .volumes import read_volume, write_volume

STAGE = "prediction"
REMEDIES = {Refusal.MEMORY: "lower --batch-size, free memory or choose --device cpu"}
"""Of what concerns one volume: the next one may be smaller. A GPU that is gone ends the batch."""


def choose_cases(inputs: Sequence[Path], cases: Sequence[str] = ()) -> dict[str, Path]:
    """Images by case name, all or the named ones.

    Raises:
        InputError: no image, or a named case that is not there.
    """
    found = find_volumes(inputs, "image")
    for name in cases:
        if name not in found:
            raise InputError(f"case {name}", "is not among the inputs", f"choose from {', '.join(list(found)[:8])}")
    chosen = {name: path for name, path in found.items() if not cases or name in cases}
    if not chosen:
        raise InputError(inputs[0] if inputs else "input", "holds no volume", "name a file, a folder or a DICOM series")
    return chosen


class BatchProgress:
    """Says how far a batch has come, in cases and shares of them, with its rate and the time left.

    Args:
        events: get ``progress``.
        count: number of cases.
    """

    def __init__(self, events: EventLog, count: int) -> None:
        self.events, self.count, self.started = events, count, time.monotonic()

    def __call__(self, share: float) -> None:
        """Tell that so many cases are done."""
        rate = share / max(self.seconds, 1e-9)
        self.events.emit(
            "progress",
            STAGE,
            iteration=round(share, 3),
            of=self.count,
            rate=round(rate, 4),
            seconds_left=round((self.count - share) / max(rate, 1e-9), 1),
            values={},
        )

    def of_case(self, position: int) -> Callable[[int, int], None]:
        """Function that tells of the slices of a case: their number so far and in all."""
        return lambda done, of: self(position + done / of)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started


def make_folder(output: Path) -> None:
    """Make the output folder.

    Raises:
        InputError: it cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(output, f"cannot be made ({error.strerror})", "choose another --output") from error


def synthesize_files(predictor: Predictor, cases: dict[str, Path], output: Path, to: str, events: EventLog) -> None:
    """Write each case in the style of the other domain: ``x.nii.gz`` -> ``x_TO_style.nii.gz`` in the output folder.

    Raises:
        InputError: after the rest was done, everything that was wrong with single cases.
    """
    make_folder(output)
    collector, progress = ErrorCollector(), BatchProgress(events, len(cases))
    events.emit("stage_started", STAGE, of=len(cases))
    for position, path in enumerate(cases.values()):
        before = len(collector.errors)
        with collector, explained(path, REMEDIES):
            result = predictor.synthesize(read_volume(path), to, progress.of_case(position))
            write_volume(result, output / f"{stem(path)}_{to}_style.nii.gz")
        for error in collector.errors[before:]:
            events.emit("failed", STAGE, message=str(error))
    events.emit("stage_finished", STAGE, seconds=round(progress.seconds, 1))
    collector.raise_all()
