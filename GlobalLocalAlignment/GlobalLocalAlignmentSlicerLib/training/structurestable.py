"""The mapping of structures as it is seen and changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
from slicer.i18n import tr as _

from ..scene.termdialog import canChooseTerm, chooseTerm
from ..scene.terms import describeTerm
from .structures import StructureMapping, StructureRow

USED, FOUND, CASES, LEARNT, TERM, COLOR = range(6)


class StructuresTable:
    """Shows a mapping in a QTableWidget; what the user changes goes into its rows at once.

    Args:
        widget: the table.
        mapping: what is shown and changed.
        onChanged: called after each change of the user.
    """

    def __init__(self, widget: Any, mapping: StructureMapping, onChanged: Callable[[], None]) -> None:
        self.widget, self.mapping, self.onChanged = widget, mapping, onChanged
        self._filling = False
        widget.setColumnCount(6)
        widget.setHorizontalHeaderLabels([_("Learn"), _("Found as"), _("Cases"), _("Learn as"), _("Term"), _("Colour")])
        widget.verticalHeader().hide()
        for column in (LEARNT, TERM):
            # a long term is cut short, its tool tip has all of it
            widget.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)
        widget.connect("itemChanged(QTableWidgetItem*)", self._take)
        # not a button in each cell: the table may be filled anew while the dialog is open, and would delete its caller
        widget.connect("cellActivated(int,int)", self._chooseTerm)

    def show(self) -> None:
        """Show the mapping as it is now."""
        self._filling = True
        self.widget.setRowCount(0)
        self.widget.setRowCount(len(self.mapping.rows))
        for index, row in enumerate(self.mapping.rows):
            self._fill(index, row)
        for column in (USED, FOUND, CASES, COLOR):
            self.widget.resizeColumnToContents(column)
        self._filling = False

    def move(self, steps: int) -> None:
        """Move the selected row up (negative) or down."""
        index = self.widget.currentRow()
        if 0 <= index < len(self.mapping.rows):
            place = self.mapping.move(index, steps)
            self.show()
            self.widget.setCurrentCell(place, FOUND)
            self.onChanged()

    def _fill(self, index: int, row: StructureRow) -> None:
        used = qt.QTableWidgetItem("")
        used.setFlags(qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        used.setCheckState(qt.Qt.Checked if row.used else qt.Qt.Unchecked)
        self.widget.setItem(index, USED, used)
        name = row.found.name
        if row.found.value is not None:
            text = _("{name}, value {value} of label files") if name else _("value {value} of label files")
            name = text.format(name=name, value=row.found.value)
        for column, text in ((FOUND, name), (CASES, str(row.cases)), (TERM, self._termText(row))):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(self._termToolTip(row) if column == TERM else text)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            self.widget.setItem(index, column, item)
        self.widget.setItem(index, LEARNT, qt.QTableWidgetItem(row.learntAs))
        picker = ctk.ctkColorPickerButton()
        picker.displayColorName = False
        picker.color = qt.QColor(*row.color)

        def recolor(color: Any) -> None:
            row.color = (color.red(), color.green(), color.blue())
            self.onChanged()

        picker.connect("colorChanged(QColor)", recolor)
        self.widget.setCellWidget(index, COLOR, picker)

    def _termText(self, row: StructureRow) -> str:
        return describeTerm(row.terminology) or (_("choose ...") if canChooseTerm() else "")

    def _termToolTip(self, row: StructureRow) -> str:
        hint = _("Double-click to choose the term by which other programs know this structure.")
        return "\n".join(
            filter(None, [describeTerm(row.terminology), row.terminology, hint if canChooseTerm() else ""])
        )

    def _chooseTerm(self, index: int, column: int) -> None:
        if column != TERM or not canChooseTerm():
            return
        row = self.mapping.rows[index]
        term = chooseTerm(row.learntAs, row.terminology)
        # cases may have been looked at meanwhile: the structure may have another row now, or none
        row = self.mapping.row(row.found.key)
        if term is not None and row is not None:
            row.take(term)
            self.show()
            self.widget.setCurrentCell(self.mapping.rows.index(row), TERM)
            self.onChanged()

    def _take(self, item: Any) -> None:
        if self._filling or not 0 <= item.row() < len(self.mapping.rows):
            return
        row = self.mapping.rows[item.row()]
        if item.column() == USED:
            row.used = item.checkState() == qt.Qt.Checked
        elif item.column() == LEARNT:
            row.learntAs = item.text()
        self.onChanged()
