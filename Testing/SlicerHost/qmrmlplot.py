"""qMRMLPlotView: the line series of a plot chart node, drawn plainly."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.qmrmlwidgets import SET_SCENE, Observations, qMRMLWidget

MARGIN = QtCore.QMargins(60, 28, 16, 44)


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

    def _series(self) -> list[tuple[str, QtGui.QColor, np.ndarray, np.ndarray]]:
        """Name, colour, x and y of each series that has values."""
        chart, found = self._chart(), []
        for index in range(chart.GetNumberOfPlotSeriesNodes() if chart is not None else 0):
            series = chart.GetNthPlotSeriesNode(index)
            table = series.GetTableNode() if series is not None else None
            if table is None or table.GetNumberOfRows() == 0:
                continue
            y = np.array(slicer.util.arrayFromTableColumn(table, series.GetYColumnName()), float)
            column = series.GetXColumnName()
            x = np.array(slicer.util.arrayFromTableColumn(table, column), float) if column else np.arange(len(y))
            found.append((series.GetName(), QtGui.QColor.fromRgbF(*series.GetColor()), x, y))
        return found

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
        x = np.concatenate([item[2] for item in series])
        y = np.concatenate([item[3] for item in series])
        left, right, bottom, top = x.min(), max(x.max(), x.min() + 1e-9), y.min(), max(y.max(), y.min() + 1e-9)
        painter.setPen(QtCore.Qt.black)
        painter.drawText(QtCore.QRect(0, 4, self.width, 20), QtCore.Qt.AlignCenter, chart.GetTitle() or "")
        below = QtCore.QRect(area.left(), area.bottom() + 22, area.width(), 20)
        painter.drawText(below, QtCore.Qt.AlignCenter, chart.GetXAxisTitle() or "")
        for value, place in ((top, area.top()), (bottom, area.bottom())):
            box = QtCore.QRect(0, place - 10, area.left() - 6, 20)
            painter.drawText(box, QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter, f"{value:.3g}")
        for value, side in ((left, QtCore.Qt.AlignLeft), (right, QtCore.Qt.AlignRight)):
            painter.drawText(QtCore.QRect(area.left(), area.bottom() + 4, area.width(), 18), side, f"{value:g}")
        for row, (name, color, xs, ys) in enumerate(series):
            painter.setPen(QtGui.QPen(color, 2))
            across = area.left() + (xs - left) / (right - left) * area.width()
            up = area.bottom() - (ys - bottom) / (top - bottom) * area.height()
            painter.drawPolyline([QtCore.QPointF(*point) for point in zip(across, up, strict=True)])
            line = QtCore.QRect(area.left(), area.top() + 4 + 18 * row, area.width() - 8, 18)
            painter.drawText(line, QtCore.Qt.AlignRight, name)
