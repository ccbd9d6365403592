"""The test cases segmented by a method, scored, and a slice of each for the panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..batch import predict_files, result_path
from ..bundle import load_bundle
from ..cohort import Case, class_indices, map_labels
from ..config import Configuration, Domain
from ..devices import resolve_device, resolve_precision
from ..evaluation import ClassScore, read_scores, score_labelmaps, write_scores
from ..prediction import Outputs, Predictor, keep_largest_components
from ..preprocessing import intensity_limits
from ..resultfiles import write_rows
from ..slicegrid import SliceGrid
from ..training.events import EventLog, Listener
from ..volumes import check_same_geometry, read_labelmap, read_volume
from .masks import MaskScore, score_mask
from .trainings import Trainings

LARGEST_PARTS = "largest_parts"
"""Folder beside ``scores`` for the same predictions with the largest part of each structure alone."""


def score_method(
    trainings: Trainings,
    home: Path,
    method: str,
    cases: list[Case],
    test: Domain,
    listeners: list[Listener] | None = None,
) -> list[ClassScore]:
    """Segment the test cases with the model of a method and score them, unless an earlier call has.

    Args:
        trainings: where the model is; predictions go to ``predictions/<method>`` there.
        home: folder that gets ``scores/<method>.csv``, ``largest_parts/<method>.csv``, where the model has a local
            feature mask ``masks/<method>.csv``, and ``panels/segmentation_<method>.npz``.
        method: name of the row.
        cases: test cases with their labelmaps.
        test: mapping of their label values.
        listeners: called with each event.
    """
    table = home / "scores" / f"{method}.csv"
    if table.is_file():
        return read_scores(table)
    predictor = _predictor(trainings.model(method), trainings.configuration)
    folder = trainings.output / "predictions" / method
    wanted = Outputs(feature_mask=predictor.bundle.feature_discriminator is not None)
    predict_files(predictor, {case.name: case.image for case in cases}, folder, wanted, EventLog(None, listeners))
    scores: list[ClassScore] = []
    largest: list[ClassScore] = []
    masks: list[MaskScore] = []
    panels = []
    for case in cases:
        prediction, truth = read_labelmap(result_path(folder, case.image, "segmentation")), read_labelmap(case.labelmap)
        check_same_geometry(truth, prediction)
        labels, names = map_labels(truth.array, test.label_mapping), predictor.bundle.card.names
        scores += score_labelmaps(case.name, prediction.array, labels, names, truth.spacing)
        parts = keep_largest_components(prediction.array)
        largest += score_labelmaps(case.name, parts, labels, names, truth.spacing)
        if wanted.feature_mask:
            mask = read_volume(result_path(folder, case.image, "feature_mask")).array
            masks += score_mask(case.name, mask, prediction.array, labels, truth.spacing)
        panels.append(_panel(case, folder, predictor, labels))
    (home / "panels").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(home / "panels" / f"segmentation_{method}.npz", **_stack(panels))
    write_scores(largest, home / LARGEST_PARTS / f"{method}.csv")
    if masks:
        write_rows(masks, MaskScore, home / "masks" / f"{method}.csv")
    # the scores last: where they are there, the rest is
    write_scores(scores, table)
    return scores


def _predictor(model: Path, configuration: Configuration) -> Predictor:
    device, settings = resolve_device(configuration.training.device), configuration.prediction
    return Predictor(
        load_bundle(model),
        device,
        resolve_precision(configuration.training.precision, device),
        settings.batch_size,
        settings.largest_component,
    )


def _panel(case: Case, folder: Path, predictor: Predictor, truth: np.ndarray) -> dict[str, Any]:
    """The slice of a case in which most classes are true, on the model's grid."""
    card, volume = predictor.bundle.card, read_volume(case.image)
    plane = card.plane
    grid = SliceGrid.for_volume(volume, plane.orientation, plane.spacing, plane.size, plane.center)
    planes = grid.from_volume(truth)
    classes = [(planes == label.value).any(axis=(1, 2)).astype(int) for label in card.labels]
    best = int(np.lexsort(((planes > 0).sum(axis=(1, 2)), np.sum(classes, axis=0)))[-1])

    def cut(array: np.ndarray, order: str, outside: float) -> np.ndarray:
        return grid.extract(grid.from_volume(array)[best : best + 1], order, outside)[0].numpy()

    limits = intensity_limits(volume.array, card.target.intensity)
    image = grid.extract(limits.scale(grid.from_volume(volume.array)[best : best + 1]), "linear", -1.0)[0]
    segmented = class_indices(read_labelmap(result_path(folder, case.image, "segmentation")).array, card.labels)
    panel = {
        "image": image.numpy(),
        "prediction": cut(segmented, "nearest", 0),
        "truth": cut(class_indices(truth, card.labels), "nearest", 0),
        "cases": case.name,
    }
    mask = result_path(folder, case.image, "feature_mask")
    if mask.is_file():
        panel["mask"] = cut(read_volume(mask).array, "linear", 0.0)
    return panel


def _stack(panels: list[dict[str, Any]], count: int = 6) -> dict[str, np.ndarray]:
    return {key: np.stack([np.asarray(panel[key]) for panel in panels[:count]]) for key in panels[0]}
