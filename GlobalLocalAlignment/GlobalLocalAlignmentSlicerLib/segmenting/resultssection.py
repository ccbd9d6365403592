"""The section Results of the panel: what the views show of a volume, its counterpart, its labelmap, its surfaces."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..background.steps import Steps
from ..scene import results, sliceviews
from ..scene.volumefiles import VolumeFileError


class ResultsSection:
    """Shows results that are in the scene, with respect for what the user looks at.

    Args:
        ui: widgets of the panel by name.
        plane: anatomical plane of the chosen model, empty without one.
        onText: called with what came of an export.
    """

    def __init__(self, ui: Any, plane: Callable[[], str], onText: Callable[[str], None]) -> None:
        self.ui, self.plane, self.onText = ui, plane, onText
        self._parameterNode: Any | None = None
        self._shown: tuple = (None, True, 0.0)
        self._exporting: Steps | None = None
        ui.compareButton.connect("clicked(bool)", self.onCompare)
        ui.exportButton.connect("clicked(bool)", self.onExport)

    @property
    def exporting(self) -> bool:
        """Whether a labelmap is still to come."""
        return self._exporting is not None

    def setParameterNode(self, parameterNode: Any | None) -> None:
        """Take over what the panel says; the views stay as the user left them."""
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._shown = self._said()

    def stop(self) -> None:
        """Make no labelmap any longer: the scene or Slicer goes away."""
        if self._exporting is not None:
            self._exporting.cancel()

    def update(self) -> None:
        """Enable what there is a result for."""
        volume = self._parameterNode.shownVolume if self._parameterNode is not None else None
        mask, synthesized = (
            results.findResult(volume, kind) if volume is not None else None
            for kind in (results.FEATURE_MASK, results.SYNTHESIZED)
        )
        segmentation = self._segmentationOf(volume) if volume is not None else None
        self.ui.showMaskCheckBox.enabled = mask is not None
        self.ui.maskOpacitySlider.enabled = mask is not None
        self.ui.compareButton.enabled = synthesized is not None
        self.ui.exportButton.enabled = segmentation is not None and not self.exporting
        self.ui.show3DButton.setSegmentationNode(segmentation)
        self.ui.show3DButton.enabled = segmentation is not None

    def updateViews(self) -> bool:
        """Bring to the slice views what the user changed in the panel, and no more; whether that is another volume."""
        before, self._shown = self._shown, self._said()
        volumeId, maskShown, opacity = self._shown
        if volumeId is None or slicer.mrmlScene.IsImporting():
            return False
        volume = self._parameterNode.shownVolume
        if volumeId != before[0]:
            if self._segmentationOf(volume) is not None or results.findResult(volume, results.FEATURE_MASK) is not None:
                self.showVolume()
                return True
        elif self._shown != before:
            sliceviews.updateMask(volume, opacity if maskShown else 0.0, replace=maskShown and not before[1])
        return False

    def show(self, volume: Any) -> None:
        """Show a volume with its results, as if the user had chosen it."""
        self._parameterNode.shownVolume = volume
        self.update()
        self.showVolume()

    def showVolume(self) -> None:
        """Show the chosen volume in all slice views, with its mask."""
        self._shown = self._said()
        parameters = self._parameterNode
        sliceviews.showVolumeAndMask(parameters.shownVolume, parameters.maskOpacity if parameters.maskShown else 0.0)

    def onCompare(self) -> None:
        volume = self._parameterNode.shownVolume
        sliceviews.compare(volume, results.findResult(volume, results.SYNTHESIZED), self.plane())

    def onExport(self) -> None:
        volume = self._parameterNode.shownVolume
        self.ui.exportButton.enabled = False
        self._exporting = Steps(self._export(volume, self._segmentationOf(volume)))

    def _export(self, volume: Any, segmentation: Any) -> Generator[None, None, None]:
        try:
            with slicer.util.tryWithErrorDisplay(_("The labelmap cannot be made.")):
                try:
                    node = yield from results.exportLabelmap(volume, segmentation)
                    text = _("{name} is in the scene.").format(name=node.GetName())
                except VolumeFileError as error:
                    text = str(error)
        finally:
            self._exporting = None
        self.onText(text)
        self.update()

    def _segmentationOf(self, volume: Any) -> Any | None:
        """The segmentation with the results of a volume, the one that the user chose before all others."""
        return results.findSegmentation(volume, self._parameterNode.segmentation)

    def _said(self) -> tuple:
        """What the panel says of the views: ID of the volume, whether the mask is shown, its opacity."""
        parameters = self._parameterNode
        volume = parameters.shownVolume
        return volume.GetID() if volume is not None else None, parameters.maskShown, parameters.maskOpacity
