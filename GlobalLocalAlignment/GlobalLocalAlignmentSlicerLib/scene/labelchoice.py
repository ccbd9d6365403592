"""Which segmentations and labelmaps of the scene belong to a volume, and which can be chosen for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import results
from .ownnodes import isErrors
from .volumefiles import ijkToRas

SEGMENTATION_CLASS, LABELMAP_CLASS = "vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode"
GRID_TOLERANCE = 1e-3
"""Millimetres by which the corners of two grids may differ and still be one grid."""


class SceneLabels:
    """The segmentations and labelmaps of the scene as they are now, looked at once for however many volumes.

    What this extension segmented itself is no label to learn from; of a segmentation that the user chose for results,
    the user's own segments are.
    """

    def __init__(self) -> None:
        import slicer

        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        root = hierarchy.GetSceneItemID()

        def folder(node: Any) -> int | None:
            item = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
            return item if item != root else None

        self._folder = folder
        self._segmentations = [
            (node, node.GetNodeReferenceID(role), folder(node))
            for node in slicer.util.getNodesByClass(SEGMENTATION_CLASS)
            if not _isOurs(node)
        ]
        self._maps = [
            (node, node.GetName().casefold(), _grid(node)) for node in slicer.util.getNodesByClass(LABELMAP_CLASS)
        ]

    def likely(self, volumeNode: Any) -> list[Any]:
        """Labels that belong to a volume, the likeliest first.

        A segmentation belongs to the volume that its geometry was taken from, or that it lies beside in a folder of the
        subject hierarchy; a labelmap to volumes of its grid.
        """
        identifier, name, grid = volumeNode.GetID(), volumeNode.GetName().casefold(), _grid(volumeNode)
        own = [node for node, reference, _ in self._segmentations if reference == identifier]
        maps = [(name not in other, node) for node, other, its in self._maps if _same(its, grid)]
        # several volumes may share a grid: the one whose name says so comes first
        maps.sort(key=lambda entry: entry[0])
        folder = self._folder(volumeNode)
        near = [
            node for node, reference, its in self._segmentations if not reference and its is not None and its == folder
        ]
        return [*own, *(node for _, node in maps), *near]

    def likeliestId(self, volumeNode: Any) -> str:
        """ID of the labels that a case begins with, empty where nothing says which are its own."""
        return next((node.GetID() for node in self.likely(volumeNode)), "")

    def all(self, volumeNode: Any) -> list[Any]:
        """All labels, the likely ones first; whose the others are nobody but the user knows.

        A segmentation that was loaded from a file is one of them, and a labelmap of another grid.
        """
        likely = self.likely(volumeNode)
        known = set(map(id, likely))
        every = (entry[0] for entry in (*self._segmentations, *self._maps))
        return [*likely, *(node for node in every if id(node) not in known)]


def sameGrid(first: Any, second: Any) -> bool:
    """Whether two volume nodes have the same voxels in space."""
    return _same(_grid(first), _grid(second))


def _grid(node: Any) -> tuple | None:
    """Size, transform and corners of the voxels of a volume node, None where it has none."""
    image = node.GetImageData()
    if image is None:
        return None
    size = image.GetDimensions()
    return size, node.GetTransformNodeID(), ijkToRas(node) @ np.array([[0, 0, 0, 1], [*size, 1]], float).T


def _same(first: tuple | None, second: tuple | None) -> bool:
    if first is None or second is None or first[:2] != second[:2]:
        return False
    return bool(np.abs(first[2] - second[2]).max() <= GRID_TOLERANCE)


def _isOurs(segmentationNode: Any) -> bool:
    """Whether a segmentation holds nothing of the user's, but results."""
    holds = segmentationNode.GetSegmentation().GetNumberOfSegments() > 0
    if isErrors(segmentationNode):
        return True
    return results.isResult(segmentationNode) or (holds and not results.usersSegments(segmentationNode))
