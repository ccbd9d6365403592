"""Figures of the page as PNG bytes: curves, Dice of the methods, panels in the manner of the paper's Figs. 4 to 7."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..comparison.methods import method_title
from ..evaluation import ClassScore, summarize
from ..pictures import MASK_COLORS, Color, colored, draw_grid, gray, overlay

STAGE_PANELS: dict[str, list[tuple[str, list[str]]]] = {
    "synthesis": [
        ("reconstruction and cycle (mean absolute error)", ["image_reconstruction", "cycle", "content_reconstruction"]),
        ("adversarial game (least squares)", ["adversarial", "discriminator"]),
    ],
    "segmentation": [
        ("segmentation loss on the source", ["cross_entropy", "dice"]),
        (
            "D1: output on features, and the mask it makes",
            ["feature_discriminator_source", "feature_discriminator_target", "mask_mean"],
        ),
        ("D2: output on predictions", ["output_discriminator_source", "output_discriminator_target"]),
    ],
}
CURVE_NAMES = {
    "image_reconstruction": "image",
    "content_reconstruction": "content",
    "feature_discriminator_source": "source",
    "feature_discriminator_target": "target",
    "output_discriminator_source": "source",
    "output_discriminator_target": "target",
    "mask_mean": "mean of the mask",
    "cross_entropy": "cross-entropy",
    "dice": "Dice loss",
    "adversarial": "synthesis network",
}
PALETTE = ("#3b6fb6", "#d1603d", "#4c9a6a", "#8d63a8", "#b58a2e", "#5d6b78")
SMOOTHING = 0.85
MASK_ENDS = ("like source", "far from it")
"""What a mask of 0 and one of 1 mean."""

WRONG: Color = (226, 58, 58)
PLAIN_TEXT = {"text.parse_math": False}
"""A dollar sign in a name is one, and begins no formula."""


@rc_context(PLAIN_TEXT)
def curve_figure(stage: str, curves: dict[str, list[tuple[int, float]]]) -> bytes | None:
    """Curves of a stage, smooth over faint raw values; None where nothing was recorded."""
    panels = [(title, [name for name in names if curves.get(name)]) for title, names in STAGE_PANELS[stage]]
    validation = [name for name in curves if name.startswith("validation ")]
    panels = [panel for panel in [*panels, ("Dice on labelled target cases", validation)] if panel[1]]
    if not panels:
        return None
    figure = _figure(3.9 * len(panels), 2.9)
    for index, (title, names) in enumerate(panels, start=1):
        axis = figure.add_subplot(1, len(panels), index)
        for color, name in zip(PALETTE, names, strict=False):
            points = np.array(curves[name])
            axis.plot(points[:, 0], points[:, 1], color=color, alpha=0.25, linewidth=0.8)
            label = CURVE_NAMES.get(name, name.removeprefix("validation ").replace("_", " "))
            axis.plot(points[:, 0], _smooth(points[:, 1]), color=color, linewidth=1.6, label=label)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("iteration", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False)
    return _png(figure)


@rc_context(PLAIN_TEXT)
def score_figure(scores: dict[str, list[ClassScore]]) -> bytes:
    """Dice of each structure and method: a bar for the mean, a point for each volume."""
    summaries = {method: summarize(entries) for method, entries in scores.items()}
    names = [summary.name for summary in next(iter(summaries.values()))]
    figure = _figure(max(6.0, 1.5 * len(names)), 3.0)
    axis = figure.add_subplot()
    width = 0.8 / len(summaries)
    for index, (method, entries) in enumerate(summaries.items()):
        for position, summary in enumerate(entries):
            x = position - 0.4 + (index + 0.5) * width
            label = method_title(method) if position == 0 else None
            axis.bar(x, 100 * summary.mean["dice"], 0.9 * width, color=PALETTE[index % 6], alpha=0.75, label=label)
            points = [100 * score.dice for score in scores[method] if score.name == summary.name]
            axis.plot([x] * len(points), points, ".", color="#20242a", markersize=3)
    axis.set_xticks(range(len(names)), [_short(name) for name in names], fontsize=8)
    axis.set_ylim(0, 100)
    axis.set_ylabel("Dice (%)", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, ncols=len(summaries), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return _png(figure)


@rc_context(PLAIN_TEXT)
def translation_figure(arrays: dict[str, np.ndarray]) -> bytes:
    """Rows of source, translated, target (and reconstructed, cycled) slices, as Fig. 7."""
    columns = [name for name in ("source", "translated", "target", "reconstructed", "cycled") if name in arrays]
    return _grid({name: [gray(picture) for picture in arrays[name]] for name in columns})


@rc_context(PLAIN_TEXT)
def translators_figure(translated: dict[str, dict[str, np.ndarray]]) -> bytes:
    """Rows of a source slice, what each translator makes of it, and a target slice, as Fig. 7.

    Args:
        translated: arrays of ``translation_panel`` by the title of the translator, of the same slices.
    """
    first = next(iter(translated.values()))
    columns = {"source": [gray(slice_) for slice_ in first["source"]]}
    for title, arrays in translated.items():
        if arrays["translated"].shape == first["source"].shape:
            columns[title] = [gray(slice_) for slice_ in arrays["translated"]]
    columns["target"] = [gray(slice_) for slice_ in first["target"]]
    return _grid(columns)


@rc_context(PLAIN_TEXT)
def error_figure(arrays: dict[str, np.ndarray], labels: Sequence[dict], reversed_mask: bool = False) -> bytes:
    """Rows of image, mask, wrong pixels, prediction and truth: does the mask point at the errors? (Fig. 6)

    ``reversed_mask`` says that D1 was trained with the printed polarity, so that a large mask is like the source.
    """
    colors: list[Color] = [tuple(label["color"]) for label in labels]
    images = arrays["image"]
    wrong = arrays["prediction"] != arrays["truth"]
    columns = {
        "image": [gray(image) for image in images],
        "local feature mask": [colored(mask) for mask in arrays["mask"]],
        "wrong": [overlay(image, error.astype(np.uint8), [WRONG]) for image, error in zip(images, wrong, strict=True)],
        "prediction": [overlay(*pair, colors) for pair in zip(images, arrays["prediction"], strict=True)],
        "truth": [overlay(*pair, colors) for pair in zip(images, arrays["truth"], strict=True)],
    }
    return _grid(columns, labels, MASK_ENDS[::-1] if reversed_mask else MASK_ENDS)


@rc_context(PLAIN_TEXT)
def average_figure(averages: dict[str, tuple[list[float], bool]], bounds: tuple[float, float] | None) -> bytes:
    """Average Dice of each method: a bar for the mean, a point for each run.

    Args:
        averages: by title, Dice of each run (0 to 1) and whether it is ours.
        bounds: means of the lower and the upper bound, as lines, where both are there.
    """
    figure = _figure(7.0, 0.9 + 0.36 * len(averages))
    axis = figure.add_subplot()
    for place, (values, ours) in enumerate(averages.values()):
        axis.barh(place, 100 * float(np.mean(values)), 0.7, color=PALETTE[0] if ours else PALETTE[5], alpha=0.8)
        axis.plot([100 * value for value in values], [place] * len(values), ".", color="#20242a", markersize=4)
    for bound in bounds or ():
        axis.axvline(100 * bound, color="#20242a", linewidth=0.8, linestyle=":")
    axis.set_yticks(range(len(averages)), list(averages), fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("Dice (%), average of the structures", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return _png(figure)


@rc_context(PLAIN_TEXT)
def segmentation_figure(segmentations: dict[str, dict[str, np.ndarray]], labels: Sequence[dict]) -> bytes:
    """Rows of image, mask, predictions of each method and truth, as Figs. 4 to 6; slices that all methods show."""
    shown = segmentations.get("ours") or next(iter(segmentations.values()))
    colors: list[Color] = [tuple(label["color"]) for label in labels]
    columns: dict[str, list[np.ndarray]] = {"image": [gray(picture) for picture in shown["image"]]}
    if "mask" in shown:
        columns["local feature mask"] = [colored(picture) for picture in shown["mask"]]
    for method, arrays in segmentations.items():
        if arrays["prediction"].shape == shown["prediction"].shape:
            pairs = zip(arrays["image"], arrays["prediction"], strict=True)
            columns[method_title(method)] = [overlay(image, prediction, colors) for image, prediction in pairs]
    if "truth" in shown:
        pairs = zip(shown["image"], shown["truth"], strict=True)
        columns["truth"] = [overlay(image, truth, colors) for image, truth in pairs]
    return _grid(columns, labels, MASK_ENDS if "mask" in shown else ())


def _grid(
    columns: dict[str, list[np.ndarray]],
    labels: Sequence[dict] = (),
    mask_ends: Sequence[str] = (),
) -> bytes:
    """Pictures as they are numbered, never with the name of a case: it may be that of a patient."""
    count = max(len(pictures) for pictures in columns.values())
    rows, cols = next(iter(columns.values()))[0].shape[:2]
    width = 1.75
    height = width * rows / cols
    extra = 0.55 if labels or mask_ends else 0.05
    figure = _figure(width * len(columns) + 0.25, height * count + 0.3 + extra)
    full = figure.get_size_inches()
    left, bottom = 0.25 / full[0], extra / full[1]
    draw_grid(figure, (left, bottom, 1 - left, 1 - 0.3 / full[1] - bottom), columns, "black", numbered=True)
    if labels:
        patches = [Patch(color=np.array(label["color"]) / 255, label=label["name"]) for label in labels]
        figure.legend(handles=patches, loc="lower right", ncols=min(4, len(patches)), fontsize=8, frameon=False)
    if mask_ends:
        bar = figure.add_axes((0.02, 0.28 / full[1], 1.5 / full[0], 0.1 / full[1]))
        bar.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=MASK_COLORS, extent=(0, 1, 0, 1))
        bar.set_yticks([])
        bar.set_xticks([0, 1], [f"0 {mask_ends[0]}", f"1 {mask_ends[1]}"], fontsize=7)
    return _png(figure)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Exponential average without the lag towards zero at the start."""
    result, total, weight = [], 0.0, 0.0
    for value in values:
        if not math.isnan(value):
            total, weight = SMOOTHING * total + value, SMOOTHING * weight + 1
        result.append(total / weight if weight else math.nan)
    return np.array(result)


def _short(name: str) -> str:
    """Long names in two lines."""
    words = name.split()
    middle = (len(words) + 1) // 2
    return name if len(name) < 16 else " ".join(words[:middle]) + "\n" + " ".join(words[middle:])


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=120, facecolor="white", layout=None)
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", bbox_inches="tight", pad_inches=0.06)
    return stream.getvalue()
