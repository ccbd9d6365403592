"""Plugin of Segment Statistics: scores of each segment against a reference segmentation, those of ``gla evaluate``.

Import it only where Segment Statistics is there, see ``segmentstatistics``.
"""

from __future__ import annotations

import math
from typing import Any

import qt
import slicer
from SegmentStatisticsPlugins import SegmentStatisticsPluginBase
from slicer.i18n import tr as _

from .measurements import SURFACE_KEYS, VOLUME_KEYS, measurements
from .segmentlayers import SegmentMaskError
from .segmentmasks import emptinessNote, masksOf, resamplingNote
from .segmentpairs import pairOf


class GroundTruthComparisonSegmentStatisticsPlugin(SegmentStatisticsPluginBase):
    """Compares each segment with the segment of a reference that has its term or name.

    The reference is the node reference ``REFERENCE_ROLE`` of the parameter node, set here in the options of the plugin;
    scripts call ``parameterNode.SetNodeReferenceID``. Without one nothing is computed, and the options say so.
    """

    REFERENCE_ROLE = "GroundTruthComparisonSegmentStatisticsPlugin.Reference"

    def __init__(self) -> None:
        super().__init__()
        self.name = "Ground truth comparison"
        self.title = _("Ground truth comparison")
        self.defaultKeys = [
            "reference_segment",
            "dice",
            "assd_mm",
            "pooled_asd_mm",
            "hd95_mm",
            *VOLUME_KEYS,
            "comparison_note",
        ]
        # in voxels is how papers give them, of grids that nobody else has
        self.keys = [*self.defaultKeys[:-1], "assd_voxel", "pooled_asd_voxel", "comparison_note"]

    def referenceNode(self) -> Any | None:
        """The chosen reference segmentation."""
        parameterNode = self.getParameterNode()
        return parameterNode.GetNodeReference(self.REFERENCE_ROLE) if parameterNode is not None else None

    def whyNot(self) -> str:
        """Why nothing can be compared; empty where something can."""
        reference = self.referenceNode()
        if reference is None:
            return _("Nothing is compared: choose a reference segmentation.")
        if reference.GetID() == self.getParameterNode().GetParameter("Segmentation"):
            return _("Nothing is compared: the reference is the very segmentation that is measured.")
        return ""

    def computeStatistics(self, segmentID: str) -> dict[str, Any]:
        """Scores of one segment; what cannot be a number, such as a distance to nothing, is left out."""
        requested = self.getRequestedKeys()
        if not requested or self.whyNot():
            return {}
        node = slicer.mrmlScene.GetNodeByID(self.getParameterNode().GetParameter("Segmentation"))
        reference = self.referenceNode()
        pair = pairOf(node.GetSegmentation().GetSegment(segmentID), reference.GetSegmentation())
        scores, notes = {}, [pair.note]
        if pair.segmentId:
            try:
                masks = masksOf(node, segmentID, reference, pair.segmentId)
                scores = _scores(masks, requested)
                notes += [resamplingNote(masks.resampled, masks.spacing)]
                notes.append(emptinessNote(masks.compared.any(), masks.reference.any()))
            except SegmentMaskError as error:
                notes.append(str(error))
        # texts are there for every segment: the table has no cell for a missing one
        texts = {"reference_segment": pair.name, "comparison_note": "; ".join(filter(None, notes))}
        values = scores | {key: _cell(text) for key, text in texts.items()}
        return {key: values[key] for key in requested if key in values}

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        """Name, title, description, units and codes of a measurement."""
        if key not in self.keys:
            return None
        name, title, description, units, codes = measurements()[key]
        return self.createMeasurementInfo(
            name=name,
            title=title,
            description=description,
            units=units,
            **{kind: self.createCodedEntry(*code, True) for kind, code in codes.items()},
        )

    def createDefaultOptionsWidget(self) -> None:
        """The options that every plugin has, and the selector of the reference above the measurements."""
        super().createDefaultOptionsWidget()
        self.referenceSelector = slicer.qMRMLNodeComboBox()
        self.referenceSelector.nodeTypes = ["vtkMRMLSegmentationNode"]
        self.referenceSelector.addEnabled = False
        self.referenceSelector.removeEnabled = False
        self.referenceSelector.noneEnabled = True
        self.referenceSelector.setMRMLScene(slicer.mrmlScene)
        self.hintLabel = qt.QLabel()
        self.hintLabel.wordWrap = True
        form = self.optionsWidget.layout()
        form.insertRow(1, _("Reference segmentation:"), self.referenceSelector)
        form.insertRow(2, self.hintLabel)
        self.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onReferenceChosen)

    def updateGuiFromParameterNode(self, caller: Any = None, event: Any = None) -> None:
        """Show what the parameter node says."""
        super().updateGuiFromParameterNode(caller, event)
        if not self.parameterNode:
            return
        reference, why = self.referenceNode(), self.whyNot()
        if self.referenceSelector.currentNode() is not reference:
            before = self.referenceSelector.blockSignals(True)
            self.referenceSelector.setCurrentNode(reference)
            self.referenceSelector.blockSignals(before)
        self.hintLabel.text = why
        self.hintLabel.visible = bool(why)
        self.referenceSelector.toolTip = why or _("The segmentation that is taken as the truth.")
        self.pluginCheckbox.toolTip = why

    def onReferenceChosen(self, node: Any = None) -> None:
        """Note the reference; the selector changes, too, while a scene is closed and the parameters are gone."""
        if self.parameterNode and self.parameterNode.GetScene() is not None:
            self.parameterNode.SetNodeReferenceID(self.REFERENCE_ROLE, node.GetID() if node is not None else None)


def _scores(masks: Any, requested: list[str]) -> dict[str, float]:
    """All numbers of the kinds that were asked for."""
    # not before it is needed: Slicer starts without it
    from GlobalLocalAlignmentLib.masks.maskscores import mask_scores

    surfaces = not set(requested).isdisjoint(SURFACE_KEYS)
    found = mask_scores(masks.compared, masks.reference, masks.spacing, surfaces)
    return {key: value for key, value in found.items() if not math.isnan(value)}


def _cell(text: str) -> str:
    """A text that Segment Statistics can write into its CSV, which has no quotes."""
    return " ".join(text.replace(",", ";").replace('"', "'").split())
