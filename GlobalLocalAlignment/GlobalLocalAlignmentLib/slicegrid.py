"""Slices of a volume in an anatomical plane at a fixed in-plane spacing and size, and the exact way back.

Slices are never interpolated across the plane: they are the volume's own, along the array axis nearest to the plane's
normal. In the plane, resampling is two small matrices, one for rows and one for columns.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import SimpleITK as sitk
import torch
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from torch import Tensor

from .labelsbetweensamples import Taps, labels_between_samples, most_probable
from .volumes import Volume

Orientation = Literal["axial", "coronal", "sagittal", "acquisition"]

CANONICAL_AXES = {"axial": ("S", "P", "L"), "coronal": ("P", "I", "L"), "sagittal": ("R", "I", "P")}
"""Directions in which slices, rows and columns run: radiological order, the patient's right at the left of an axial
slice."""

SLICE_AXIS = {"axial": 2, "coronal": 1, "sagittal": 0}
BODY_SAMPLE = 64
"""The body is looked for on a copy of at least this many voxels along each axis, and less than twice as many."""

SAME_SPACING = 1e-4
"""Spacings of voxels and grid that differ by this share are one: headers round them."""


class SliceGrid:
    """Slices of one volume.

    Attributes:
        slice_count: number of slices, N.
        native_size: rows and columns of the volume itself in the plane.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        orientation: np.ndarray,
        steps: tuple[float, float],
        spacing: float,
        size: tuple[int, int],
        centers: tuple[float, float],
    ) -> None:
        """Use ``for_volume``.

        Args:
            shape: (I, J, K) of the volume.
            orientation: nibabel orientation from the array's axes to slices, rows, columns.
            steps: native row and column spacing, mm.
            spacing: spacing of the grid, mm.
            size: rows and columns of the grid.
            centers: native row and column at the centre of the grid.
        """
        self._orientation = orientation
        canonical = apply_orientation(np.broadcast_to(np.uint8(0), shape), orientation).shape
        self.slice_count, self.native_size = canonical[0], canonical[1:]
        self._inverse = _inverse(orientation)
        self._matrices: dict[tuple[str, torch.device], _Pair] = {}
        self._taps: dict[tuple[int, torch.device], Taps | None] = {}
        self._axes = [
            _Axis(count, wanted, spacing / step, center)
            for count, wanted, step, center in zip(self.native_size, size, steps, centers, strict=True)
        ]

    @classmethod
    def for_volume(
        cls,
        volume: Volume,
        orientation: Orientation,
        spacing: float,
        size: tuple[int, int],
        center: Literal["volume", "body"],
    ) -> SliceGrid:
        """Grid of a volume.

        Args:
            volume: any geometry: oblique, flipped, left-handed.
            orientation: anatomical plane; ``acquisition`` takes the array axis with the largest spacing as normal.
            spacing: of rows and columns, mm.
            size: rows and columns.
            center: centre of the grid in the plane: that of the volume or that of the body in it.
        """
        plane = _acquisition_plane(volume) if orientation == "acquisition" else orientation
        transform = ornt_transform(io_orientation(volume.ijk_to_ras), axcodes2ornt(CANONICAL_AXES[plane]))
        steps = tuple(volume.spacing[axis] for axis in _source_axes(transform)[1:])
        if center == "body":
            box = _body_box(apply_orientation(volume.array, transform))
        else:
            box = [(0, volume.shape[axis] - 1) for axis in _source_axes(transform)[1:]]
        centers = tuple((low + high) / 2 for low, high in box)
        return cls(volume.shape, transform, steps, spacing, size, centers)

    def from_volume(self, array: np.ndarray) -> np.ndarray:
        """(I, J, K) -> view (N, native rows, native columns)."""
        return apply_orientation(array, self._orientation)

    def to_volume(self, planes: np.ndarray) -> np.ndarray:
        """(N, native rows, native columns) -> view (I, J, K)."""
        return apply_orientation(planes, self._inverse)

    def extract(self, planes: np.ndarray | Tensor, order: Literal["linear", "nearest"], outside: float) -> Tensor:
        """Native planes (n, native rows, native columns) -> slices (n, rows, columns).

        Args:
            planes: a few or all planes of ``from_volume``; they alone are converted, never the whole volume.
            order: ``linear`` for images, antialiased where the grid is coarser than the voxels; ``nearest`` for labels.
            outside: value beyond the border of the volume.

        Returns:
            float32 for ``linear``; the type of the planes for ``nearest``, but signed where it has more than 8 bits.
        """
        tensor = _tensor(planes)
        if order == "nearest":
            return self._pick(tensor, outside)
        return self._pair("extract", tensor.device).apply(tensor, outside)

    def restore(self, stack: Tensor, outside: float) -> Tensor:
        """Slices (n, C, rows, columns) -> native planes (n, C, native rows, native columns), float32.

        Linear, antialiased where the voxels are coarser than the grid.

        Args:
            stack: slices of any floating-point type.
            outside: value beyond the field of view of the grid.
        """
        return self._pair("restore", stack.device).apply(stack, outside)

    def restore_labels(self, shares: Tensor, values: Tensor) -> Tensor:
        """Label of the most probable class of each voxel, as ``restore`` and ``most_probable`` give it, but faster.

        Args:
            shares: (n, C, rows, columns) probabilities of the classes, of any floating-point type.
            values: (C,) uint8 label values, all different.

        Returns:
            (n, native rows, native columns) uint8; beyond the field of view that of the first class.
        """
        rows, columns = (self._taps_of(place, shares.device) for place in range(2))
        if rows is None or columns is None:
            return values[most_probable(self.restore(shares, 0.0)).long()]
        return labels_between_samples(shares, values, rows, columns)

    def _taps_of(self, place: int, device: torch.device) -> Taps | None:
        if (place, device) not in self._taps:
            self._taps[place, device] = Taps.of(self._axes[place].restore(), device)
        return self._taps[place, device]

    def _pick(self, tensor: Tensor, outside: float) -> Tensor:
        (rows, rows_inside), (columns, columns_inside) = (axis.nearest() for axis in self._axes)
        picked = tensor[:, torch.from_numpy(rows).to(tensor.device)][:, :, torch.from_numpy(columns).to(tensor.device)]
        picked[:, torch.from_numpy(~(rows_inside[:, None] & columns_inside)).to(tensor.device)] = outside
        return picked

    def _pair(self, way: Literal["extract", "restore"], device: torch.device) -> _Pair:
        if (way, device) not in self._matrices:
            self._matrices[way, device] = _Pair(*(getattr(axis, way)() for axis in self._axes), device)
        return self._matrices[way, device]


