"""Scores of predicted label maps against true ones, per case and structure, and their summary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cases import find_volumes_below, pair_cases
from .errors import ErrorCollector, InputError
from .masks.maskscores import dice_score, surface_scores
from .resultfiles import read_rows, write_rows
from .volumes import check_same_geometry, read_labelmap

METRICS = ("dice", "assd_voxel", "pooled_asd_voxel", "assd_mm", "pooled_asd_mm", "hd95_mm")
AVERAGE = "average"
MOST_STRUCTURES = 254
"""Of a label map; where there are more it is an image."""


@dataclass(frozen=True)
class ClassScore:
    """Scores of one structure in one case.

    Attributes:
        case: name of the case.
        label, name: value and name of the structure.
        dice: 0 to 1; 0 for an empty prediction, NaN where prediction and reference are both empty.
        assd_voxel, pooled_asd_voxel: voxels; NaN where either is empty.
        assd_mm, pooled_asd_mm, hd95_mm: millimetres; NaN where either is empty.
        reference_voxels, predicted_voxels: volumes.
    """

    case: str
    label: int
    name: str
    dice: float
    assd_voxel: float
    pooled_asd_voxel: float
    assd_mm: float
    pooled_asd_mm: float
    hd95_mm: float
    reference_voxels: int
    predicted_voxels: int


@dataclass(frozen=True)
class Summary:
    """Scores of one structure over all cases, or of the average over structures.

    Attributes:
        name: of the structure, or ``average``.
        mean, deviation: of each metric over the volumes; NaN cases are left out. For ``average``, ``mean`` is the mean
            of the structures' means and ``deviation`` that over volumes of the mean over structures.
        cases: volumes with a number for Dice.
        empty: volumes whose prediction is empty though the reference is not.
    """

    name: str
    mean: dict[str, float]
    deviation: dict[str, float]
    cases: int
    empty: int


def score_labelmaps(
    case: str, prediction: np.ndarray, reference: np.ndarray, names: dict[int, str], spacing: Sequence[float]
) -> list[ClassScore]:
    """Scores of each named structure.

    Args:
        case: name of the case.
        prediction, reference: label values on the same (I, J, K) grid.
        names: name of each label value.
        spacing: millimetres along I, J and K.
    """
    scores = []
    for label, name in names.items():
        predicted, true = prediction == label, reference == label
        counts = int(true.sum()), int(predicted.sum())
        distances = surface_scores(predicted, true, spacing)
        scores.append(ClassScore(case, label, name, dice_score(predicted, true), *distances, *counts))
    return scores


def evaluate_folders(
    predictions: Path,
    references: Path,
    names: dict[int, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[ClassScore], list[InputError]]:
    """Scores of all cases that have a reference, and what was wrong with the others.

    Args:
        predictions: folder with predicted label maps, and what is below it.
        references: folder with true label maps, paired by case name and folders, see ``find_volumes_below``.
        names: structures; None scores the values that occur in the prediction or the reference of a case.
        on_progress: called with the number of cases done and their number.

    Raises:
        InputError: no case at all.
    """
    found, truths = find_volumes_below(predictions, "labelmap"), find_volumes_below(references, "labelmap")
    if not found:
        raise InputError(predictions, "holds no label map", "name the output folder of gla predict")
    scores: list[ClassScore] = []
    collector = ErrorCollector()
    for index, (case, path) in enumerate(found.items()):
        with collector:
            _, reference_path = pair_cases({case: path}, truths)[case]
            prediction, reference = read_labelmap(path), read_labelmap(reference_path)
            check_same_geometry(reference, prediction)
            chosen = names or _names(path, prediction.array, reference.array)
            _refuse_other_labels(path, prediction.array, chosen, "the prediction")
            _refuse_other_labels(reference_path, reference.array, chosen, "the reference")
            scores += score_labelmaps(case, prediction.array, reference.array, chosen, reference.spacing)
        on_progress(index + 1, len(found))
    return scores, collector.errors


def references_left_out(predictions: Path, references: Path) -> list[str]:
    """Cases with a reference and without a prediction: no score speaks of them."""
    found = find_volumes_below(predictions, "labelmap")
    return [case for case in find_volumes_below(references, "labelmap") if case not in found]


def _names(path: Path, *labelmaps: np.ndarray) -> dict[int, str]:
    values = set().union(*(np.unique(labels).tolist() for labels in labelmaps)) - {0}
    if len(values) > MOST_STRUCTURES:
        raise InputError(path, f"and its reference hold {len(values)} label values", "name label maps, not images")
    return {value: f"label {value}" for value in sorted(values)}


def _refuse_other_labels(path: Path, labels: np.ndarray, names: dict[int, str], what: str) -> None:
    unknown = sorted(set(map(int, np.unique(labels))) - set(names) - {0})
    if unknown:
        raise InputError(
            path,
            f"holds label value {unknown[0]}, which is not among {', '.join(map(str, names))}",
            f"{what} is for other labels; name the files that belong together",
        )


def summarize(scores: Iterable[ClassScore]) -> list[Summary]:
    """One summary for each structure in the order of their labels, then the average."""
    scores = list(scores)
    labels = {score.label: score.name for score in sorted(scores, key=lambda score: score.label)}
    summaries = [_summary(name, [score for score in scores if score.label == label]) for label, name in labels.items()]
    by_case = [[score for score in scores if score.case == case] for case in dict.fromkeys(s.case for s in scores)]
    mean = {metric: known_mean([summary.mean[metric] for summary in summaries]) for metric in METRICS}
    over_cases = {metric: [known_mean([getattr(s, metric) for s in case]) for case in by_case] for metric in METRICS}
    deviation = {metric: known_deviation(values) for metric, values in over_cases.items()}
    empty = sum(summary.empty for summary in summaries)
    return [*summaries, Summary(AVERAGE, mean, deviation, len(by_case), empty)]


def _summary(name: str, scores: list[ClassScore]) -> Summary:
    values = {metric: [getattr(score, metric) for score in scores] for metric in METRICS}
    return Summary(
        name,
        {metric: known_mean(numbers) for metric, numbers in values.items()},
        {metric: known_deviation(numbers) for metric, numbers in values.items()},
        sum(not math.isnan(score.dice) for score in scores),
        sum(score.predicted_voxels == 0 and score.reference_voxels > 0 for score in scores),
    )


def known_mean(values: Iterable[float]) -> float:
    """Mean of the numbers among values, NaN where there is none."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


def known_deviation(values: Iterable[float]) -> float:
    """Standard deviation of the numbers among values, NaN for fewer than two."""
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan


def write_scores(scores: Iterable[ClassScore], path: Path) -> None:
    """Write scores as CSV, see ``write_rows``."""
    write_rows(scores, ClassScore, path)


def read_scores(path: Path) -> list[ClassScore]:
    """Scores that ``write_scores`` wrote.

    Raises:
        InputError: not such a file.
    """
    return read_rows(ClassScore, path, "score table", "name a CSV file of gla evaluate")
