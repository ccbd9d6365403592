"""The table of cases as it is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.labelchoice import SceneLabels
from .trainingcases import LABELLED, SOURCE, TARGET, TrainingCase

ROLE, NAME, LABELS, STATE = range(4)
LABEL_LETTERS = 14
"""So many letters of the name of labels are seen; the list that opens has all of them."""


def roleName(role: str) -> str:
    """A role as people read it."""
    return {SOURCE: _("source"), TARGET: _("target")}.get(role) or _("watched")


class CasesTable:
    """Shows cases in a QTableWidget, and lets the labels of a case of the scene be chosen.

    Args:
        widget: the table.
        onLabelsChosen: called with a case whose labels the user has changed.
    """

    def __init__(self, widget: Any, onLabelsChosen: Callable[[TrainingCase], None]) -> None:
        self.widget, self.onLabelsChosen = widget, onLabelsChosen
        self._cases: list[TrainingCase] = []
        widget.setColumnCount(4)
        widget.setHorizontalHeaderLabels([_("Role"), _("Case"), _("Labels"), _("State")])
        widget.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        widget.verticalHeader().hide()
        header = widget.horizontalHeader()
        header.setStretchLastSection(True)

    def show(self, cases: list[TrainingCase]) -> None:
        """Show these cases; the rows of cases that were shown already are kept as they are."""
        rebuilt = [id(case) for case in cases] != [id(case) for case in self._cases]
        self._cases = list(cases)
        if rebuilt:
            self.widget.setRowCount(0)
            self.widget.setRowCount(len(cases))
            labels = SceneLabels()
            for row, case in enumerate(cases):
                self._fill(row, case, labels)
        for row, case in enumerate(cases):
            self._showState(row, case)
        if rebuilt:
            for column in (ROLE, NAME, LABELS):
                self.widget.resizeColumnToContents(column)

    def refill(self) -> None:
        """Let the next ``show`` make all rows anew, with the labels that are in the scene by then."""
        self._cases = []

    def selected(self) -> list[TrainingCase]:
        """Cases of the rows that are selected."""
        rows = {index.row() for index in self.widget.selectionModel().selectedRows()}
        return [case for row, case in enumerate(self._cases) if row in rows]

    def _fill(self, row: int, case: TrainingCase, labels: SceneLabels) -> None:
        self.widget.setItem(row, ROLE, qt.QTableWidgetItem(roleName(case.role)))
        name = qt.QTableWidgetItem(case.name)
        if case.folder is not None:
            name.setToolTip(str(case.folder.images))
        self.widget.setItem(row, NAME, name)
        self.widget.setItem(row, STATE, qt.QTableWidgetItem(""))
        if case.role not in LABELLED or case.folder is not None:
            self.widget.setItem(row, LABELS, qt.QTableWidgetItem(_("on disk") if case.role in LABELLED else ""))
            return
        chooser = qt.QComboBox()
        # the longest name of all labels would leave no room for the state
        chooser.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
        chooser.minimumContentsLength = LABEL_LETTERS
        node = slicer.mrmlScene.GetNodeByID(case.volumeId)
        for candidate in labels.all(node) if node is not None else ():
            chooser.addItem(candidate.GetName(), candidate.GetID())
        chooser.setCurrentIndex(chooser.findData(case.labelsId) if case.labelsId else -1)

        def choose(index: int) -> None:
            case.labelsId = str(chooser.itemData(index) or "") if index >= 0 else ""
            self.onLabelsChosen(case)

        chooser.connect("currentIndexChanged(int)", choose)
        self.widget.setCellWidget(row, LABELS, chooser)

    def _showState(self, row: int, case: TrainingCase) -> None:
        text = case.problem if case.checked else _("being looked at ...")
        if not text:
            names = ", ".join(found.name or _("value {value}").format(value=found.value) for found in case.found)
            missing = _("without {names}").format(names=", ".join(case.missing)) if case.missing else ""
            text = "; ".join(filter(None, [_("good"), names, missing, *case.doubts]))
        item = self.widget.item(row, STATE)
        item.setText(text)
        item.setToolTip(text)
