"""Stand-in for the plugins of Slicer's module Segment Statistics: the base class, and the count of voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

__all__ = ["LabelmapSegmentStatisticsPlugin", "SegmentStatisticsPluginBase"]


class SegmentStatisticsPluginBase:
    """A plugin sets name, title, keys and defaultKeys, and says how to compute and describe its measurements."""

    def __init__(self) -> None:
        self.name = self.title = ""
        self.keys: list[str] = []
        self.defaultKeys: list[str] = []
        self.parameterNode: slicer.vtkMRMLScriptedModuleNode | None = None

    def computeStatistics(self, segmentID: str) -> dict[str, Any]:
        """Measurements of one segment, by short key."""
        raise NotImplementedError

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        """Name, title, description and units of a measurement."""
        raise NotImplementedError

    @staticmethod
    def createCodedEntry(codeValue: str, codingScheme: str, codeMeaning: str, returnAsString: bool = False) -> Any:
        """A vtkCodedEntry, or its text."""
        entry = slicer.vtkCodedEntry()
        entry.SetValueSchemeMeaning(codeValue, codingScheme, codeMeaning)
        return entry.GetAsString() if returnAsString else entry

    @staticmethod
    def createMeasurementInfo(
        name: str,
        title: str,
        description: str,
        units: str,
        quantityDicomCode: str | None = None,
        unitsDicomCode: str | None = None,
        measurementMethodDicomCode: str | None = None,
        derivationDicomCode: str | None = None,
        componentNames: list[str] | None = None,
    ) -> dict[str, Any]:
        """What getMeasurementInfo returns."""
        optional = {
            "DICOM.QuantityCode": quantityDicomCode,
            "DICOM.UnitsCode": unitsDicomCode,
            "DICOM.MeasurementMethodCode": measurementMethodDicomCode,
            "DICOM.DerivationCode": derivationDicomCode,
            "componentNames": componentNames,
        }
        info = {"name": name, "title": title, "description": description, "units": units}
        return info | {key: value for key, value in optional.items() if value}

    def toLongKey(self, key: str) -> str:
        """The key that the logic uses."""
        return f"{type(self).__name__}.{key}"

    def toShortKey(self, key: str) -> str:
        """The key that the plugin uses; empty for one of another plugin."""
        return key.removeprefix(self.toLongKey("")) if key.startswith(self.toLongKey("")) else ""

    def setDefaultParameters(
        self, parameterNode: slicer.vtkMRMLScriptedModuleNode, overwriteExisting: bool = False
    ) -> None:
        """Switch the plugin and its default measurements on where nothing was said yet."""
        wanted = {self.toLongKey(key): key in self.defaultKeys for key in self.keys} | {type(self).__name__: True}
        for name, enabled in wanted.items():
            if overwriteExisting or not parameterNode.GetParameter(f"{name}.enabled"):
                parameterNode.SetParameter(f"{name}.enabled", str(enabled))

    def setParameterNode(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        self.parameterNode = parameterNode
        self.setDefaultParameters(parameterNode)

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode | None:
        return self.parameterNode

    def getRequestedKeys(self) -> list[str]:
        """Short keys of the measurements that are switched on."""
        node = self.parameterNode
        return [key for key in self.keys if node and node.GetParameter(f"{self.toLongKey(key)}.enabled") == "True"]


class LabelmapSegmentStatisticsPlugin(SegmentStatisticsPluginBase):
    """Voxels and volume of a segment."""

    def __init__(self) -> None:
        super().__init__()
        self.name = self.title = "Label Map"
        self.keys = ["voxel_count", "volume_mm3", "volume_cm3"]
        self.defaultKeys = list(self.keys)

    def computeStatistics(self, segmentID: str) -> dict[str, Any]:
        node = slicer.mrmlScene.GetNodeByID(self.getParameterNode().GetParameter("Segmentation"))
        labelmap = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segmentID, labelmap)
        count = int(np.count_nonzero(vtk_to_numpy(labelmap.GetPointData().GetScalars())))
        spacing = labelmap.GetSpacing()
        volume = count * spacing[0] * spacing[1] * spacing[2]
        values = {"voxel_count": count, "volume_mm3": volume, "volume_cm3": volume / 1000}
        return {key: values[key] for key in self.getRequestedKeys()}

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        units = {"voxel_count": "voxels", "volume_mm3": "mm3", "volume_cm3": "cm3"}
        return self.createMeasurementInfo(key, key, key, units[key]) if key in units else None
