"""What an ablation has found: scores of every direction, method and seed, and their means and deviations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation import AVERAGE, ClassScore, known_deviation, known_mean, read_scores
from ..resultfiles import read_rows
from .masks import MaskScore
from .scoring import LARGEST_PARTS


@dataclass(frozen=True)
class ScoredRow:
    """One training of one method.

    Attributes:
        direction: title, ``CT to MR``.
        method: its name.
        seed: of the training.
        folder: that holds ``scores``, ``largest_parts``, ``masks`` and ``panels`` of all methods.
    """

    direction: str
    method: str
    seed: int
    folder: Path


@dataclass
class Results:
    """Scores that there are so far.

    Attributes:
        scores: by direction, method and seed.
        largest: the same predictions with the largest part of each structure alone.
        masks: of the methods with a local feature mask.
        folders: by direction, those of its seeds.
        labels: structures with value, name and colour.
        notes: what the figures are and are not, a sentence each.
    """

    scores: dict[str, dict[str, dict[int, list[ClassScore]]]] = field(default_factory=dict)
    largest: dict[str, dict[str, dict[int, list[ClassScore]]]] = field(default_factory=dict)
    masks: dict[str, dict[str, dict[int, list[MaskScore]]]] = field(default_factory=dict)
    folders: dict[str, dict[int, Path]] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Statistic:
    """A number over runs and volumes.

    Attributes:
        mean: over runs of the mean over volumes.
        between_runs: standard deviation of the runs' means, NaN for a single run; what the paper's tables give.
        between_volumes: standard deviation over volumes of their mean over runs; what SIFA's tables give.
        runs: number of runs.
        volumes: number of volumes with a number.
        not_found: predictions, of all runs, that are empty where the structure is there: Dice counts them as 0, a
            distance leaves them out.
    """

    mean: float
    between_runs: float
    between_volumes: float
    runs: int
    volumes: int
    not_found: int


def collect(rows: Iterable[ScoredRow], labels: list[dict[str, Any]], notes: list[str]) -> Results:
    """Read the scores of all rows that were scored; ``labels`` and ``notes`` as in ``Results``."""
    results = Results(labels=labels, notes=notes)
    for row in rows:
        if not (row.folder / "scores" / f"{row.method}.csv").is_file():
            continue
        results.folders.setdefault(row.direction, {})[row.seed] = row.folder
        for folder, store in (("scores", results.scores), (LARGEST_PARTS, results.largest)):
            found = read_scores(row.folder / folder / f"{row.method}.csv")
            store.setdefault(row.direction, {}).setdefault(row.method, {})[row.seed] = found
        path = row.folder / "masks" / f"{row.method}.csv"
        if path.is_file():
            masks = read_rows(MaskScore, path, "table of masks", "remove it and call again")
            results.masks.setdefault(row.direction, {}).setdefault(row.method, {})[row.seed] = masks
    return results


def statistics(runs: dict[int, list[ClassScore]], metric: str) -> dict[str, Statistic]:
    """A metric of one method for each structure, in the order of their labels, and for their average.

    Args:
        runs: scores by seed.
        metric: one of ``METRICS``.
    """
    labels = {score.label: score.name for scores in runs.values() for score in scores}
    names = [labels[label] for label in sorted(labels)]
    cases = list(dict.fromkeys(score.case for scores in runs.values() for score in scores))
    values = np.full((len(runs), len(cases), len(names)), math.nan)
    for run, scores in enumerate(runs.values()):
        for score in scores:
            values[run, cases.index(score.case), names.index(score.name)] = getattr(score, metric)
    empty = dict.fromkeys(names, 0)
    for scores in runs.values():
        for score in scores:
            empty[score.name] += bool(score.reference_voxels and not score.predicted_voxels)
    found = {name: _statistic(values[:, :, index], empty[name]) for index, name in enumerate(names)}
    # as in one run: the average is that of the structures' means, its spread that of the volumes' averages
    per_run = np.array([known_mean([known_mean(run[:, index]) for index in range(len(names))]) for run in values])
    per_volume = np.array([[known_mean(volume) for volume in run] for run in values])
    spread = _statistic(per_volume, sum(empty.values()))
    found[AVERAGE] = replace(spread, mean=known_mean(per_run), between_runs=known_deviation(per_run))
    return found


def _statistic(values: np.ndarray, not_found: int) -> Statistic:
    """Statistic of (runs, volumes) numbers."""
    runs = [known_mean(run) for run in values]
    volumes = [known_mean(volume) for volume in values.T]
    counted = sum(not math.isnan(volume) for volume in volumes)
    return Statistic(known_mean(runs), known_deviation(runs), known_deviation(volumes), len(values), counted, not_found)
