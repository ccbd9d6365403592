"""The method beside its bounds: the same data, schedule, segmenter and evaluation for every row of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .batch import predict_files, result_path
from .bundle import load_bundle
from .cohort import Case, check_cohort, class_indices, map_labels
from .config import Configuration, Domain, Prediction, read_configuration
from .devices import resolve_device, resolve_precision
from .errors import InputError
from .evaluation import ClassScore, read_scores, score_labelmaps, write_scores
from .prediction import Outputs, Predictor
from .preprocessing import intensity_limits
from .slicegrid import SliceGrid
from .training.events import EventLog, Listener
from .training.run import CONFIGURATION_NAME, MODEL_NAME, train
from .volumes import check_same_geometry, read_labelmap, read_volume

PLAIN = {"style_transfer": False, "feature_discriminator": False, "output_discriminator": False}

METHODS: dict[str, dict[str, Any]] = {
    "ours": {},
    "style_transfer": {"feature_discriminator": False, "output_discriminator": False},
    "no_adaptation": PLAIN,
    "supervised": PLAIN,
}
"""What each method changes in the settings of stage two. ``supervised`` also takes the target's labels as source."""


def compare(
    output: Path,
    configuration: Configuration,
    test: Domain,
    target_labelmaps: list[Path],
    methods: Sequence[str] = tuple(METHODS),
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> dict[str, list[ClassScore]]:
    """Train each method, segment the test cases, score them; finished steps of an earlier call are not done again.

    The run of ``ours`` in ``output/runs/ours`` gets the scores and the panels of all methods, for its report.

    Args:
        output: folder for runs and predictions.
        configuration: settings of ours.
        test: labelled target cases that no training sees.
        target_labelmaps: labels of the target's training cases, for ``supervised`` alone.
        methods: names of ``METHODS``; style transfer is trained once, with the first method that needs it.
        listeners: called with each event.
        stop_asked: asked after each iteration.

    Returns:
        scores by method.
    """
    runs = output / "runs"
    cases = check_cohort(test, "test", configuration.labels, configuration.intensity_by_modality).cases
    home = runs / ("ours" if "ours" in methods else methods[0])
    scores = {}
    for method in methods:
        model = train_method(output, configuration, method, target_labelmaps, listeners, stop_asked)
        scores[method] = score_method(output, home, method, model, cases, test, configuration, listeners)
    return scores


def method_configuration(
    configuration: Configuration, method: str, runs: Path, target_labelmaps: list[Path]
) -> Configuration:
    """Settings of one method."""
    segmentation = configuration.segmentation.model_copy(update=METHODS[method])
    changes: dict[str, Any] = {"segmentation": segmentation}
    trained = runs / "ours" / MODEL_NAME
    if method != "ours" and segmentation.style_transfer and trained.is_file():
        changes["synthesis"] = configuration.synthesis.model_copy(update={"model": trained})
    if method == "supervised":
        changes["source"] = configuration.target.model_copy(update={"labelmaps": target_labelmaps})
    return configuration.model_copy(update=changes)


def train_method(
    output: Path,
    configuration: Configuration,
    method: str,
    target_labelmaps: list[Path],
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
) -> Path:
    """Model of one method in ``output/runs/<method>``, from where an earlier call left it; arguments of ``compare``."""
    run = output / "runs" / method
    settings = method_configuration(configuration, method, output / "runs", target_labelmaps)
    if (run / CONFIGURATION_NAME).is_file():
        _refuse_other_settings(run, settings)
        if not (run / MODEL_NAME).is_file():
            return train(run, None, listeners, stop_asked)
    if (run / MODEL_NAME).is_file():
        return run / MODEL_NAME
    return train(run, settings, listeners, stop_asked)


def _refuse_other_settings(run: Path, wanted: Configuration) -> None:
    """Raise InputError if a run was begun with other settings; where its data lie may have changed."""
    begun = read_configuration(run)
    for name in ("plane", "synthesis", "segmentation", "training"):
        before, now = (getattr(settings, name).model_dump() for settings in (begun, wanted))
        # which model lends the synthesis network depends on what was trained before, not on what is asked for
        differing = [key for key in now if key not in ("model", "device", "precision") and before[key] != now[key]]
        if differing:
            raise InputError(
                run,
                f"was begun with {name}.{differing[0]} {before[differing[0]]}, not {now[differing[0]]}",
                "choose another output folder, or ask for the same settings",
            )


def score_method(
    output: Path,
    home: Path,
    method: str,
    model: Path,
    cases: list[Case],
    test: Domain,
    configuration: Configuration,
    listeners: list[Listener] | None = None,
) -> list[ClassScore]:
    """Segment the test cases with a model and score them.

    Args:
        output: predictions go to ``output/predictions/<method>``.
        home: run folder that gets ``scores/<method>.csv`` and ``panels/segmentation_<method>.npz``.
        method: name of the row.
        model: bundle.
        cases: test cases with their labelmaps.
        test: mapping of their label values.
        configuration: device, precision and prediction settings.
        listeners: called with each event.
    """
    table = home / "scores" / f"{method}.csv"
    if table.is_file():
        return read_scores(table)
    bundle = load_bundle(model)
    device = resolve_device(configuration.training.device)
    settings: Prediction = configuration.prediction
    predictor = Predictor(
        bundle,
        device,
        resolve_precision(configuration.training.precision, device),
        settings.batch_size,
        settings.largest_component,
    )
    folder = output / "predictions" / method
    wanted = Outputs(feature_mask=bundle.feature_discriminator is not None)
    predict_files(predictor, {case.name: case.image for case in cases}, folder, wanted, EventLog(None, listeners))
    scores: list[ClassScore] = []
    panels = []
    for case in cases:
        prediction, truth = read_labelmap(result_path(folder, case.image, "segmentation")), read_labelmap(case.labelmap)
        check_same_geometry(truth, prediction)
        labels = map_labels(truth.array, test.label_mapping)
        scores += score_labelmaps(case.name, prediction.array, labels, bundle.card.names, truth.spacing)
        panels.append(_panel(case, folder, predictor, labels))
    (home / "panels").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(home / "panels" / f"segmentation_{method}.npz", **_stack(panels))
    write_scores(scores, table)
    return scores


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
