"""Label maps from class probabilities on a coarser grid.

A voxel lies between four samples of the grid. Where they agree on the class, no mixture of them can give another one,
so that only the voxels along the borders of structures need their probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Taps:
    """Samples of the grid between which each voxel of an axis lies.

    Attributes:
        first: (count,) index of the first of the two.
        step: (count,) 1, or 0 where the first one is the last of the grid.
        weight: (count,) float32 share of the second one, in [0, 1).
        outside: indices of the voxels beyond the field of view.
    """

    first: Tensor
    step: Tensor
    weight: Tensor
    outside: Tensor

    @classmethod
    def of(cls, matrix: np.ndarray, device: torch.device) -> Taps | None:
        """From the weights (count, samples) of the samples for each voxel; None where one mixes more than two."""
        used = matrix > 0
        if (used.sum(axis=1) > 2).any():
            return None
        first = used.argmax(axis=1)
        step = (first + 1 < matrix.shape[1]).astype(np.int64)
        weight = matrix[np.arange(len(matrix)), first + step] * step.astype(np.float32)
        outside = np.flatnonzero(~used.any(axis=1))
        return cls(*(torch.from_numpy(part).to(device) for part in (first, step, weight, outside)))


def labels_between_samples(shares: Tensor, values: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Label of the most probable class of each voxel after linear interpolation.

    Args:
        shares: (n, C, rows, columns) probabilities of the classes, of any floating-point type.
        values: (C,) uint8 label values, all different.
        rows: of the voxels among the rows of the grid.
        columns: of the voxels among its columns.

    Returns:
        (n, voxel rows, voxel columns) uint8, the first class where several are equal and beyond the field of view.
    """
    coarse = values[most_probable(shares).long()]
    labels, border = _at(coarse, rows, columns, int(values[0])), _at(_at_border(coarse), rows, columns, False)
    image, row, column = border.nonzero(as_tuple=True)
    samples = shares.movedim(1, -1).reshape(-1, shares.shape[1])
    width = shares.shape[-1]
    corner = (image * shares.shape[-2] + rows.first[row]) * width + columns.first[column]
    upper = _mixed(samples, corner, columns, column)
    lower = _mixed(samples, corner + rows.step[row] * width, columns, column)
    best = most_probable(upper.lerp_(lower, rows.weight[row, None]))
    labels[image, row, column] = values[best.long()]
    return labels


def most_probable(shares: Tensor) -> Tensor:
    """Index of the largest of the classes (N, C, ...), the first one where several are: (N, ...), uint8.

    What ``argmax`` gives, which takes ten times as long on a processor where the classes are not the last axis.
    """
    best, index = shares[:, 0].clone(), torch.zeros_like(shares[:, 0], dtype=torch.uint8)
    for position in range(1, shares.shape[1]):
        index.masked_fill_(shares[:, position] > best, position)
        torch.maximum(best, shares[:, position], out=best)
    return index


def _at(samples: Tensor, rows: Taps, columns: Taps, outside: int) -> Tensor:
    """(n, rows, columns) of the grid -> of the voxels, each from the first of its samples."""
    # columns first: to pick whole rows is a plain copy, so the smaller array is the one that is picked from
    picked = samples.index_select(2, columns.first).index_fill_(2, columns.outside, outside)
    return picked.index_select(1, rows.first).index_fill_(1, rows.outside, outside)


def _at_border(labels: Tensor) -> Tensor:
    """Whether a sample (n, rows, columns) and those to its right, below and diagonally below are not all the same."""
    border = torch.zeros_like(labels, dtype=torch.bool)
    across, down = labels[:, :, 1:] != labels[:, :, :-1], labels[:, 1:] != labels[:, :-1]
    border[:, :, :-1] |= across
    border[:, :-1] |= down
    border[:, :-1, :-1] |= across[:, 1:]
    return border


def _mixed(samples: Tensor, corner: Tensor, columns: Taps, column: Tensor) -> Tensor:
    """Samples (k, C) at the corners and to their right, by the weights of the columns, float32."""
    first, second = samples.index_select(0, corner), samples.index_select(0, corner + columns.step[column])
    return torch.lerp(first.float(), second.float(), columns.weight[column, None])
