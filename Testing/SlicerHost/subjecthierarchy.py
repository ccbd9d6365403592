"""Gives each data node its item in the subject hierarchy, as the Qt side of Slicer does."""

from __future__ import annotations

import slicer
import vtk

SHOWN = (
    *("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode", "vtkMRMLSequenceNode"),
    *("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode"),
)
NOT_SHOWN = ("vtkMRMLCameraNode", "vtkMRMLAbstractViewNode", "vtkMRMLSliceNode")


def watch(scene: slicer.vtkMRMLScene) -> None:
    """Add and remove items as nodes come and go."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def on_added(caller: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        if not any(map(node.IsA, SHOWN)) or any(map(node.IsA, NOT_SHOWN)) or node.GetHideFromEditors():
            return
        tree = scene.GetSubjectHierarchyNode()
        if not tree.GetItemByDataNode(node):
            tree.CreateItem(tree.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def on_leaving(caller: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        if scene.IsClosing() or not any(map(node.IsA, SHOWN)):
            return
        tree = scene.GetSubjectHierarchyNode()
        item = tree.GetItemByDataNode(node)
        if item:
            tree.RemoveItem(item, False, False)

    scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, on_added)
    scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, on_leaving)