class _Pair:
    """The matrices of rows and of columns, and which results lie outside of what they are made from."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, device: torch.device) -> None:
        self.rows, self.columns = torch.from_numpy(rows).to(device), torch.from_numpy(columns.T.copy()).to(device)
        outside = ~(rows.any(axis=1)[:, None] & columns.any(axis=1))
        self.outside = torch.from_numpy(outside.astype(np.float32)).to(device)

    def apply(self, tensor: Tensor, outside: float) -> Tensor:
        """(..., native rows, native columns) -> float32 (..., rows, columns)."""
        # positions would be rounded to eight bits
        with torch.autocast(tensor.device.type, enabled=False):
            return (self.rows @ (tensor.float() @ self.columns)).add_(self.outside, alpha=outside)


class _Axis:
    """Resampling along one axis: native samples at 0..count-1, grid samples around a centre."""

    def __init__(self, count: int, wanted: int, step: float, center: float) -> None:
        self.count, self.step = count, step
        first = center - (wanted - 1) / 2 * step
        if abs(step - 1) < SAME_SPACING:
            # grid on the voxels themselves, by a shift of half a voxel at most, so that nothing is interpolated
            first, self.step = float(np.floor(first + 0.5)), 1.0
        self.positions = first + np.arange(wanted) * self.step

    def extract(self) -> np.ndarray:
        """(wanted, count) float32."""
        return _triangle_weights(self.positions, np.arange(self.count), max(1.0, self.step))

    def restore(self) -> np.ndarray:
        """(count, wanted) float32."""
        native = (np.arange(self.count) - self.positions[0]) / self.step
        # no wider than the voxel itself, so that labels come back exactly although many samples are averaged
        return _triangle_weights(native, np.arange(len(self.positions)), max(1.0, 0.5 / self.step))

    def nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Native index of each grid sample and whether it lies in the volume."""
        indices = np.floor(self.positions + 0.5).astype(np.int64)
        inside = (indices >= 0) & (indices < self.count)
        return indices.clip(0, self.count - 1), inside


