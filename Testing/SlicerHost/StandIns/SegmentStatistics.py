"""Stand-in for Slicer's module Segment Statistics: its logic, with plugins that others register."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
from SegmentStatisticsPlugins import LabelmapSegmentStatisticsPlugin, SegmentStatisticsPluginBase
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic


class SegmentStatisticsLogic(ScriptedLoadableModuleLogic):
    """Set "Segmentation" in the parameter node, then computeStatistics and getStatistics."""

    registeredPlugins: ClassVar[list[type]] = [LabelmapSegmentStatisticsPlugin]
    segmentColumnName = "Segment"

    @staticmethod
    def registerPlugin(plugin: SegmentStatisticsPluginBase) -> None:
        """Use the class of this plugin in every logic made from now on."""
        if not isinstance(plugin, SegmentStatisticsPluginBase):
            raise TypeError(f"{plugin!r} is no SegmentStatisticsPluginBase")
        if any("." in key for key in plugin.keys):
            raise ValueError(f"keys of a plugin must have no dot: {plugin.keys}")
        if type(plugin) in SegmentStatisticsLogic.registeredPlugins:
            raise ValueError(f"{type(plugin).__name__} is registered already")
        SegmentStatisticsLogic.registeredPlugins.append(type(plugin))

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.isSingletonParameterNode = False
        self.plugins = [kind() for kind in self.registeredPlugins]
        self.parameterNode: slicer.vtkMRMLScriptedModuleNode | None = None
        self.reset()

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        if self.parameterNode is None:
            self.setParameterNode(super().getParameterNode())
        return self.parameterNode

    def setParameterNode(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        if not parameterNode.GetParameter("visibleSegmentsOnly"):
            parameterNode.SetParameter("visibleSegmentsOnly", "True")
        for plugin in self.plugins:
            plugin.setParameterNode(parameterNode)

    def reset(self) -> None:
        """Forget all measurements."""
        self.keys = [self.segmentColumnName]
        self.keys += [plugin.toLongKey(key) for plugin in self.plugins for key in plugin.keys]
        self._statistics: dict[Any, Any] = {"SegmentIDs": [], "MeasurementInfo": {}}

    def getStatistics(self) -> dict[Any, Any]:
        """Measurements by (segment ID, long key); all IDs under "SegmentIDs"."""
        return self._statistics

    def computeStatistics(self) -> None:
        """Measure all segments, or all that are shown."""
        self.reset()
        node = slicer.mrmlScene.GetNodeByID(self.getParameterNode().GetParameter("Segmentation"))
        display = node.GetDisplayNode()
        only_visible = self.getParameterNode().GetParameter("visibleSegmentsOnly") == "True"
        for segment_id in node.GetSegmentation().GetSegmentIDs():
            if not only_visible or display.GetSegmentVisibility(segment_id):
                self.updateStatisticsForSegment(segment_id)

    def updateStatisticsForSegment(self, segmentID: str) -> None:
        """Measure one segment."""
        node = slicer.mrmlScene.GetNodeByID(self.getParameterNode().GetParameter("Segmentation"))
        if segmentID not in self._statistics["SegmentIDs"]:
            self._statistics["SegmentIDs"].append(segmentID)
        self._statistics[segmentID, self.segmentColumnName] = node.GetSegmentation().GetSegment(segmentID).GetName()
        for plugin in self.plugins:
            if self.getParameterNode().GetParameter(f"{type(plugin).__name__}.enabled") == "True":
                for key, value in plugin.computeStatistics(segmentID).items():
                    self._statistics[segmentID, plugin.toLongKey(key)] = value
                    self._statistics["MeasurementInfo"][plugin.toLongKey(key)] = plugin.getMeasurementInfo(key)

    def getNonEmptyKeys(self) -> list[str]:
        """Long keys that at least one segment has a measurement of."""
        found = {key for _, key in (pair for pair in self._statistics if isinstance(pair, tuple))}
        return [key for key in self.keys if key in found]

    def exportToTable(self, table: slicer.vtkMRMLTableNode, nonEmptyKeysOnly: bool = True) -> None:
        """One row a segment, one column a measurement, named as the measurement is."""
        table.RemoveAllColumns()
        for key in self.getNonEmptyKeys() if nonEmptyKeysOnly else self.keys:
            info = self._statistics["MeasurementInfo"].get(key) or {}
            table.AddColumn().SetName(info.get("name", key))
        for row, segment_id in enumerate(self._statistics["SegmentIDs"]):
            table.AddEmptyRow()
            for column, key in enumerate(self.getNonEmptyKeys() if nonEmptyKeysOnly else self.keys):
                table.SetCellText(row, column, str(self._statistics.get((segment_id, key), "")))
