"""What the slice views show of a volume and its local feature mask, with respect for what the user looks at."""

from __future__ import annotations

from typing import Any

from . import results
from .sliceplanes import NORMALS, slicePlane
from .volumefiles import ijkToRas


def showVolumeAndMask(volumeNode: Any, opacity: float) -> None:
    """Show a volume in all slice views, under its mask if it has one; a foreground of the user's own stays else.

    Of the segmentations that were made here those of other volumes are hidden: patients lie in the same place, and
    nobody could tell whose structures are seen.
    """
    import slicer

    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if results.isResult(node) and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(node.GetNodeReferenceID(results.INPUT_ROLE) == volumeNode.GetID())
    mask = results.findResult(volumeNode, results.FEATURE_MASK)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(volumeNode.GetID())
        if mask is not None:
            composite.SetForegroundVolumeID(mask.GetID())
            composite.SetForegroundOpacity(opacity)
        elif _showsResult(composite):
            # the mask of another volume
            composite.SetForegroundVolumeID(None)


def showsEverywhere(volumeNode: Any) -> bool:
    """Whether all slice views have a volume in the background."""
    import slicer

    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return all(composite.GetBackgroundVolumeID() == volumeNode.GetID() for composite in composites)


def updateMask(volumeNode: Any, opacity: float, replace: bool) -> None:
    """Bring the mask up to date where the volume is looked at.

    Args:
        volumeNode: views that do not show it in the background stay as they are.
        opacity: of the mask, 0 hides it.
        replace: the mask takes the place of a foreground of the user's own.
    """
    import slicer

    mask = results.findResult(volumeNode, results.FEATURE_MASK)
    if mask is None:
        return
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetBackgroundVolumeID() != volumeNode.GetID():
            continue
        shown = composite.GetForegroundVolumeID() == mask.GetID()
        if not shown and opacity > 0 and (replace or not composite.GetForegroundVolumeID()):
            composite.SetForegroundVolumeID(mask.GetID())
            shown = True
        if shown:
            composite.SetForegroundOpacity(opacity)


def compare(volumeNode: Any, other: Any, plane: str = "") -> None:
    """Show a volume and its counterpart side by side, the same slice in the same size; the two views move together.

    A foreground of the user's own stays. Nothing happens where there are no views.

    Args:
        volumeNode: comes into the first view.
        other: on the same grid, comes into the second view.
        plane: ``axial``, ``sagittal`` or ``coronal``; that of the volume's own slices where it is none of these, and
            that of the first view where the volume has none.
    """
    import slicer

    manager = slicer.app.layoutManager()
    if manager is None:
        return
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
    plane = plane if plane in NORMALS else slicePlane(ijkToRas(volumeNode))
    first = manager.sliceWidget("Red").mrmlSliceNode()
    if plane:
        first.SetOrientation(plane.capitalize())
    for name, node in (("Red", volumeNode), ("Yellow", other)):
        widget = manager.sliceWidget(name)
        composite, view = widget.mrmlSliceCompositeNode(), widget.mrmlSliceNode()
        composite.SetBackgroundVolumeID(node.GetID())
        if _showsResult(composite):
            composite.SetForegroundVolumeID(None)
        composite.SetLinkedControl(True)
        if view is not first:
            view.GetSliceToRAS().DeepCopy(first.GetSliceToRAS())
            view.UpdateMatrices()
        widget.sliceLogic().FitSliceToBackground()


def _showsResult(composite: Any) -> bool:
    import slicer

    node = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
    return node is not None and results.isResult(node)
