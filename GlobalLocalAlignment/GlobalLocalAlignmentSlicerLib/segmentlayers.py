"""The label values that hold the segments of a segmentation, and where they lie in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from .volumefiles import ORTHOGONAL_TOLERANCE


class SegmentMaskError(Exception):
    """A segment that has no voxels to compare, in one line for the user."""


@dataclass(frozen=True)
class SegmentLayer:
    """Label values that segments which do not overlap share.

    Attributes:
        values: (I, J, K) the very voxels of the scene, which can be read on any thread.
        first: (3,) index of the first voxel.
        matrix: (4, 4) from indices to RAS millimetres of the world, without shear.
    """

    values: np.ndarray
    first: np.ndarray
    matrix: np.ndarray


class SegmentLayers:
    """The layers of a segmentation, each made once; they are where the transforms of the node put them.

    Args:
        node: the segmentation.

    Raises:
        SegmentMaskError: it has no binary labelmap, and none is made here of what is the user's.
    """

    def __init__(self, node: Any) -> None:
        import slicer

        self._node, self._segmentation = node, node.GetSegmentation()
        self._name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        if self._segmentation.GetNumberOfSegments() and not self._segmentation.ContainsRepresentation(self._name):
            text = _("{name} has no binary labelmap: create one in the module Segmentations")
            raise SegmentMaskError(text.format(name=node.GetName()))
        self._images: list[tuple[Any, SegmentLayer | None]] = []

    def of(self, segmentId: str) -> tuple[SegmentLayer | None, int]:
        """Layer that holds a segment and its value there; None where the segment is empty."""
        segment = self._segmentation.GetSegment(segmentId)
        image = segment.GetRepresentation(self._name)
        if image is None:
            return None, 0
        known = [layer for other, layer in self._images if other is image]
        if not known:
            known = [_layer(image, self._node.GetParentTransformNode())]
            self._images.append((image, known[0]))
        return known[0], segment.GetLabelValue()


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


def _layer(image: Any, transformNode: Any | None) -> SegmentLayer | None:
    import slicer
    import vtk

    if _scalars(image) is None:
        return None
    matrix = worldMatrix(transformNode, _matrix(image))
    if matrix is None:
        toWorld = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(transformNode, None, toWorld)
        moved = slicer.vtkOrientedImageData()
        moved.DeepCopy(image)
        slicer.vtkOrientedImageDataResample.TransformOrientedImage(moved, toWorld, False, True)
        if _scalars(moved) is None:
            return None
        image, matrix = moved, _matrix(moved)
    return SegmentLayer(_values(image), np.array(image.GetExtent()[::2]), matrix)


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
