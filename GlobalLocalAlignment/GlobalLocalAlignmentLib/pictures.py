"""Pictures of slices: image, translation, local feature mask, label overlays, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .wholefiles import whole_file

MASK_COLORS = "magma"
"""Perceptually uniform colours of the local feature mask."""

OVERLAY_OPACITY = 0.55
LABEL_COLUMNS = ("prediction", "truth")
Color = tuple[int, int, int]


def save_preview(path: Path, columns: dict[str, np.ndarray], colors: Sequence[Color] = (), width: float = 1.7) -> None:
    """Write a grid of slices: one row for each slice, one column for each name.

    Args:
        path: PNG file, written beside and renamed.
        columns: (n, rows, columns) by name. ``mask`` holds values in [0, 1]; names that start with ``prediction`` or
            ``truth`` hold class indices and are drawn over ``image``; all others hold values in [-1, 1].
        colors: red, green and blue (0 to 255) of class 1, 2, ...
        width: inches of one picture.
    """
    first = next(iter(columns.values()))
    count, rows, cols = first.shape
    height = width * rows / cols
    figure = Figure(figsize=(width * len(columns), height * count + 0.3), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(count, len(columns), squeeze=False)
    top = 1 - 0.3 / (height * count + 0.3)
    figure.subplots_adjust(0, 0, 1, top, 0.02, 0.02)
    for column, (name, slices) in enumerate(columns.items()):
        axes[0, column].set_title(name, color="white", fontsize=9, pad=4)
        for row in range(count):
            axis = axes[row, column]
            axis.axis("off")
            if name.startswith(LABEL_COLUMNS):
                axis.imshow(overlay(columns["image"][row], slices[row], colors), interpolation="nearest")
            elif name.startswith("mask"):
                axis.imshow(slices[row], cmap=MASK_COLORS, vmin=0, vmax=1)
            else:
                axis.imshow(slices[row], cmap="gray", vmin=-1, vmax=1)
    save_figure(figure, path)


def overlay(image: np.ndarray, labels: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Image (rows, columns) in [-1, 1] with coloured classes over it -> (rows, columns, 3) in [0, 1]."""
    gray = ((np.asarray(image, np.float32) + 1) / 2).clip(0, 1)
    picture = np.repeat(gray[..., None], 3, axis=2)
    for index, color in enumerate(colors, start=1):
        where = labels == index
        picture[where] = (1 - OVERLAY_OPACITY) * picture[where] + OVERLAY_OPACITY * np.array(color) / 255
    return picture


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", facecolor=figure.get_facecolor())
