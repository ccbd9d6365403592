"""The test cases segmented by a method, scored, and a slice of each for the panels."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ..batches.batch import predict_files, result_path
from ..bundle import load_bundle
from ..cohort import Case, class_indices, map_labels
from ..config import Configuration, Domain
from ..datatext import read_json
from ..devices import resolve_device, resolve_precision
from ..evaluation import ClassScore, read_scores, score_labelmaps, write_scores
from ..prediction import Outputs, Predictor, keep_largest_components
from ..preprocessing import IntensityLimits, intensity_limits
from ..resultfiles import write_rows, write_text
from ..settings import Refinement
from ..slicegrid import SliceGrid
from ..training.events import EventLog, Listener
from ..volumes import Volume, check_same_geometry, read_labelmap, read_volume
from ..wholefiles import whole_file
from .masks import MaskScore, score_mask
from .trainings import Trainings

AIR = -0.95
"""An image scaled to [-1, 1] is darker than this outside the body."""

REFINEMENT = "refinement"
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
    """Segment the test cases with the model of a method and score them, unless an earlier call has scored just that.

    Args:
        trainings: where the model is; predictions go to ``predictions/<method>`` there.
        home: folder that gets ``scores/<method>.csv`` and, beside it as JSON, what these scores are of,
            ``largest_parts/<method>.csv``, where the model has a local feature mask ``masks/<method>.csv``, and
            ``panels/segmentation_<method>.npz``.
        method: name of the row.
        cases: test cases with their labelmaps.
        test: mapping of their label values.
        listeners: called with each event.
    """
    table = home / "scores" / f"{method}.csv"
    note, basis = table.with_suffix(".json"), _basis(trainings, method, cases, test)
    if table.is_file() and _text(note) == basis:
        return read_scores(table)
    # whatever is there is of another model or of other cases
    note.unlink(missing_ok=True)
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
        volume = read_volume(case.image)
        limits = intensity_limits(volume.array, predictor.bundle.card.target.intensity)
        labels, names = map_labels(truth.array, test.label_mapping), predictor.bundle.card.names
        scores += score_labelmaps(case.name, prediction.array, labels, names, truth.spacing)
        parts = keep_largest_components(prediction.array)
        largest += score_labelmaps(case.name, parts, labels, names, truth.spacing)
        if wanted.feature_mask:
            mask = read_volume(result_path(folder, case.image, "feature_mask")).array
            scaled = limits.scale(volume.array)
            masks += score_mask(case.name, mask, prediction.array, labels, truth.spacing, scaled > AIR)
        panels.append(_panel(case, folder, predictor, volume, limits, labels))
    with whole_file(home / "panels" / f"segmentation_{method}.npz") as stream:
        np.savez_compressed(stream, **_stack(panels))
    write_scores(largest, home / LARGEST_PARTS / f"{method}.csv")
    if masks:
        write_rows(masks, MaskScore, home / "masks" / f"{method}.csv")
    write_scores(scores, table)
    # the note last: where it is there, the rest is
    write_text(note, basis, "make space and call again")
    return scores


def _basis(trainings: Trainings, method: str, cases: list[Case], test: Domain) -> str:
    """What the scores of a method depend on; no place of a file is among it."""
    return json.dumps(
        {
            "model": _digest(trainings.model(method)),
            "largest_component": trainings.configuration.prediction.largest_component,
            **_refinement_noted(trainings.configuration.refinement),
            "label_mapping": {str(value): becomes for value, becomes in test.label_mapping.items()},
            "cases": {case.name: [_digest(path) for path in (case.image, case.labelmap)] for case in cases},
        },
        indent=2,
    )


def refinement_of_scores(home: Path, method: str) -> Refinement | None:
    """How the cases were segmented whose scores a row has; None where nothing says so."""
    try:
        basis = read_json(_text(home / "scores" / f"{method}.json"))
        return Refinement.model_validate(basis.get(REFINEMENT, {}))
    except (ValueError, AttributeError):
        return None


def _refinement_noted(refinement: Refinement) -> dict[str, Any]:
    """Nothing for a single pass, as in what was scored before there was any other."""
    return {} if refinement == Refinement() else {REFINEMENT: refinement.model_dump()}


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a DICOM series."""
    total = hashlib.sha256()
    for part in filter(Path.is_file, sorted(path.rglob("*"))) if path.is_dir() else (path,):
        with open(part, "rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _predictor(model: Path, configuration: Configuration) -> Predictor:
    device, settings = resolve_device(configuration.training.device), configuration.prediction
    return Predictor(
        load_bundle(model),
        device,
        resolve_precision(configuration.training.precision, device),
        settings.batch_size,
        settings.largest_component,
        configuration.refinement,
    )


def _panel(
    case: Case, folder: Path, predictor: Predictor, volume: Volume, limits: IntensityLimits, truth: np.ndarray
) -> dict[str, Any]:
    """The slice of a case in which most classes are true, on the model's grid."""
    card = predictor.bundle.card
    plane = card.plane
    grid = SliceGrid.for_volume(volume, plane.orientation, plane.spacing, plane.size, plane.center)
    planes = grid.from_volume(truth)
    classes = [(planes == label.value).any(axis=(1, 2)).astype(int) for label in card.labels]
    best = int(np.lexsort(((planes > 0).sum(axis=(1, 2)), np.sum(classes, axis=0)))[-1])

    def cut(array: np.ndarray, order: str, outside: float) -> np.ndarray:
        return grid.extract(grid.from_volume(array)[best : best + 1], order, outside)[0].numpy()

    image = grid.extract(limits.scale(grid.from_volume(volume.array)[best : best + 1]), "linear", -1.0)[0]
    segmented = class_indices(read_labelmap(result_path(folder, case.image, "segmentation")).array, card.labels)
    panel = {
        "image": image.numpy(),
        "prediction": cut(segmented, "nearest", 0),
        "truth": cut(class_indices(truth, card.labels), "nearest", 0),
    }
    mask = result_path(folder, case.image, "feature_mask")
    if mask.is_file():
        panel["mask"] = cut(read_volume(mask).array, "linear", 0.0)
    return panel


def _stack(panels: list[dict[str, Any]], count: int = 6) -> dict[str, np.ndarray]:
    return {key: np.stack([np.asarray(panel[key]) for panel in panels[:count]]) for key in panels[0]}
