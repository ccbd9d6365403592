"""Does the translation move structures? Labels of the source are put on translated slices, so nothing may move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

REACH = 5
"""Largest move that is looked for, in pixels."""

WINDOW, STEP = 25, 8
"""Side of the windows that are compared, and their distance, in pixels."""

LEAST_EDGE = 0.03
"""Standard deviation of the edges in a window below which there is nothing to compare."""

MOVED = 1.5
"""Pixels from which on a window counts as moved; one pixel is within what blurred edges show."""

ACCEPTED_SHARE = 0.25
"""Share of moved windows up to which nothing is said."""


@dataclass(frozen=True)
class Displacement:
    """How far structures lie apart in slices and in their translations.

    Attributes:
        median_mm: median over windows of the distance at which the edges of both fit best.
        moved_share: share of the windows that are moved by more than ``MOVED`` pixels.
        windows: number of windows that show an edge.
    """

    median_mm: float
    moved_share: float
    windows: int

    @property
    def suspicious(self) -> bool:
        """Whether structures have moved in more places than chance explains."""
        return self.windows > 0 and self.moved_share > ACCEPTED_SHARE


@torch.no_grad()
def displacement(images: np.ndarray, translated: np.ndarray, spacing: float) -> Displacement:
    """Compare the edges of slices with those of their translations, window by window.

    Both looks have edges at the same places, though not of the same strength or sign, so strengths alone are compared:
    the correlation of gradient magnitudes within a window, for every move up to ``REACH`` pixels.

    Args:
        images, translated: (n, rows, columns) in [-1, 1].
        spacing: millimetres of a pixel.
    """
    first, second = (_edges(torch.from_numpy(np.asarray(part, np.float32))[:, None]) for part in (images, translated))
    moves = [(row, column) for row in range(-REACH, REACH + 1) for column in range(-REACH, REACH + 1)]
    # from the nearest to the farthest: where several fit equally well, the smallest move is taken
    moves.sort(key=lambda move: move[0] ** 2 + move[1] ** 2)
    mean, deviation = _mean(first), _deviation(first)
    shown = (deviation > LEAST_EDGE) & (_deviation(second) > LEAST_EDGE)
    if not shown.any():
        return Displacement(float("nan"), float("nan"), 0)

    def fit(moved: Tensor) -> Tensor:
        covariance = _mean(first * moved) - mean * _mean(moved)
        return (covariance / (deviation * _deviation(moved) + 1e-6))[shown]

    fits = torch.stack([fit(torch.roll(second, move, dims=(2, 3))) for move in moves])
    lengths = torch.tensor([float(np.hypot(*move)) for move in moves])
    apart = lengths[fits.argmax(dim=0)]
    return Displacement(float(apart.median()) * spacing, float((apart > MOVED).float().mean()), int(shown.sum()))


def _edges(images: Tensor) -> Tensor:
    """Gradient magnitude of slightly smoothed slices (n, 1, rows, columns); bright noise counts little."""
    smooth = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    padded = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    rows = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    columns = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    return (rows.square() + columns.square() + 1e-8).sqrt()


def _mean(values: Tensor) -> Tensor:
    return functional.avg_pool2d(values, WINDOW, STEP)


def _deviation(values: Tensor) -> Tensor:
    return (_mean(values.square()) - _mean(values).square()).clamp_min(0).sqrt()
