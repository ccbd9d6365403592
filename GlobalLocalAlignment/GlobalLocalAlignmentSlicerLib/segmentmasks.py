"""Two segments, of whatever segmentations, as masks on one grid in world coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from slicer.i18n import tr as _

OFFSET_TOLERANCE = 1e-2
"""Share of a voxel by which corners of two grids may lie apart and still be one grid, as in ``gla evaluate``."""


class SegmentMaskError(Exception):
    """A segment that has no voxels to compare, in one line for the user."""


@dataclass(frozen=True)
class Masks:
    """Two segments on one grid, cut to the box that holds both.

    Attributes:
        compared, reference: (I, J, K) booleans.
        spacing: millimetres along I, J and K.
        note: which of the two was resampled, and to what; empty where neither was.
    """

    compared: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, float, float]
    note: str


@dataclass(frozen=True)
class _Mask:
    """Voxels (I, J, K), the index of the first, and the matrix (4, 4) from indices to RAS millimetres."""

    array: np.ndarray
    first: np.ndarray
    matrix: np.ndarray

    @property
    def spacing(self) -> tuple[float, float, float]:
        # as the core takes it from a file, so that both are the same number
        return tuple(float(length) for length in np.linalg.norm(self.matrix[:3, :3], axis=0))


def masksOf(segmentationNode: Any, segmentId: str, referenceNode: Any, referenceId: str) -> Masks:
    """Bring a segment and its counterpart onto one grid.

    Both are taken where they are in the world, under their transforms. Where their grids are one, no voxel changes.
    Where they are not, the segment on the coarser grid is resampled to the finer one (that of the reference where their
    voxels have one volume) by nearest neighbour. An empty segment has no grid of its own.

    Raises:
        SegmentMaskError: one of them has no binary labelmap.
    """
    images = [_image(segmentationNode, segmentId), _image(referenceNode, referenceId)]
    compared, reference = map(_mask, images)
    if compared is None or reference is None:
        return _withEmpty(compared, reference)
    note = ""
    if not _sameGrid(compared, reference):
        finer = 0 if _voxelVolume(compared) < (1 - OFFSET_TOLERANCE) * _voxelVolume(reference) else 1
        resampled = _mask(_resampled(images[1 - finer], images[finer]))
        grid = " x ".join(f"{length:.4g}" for length in (compared, reference)[finer].spacing)
        if finer:
            compared, text = resampled, _("resampled to the grid of the reference: {grid} mm")
        else:
            reference, text = resampled, _("the reference was resampled to the finer grid of this one: {grid} mm")
        note = text.format(grid=grid)
        if resampled is None:
            # it fell between the voxels of the other one
            masks = _withEmpty(compared, reference)
            return Masks(masks.compared, masks.reference, masks.spacing, note)
    # an index of one is that of the other plus whole voxels
    start = _offset(compared, reference) + compared.first
    low = np.minimum(start, reference.first)
    high = np.maximum(start + compared.array.shape, reference.first + reference.array.shape)
    return Masks(
        _within(compared.array, start - low, high - low),
        _within(reference.array, reference.first - low, high - low),
        reference.spacing,
        note,
    )


def _withEmpty(compared: _Mask | None, reference: _Mask | None) -> Masks:
    known = compared or reference
    if known is None:
        nothing = np.zeros((1, 1, 1), bool)
        return Masks(nothing, nothing, (1.0, 1.0, 1.0), "")
    nothing = np.zeros_like(known.array)
    arrays = [nothing if one is None else one.array for one in (compared, reference)]
    return Masks(*arrays, known.spacing, "")


def _image(node: Any, segmentId: str) -> Any:
    """Binary labelmap of a segment in world coordinates."""
    import slicer
    import vtk

    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if not node.GetSegmentation().ContainsRepresentation(name):
        text = _("{name} has no binary labelmap: create one in the module Segmentations")
        raise SegmentMaskError(text.format(name=node.GetName()))
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segmentId, image)
    if node.GetParentTransformNode() is not None and _scalars(image) is not None:
        toWorld = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, toWorld)
        slicer.vtkOrientedImageDataResample.TransformOrientedImage(image, toWorld)
    return image


def _scalars(image: Any) -> Any | None:
    data = image.GetPointData()
    return data.GetScalars() if data is not None and image.GetNumberOfPoints() else None


def _mask(image: Any) -> _Mask | None:
    """The box of a labelmap that has voxels, None where none has."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    scalars = _scalars(image)
    if scalars is None:
        return None
    inside = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1]).T > 0
    box = []
    for axis in range(3):
        filled = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if not filled.size:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.array(image.GetExtent()[::2]) + [part.start for part in box]
    return _Mask(inside[tuple(box)], first, slicer.util.arrayFromVTKMatrix(matrix))


def _voxelVolume(mask: _Mask) -> float:
    return abs(float(np.linalg.det(mask.matrix[:3, :3])))


def _sameGrid(compared: _Mask, reference: _Mask) -> bool:
    """Whether both have voxels in the same places along the same axes, so far as either reaches."""
    between = np.linalg.solve(reference.matrix, compared.matrix)
    steps = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners = np.append(compared.first, 0) + steps * np.append(compared.array.shape, 1)
    apart = (corners @ between.T - corners)[:, :3]
    return bool((np.abs(apart - np.rint(apart[0])) <= OFFSET_TOLERANCE).all())


def _offset(compared: _Mask, reference: _Mask) -> np.ndarray:
    """Whole voxels from an index of one grid to that of the other in the same place."""
    index = np.append(compared.first, 1)
    return np.rint(np.linalg.solve(reference.matrix, compared.matrix @ index)[:3] - index[:3]).astype(int)


def _within(array: np.ndarray, start: np.ndarray, shape: np.ndarray) -> np.ndarray:
    whole = np.zeros(tuple(shape), bool)
    whole[tuple(slice(begin, begin + size) for begin, size in zip(start, array.shape, strict=True))] = array
    return whole


def _resampled(image: Any, grid: Any) -> Any:
    """A labelmap on the voxels of another one, as far as it reaches."""
    import slicer

    result = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, grid, result, False, True)
    return result
