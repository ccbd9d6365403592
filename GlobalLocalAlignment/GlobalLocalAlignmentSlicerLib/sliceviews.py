"""What the slice views show of a volume and its local feature mask, with respect for what the user looks at."""

from __future__ import annotations

from typing import Any

from . import results


def showVolumeAndMask(volumeNode: Any, opacity: float) -> None:
    """Show a volume in all slice views, under its mask if it has one; a foreground of the user's own stays else."""
    import slicer

    mask = results.findResult(volumeNode, results.FEATURE_MASK)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(volumeNode.GetID())
        if mask is not None:
            composite.SetForegroundVolumeID(mask.GetID())
            composite.SetForegroundOpacity(opacity)
        elif _showsResult(composite):
            # the mask of another volume
            composite.SetForegroundVolumeID(None)


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


def _showsResult(composite: Any) -> bool:
    import slicer

    node = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
    return node is not None and results.isResult(node)
