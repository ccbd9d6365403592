"""The list of pairs that are compared as it is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .comparedpairs import ListedPair

USED, RESULT, REFERENCE, WHY = range(4)


class PairsTable:
    """Shows pairs in a QTableWidget, each with a check box.

    Args:
        widget: the table.
        onChanged: called after the user has checked or unchecked one.
    """

    def __init__(self, widget: Any, onChanged: Callable[[], None]) -> None:
        self.widget, self.onChanged = widget, onChanged
        self.pairs: list[ListedPair] = []
        self._filling = False
        widget.setColumnCount(4)
        widget.setHorizontalHeaderLabels([_("Compare"), _("Result"), _("Ground truth"), _("Found by")])
        widget.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        widget.verticalHeader().hide()
        for column in (RESULT, REFERENCE):
            widget.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)
        widget.connect("itemChanged(QTableWidgetItem*)", self._take)

    def show(self, pairs: list[ListedPair]) -> None:
        """Show these pairs; their nodes are in the scene."""
        self.pairs, self._filling = pairs, True
        self.widget.setRowCount(0)
        self.widget.setRowCount(len(pairs))
        for index, listed in enumerate(pairs):
            used = qt.QTableWidgetItem("")
            used.setFlags(qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            used.setCheckState(qt.Qt.Checked if listed.checked else qt.Qt.Unchecked)
            self.widget.setItem(index, USED, used)
            names = [
                slicer.mrmlScene.GetNodeByID(identifier).GetName()
                for identifier in (listed.pair.resultId, listed.pair.referenceId)
            ]
            for column, text in ((RESULT, names[0]), (REFERENCE, names[1]), (WHY, listed.why)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                self.widget.setItem(index, column, item)
        for column in (USED, WHY):
            self.widget.resizeColumnToContents(column)
        self._filling = False

    def _take(self, item: Any) -> None:
        if self._filling or item.column() != USED or not 0 <= item.row() < len(self.pairs):
            return
        self.pairs[item.row()].checked = item.checkState() == qt.Qt.Checked
        self.onChanged()
