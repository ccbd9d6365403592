"""Stand-in for the plugins of Slicer's module Segment Statistics: the base class, and the count of voxels."""

from .base import SegmentStatisticsPluginBase
from .labelmap import LabelmapSegmentStatisticsPlugin

__all__ = ["LabelmapSegmentStatisticsPlugin", "SegmentStatisticsPluginBase"]
