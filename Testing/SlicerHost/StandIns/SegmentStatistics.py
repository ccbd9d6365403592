"""Stand-in for Slicer's module Segment Statistics: its logic, with plugins that others register.

It refuses what Slicer takes and cannot show: measurements that nobody asked for or that are of no type of a table,
columns of several types, texts with a comma, which Slicer's CSV has no quotes for, and names that two columns share.
"""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
import vtk
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
        if type(plugin).__name__ in [kind.__name__ for kind in SegmentStatisticsLogic.registeredPlugins]:
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
        if self.parameterNode is parameterNode:
            return
        # as in Slicer: parameters of plugins are there before the plugins know of the node
        for plugin in self.plugins:
            plugin.setDefaultParameters(parameterNode)
        if not parameterNode.GetParameter("visibleSegmentsOnly"):
            parameterNode.SetParameter("visibleSegmentsOnly", "True")
        self.parameterNode = parameterNode
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
        """Measure all segments, or all that are shown, where they are in the world."""
        self.reset()
        parameters = self.getParameterNode()
        node = slicer.mrmlScene.GetNodeByID(parameters.GetParameter("Segmentation"))
        only_visible = parameters.GetParameter("visibleSegmentsOnly") == "True"
        wanted = [
            identifier
            for identifier in node.GetSegmentation().GetSegmentIDs()
            if not only_visible or node.GetDisplayNode().GetSegmentVisibility(identifier)
        ]
        hardened = None
        if node.GetParentTransformNode() is not None:
            hardened = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "hardened")
            hardened.CopyContent(node)
            hardened.SetAndObserveTransformNodeID(node.GetTransformNodeID())
            hardened.HardenTransform()
            parameters.SetParameter("Segmentation", hardened.GetID())
        try:
            for identifier in wanted:
                self.updateStatisticsForSegment(identifier)
        finally:
            if hardened is not None:
                parameters.SetParameter("Segmentation", node.GetID())
                slicer.mrmlScene.RemoveNode(hardened)

    def updateStatisticsForSegment(self, segmentID: str) -> None:
        """Measure one segment."""
        node = slicer.mrmlScene.GetNodeByID(self.getParameterNode().GetParameter("Segmentation"))
        if segmentID not in self._statistics["SegmentIDs"]:
            self._statistics["SegmentIDs"].append(segmentID)
        self._statistics[segmentID, self.segmentColumnName] = node.GetSegmentation().GetSegment(segmentID).GetName()
        for plugin in self.plugins:
            if self.getParameterNode().GetParameter(f"{type(plugin).__name__}.enabled") == "True":
                measured = plugin.computeStatistics(segmentID)
                for key, value in measured.items():
                    _check(plugin, key, value)
                    self._statistics[segmentID, plugin.toLongKey(key)] = value
                    self._statistics["MeasurementInfo"][plugin.toLongKey(key)] = plugin.getMeasurementInfo(key)

    def getPluginByKey(self, key: str) -> SegmentStatisticsPluginBase | None:
        """The plugin that measures a long key."""
        return next((plugin for plugin in self.plugins if plugin.toShortKey(key) in plugin.keys), None)

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        """What the plugin of a long key says of it."""
        plugin = self.getPluginByKey(key)
        return plugin.getMeasurementInfo(plugin.toShortKey(key)) if plugin is not None else None

    def getNonEmptyKeys(self) -> list[str]:
        """Long keys that at least one segment has a measurement of."""
        found = {key for _, key in (pair for pair in self._statistics if isinstance(pair, tuple))}
        return [key for key in self.keys if key in found]

    def exportToTable(self, table: slicer.vtkMRMLTableNode, nonEmptyKeysOnly: bool = True) -> None:
        """One row a segment, one column a measurement, named as the measurement is."""
        table.RemoveAllColumns()
        rows = self._statistics["SegmentIDs"]
        keys = self.getNonEmptyKeys() if nonEmptyKeysOnly else self.keys
        infos = {key: self._statistics["MeasurementInfo"].get(key) or {"name": key} for key in keys}
        names = [info["name"] for info in infos.values()]
        if len(set(names)) < len(names):
            raise ValueError(f"two columns have one name: {names}")
        for key, info in infos.items():
            values = [self._statistics[row, key] for row in rows if (row, key) in self._statistics]
            column, name = table.AddColumn(_column(key, values, len(rows))), info["name"]
            column.SetName(name)
            table.SetColumnTitle(name, info.get("title", name))
            table.SetColumnDescription(name, info.get("description", ""))
            table.SetColumnUnitLabel(name, info.get("units", ""))
            for kind in (kind for kind in info if kind.startswith("DICOM.")):
                table.SetColumnProperty(name, kind, info[kind])
        for index, row in enumerate(rows):
            table.AddEmptyRow()
            for column, key in enumerate(keys):
                missing = "" if key == self.segmentColumnName else float("nan")
                table.GetTable().GetColumn(column).SetValue(index, self._statistics.get((row, key), missing))

    def exportToString(self, nonEmptyKeysOnly: bool = True) -> str:
        """The measurements as CSV without quotes, by long keys."""
        keys = self.getNonEmptyKeys() if nonEmptyKeysOnly else self.keys
        lines = [",".join(f'"{key}"' for key in keys)]
        for row in self._statistics["SegmentIDs"]:
            lines.append(",".join(str(self._statistics.get((row, key), "")) for key in keys))
        return "\n".join(lines)

    def exportToCSVFile(self, fileName: str, nonEmptyKeysOnly: bool = True) -> None:
        with open(fileName, "w", encoding="utf-8") as stream:
            stream.write(self.exportToString(nonEmptyKeysOnly))


def _check(plugin: SegmentStatisticsPluginBase, key: str, value: Any) -> None:
    name = plugin.toLongKey(key)
    if key not in plugin.getRequestedKeys():
        raise ValueError(f"{name} was measured though nobody asked for it")
    if type(value) not in (int, float, str, list):
        raise TypeError(f"{name}: a table has no column of {type(value).__name__}")
    if isinstance(value, str) and any(mark in value for mark in ',"\n'):
        raise ValueError(f"{name}: {value!r} cannot be told from several cells of a CSV")
    info = plugin.getMeasurementInfo(key)
    if not all(isinstance(info[part], str) for part in ("name", "title", "description", "units")):
        raise TypeError(f"{name} is not described by texts: {info}")


def _column(key: str, values: list[Any], rows: int) -> Any:
    """The column of a table for these measurements, of one type that can hold what is missing, too."""
    kinds = {type(value) for value in values}
    if len(kinds) > 1:
        raise TypeError(f"{key} is of several types: {kinds}")
    if kinds != {float} and len(values) < rows:
        raise TypeError(f"{key} is no number with a fraction: it cannot be missing for a segment")
    return {int: vtk.vtkLongArray, float: vtk.vtkDoubleArray}.get(next(iter(kinds), str), vtk.vtkStringArray)()
