"""qMRMLPlotView: the lines, points and bars of a plot chart node, drawn plainly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.qmrmlwidgets import SET_SCENE, Observations, qMRMLWidget

MARGIN = QtCore.QMargins(70, 28, 16, 44)
LEGEND_LINE = 18
"""Height of a name in the legend, in pixels."""

BARS = 0.8
"""Width of all bars at one place together."""


@dataclass
class Series:
    """What is drawn of a series; the width of its bars is 0 where it has none."""

    name: str
    color: QtGui.QColor
    x: np.ndarray
    y: np.ndarray
    lines: bool
    markers: bool
    bars: float = 0.0


class qMRMLPlotView(qMRMLWidget):
    """Draws the chart that a plot view node shows."""

    CPP_SLOTS = (SET_SCENE, "setMRMLPlotViewNode(vtkMRMLPlotViewNode*)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node = None
        self._observations = Observations(self)
        self.setMinimumSize(200, 160)

    def mrmlPlotViewNode(self) -> slicer.vtkMRMLPlotViewNode | None:
        return self._node

    def setMRMLPlotViewNode(self, node: slicer.vtkMRMLPlotViewNode | None) -> None:
        self._observations.clear()
        self._node = node
        if node is not None:
            self._observations.add(node, vtk.vtkCommand.ModifiedEvent, lambda caller: self.update())
        self.update()

    def _chart(self) -> slicer.vtkMRMLPlotChartNode | None:
        return self._node.GetPlotChartNode() if self._node is not None else None

    def _series(self) -> list[Series]:
        """Each series that has values."""
        chart, found = self._chart(), []
        for index in range(chart.GetNumberOfPlotSeriesNodes() if chart is not None else 0):
            node = chart.GetNthPlotSeriesNode(index)
            if node is not None and node.GetTableNode() is not None and node.GetTableNode().GetNumberOfRows():
                found.append(_read(node))
        return _side_by_side(found)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        painter.fillRect(self.rect, QtCore.Qt.white)
        area = self.rect.marginsRemoved(MARGIN)
        painter.setPen(QtCore.Qt.darkGray)
        painter.drawRect(area)
        chart, series = self._chart(), self._series()
        if chart is None or not series:
            return
        left, right, bottom, top = _ranges(chart, series)
        painter.setPen(QtCore.Qt.black)
        painter.drawText(QtCore.QRect(0, 4, self.width, 20), QtCore.Qt.AlignCenter, chart.GetTitle() or "")
        below = QtCore.QRect(area.left(), area.bottom() + 22, area.width(), 20)
        painter.drawText(below, QtCore.Qt.AlignCenter, chart.GetXAxisTitle() or "")
        painter.save()
        painter.rotate(-90)
        beside = QtCore.QRect(-area.bottom(), 2, area.height(), 18)
        painter.drawText(beside, QtCore.Qt.AlignCenter, chart.GetYAxisTitle() or "")
        painter.restore()

        def place(x: float, y: float) -> QtCore.QPointF:
            across = area.left() + (x - left) / (right - left) * area.width()
            return QtCore.QPointF(across, area.bottom() - (y - bottom) / (top - bottom) * area.height())

        for value, height in ((top, area.top()), (bottom, area.bottom())):
            box = QtCore.QRect(20, height - 10, area.left() - 26, 20)
            painter.drawText(box, QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter, f"{value:.3g}")
        for value, side in ((left, QtCore.Qt.AlignLeft), (right, QtCore.Qt.AlignRight)):
            painter.drawText(QtCore.QRect(area.left(), area.bottom() + 4, area.width(), 18), side, f"{value:g}")
        painter.setClipRect(area)
        for item in series:
            _draw(painter, item, place)
        if chart.GetLegendVisibility():
            _draw_legend(painter, area, series)


def _read(node: slicer.vtkMRMLPlotSeriesNode) -> Series:
    table, bars = node.GetTableNode(), node.GetPlotType() == node.PlotTypeBar
    y = np.array(slicer.util.arrayFromTableColumn(table, node.GetYColumnName()), float)
    column = "" if bars else node.GetXColumnName()
    # Slicer takes the number of the row for x where a series is bars, and writes no labels under them
    x = np.array(slicer.util.arrayFromTableColumn(table, column), float) if column else np.arange(len(y), dtype=float)
    color = QtGui.QColor.fromRgbF(*node.GetColor())
    lines = not bars and node.GetLineStyle() != node.LineStyleNone
    markers = not bars and node.GetMarkerStyle() != node.MarkerStyleNone
    return Series(node.GetName(), color, x, y, lines, markers, BARS if bars else 0.0)


def _side_by_side(series: list[Series]) -> list[Series]:
    """Bars of several series share the room at their place."""
    bars = [item for item in series if item.bars]
    for number, item in enumerate(bars):
        item.bars = BARS / len(bars)
        item.x = item.x + (number - (len(bars) - 1) / 2) * item.bars
    return series


def _ranges(chart: slicer.vtkMRMLPlotChartNode, series: list[Series]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of what is drawn."""
    x, y = (np.concatenate([getattr(item, axis) for item in series]) for axis in "xy")
    bars = any(item.bars for item in series)
    left, right = (x.min() - 0.5, x.max() + 0.5) if bars else (x.min(), max(x.max(), x.min() + 1e-9))
    bottom, top = min(y.min(), 0.0) if bars else y.min(), max(y.max(), y.min() + 1e-9)
    if not chart.GetXAxisRangeAuto():
        left, right = chart.GetXAxisRange()
    if not chart.GetYAxisRangeAuto():
        bottom, top = chart.GetYAxisRange()
    return left, right, bottom, top


def _draw_legend(painter: QtGui.QPainter, area: QtCore.QRect, series: list[Series]) -> None:
    """Names of the series on white over the upper right corner, as VTK has them."""
    width = max(painter.fontMetrics().horizontalAdvance(item.name) for item in series) + 12
    box = QtCore.QRect(area.right() - width, area.top(), width, LEGEND_LINE * len(series) + 6)
    painter.setPen(QtCore.Qt.darkGray)
    painter.setBrush(QtCore.Qt.white)
    painter.drawRect(box)
    for row, item in enumerate(series):
        painter.setPen(item.color)
        line = QtCore.QRect(box.left() + 6, box.top() + 3 + LEGEND_LINE * row, width, LEGEND_LINE)
        painter.drawText(line, QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter, item.name)


def _draw(painter: QtGui.QPainter, item: Series, place: Callable[[float, float], QtCore.QPointF]) -> None:
    painter.setPen(QtGui.QPen(item.color, 2))
    painter.setBrush(QtCore.Qt.NoBrush)
    if item.bars:
        for x, y in zip(item.x, item.y, strict=True):
            ends = place(x - item.bars / 2, max(y, 0)), place(x + item.bars / 2, min(y, 0))
            painter.fillRect(QtCore.QRectF(*ends), item.color)
    if item.lines:
        painter.drawPolyline([place(*point) for point in zip(item.x, item.y, strict=True)])
    if item.markers:
        painter.setBrush(item.color)
        for point in zip(item.x, item.y, strict=True):
            painter.drawEllipse(place(*point), 2.5, 2.5)
