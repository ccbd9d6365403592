"""Curves of a training as plots of the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer.i18n import tr as _

from .runwatcher import Curve, RunState

KIND_ATTRIBUTE = "GlobalLocalAlignment.Curves"
MOST_POINTS = 400
"""Points of a curve that are drawn: a run of days has more than a screen has columns."""

DICE, OUTPUTS, LOSSES = "Dice", "outputs", "losses"
LINE_COLORS = (
    *((0.12, 0.47, 0.71), (1.0, 0.5, 0.05), (0.17, 0.63, 0.17), (0.84, 0.15, 0.16), (0.58, 0.4, 0.74)),
    *((0.55, 0.34, 0.29), (0.89, 0.47, 0.76), (0.5, 0.5, 0.5)),
)


def chartTitles() -> dict[str, str]:
    """Charts of a training by key, in the order in which they are offered."""
    return {
        "synthesis losses": _("Stage one: losses"),
        "segmentation losses": _("Stage two: losses"),
        "segmentation outputs": _("Stage two: outputs of D1 and D2, mean of the mask"),
        "segmentation Dice": _("Dice of the watched cases"),
    }


def chartKey(stage: str, name: str) -> str:
    """Chart that a curve belongs to, empty for what is not drawn."""
    if name == "learning_rate":
        return ""
    if name.startswith("Dice "):
        return f"{stage} {DICE}"
    outputs = name.startswith("mask_") or name.endswith(("_discriminator_source", "_discriminator_target"))
    return f"{stage} {OUTPUTS if outputs else LOSSES}"


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """Evenly chosen points of a curve, the last one among them."""
    if len(curve) <= most:
        return curve
    chosen = np.linspace(0, len(curve) - 1, most).round().astype(int)
    return [curve[index] for index in chosen]


class TrainingCurves:
    """Charts of one training; those of the training shown before are used again, so that the scene does not fill up."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[str, str], tuple[int, tuple[int, float]]] = {}

    def clear(self) -> None:
        """Forget the training shown so far; its charts are emptied."""
        self._drawn = {}
        for node in _own("vtkMRMLPlotChartNode"):
            node.RemoveAllPlotSeriesNodeIDs()
        import slicer

        for className in ("vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
            for node in _own(className):
                slicer.mrmlScene.RemoveNode(node)

    def update(self, state: RunState) -> None:
        """Bring what is new of a training into the charts."""
        for stage, curves in state.curves.items():
            for name, curve in curves.items():
                key = chartKey(stage, name)
                if key not in chartTitles() or not curve:
                    continue
                newest = (len(curve), curve[-1])
                if self._drawn.get((stage, name)) != newest:
                    self._drawn[stage, name] = newest
                    self._draw(key, stage, name, thinned(curve))

    def chart(self, key: str) -> Any | None:
        """Chart node, None while there is nothing to draw."""
        return next((node for node in _own("vtkMRMLPlotChartNode") if node.GetAttribute(KIND_ATTRIBUTE) == key), None)

    def _draw(self, key: str, stage: str, name: str, curve: Curve) -> None:
        import slicer

        chart = self.chart(key) or self._newChart(key)
        mark = f"{stage} {name}"
        series = next(
            (node for node in _own("vtkMRMLPlotSeriesNode") if node.GetAttribute(KIND_ATTRIBUTE) == mark), None
        )
        if series is None:
            table = _new("vtkMRMLTableNode", mark, mark)
            series = _new("vtkMRMLPlotSeriesNode", name.removeprefix("Dice ").replace("_", " "), mark)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName("iteration")
            series.SetYColumnName("value")
            series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
            series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
            series.SetColor(*LINE_COLORS[chart.GetNumberOfPlotSeriesNodes() % len(LINE_COLORS)])
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        slicer.util.updateTableFromArray(series.GetTableNode(), np.array(curve, float), ["iteration", "value"])

    def _newChart(self, key: str) -> Any:
        chart = _new("vtkMRMLPlotChartNode", chartTitles()[key], key)
        chart.SetTitle(chartTitles()[key])
        chart.SetXAxisTitle(_("iteration"))
        chart.SetYAxisTitle("Dice" if key.endswith(DICE) else "")
        return chart


def _own(className: str) -> list[Any]:
    import slicer

    return [node for node in slicer.util.getNodesByClass(className) if node.GetAttribute(KIND_ATTRIBUTE)]


def _new(className: str, name: str, kind: str) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    node.SetAttribute(KIND_ATTRIBUTE, kind)
    # the run folder has the curves; a scene that is saved during a training need not
    node.SetSaveWithScene(False)
    return node
