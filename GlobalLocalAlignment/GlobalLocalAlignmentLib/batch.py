"""Prediction and synthesis for many files: one failure does not end the rest, nothing is left half-written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .cases import find_volumes, stem
from .errors import ErrorCollector, InputError
from .machinefaults import Refusal, explained
from .prediction import Outputs, Prediction, Predictor
from .preprocessing import is_eight_bit_export
from .segmentationfile import SEGMENTATION_SUFFIX, write_segmentation
from .training.events import EventLog
from .volumes import Volume, read_volume, write_volume

SUFFIX = ".nii.gz"
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


def result_path(output: Path, image: Path, kind: str, suffix: str = SUFFIX) -> Path:
    """``x.nii.gz`` or a series in the folder ``x`` -> ``x_KIND.nii.gz`` in the output folder."""
    return output / f"{stem(image)}_{kind}{suffix}"


def predict_files(
    predictor: Predictor,
    cases: dict[str, Path],
    output: Path,
    outputs: Outputs,
    events: EventLog,
    seg_nrrd: bool = False,
) -> dict[str, Prediction]:
    """Segment each case and write its volumes as NIfTI into the output folder, named after the image.

    Args:
        predictor: applies the model.
        cases: images by case name.
        output: folder for the volumes.
        outputs: what is wanted besides the label maps.
        events: gets progress and what went wrong.
        seg_nrrd: write the label maps as ``.seg.nrrd``, with name, colour and term of each structure.

    Returns:
        timing of each case that went well (volumes are dropped once written, so memory does not grow).

    Raises:
        InputError: after the rest was done, everything that was wrong with single cases.
    """

    def work(name: str, volume: Volume, report: Callable[[int, int], None]) -> float:
        _warn_of_other_kind(predictor, cases[name], volume, events)
        prediction = predictor.predict(volume, outputs, report)
        for kind, result in _extra_volumes(predictor, prediction):
            write_volume(result, result_path(output, cases[name], kind))
        # the label map last: where it is there, the case is whole
        path = result_path(output, cases[name], "segmentation", SEGMENTATION_SUFFIX if seg_nrrd else SUFFIX)
        if seg_nrrd:
            write_segmentation(prediction.labelmap, predictor.bundle.card.labels, path)
        else:
            write_volume(prediction.labelmap, path)
        return prediction.network_seconds

    return _for_each(cases, output, "prediction", work, events)


def synthesize_files(predictor: Predictor, cases: dict[str, Path], output: Path, to: str, events: EventLog) -> None:
    """Write each case in the style of the other domain.

    Raises:
        InputError: after the rest was done, everything that was wrong with single cases.
    """

    def work(name: str, volume: Volume, report: Callable[[int, int], None]) -> float:
        write_volume(predictor.synthesize(volume, to, report), result_path(output, cases[name], f"{to}_style"))
        return 0.0

    _for_each(cases, output, "prediction", work, events)


def _warn_of_other_kind(predictor: Predictor, path: Path, volume: Volume, events: EventLog) -> None:
    """Say that a volume has the window of an 8-bit export and the training volumes did not, or the other way round."""
    target, eight_bit = predictor.bundle.card.target, is_eight_bit_export(volume.array)
    if target.intensity.rule == "window" and eight_bit != target.eight_bit:
        kinds = ("values in the units of the scanner", "values that an export reduced to 8 bits")
        this, trained = kinds if target.eight_bit else reversed(kinds)
        events.emit(
            "warning",
            "prediction",
            message=f"{path.name}: holds {this}, the model was trained on {trained}; look at the result with care",
        )


def _extra_volumes(predictor: Predictor, prediction: Prediction) -> list[tuple[str, Volume]]:
    names = {0: "background", **predictor.bundle.card.names}
    volumes = [
        (f"probability_{_file_word(names[value])}", volume) for value, volume in prediction.probabilities.items()
    ]
    if prediction.feature_mask is not None:
        volumes.append(("feature_mask", prediction.feature_mask))
    if prediction.synthesized is not None:
        volumes.append(("synthesized", prediction.synthesized))
    return volumes


def _for_each(
    cases: dict[str, Path],
    output: Path,
    stage: str,
    work: Callable[[str, Volume, Callable[[int, int], None]], float],
    events: EventLog,
) -> dict[str, float]:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(output, f"cannot be made ({error.strerror})", "choose another --output") from error
    collector, seconds, started = ErrorCollector(), {}, time.monotonic()
    events.emit("stage_started", stage, of=len(cases))
    for index, (name, path) in enumerate(cases.items()):
        before = len(collector.errors)

        def report(done: int, of: int, position: int = index) -> None:
            share = position + done / of
            rate = share / max(time.monotonic() - started, 1e-9)
            events.emit(
                "progress",
                stage,
                iteration=round(share, 3),
                of=len(cases),
                rate=round(rate, 4),
                seconds_left=round((len(cases) - share) / rate, 1),
                values={},
            )

        with collector, explained(path, REMEDIES):
            seconds[name] = work(name, read_volume(path), report)
        for error in collector.errors[before:]:
            events.emit("failed", stage, message=str(error))
    events.emit("stage_finished", stage, seconds=round(time.monotonic() - started, 1))
    collector.raise_all()
    return seconds


def _file_word(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "structure"
