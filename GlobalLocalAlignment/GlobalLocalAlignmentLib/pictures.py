"""Pictures of slices: image, translation, local feature mask, label overlays, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .wholefiles import whole_file

MASK_COLORS = "magma"
"""Perceptually uniform colours of the local feature mask."""

OVERLAY_OPACITY = 0.55
LABEL_COLUMNS = ("prediction", "truth")
GAP = 0.02
"""Between two pictures, as a share of the width of one."""

NAME = {"fontsize": 9, "ha": "center", "va": "bottom"}
NUMBER = {"fontsize": 8, "ha": "right", "va": "center", "rotation": 90}
Color = tuple[int, int, int]


def save_preview(path: Path, columns: dict[str, np.ndarray], colors: Sequence[Color] = (), width: float = 1.7) -> None:
    """Write a grid of slices: one row for each slice, one column for each name.

    Args:
        path: PNG file, written beside and renamed.
        columns: (n, rows, columns) by name; a column may be shorter than others. ``mask`` holds values in [0, 1]; names
            that start with ``prediction`` or ``truth`` hold class indices and are drawn over ``image``; all others hold
            values in [-1, 1].
        colors: red, green and blue (0 to 255) of class 1, 2, ...
        width: inches of one picture.
    """
    drawn: dict[str, list[np.ndarray]] = {}
    for name, slices in columns.items():
        if name.startswith(LABEL_COLUMNS):
            drawn[name] = [overlay(*pair, colors) for pair in zip(columns["image"], slices, strict=True)]
        else:
            drawn[name] = [colored(slice_) if name.startswith("mask") else gray(slice_) for slice_ in slices]
    rows, cols = next(iter(columns.values())).shape[1:]
    count = max(len(slices) for slices in columns.values())
    height = width * rows / cols
    figure = Figure(figsize=(width * len(columns), height * count + 0.3), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    draw_grid(figure, (0, 0, 1, 1 - 0.3 / (height * count + 0.3)), drawn, "white")
    save_figure(figure, path)


def draw_grid(
    figure: Figure,
    box: tuple[float, float, float, float],
    columns: Mapping[str, Sequence[np.ndarray]],
    text_color: str,
    numbered: bool = False,
) -> None:
    """Draw pictures of one size as a grid, a column under each name.

    All of them are one image in one pair of axes: a pair for each takes several times as long, and a training waits.

    Args:
        figure: to draw into; its colour is seen between the pictures.
        box: left, bottom, width and height of the pictures, as shares of the figure; names stand above it.
        columns: (rows, columns, 3) in [0, 1] by name.
        text_color: of the names.
        numbered: whether the number of each row stands at its left.
    """
    rows, cols = next(iter(columns.values()))[0].shape[:2]
    gap = max(1, round(GAP * cols))
    count = max(len(pictures) for pictures in columns.values())
    everything = np.zeros((count * (rows + gap) - gap, len(columns) * (cols + gap) - gap, 4), np.float32)
    axes = figure.add_axes(box)
    axes.axis("off")
    for column, (name, pictures) in enumerate(columns.items()):
        left = column * (cols + gap)
        axes.annotate(name, (left + cols / 2, -0.5), (0, 4), textcoords="offset points", color=text_color, **NAME)
        for row, picture in enumerate(pictures):
            top = row * (rows + gap)
            part = everything[top : top + rows, left : left + cols]
            part[..., :3], part[..., 3] = picture, 1
    for row in range(count) if numbered else ():
        place = (-0.5, row * (rows + gap) + rows / 2)
        axes.annotate(str(row + 1), place, (-3, 0), textcoords="offset points", color=text_color, **NUMBER)
    axes.imshow(everything, interpolation="nearest", aspect="auto")


def gray(image: np.ndarray) -> np.ndarray:
    """Image (rows, columns) in [-1, 1] -> (rows, columns, 3) in [0, 1]."""
    return np.repeat(((np.asarray(image, np.float32) + 1) / 2).clip(0, 1)[..., None], 3, axis=2)


def colored(mask: np.ndarray) -> np.ndarray:
    """Mask (rows, columns) in [0, 1] -> (rows, columns, 3) in [0, 1]."""
    return colormaps[MASK_COLORS](np.asarray(mask, np.float32).clip(0, 1))[..., :3]


def overlay(image: np.ndarray, labels: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Image (rows, columns) in [-1, 1] with coloured classes over it -> (rows, columns, 3) in [0, 1]."""
    picture = gray(image)
    for index, color in enumerate(colors, start=1):
        where = labels == index
        picture[where] = (1 - OVERLAY_OPACITY) * picture[where] + OVERLAY_OPACITY * np.array(color) / 255
    return picture


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", facecolor=figure.get_facecolor())
