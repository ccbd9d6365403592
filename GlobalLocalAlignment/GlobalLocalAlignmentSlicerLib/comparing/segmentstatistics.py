"""Brings the comparison with ground truth into Slicer's module Segment Statistics, where that is there."""

from __future__ import annotations

import logging


def registerComparison() -> bool:
    """Register the plugin, unless it is registered; Segment Statistics uses it from its next logic on.

    May be called at any time and any number of times. A developer who reloads Segment Statistics takes all plugins of
    others away, so the module calls it whenever its panel is entered, too.

    Returns:
        whether Segment Statistics has the plugin now; Slicer may have been built or started without that module.
    """
    try:
        from SegmentStatistics import SegmentStatisticsLogic
    except ImportError:
        logging.info("Segment Statistics is not there: no comparison with ground truth in it")
        return False
    from .segmentstatisticsplugin import GroundTruthComparisonSegmentStatisticsPlugin as Plugin

    if Plugin not in SegmentStatisticsLogic.registeredPlugins:
        # one of the same name, from before this file was loaded anew, would answer for the same parameters
        SegmentStatisticsLogic.registeredPlugins[:] = [
            kind for kind in SegmentStatisticsLogic.registeredPlugins if kind.__name__ != Plugin.__name__
        ]
        SegmentStatisticsLogic.registerPlugin(Plugin())
    return True
