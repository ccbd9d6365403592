"""Label values under a transform that is no matrix, on a straight grid again.

NumPy is all that this file needs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bend:
    """Where the voxels of a box come from.

    Attributes:
        sources: (A, B, C, 3) indices before the transform, of every so many voxels of the box along I, J and K.
        step: so many; between them the indices are interpolated.
        low: (3,) index of the first voxel of the box.
        shape: (3,) voxels of the box.
    """

    sources: np.ndarray
    step: int
    low: np.ndarray
    shape: tuple[int, int, int]


def lattice_shape(shape: tuple[int, ...], step: int) -> tuple[int, ...]:
    """(A, B, C) of the sources of a box."""
    return tuple(-(-(count - 1) // step) + 1 for count in shape)


def straightened(values: np.ndarray, first: np.ndarray, bend: Bend) -> np.ndarray:
    """The label values in the voxels of the box, by nearest neighbour, 0 where none was.

    Args:
        values: (I, J, K) label values before the transform.
        first: (3,) index of the first of them.
        bend: of the box.
    """
    across, up, through = (_weights(count, bend.step) for count in bend.shape)
    result = np.zeros(bend.shape, values.dtype)
    for k, weights in enumerate(through):
        plane = np.tensordot(weights, bend.sources, (0, 2))
        # (I, J, 3)
        exact = np.einsum("ia,abc,jb->ijc", across, plane, up, optimize=True)
        index = np.rint(exact).astype(int) - first
        inside = ((index >= 0) & (index < values.shape)).all(axis=2)
        result[:, :, k][inside] = values[tuple(index[inside].T)]
    return result


def _weights(count: int, step: int) -> np.ndarray:
    """Share (voxels, sources) that each source has in each voxel along one axis."""
    (sources,) = lattice_shape((count,), step)
    return np.maximum(0, 1 - np.abs(np.arange(count)[:, None] / step - np.arange(sources)[None, :]))
