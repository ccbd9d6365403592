"""Two masks of whatever grids on one grid, and the values of a volume in the voxels of another one.

NumPy and SciPy are all that this file needs: Slicer's own process uses it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

OFFSET_TOLERANCE = 1e-2
"""Share of a voxel by which corners of two grids may lie apart and still be one grid, as in ``gla evaluate``."""

COMPARED, REFERENCE = "compared", "reference"


@dataclass(frozen=True)
class PlacedMask:
    """Voxels of a mask with their place.

    Attributes:
        array: (I, J, K) booleans.
        first: (3,) index of the first voxel.
        matrix: (4, 4) from indices to millimetres.
    """

    array: np.ndarray
    first: np.ndarray
    matrix: np.ndarray

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along I, J and K."""
        # as the core takes it from a file, so that both are the same number
        return tuple(float(length) for length in np.linalg.norm(self.matrix[:3, :3], axis=0))


@dataclass(frozen=True)
class CommonGrid:
    """Two masks on one grid, cut to the box that holds both.

    Attributes:
        compared, reference: (I, J, K) booleans.
        first, matrix, spacing: of the grid, see ``PlacedMask``.
        resampled: ``COMPARED`` or ``REFERENCE``, whichever came from another grid; empty where neither did.
    """

    compared: np.ndarray
    reference: np.ndarray
    first: np.ndarray
    matrix: np.ndarray
    spacing: tuple[float, float, float]
    resampled: str = ""


def placed(inside: np.ndarray, first: np.ndarray, matrix: np.ndarray) -> PlacedMask | None:
    """The box of a mask that has voxels, None where none has. For the arguments see ``PlacedMask``."""
    box = []
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if not filled.size:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return PlacedMask(inside[tuple(box)], np.array(first) + [part.start for part in box], np.asarray(matrix, float))


def on_one_grid(compared: PlacedMask | None, reference: PlacedMask | None) -> CommonGrid:
    """Bring a mask and its counterpart onto one grid.

    Where their grids are one, no voxel changes. Where they are not, the mask on the coarser grid is resampled to the
    finer one (that of the reference where their voxels have one volume) by nearest neighbour. An empty mask (None) has
    no grid of its own.
    """
    if compared is None or reference is None:
        return _with_empty(compared, reference)
    resampled = ""
    if not same_grid(compared, reference):
        finer = _voxel_volume(compared) < (1 - OFFSET_TOLERANCE) * _voxel_volume(reference)
        resampled = REFERENCE if finer else COMPARED
        if finer:
            reference = on_grid_of(reference, compared.matrix)
        else:
            compared = on_grid_of(compared, reference.matrix)
        if compared is None or reference is None:
            # it fell between the voxels of the other one
            return _with_empty(compared, reference, resampled)
    # an index of one is that of the other plus whole voxels
    start = _offset(compared, reference) + compared.first
    low = np.minimum(start, reference.first)
    high = np.maximum(start + compared.array.shape, reference.first + reference.array.shape)
    return CommonGrid(
        _within(compared.array, start - low, high - low),
        _within(reference.array, reference.first - low, high - low),
        low,
        reference.matrix,
        reference.spacing,
        resampled,
    )


def same_grid(one: PlacedMask, other: PlacedMask) -> bool:
    """Whether both have voxels in the same places along the same axes, so far as the first one reaches."""
    between = np.linalg.solve(other.matrix, one.matrix)
    steps = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners = np.append(one.first, 0) + steps * np.append(one.array.shape, 1)
    apart = (corners @ between.T - corners)[:, :3]
    return bool((np.abs(apart - np.rint(apart[0])) <= OFFSET_TOLERANCE).all())


def on_grid_of(mask: PlacedMask, matrix: np.ndarray) -> PlacedMask | None:
    """A mask on the grid of a matrix (4, 4), by nearest neighbour; None where no voxel of that grid lies in it."""
    there = _corners(mask.first - 0.5, mask.first + mask.array.shape - 0.5) @ np.linalg.solve(matrix, mask.matrix).T
    low, high = np.floor(there.min(axis=0)).astype(int)[:3], np.ceil(there.max(axis=0)).astype(int)[:3]
    values = _sampled(mask.array.view(np.uint8), mask.first, mask.matrix, low, matrix, tuple(high - low + 1), 0)
    return placed(values > 0, low, matrix)


def values_on(
    values: np.ndarray, values_matrix: np.ndarray, first: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Values of a volume in the voxels of a box of another grid, by nearest neighbour; NaN outside the volume.

    Args:
        values: (I, J, K) numbers of the volume.
        values_matrix: (4, 4) from its indices to millimetres.
        first, matrix, shape: of the box.
    """
    # no more than the part that the box can reach: the volume may be a file that is much larger
    there = _corners(first, first + np.array(shape) - 1) @ np.linalg.solve(values_matrix, matrix).T
    low = np.clip(np.floor(there.min(axis=0)).astype(int)[:3] - 1, 0, values.shape)
    high = np.clip(np.ceil(there.max(axis=0)).astype(int)[:3] + 2, 0, values.shape)
    if (high <= low).any():
        return np.full(shape, np.nan, np.float32)
    part = values[tuple(slice(begin, end) for begin, end in zip(low, high, strict=True))]
    return _sampled(part.astype(np.float32), low, values_matrix, first, matrix, tuple(shape), np.nan)


def _corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The corners (8, 4) of a box, homogeneous."""
    ends = (low, high)
    return np.array([[ends[i][0], ends[j][1], ends[k][2], 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)


def _sampled(values, values_first, values_matrix, first, matrix, shape, outside) -> np.ndarray:
    between = np.linalg.solve(values_matrix, matrix)
    # a rim, because SciPy takes what lies beyond the centres of the outermost voxels for outside
    padded = np.pad(values, 1, constant_values=outside)
    offset = between[:3, :3] @ first + between[:3, 3] - values_first + 1
    return ndimage.affine_transform(padded, between[:3, :3], offset, shape, order=0, cval=outside, prefilter=False)


def _with_empty(compared: PlacedMask | None, reference: PlacedMask | None, resampled: str = "") -> CommonGrid:
    known = compared or reference
    if known is None:
        nothing = np.zeros((1, 1, 1), bool)
        return CommonGrid(nothing, nothing, np.zeros(3, int), np.eye(4), (1.0, 1.0, 1.0), resampled)
    nothing = np.zeros_like(known.array)
    arrays = [nothing if one is None else one.array for one in (compared, reference)]
    return CommonGrid(*arrays, known.first, known.matrix, known.spacing, resampled)


def _voxel_volume(mask: PlacedMask) -> float:
    return abs(float(np.linalg.det(mask.matrix[:3, :3])))


def _offset(compared: PlacedMask, reference: PlacedMask) -> np.ndarray:
    """Whole voxels from an index of one grid to that of the other in the same place."""
    index = np.append(compared.first, 1)
    return np.rint(np.linalg.solve(reference.matrix, compared.matrix @ index)[:3] - index[:3]).astype(int)


def _within(array: np.ndarray, start: np.ndarray, shape: np.ndarray) -> np.ndarray:
    whole = np.zeros(tuple(shape), bool)
    whole[tuple(slice(begin, begin + size) for begin, size in zip(start, array.shape, strict=True))] = array
    return whole
