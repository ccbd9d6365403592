"""The list of a batch as it is seen."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import qt
from slicer.i18n import tr as _

from ..background.steps import Steps
from ..models.cardtext import duration
from .batchfolder import DONE, FAILED, PASSED_OVER, WAITING, BatchEntry

FILE, STATE, TIME, REMARK = range(4)
ROWS_A_STEP = 100
"""So many rows are made at once, so that a batch of thousands does not hold up the window."""


def stateName(state: str) -> str:
    """A state as people read it."""
    names = {WAITING: _("waiting"), DONE: _("done"), FAILED: _("failed"), PASSED_OVER: _("passed over")}
    return names.get(state, state)


class BatchTable:
    """Shows cases in a QTableWidget.

    Args:
        widget: the table.
    """

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.entries: list[BatchEntry] = []
        self._rows: dict[str, int] = {}
        self._steps: Steps | None = None
        widget.setColumnCount(4)
        widget.setHorizontalHeaderLabels([_("Volume"), _("State"), _("Time"), _("Remark")])
        widget.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        widget.verticalHeader().hide()
        widget.horizontalHeader().setStretchLastSection(True)

    def show(self, entries: list[BatchEntry]) -> None:
        """Show these cases; rows that show the same case already are changed where they stand."""
        self.close()
        before, self.entries = self.entries, list(entries)
        self._rows = {entry.file: row for row, entry in enumerate(self.entries)}
        self._steps = Steps(self._fill(before))
        # a short list is there at once
        self._steps.step()

    def update(self, entry: BatchEntry) -> None:
        """Show what has become of a case; its results are known when the list is shown again."""
        row = self._rows.get(entry.file)
        if row is not None:
            self.entries[row] = entry
            self._show(row)

    def selected(self) -> list[BatchEntry]:
        """Cases of the rows that are selected."""
        rows = sorted({index.row() for index in self.widget.selectionModel().selectedRows()})
        return [self.entries[row] for row in rows if row < len(self.entries)]

    def close(self) -> None:
        """Do nothing more."""
        if self._steps is not None:
            self._steps.cancel()

    def _fill(self, before: list[BatchEntry]) -> Generator[None, None, None]:
        self.widget.setRowCount(len(self.entries))
        for row in range(len(self.entries)):
            if row >= len(before) or before[row] != self.entries[row] or self.widget.item(row, FILE) is None:
                self._show(row)
            if row % ROWS_A_STEP == ROWS_A_STEP - 1:
                yield
        if [entry.file for entry in before] != [entry.file for entry in self.entries]:
            for column in (FILE, STATE):
                self.widget.resizeColumnToContents(column)

    def _show(self, row: int) -> None:
        entry = self.entries[row]
        time = duration(entry.seconds) if entry.state in (DONE, FAILED) else ""
        texts = {FILE: entry.file, STATE: stateName(entry.state), TIME: time, REMARK: entry.remark}
        for column, text in texts.items():
            item = self.widget.item(row, column)
            if item is None:
                item = qt.QTableWidgetItem("")
                self.widget.setItem(row, column, item)
            item.setText(text)
            item.setToolTip(text)
