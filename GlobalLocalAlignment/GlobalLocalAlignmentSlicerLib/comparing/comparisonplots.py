"""Scores of a comparison as a plot: bars of one case, boxes over several."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..scene.ownnodes import KIND_ATTRIBUTE, ownNode, ownNodes
from .comparisonnodes import columnText
from .comparisonrows import ComparisonRow

PLOT = "plot"
SCORES = {
    "Dice": "dice",
    "ASD, symmetric (mm)": "assd_mm",
    "ASD, pooled (mm)": "pooled_asd_mm",
    "ASD, symmetric (voxels)": "assd_voxel",
    "ASD, pooled (voxels)": "pooled_asd_voxel",
    "HD95 (mm)": "hd95_mm",
    "volume difference (mm3)": "volume_difference_mm3",
    "mask where right": "mask_correct",
    "mask where wrong": "mask_wrong",
}
"""Columns that can be plotted, by what they are called in the panel."""

COLORS = (
    *((0.0, 0.45, 0.70), (0.90, 0.62, 0.0), (0.0, 0.62, 0.45), (0.80, 0.47, 0.65)),
    *((0.34, 0.71, 0.91), (0.84, 0.37, 0.0), (0.35, 0.35, 0.35)),
)
"""Colours of Okabe and Ito that show on white."""

LEGEND_ROOM = 1.9
"""Width of a plot with its legend, in widths of the boxes."""

BOX = 0.3
"""Half the width of a box, in steps from one structure to the next."""


def showPlot(rows: list[ComparisonRow], score: str) -> Any | None:
    """The chart node of a score; None where no structure has it, and a chart of the time before is empty then.

    Args:
        rows: of all cases.
        score: a value of ``SCORES``.
    """
    clearPlot()
    values = byStructure(rows, score)
    if not values:
        return None
    title, _description, units = columnText(score)
    chart = ownNode("vtkMRMLPlotChartNode", PLOT, _("Comparison with ground truth, plot"))
    cases = len({row.case for row in rows})
    text = _("{title} of each structure") if cases == 1 else _("{title} over {cases} cases")
    chart.SetTitle(text.format(title=title, cases=cases))
    chart.SetYAxisTitle(f"{title} ({units})" if units and units not in title else title)
    if cases == 1:
        _drawBars(chart, values)
    else:
        _drawBoxes(chart, values)
    known = np.concatenate(list(values.values()))
    # the legend lies in the plot, at the right
    chart.SetLegendVisibility(True)
    chart.SetXAxisRangeAuto(False)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(*_heights(known, score == "dice", cases == 1))
    return chart


def _heights(values: np.ndarray, isShare: bool, bars: bool) -> tuple[float, float]:
    """Bottom and top of the plot: bars stand on zero, boxes fill it."""
    low, high = float(values.min()), float(values.max())
    if bars:
        low, high = min(0.0, low), 1.0 if isShare else max(0.0, high)
    room = 0.05 * ((high - low) or 1.0)
    bottom = 0.0 if bars and low == 0 else low - room
    return (max(0.0, bottom), 1.0) if isShare else (bottom, high + room)


def clearPlot() -> None:
    """Empty the chart and take away the series of the time before."""
    import slicer

    for chart in ownNodes("vtkMRMLPlotChartNode", PLOT):
        chart.RemoveAllPlotSeriesNodeIDs()
    for className in ("vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
        for node in ownNodes(className, PLOT):
            slicer.mrmlScene.RemoveNode(node)


def byStructure(rows: list[ComparisonRow], score: str) -> dict[str, np.ndarray]:
    """Known numbers of a score by structure, in the order of the rows."""
    found: dict[str, list[float]] = {}
    for row in rows:
        value = getattr(row, score)
        if value == value:
            found.setdefault(row.structure, []).append(value)
    return {name: np.array(numbers, float) for name, numbers in found.items()}


def boxPath(position: float, values: np.ndarray) -> np.ndarray:
    """One line (N, 2) that draws a box: quartiles and median, whiskers to the outermost values within 1.5 boxes."""
    low, median, high = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (high - low)
    bottom, top = values[values >= low - reach].min(), values[values <= high + reach].max()
    left, right, cap = position - BOX, position + BOX, BOX / 2
    return np.array(
        [
            *((position - cap, bottom), (position + cap, bottom), (position, bottom), (position, low)),
            *((left, low), (left, median), (right, median), (left, median), (left, high), (position, high)),
            *((position, top), (position - cap, top), (position + cap, top), (position, top), (position, high)),
            *((right, high), (right, low), (position, low)),
        ]
    )


def _drawBars(chart: Any, values: dict[str, np.ndarray]) -> None:
    """A bar for each structure, which the legend names: under the axis Slicer writes no names."""
    import slicer

    for number, (name, (value,)) in enumerate(values.items()):
        text = _("{name}: {value:.3g}").format(name=name, value=value)
        table = _newTable(text)
        slicer.util.updateTableFromArray(table, np.array([[value]]), ["value"])
        series = _newSeries(chart, table, text, COLORS[number % len(COLORS)])
        # Slicer puts the bars of several series with one row side by side around zero
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeBar)
        series.SetYColumnName("value")
    chart.SetXAxisTitle("")
    chart.SetXAxisRange(-0.5, LEGEND_ROOM - 0.5)


def _drawBoxes(chart: Any, values: dict[str, np.ndarray]) -> None:
    """A box for each structure, which the legend names, and a point for each case over it."""
    import slicer

    points = []
    for position, (name, numbers) in enumerate(values.items(), start=1):
        text = _("{position} {name}: median {median:.3g}, {count} cases")
        text = text.format(position=position, name=name, median=np.median(numbers), count=len(numbers))
        series = _line(chart, text, boxPath(position, numbers), COLORS[(position - 1) % len(COLORS)])
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetLineWidth(2)
        # side by side, so that cases with the same score are seen
        aside = (np.arange(len(numbers)) - (len(numbers) - 1) / 2) * min(0.06, BOX / len(numbers))
        points.append(np.column_stack([position + aside, numbers]))
    cases = _line(chart, _("single cases"), np.concatenate(points), (0.0, 0.0, 0.0))
    cases.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleNone)
    cases.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
    cases.SetMarkerSize(6)
    chart.SetXAxisTitle(_("structure, by its number in the legend"))
    chart.SetXAxisRange(0.5, 0.5 + LEGEND_ROOM * len(values))


def _line(chart: Any, name: str, path: np.ndarray, color: tuple[float, float, float]) -> Any:
    import slicer

    table = _newTable(name)
    slicer.util.updateTableFromArray(table, path, ["position", "value"])
    series = _newSeries(chart, table, name, color)
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetXColumnName("position")
    series.SetYColumnName("value")
    return series


def _newTable(name: str) -> Any:
    """A table behind a series; that of the scores is the one for people."""
    import slicer

    table = slicer.vtkMRMLTableNode()
    table.SetName(slicer.mrmlScene.GenerateUniqueName(f"{name}, plotted"))
    table.SetHideFromEditors(True)
    table.SetAttribute(KIND_ATTRIBUTE, PLOT)
    return slicer.mrmlScene.AddNode(table)


def _newSeries(chart: Any, table: Any, name: str, color: tuple[float, float, float]) -> Any:
    import slicer

    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetAttribute(KIND_ATTRIBUTE, PLOT)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetColor(*color)
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return series