def _tensor(planes: np.ndarray | Tensor) -> Tensor:
    """The planes as a tensor, without a copy where their order in memory allows it."""
    if isinstance(planes, Tensor):
        return planes
    if planes.dtype.kind == "u" and planes.dtype.itemsize > 1:
        # torch can hardly compute with wider unsigned numbers
        planes = planes.astype(np.int32 if planes.dtype.itemsize == 2 else np.int64)
    planes = np.require(planes, requirements=["C", "W"])
    # an axis of one sample may keep the negative step of a flip, which torch refuses
    return torch.from_numpy(planes.copy() if min(planes.strides) < 0 else planes)


def _triangle_weights(positions: np.ndarray, samples: np.ndarray, width: float) -> np.ndarray:
    """Weight of each sample for each position, a triangle of half-width ``width`` around it.

    Inside the range of the samples (half a sample beyond the outermost ones included) the weights of a position sum to
    one; beyond it they are all zero.
    """
    distances = np.abs(positions[:, None] - samples[None])
    weights = np.clip(1 - distances / width, 0, None)
    inside = (positions >= samples[0] - 0.5 - 1e-6) & (positions <= samples[-1] + 0.5 + 1e-6)
    sums = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)
    return (weights * inside[:, None]).astype(np.float32)


def _acquisition_plane(volume: Volume) -> str:
    spacing = np.array(volume.spacing)
    # the last of equal axes: scanners and converters put slices there
    axis = max(range(3), key=lambda index: (round(spacing[index], 4), index))
    world = int(io_orientation(volume.ijk_to_ras)[axis, 0])
    return next(plane for plane, normal in SLICE_AXIS.items() if normal == world)


def _source_axes(transform: np.ndarray) -> list[int]:
    """Array axis that becomes slices, rows and columns."""
    order = transform[:, 0].astype(int)
    return [int(np.flatnonzero(order == place)[0]) for place in range(3)]


def _inverse(orientation: np.ndarray) -> np.ndarray:
    inverse = np.empty_like(orientation)
    for axis, (place, flip) in enumerate(orientation):
        inverse[int(place)] = (axis, flip)
    return inverse


def _body_box(planes: np.ndarray) -> list[tuple[float, float]]:
    """First and last row and column of the body: the largest bright part after opening, by Otsu's threshold.

    Falls back to the whole plane where there is no such part.
    """
    steps = [max(1, size // BODY_SAMPLE) for size in planes.shape]
    sample = np.ascontiguousarray(planes[:: steps[0], :: steps[1], :: steps[2]], np.float32)
    low, high = np.percentile(sample, (1, 99))
    whole = [(0.0, planes.shape[axis] - 1.0) for axis in (1, 2)]
    if not high > low:
        return whole
    # the root brings dim parts of an MR image, far from its coil, nearer to the rest of the body than to the air
    image = sitk.GetImageFromArray(np.sqrt(np.clip(sample, low, high) - low))
    mask = sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1))
    opened = sitk.GetImageFromArray(_opened(mask))
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(opened))
    body = sitk.GetArrayViewFromImage(parts) == 1
    if body.mean() < 0.02:
        return whole
    box = []
    for axis in (1, 2):
        # a row belongs to the body where a tenth of the slices have a fair run of it, so arms and noise do not count
        share = body.any(axis=3 - axis).mean(axis=0)
        inside = np.flatnonzero(share > 0.1)
        if not len(inside):
            return whole
        box.append((float(inside[0] * steps[axis]), float(min(inside[-1] * steps[axis], planes.shape[axis] - 1))))
    return box


def _opened(mask: np.ndarray) -> np.ndarray:
    """Opening of a mask of zeros and ones by 3 x 3 in each plane; the border of a plane wears nothing away."""
    opened = mask.copy()
    for combine in (np.bitwise_and, np.bitwise_or):
        for axis in (1, 2):
            lines = np.moveaxis(opened, axis, 0)
            combine(lines[1:], lines[:-1], out=lines[1:])
            # each line holds the one before it by now, so the next one brings both neighbours
            combine(lines[:-1], lines[1:], out=lines[:-1])
    return opened
