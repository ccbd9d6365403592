"""The label values that hold the segments of a segmentation, and where they lie in the world."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..scene.volumefiles import ORTHOGONAL_TOLERANCE

BEND_STEP = 4
"""One of so many voxels along each axis is followed through a transform that bends; it is nearly straight between."""

REACH_POINTS = 9
"""Points along each axis that tell how far a bent segment reaches."""

POINTS_A_STEP = 500
"""Some transforms take tenths of a millisecond for the way back of one point."""


class SegmentMaskError(Exception):
    """A segment that has no voxels to compare, in one line for the user."""


@dataclass(frozen=True)
class SegmentLayer:
    """Label values that segments which do not overlap share.

    Attributes:
        values: (I, J, K) the very voxels of the scene, which can be read on any thread.
        first: (3,) index of the first voxel.
        matrix: (4, 4) from indices to RAS millimetres of the world, without shear.
        bend: a ``Bend`` of the core where a transform bends or shears the grid: which voxels are where then. None where
            none does.
    """

    values: np.ndarray
    first: np.ndarray
    matrix: np.ndarray
    bend: Any | None = None


class SegmentLayers:
    """The layers of a segmentation, each made once; they are where the transforms of the node put them.

    Args:
        node: the segmentation.

    Raises:
        SegmentMaskError: it has no binary labelmap, and none is made here of what is the user's.
    """

    def __init__(self, node: Any) -> None:
        import slicer

        self._segmentation, self._transform = node.GetSegmentation(), node.GetParentTransformNode()
        self._name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        if self._segmentation.GetNumberOfSegments() and not self._segmentation.ContainsRepresentation(self._name):
            text = _("{name} has no binary labelmap: create one in the module Segmentations")
            raise SegmentMaskError(text.format(name=node.GetName()))
        self._images: list[tuple[Any, SegmentLayer | None]] = []

    def of(self, segmentId: str) -> Generator[None, None, tuple[SegmentLayer | None, int]]:
        """Layer that holds a segment and its value there; None where the segment is empty.

        Each ``yield`` gives the window time: to follow a transform that bends takes many short steps.
        """
        segment = self._segmentation.GetSegment(segmentId)
        image, value = segment.GetRepresentation(self._name), segment.GetLabelValue()
        if image is None:
            return None, 0
        known = [layer for other, layer in self._images if other is image]
        if not known:
            layer = yield from _layer(image, self._transform)
            known = [layer]
            self._images.append((image, layer))
        return known[0], value


def worldMatrix(transformNode: Any | None, matrix: np.ndarray) -> np.ndarray | None:
    """Matrix (4, 4) to the world of a grid under a transform; None where the grid would be bent or sheared by it."""
    import slicer
    import vtk

    if transformNode is None:
        return matrix
    if not transformNode.IsTransformToWorldLinear():
        return None
    toWorld = vtk.vtkMatrix4x4()
    transformNode.GetMatrixTransformToWorld(toWorld)
    moved = slicer.util.arrayFromVTKMatrix(toWorld) @ matrix
    directions = moved[:3, :3] / np.linalg.norm(moved[:3, :3], axis=0)
    return moved if np.abs(directions.T @ directions - np.eye(3)).max() <= ORTHOGONAL_TOLERANCE else None


def _layer(image: Any, transformNode: Any | None) -> Generator[None, None, SegmentLayer | None]:
    if _scalars(image) is None:
        return None
    own, values, first = _matrix(image), _values(image), np.array(image.GetExtent()[::2])
    matrix = worldMatrix(transformNode, own)
    if matrix is not None:
        return SegmentLayer(values, first, matrix)
    box = [np.flatnonzero(values.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not box[0].size:
        return None
    ends = first + [[part[0] for part in box], [part[-1] for part in box]]
    bend = yield from _bendOf(transformNode, own, ends)
    return SegmentLayer(values, first, own, bend)


def _bendOf(transformNode: Any, matrix: np.ndarray, ends: np.ndarray) -> Generator[None, None, Any]:
    """Which voxels lie where in the world.

    Args:
        transformNode: that they are under.
        matrix: (4, 4) of their grid, which is the grid in the world, too.
        ends: (2, 3) indices of the first and of the last voxel that matter.
    """
    import slicer
    import vtk
    from GlobalLocalAlignmentLib.masks.bentgrids import Bend, lattice_shape

    toWorld, fromWorld = vtk.vtkGeneralTransform(), vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(transformNode, None, toWorld)
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, transformNode, fromWorld)
    reach = np.linspace(ends[0] - 0.5, ends[1] + 0.5, REACH_POINTS)
    there = yield from _moved(np.stack(np.meshgrid(*reach.T, indexing="ij"), axis=-1), matrix, toWorld)
    corners = there.reshape(-1, 3)
    low = np.floor(corners.min(axis=0)).astype(int) - BEND_STEP
    shape = tuple((np.ceil(corners.max(axis=0)).astype(int) + BEND_STEP + 1 - low).tolist())
    places = [
        start + BEND_STEP * np.arange(count) for start, count in zip(low, lattice_shape(shape, BEND_STEP), strict=True)
    ]
    sources = yield from _moved(np.stack(np.meshgrid(*places, indexing="ij"), axis=-1), matrix, fromWorld)
    return Bend(sources, BEND_STEP, low, shape)


def _moved(indices: np.ndarray, matrix: np.ndarray, transform: Any) -> Generator[None, None, np.ndarray]:
    """Where indices (A, B, C, 3) of a grid lie after a transform, as indices of the same grid."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    flat = indices.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    parts = []
    for start in range(0, len(flat), POINTS_A_STEP):
        yield
        before, after = vtk.vtkPoints(), vtk.vtkPoints()
        after.SetDataTypeToDouble()
        before.SetData(numpy_to_vtk(np.ascontiguousarray(flat[start : start + POINTS_A_STEP]), deep=True))
        transform.TransformPoints(before, after)
        parts.append(vtk_to_numpy(after.GetData()).copy())
    return ((np.concatenate(parts) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T).reshape(indices.shape)


def _matrix(image: Any) -> np.ndarray:
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _scalars(image: Any) -> Any | None:
    data = image.GetPointData()
    return data.GetScalars() if data is not None and image.GetNumberOfPoints() else None


def _values(image: Any) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(_scalars(image)).reshape(image.GetDimensions()[::-1]).T
