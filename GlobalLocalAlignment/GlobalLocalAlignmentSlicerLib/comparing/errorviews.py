"""The errors of a comparison in the views: the overlay, and the slices that are worst.

Files are read beside the window. While errors are seen in the slice views, the two segmentations that were compared are
not: they would lie over them.
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
from .scenecomparer import ComparedCase, ComparedPair
from .worstslice import WorstSlice, jumpTo, normalOf, worstSlice


class ErrorViews:
    """Shows the errors of one case at a time."""

    def __init__(self) -> None:
        self._shown = False
        self._case: ComparedCase | None = None
        self._hidden: list[str] = []
        self._showing: Steps | None = None
        self._jumping: Steps | None = None

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return any(steps is not None and steps.running for steps in (self._showing, self._jumping))

    def close(self) -> None:
        """End what is on its way, and show again what was hidden."""
        for steps in (self._showing, self._jumping):
            if steps is not None:
                steps.cancel()
        self._case = None
        self._uncover()

    def show(self, case: ComparedCase, structure: str | None, onMessage: Callable[[str], None]) -> None:
        """Bring the errors of a structure into the scene, visible where ``setShown`` said so.

        Args:
            case: whose errors.
            structure: its name, None for all together.
            onMessage: called with why that cannot be.
        """
        if self._showing is not None:
            self._showing.cancel()
        self._showing = Steps(self._show(case, structure, onMessage))

    def setShown(self, shown: bool) -> None:
        """Show or hide them; the segmentations that were compared are seen in the slice views while they are not."""
        self._shown = shown
        self._setVisible(shown)

    def _setVisible(self, visible: bool) -> None:
        for node in ownNodes("vtkMRMLSegmentationNode", ERRORS):
            if node.GetDisplayNode() is not None and bool(node.GetDisplayNode().GetVisibility()) != visible:
                node.GetDisplayNode().SetVisibility(visible)
        self._uncover()
        if visible and self._case is not None:
            self._cover(self._case.pair)

    def _cover(self, pair: ComparedPair) -> None:
        for identifier in (pair.resultId, pair.referenceId):
            display = _displayOf(identifier)
            if display is not None and display.GetVisibility2D():
                display.SetVisibility2D(False)
                self._hidden.append(identifier)

    def _uncover(self) -> None:
        hidden, self._hidden = self._hidden, []
        for identifier in hidden:
            display = _displayOf(identifier)
            if display is not None:
                display.SetVisibility2D(True)

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

    def _show(self, case: ComparedCase, structure: str | None, onMessage: Callable[[str], None]):
        voxels = case.voxels.get(structure)
        if voxels is None:
            self._setVisible(False)
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
        self._case = case
        self._setVisible(self._shown)

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


def _displayOf(identifier: str) -> Any | None:
    node = slicer.mrmlScene.GetNodeByID(identifier)
    return node.GetDisplayNode() if node is not None else None


def _worst(voxels: VoxelFile, normals: dict[str, Any], byDice: bool) -> dict[str, WorstSlice | None]:
    bits = voxels.bits()
    return {name: worstSlice(bits, voxels.first, voxels.matrix, normal, byDice) for name, normal in normals.items()}


def _read(beside: Beside, onMessage: Callable[[str], None]) -> Any | None:
    try:
        return beside.result()
    except (OSError, ValueError):
        onMessage(_("The voxels of the comparison are gone: compare again."))
        return None
