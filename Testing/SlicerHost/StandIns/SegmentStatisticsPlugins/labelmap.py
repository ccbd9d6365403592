"""A plugin that Slicer has, as far as tests need one of its own beside ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from .base import SegmentStatisticsPluginBase


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
