"""Volumes of the scene that are images of somebody: neither labelmaps nor results, one by one and by folder."""

from __future__ import annotations

from typing import Any

from . import results
from .labelchoice import LABELMAP_CLASS


def isImage(node: Any) -> bool:
    """Whether a node can be the image of a case."""
    return node.IsA("vtkMRMLScalarVolumeNode") and not node.IsA(LABELMAP_CLASS) and not results.isResult(node)


def volumesOfFolder(itemId: int) -> list[Any]:
    """Scalar volumes below a folder of the subject hierarchy that are images: neither labelmaps nor results."""
    import slicer
    import vtk

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(itemId, items, True)
    nodes = [hierarchy.GetItemDataNode(items.GetId(index)) for index in range(items.GetNumberOfIds())]
    return [node for node in nodes if node is not None and isImage(node)]


def folders() -> dict[int, str]:
    """Folders of the subject hierarchy by item, patients and studies among them, that hold images."""
    import slicer
    import vtk

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items, found = vtk.vtkIdList(), {}
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    for index in range(items.GetNumberOfIds()):
        item = items.GetId(index)
        if hierarchy.GetItemDataNode(item) is None and volumesOfFolder(item):
            found[item] = hierarchy.GetItemName(item)
    return found
