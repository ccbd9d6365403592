"""Prediction and synthesis for a few files at once, and what a batch of many shares with it.

One failure does not end the rest, nothing is left half-written.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..bundle import ModelCard
from ..cases import find_volumes, stem
from ..errors import ErrorCollector, InputError
from ..formats.segmentationformats import NIFTI, suffix_of, volume_suffix_of, write_in_format
from ..machinefaults import Refusal, explained
from ..prediction import Outputs, Prediction, Predictor
from ..preprocessing import is_eight_bit_export
from ..training.events import EventLog
from ..volumes import Volume, read_volume, write_volume

STAGE = "prediction"
LONGEST_WORD = 48
"""Signs of the name of a structure that become part of a file name."""

REMEDIES = {Refusal.MEMORY: "lower --batch-size, free memory or choose --device cpu"}
"""Of what concerns one volume: the next one may be smaller. A GPU that is gone ends the batch."""

OnSlices = Callable[[int, int], None]


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


def result_path(output: Path, image: Path, kind: str) -> Path:
    """``x.nii.gz`` or a series in the folder ``x`` -> ``x_KIND.nii.gz`` in the output folder."""
    return output / f"{stem(image)}_{kind}.{NIFTI}"


def predict_files(
    predictor: Predictor, cases: dict[str, Path], output: Path, outputs: Outputs, events: EventLog
) -> dict[str, float]:
    """Segment each case and write its volumes as NIfTI into the output folder, named after the image.

    Args:
        predictor: applies the model.
        cases: images by case name.
        output: folder for the volumes.
        outputs: what is wanted besides the label maps.
        events: gets progress and what went wrong.

    Returns:
        seconds in the networks for each case that went well.

    Raises:
        InputError: after the rest was done, everything that was wrong with single cases.
    """
    seconds: dict[str, float] = {}

    def work(name: str, report: OnSlices) -> None:
        volume = read_volume(cases[name])
        doubt = other_kind(predictor, volume)
        if doubt:
            events.emit("warning", STAGE, message=f"{cases[name].name}: {doubt}")
        prediction = predictor.predict(volume, outputs, report)
        write_prediction(predictor.bundle.card, prediction, output, stem(cases[name]))
        seconds[name] = prediction.network_seconds

    _for_each(cases, output, work, events)
    return seconds


def synthesize_files(predictor: Predictor, cases: dict[str, Path], output: Path, to: str, events: EventLog) -> None:
    """Write each case in the style of the other domain.

    Raises:
        InputError: after the rest was done, everything that was wrong with single cases.
    """

    def work(name: str, report: OnSlices) -> None:
        result = predictor.synthesize(read_volume(cases[name]), to, report)
        write_volume(result, result_path(output, cases[name], f"{to}_style"))

    _for_each(cases, output, work, events)


class BatchProgress:
    """Says how far a batch has come, in cases and shares of them, with its rate and the time left.

    Args:
        events: get ``progress``.
        count: number of cases.
    """

    def __init__(self, events: EventLog, count: int) -> None:
        self.events, self.count, self.started = events, count, time.monotonic()

    def of_case(self, position: int) -> OnSlices:
        """Function that tells of the slices of a case: their number so far and in all."""

        def report(done: int, of: int) -> None:
            share = position + done / of
            rate = share / max(self.seconds, 1e-9)
            self.events.emit(
                "progress",
                STAGE,
                iteration=round(share, 3),
                of=self.count,
                rate=round(rate, 4),
                seconds_left=round((self.count - share) / rate, 1),
                values={},
            )

        return report

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


def write_prediction(
    card: ModelCard, prediction: Prediction, output: Path, name: str, kind: str = NIFTI, slices: Sequence[Path] = ()
) -> list[str]:
    """Write all volumes of a prediction, the segmentation last: where it is there, the case is whole.

    Args:
        card: of the model.
        prediction: what it gave.
        output: folder for the files.
        name: they begin with, below the folder.
        kind: format of the segmentation.
        slices: files of the DICOM series that was segmented.

    Returns:
        the files, below the folder.

    Raises:
        InputError: one cannot be written.
    """
    names = []
    for result, volume in _extra_volumes(card, prediction):
        names.append(f"{name}_{result}{volume_suffix_of(kind)}")
        write_volume(volume, output / names[-1])
    names.append(f"{name}_segmentation{suffix_of(kind)}")
    write_in_format(prediction.labelmap, card.labels, output / names[-1], kind, slices)
    return names


def other_kind(predictor: Predictor, volume: Volume) -> str:
    """What is said of a volume that has the window of an 8-bit export and the training volumes did not, or the other
    way round; empty where it is of their kind."""
    target, eight_bit = predictor.bundle.card.target, is_eight_bit_export(volume.array)
    if target.intensity.rule != "window" or eight_bit == target.eight_bit:
        return ""
    kinds = ("values in the units of the scanner", "values that an export reduced to 8 bits")
    this, trained = kinds if target.eight_bit else reversed(kinds)
    return f"holds {this}, the model was trained on {trained}; look at the result with care"


def _extra_volumes(card: ModelCard, prediction: Prediction) -> list[tuple[str, Volume]]:
    words = file_words({0: "background", **card.names})
    volumes = [(f"probability_{words[value]}", volume) for value, volume in prediction.probabilities.items()]
    if prediction.feature_mask is not None:
        volumes.append(("feature_mask", prediction.feature_mask))
    if prediction.synthesized is not None:
        volumes.append(("synthesized", prediction.synthesized))
    return volumes


def _for_each(cases: dict[str, Path], output: Path, work: Callable[[str, OnSlices], None], events: EventLog) -> None:
    make_folder(output)
    collector, progress = ErrorCollector(), BatchProgress(events, len(cases))
    events.emit("stage_started", STAGE, of=len(cases))
    for index, (name, path) in enumerate(cases.items()):
        before = len(collector.errors)
        with collector, explained(path, REMEDIES):
            work(name, progress.of_case(index))
        for error in collector.errors[before:]:
            events.emit("failed", STAGE, message=str(error))
    events.emit("stage_finished", STAGE, seconds=round(progress.seconds, 1))
    collector.raise_all()


def file_words(names: dict[int, str]) -> dict[int, str]:
    """A word of each name for file names on every system, with the label value where two would be the same.

    Args:
        names: of structures by their label values.
    """
    words = {
        value: re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:LONGEST_WORD] or "structure"
        for value, name in names.items()
    }
    # small and large letters are the same to some systems
    counts = Counter(word.lower() for word in words.values())
    return {value: word if counts[word.lower()] == 1 else f"{word}_{value}" for value, word in words.items()}
