"""The errors of a comparison in the views: the overlay, and the slices that are worst.

Files are read beside the window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..background.steps import Beside, Steps
from ..scene.ownnodes import ERRORS, ownNodes
from .comparisonjob import VoxelFile
from .comparisonnodes import errorMasks, showErrors
from .scenecomparer import ComparedCase
from .worstslice import WorstSlice, jumpTo, normalOf, worstSlice


class ErrorViews:
    """Shows the errors of one case at a time."""

    def __init__(self) -> None:
        self._showing: Steps | None = None
        self._jumping: Steps | None = None

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return any(steps is not None and steps.running for steps in (self._showing, self._jumping))

    def close(self) -> None:
        """End what is on its way."""
        for steps in (self._showing, self._jumping):
            if steps is not None:
                steps.cancel()

    def show(self, case: ComparedCase, structure: str | None, shown: bool, onMessage: Callable[[str], None]) -> None:
        """Bring the errors of a structure into the scene.

        Args:
            case: whose errors.
            structure: its name, None for all together.
            shown: whether they are visible.
            onMessage: called with why that cannot be.
        """
        if self._showing is not None:
            self._showing.cancel()
        self._showing = Steps(self._show(case, structure, shown, onMessage))

    def setShown(self, shown: bool) -> None:
        """Show or hide them."""
        for node in ownNodes("vtkMRMLSegmentationNode", ERRORS):
            if node.GetDisplayNode() is not None and bool(node.GetDisplayNode().GetVisibility()) != shown:
                node.GetDisplayNode().SetVisibility(shown)

    def jump(
        self,
        case: ComparedCase,
        structure: str | None,
        byDice: bool,
        onFound: Callable[[dict[str, WorstSlice]], None],
        onMessage: Callable[[str], None],
    ) -> None:
        """Let each slice view show the slice that is worst in its own orientation.

        Args:
            case: whose errors.
            structure: its name, None for all together.
            byDice: see ``worstSlice``.
            onFound: called with the slices by the name of the view; none where no voxel is wrong.
            onMessage: called with why that cannot be.
        """
        if self._jumping is not None:
            self._jumping.cancel()
        self._jumping = Steps(self._jump(case, structure, byDice, onFound, onMessage))

    def _show(self, case: ComparedCase, structure: str | None, shown: bool, onMessage: Callable[[str], None]):
        voxels = case.voxels.get(structure)
        if voxels is None:
            self.setShown(False)
            onMessage(nothingOf(case, structure))
            return
        reading = Beside(lambda: errorMasks(voxels.bits(), voxels.first))
        while not reading.done:
            yield
        masks = _read(reading, onMessage)
        if masks is None:
            return
        reference = slicer.mrmlScene.GetNodeByID(case.pair.referenceId)
        if reference is None:
            onMessage(_("The ground truth of {case} was removed from the scene.").format(case=case.name))
            return
        name = _("{case} errors").format(case=case.name)
        showErrors(reference, slicer.mrmlScene.GetNodeByID(case.inputId), name, masks, voxels.matrix)
        self.setShown(shown)

    def _jump(self, case: ComparedCase, structure: str | None, byDice: bool, onFound, onMessage):
        voxels = case.voxels.get(structure)
        if voxels is None:
            onMessage(nothingOf(case, structure))
            return
        normals = {node.GetID(): normalOf(node) for node in sliceNodes()}
        finding = Beside(lambda: _worst(voxels, normals, byDice))
        while not finding.done:
            yield
        found = _read(finding, onMessage)
        if found is None:
            return
        named = {}
        for node in sliceNodes():
            worst = found.get(node.GetID())
            if worst is not None:
                jumpTo(node, worst.place)
                named[node.GetName()] = worst
        onFound(named)


def sliceNodes() -> list[Any]:
    """Those of the views that the layout has."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.IsMappedInLayout()]


def nothingOf(case: ComparedCase, structure: str | None) -> str:
    """What is said where a structure of a case has no scores."""
    return _("{structure} was not compared in {case}.").format(structure=structure or _("Nothing"), case=case.name)


def _worst(voxels: VoxelFile, normals: dict[str, Any], byDice: bool) -> dict[str, WorstSlice | None]:
    bits = voxels.bits()
    return {name: worstSlice(bits, voxels.first, voxels.matrix, normal, byDice) for name, normal in normals.items()}


def _read(beside: Beside, onMessage: Callable[[str], None]) -> Any | None:
    try:
        return beside.result()
    except (OSError, ValueError):
        onMessage(_("The voxels of the comparison are gone: compare again."))
        return None
