"""Terms of the structures in the training module: looked at, chosen, taken away, and given to a run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import qt
import slicer
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.training.structurestable import LEARNT, TERM
from test_training_module import add, add_phantom, draw, panel

__all__ = ["panel"]

RIGHT_KIDNEY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^64033007^Kidney~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
)
SPLEEN_CODES = "~SCT^123037004^Anatomical Structure~SCT^78961009^Spleen~^^~"
SPLEEN_COLOR = (157, 108, 162)


def add_segment(panel, name: str, terminology: str = ""):
    """A source case with one segment, which has Slicer's own term unless another is given."""
    node, labels = add_phantom("MR", "MR", 1)
    segment = draw(node, labels, {2: name}).GetSegmentation().GetNthSegment(0)
    if terminology:
        segment.SetTerminology(terminology)
    add(panel, "source", node)


def add_values(panel) -> None:
    """A source case with a labelmap whose values have no names."""
    node, labels = add_phantom("MR", "MR", 1)
    matrix = slicer.util.vtkMatrixFromArray(results.ijkToRas(node))
    labelmap = slicer.util.addVolumeFromArray(labels.astype(np.uint8), matrix, "MR", "vtkMRMLLabelMapVolumeNode")
    # its colours would name the values
    labelmap.RemoveAllDisplayNodeIDs()
    add(panel, "source", node)


def buttons(dialog) -> dict:
    return {button.text: button for button in dialog.findChildren(qt.QPushButton)}


def mark(dialog, kind: str, modifier: str = "") -> None:
    """Click on a type in the browser, and on one of its modifiers."""
    types = dialog.findChild(qt.QTableWidget, "tableWidget_Type")
    (item,) = types.findItems(kind, qt.Qt.MatchExactly)
    types.setCurrentItem(item)
    if modifier:
        modifiers = dialog.findChild(qt.QComboBox, "ComboBox_TypeModifier")
        modifiers.setCurrentIndex(modifiers.findText(modifier))


def answer(button: str, *marked: str) -> Callable:
    """What a user does in the dialog: mark a type and perhaps a modifier, and click on a button."""

    def act(question) -> int:
        if marked:
            mark(question.widget, *marked)
        buttons(question.widget)[button].click()
        return question.widget.result()

    return act


def choose(panel, slicer_host, row: int, act: Callable) -> None:
    """Double-click on the term of a row and do this in the dialog."""
    slicer_host.answers.give(act)
    panel.ui.structuresTable.cellActivated.emit(row, TERM)


def setting(panel, row: int = 0) -> dict:
    return panel.logic.mapping.structures()[row].setting()


def test_a_chosen_term_is_shown_and_goes_into_the_run(panel, slicer_host):
    add_segment(panel, "S")
    choose(panel, slicer_host, 0, answer("Select", "Spleen"))
    assert panel.ui.structuresTable.item(0, TERM).text() == "Spleen"
    assert SPLEEN_CODES in setting(panel)["terminology"]


def test_the_side_of_a_structure_is_chosen_with_it(panel, slicer_host):
    add_segment(panel, "K")
    choose(panel, slicer_host, 0, answer("Select", "Kidney", "Left"))
    assert panel.ui.structuresTable.item(0, TERM).text() == "Kidney, Left"
    assert "~SCT^64033007^Kidney~SCT^7771000^Left~" in setting(panel)["terminology"]


def test_the_dialog_begins_with_the_term_of_the_structure(panel, slicer_host):
    add_segment(panel, "right kidney", RIGHT_KIDNEY)
    choose(panel, slicer_host, 0, answer("Select"))
    assert slicer_host.answers.asked[0].title == "Term of right kidney"
    assert panel.ui.structuresTable.item(0, TERM).text() == "Kidney, Right"


def test_a_cancelled_dialog_changes_nothing(panel, slicer_host):
    add_segment(panel, "right kidney", RIGHT_KIDNEY)
    before = setting(panel)
    choose(panel, slicer_host, 0, answer("Cancel", "Spleen"))
    assert setting(panel) == before
    assert before["terminology"] == RIGHT_KIDNEY


@pytest.mark.parametrize("act", [answer("No term"), answer("Select", "[ None ]")])
def test_a_term_can_be_taken_away(panel, slicer_host, act: Callable):
    add_segment(panel, "right kidney", RIGHT_KIDNEY)
    choose(panel, slicer_host, 0, act)
    assert "terminology" not in setting(panel)
    assert panel.ui.structuresTable.item(0, TERM).text() == "choose ..."


def test_select_waits_for_a_valid_selection(panel, slicer_host):
    add_segment(panel, "right kidney", RIGHT_KIDNEY)
    seen = []

    def act(question) -> int:
        dialog = question.widget
        for step in (
            lambda: dialog.findChild(qt.QTableWidget, "tableWidget_Category").selectRow(1),
            lambda: dialog.findChild(qt.QTableWidget, "tableWidget_Type").cellDoubleClicked.emit(0, 0),
            lambda: mark(dialog, "Liver"),
        ):
            step()
            seen.append((buttons(dialog)["Select"].enabled, dialog.result()))
        return qt.QDialog.Rejected

    choose(panel, slicer_host, 0, act)
    assert seen == [(False, 0), (False, 0), (True, 0)]


def test_a_double_click_on_a_type_selects_it(panel, slicer_host):
    add_segment(panel, "S")

    def act(question) -> int:
        mark(question.widget, "Spleen")
        question.widget.findChild(qt.QTableWidget, "tableWidget_Type").cellDoubleClicked.emit(1, 0)
        return question.widget.result()

    choose(panel, slicer_host, 0, act)
    assert panel.ui.structuresTable.item(0, TERM).text() == "Spleen"


def test_the_term_that_slicer_gives_every_segment_is_none(panel):
    assert "Tissue" in slicer.vtkSegment().GetTerminology()
    add_segment(panel, "liver")
    assert panel.logic.mapping.rows[0].found.terminology == ""
    assert "terminology" not in setting(panel)


def test_name_and_colour_of_a_label_value_follow_its_term(panel, slicer_host):
    add_values(panel)
    choose(panel, slicer_host, 1, answer("Select", "Spleen"))
    assert panel.ui.structuresTable.item(1, LEARNT).text() == "spleen"
    assert (setting(panel, 1)["name"], tuple(setting(panel, 1)["color"])) == ("spleen", SPLEEN_COLOR)


def test_a_kidney_without_a_side_is_not_coloured_grey(panel, slicer_host):
    """Slicer's static function says grey: the terminology has colours for the left and the right one only."""
    add_values(panel)
    before = setting(panel, 1)["color"]
    choose(panel, slicer_host, 1, answer("Select", "Kidney"))
    assert (setting(panel, 1)["name"], setting(panel, 1)["color"]) == ("Kidney", before)


def test_sides_from_a_colour_table_keep_their_names_apart(panel, slicer_host, monkeypatch):
    """Slicer gives their types no sign that there are modifiers, and names both kidneys alike."""

    class ColorTable(slicer.qSlicerTerminologyNavigatorWidget):
        def terminologyEntry(self, entry) -> bool:
            text = "table~99X^1^Mine~99X^2^Kidney~99X^3^Left~~^^~^^"
            return slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, entry)

    monkeypatch.setattr(slicer, "qSlicerTerminologyNavigatorWidget", ColorTable)
    add_values(panel)
    choose(panel, slicer_host, 1, answer("Select"))
    assert setting(panel, 1)["name"] == "Kidney, Left"


def test_a_choice_is_told_to_the_panel(panel, slicer_host):
    add_segment(panel, "S")
    told = []
    panel.structuresTable.onChanged = lambda: told.append(setting(panel)["terminology"])
    choose(panel, slicer_host, 0, answer("Select", "Spleen"))
    assert len(told) == 1 and SPLEEN_CODES in told[0]


def test_a_name_that_was_typed_and_a_colour_that_was_picked_stay(panel, slicer_host):
    add_values(panel)
    table = panel.ui.structuresTable
    table.item(1, LEARNT).setText("Milz")
    table.cellWidget(1, TERM + 1).color = qt.QColor(1, 2, 3)
    choose(panel, slicer_host, 1, answer("Select", "Spleen"))
    assert (setting(panel, 1)["name"], setting(panel, 1)["color"]) == ("Milz", [1, 2, 3])
    assert SPLEEN_CODES in setting(panel, 1)["terminology"]


def test_cases_that_are_looked_at_behind_the_open_dialog_do_not_lose_the_choice(panel, slicer_host):
    add_segment(panel, "S")

    def act(question) -> int:
        panel.logic.lookAtAll()
        panel.logic.finishLooking()
        return answer("Select", "Spleen")(question)

    choose(panel, slicer_host, 0, act)
    assert SPLEEN_CODES in setting(panel)["terminology"]


def test_a_structure_that_goes_away_behind_the_open_dialog_takes_its_choice_along(panel, slicer_host):
    add_segment(panel, "S")

    def act(question) -> int:
        panel.logic.removeCases(panel.logic.cases.cases)
        return answer("Select", "Spleen")(question)

    choose(panel, slicer_host, 0, act)
    assert panel.logic.mapping.rows == []


def test_the_cell_says_what_it_is_for_and_what_it_holds(panel):
    add_segment(panel, "right kidney", RIGHT_KIDNEY)
    shown, codes, hint = panel.ui.structuresTable.item(0, TERM).toolTip().split("\n")
    assert (shown, codes) == ("Kidney, Right", RIGHT_KIDNEY)
    assert hint.startswith("Double-click to choose")


def test_only_the_cell_of_the_term_opens_the_dialog(panel, slicer_host):
    add_segment(panel, "S")
    panel.ui.structuresTable.cellActivated.emit(0, LEARNT)
    assert slicer_host.answers.asked == []


def test_without_the_browser_a_term_is_only_shown(panel, slicer_host, monkeypatch):
    monkeypatch.delattr(slicer, "qSlicerTerminologyNavigatorWidget")
    add_segment(panel, "right kidney", RIGHT_KIDNEY)
    panel.ui.structuresTable.cellActivated.emit(0, TERM)
    assert slicer_host.answers.asked == []
    cell = panel.ui.structuresTable.item(0, TERM)
    assert (cell.text(), cell.toolTip()) == ("Kidney, Right", f"Kidney, Right\n{RIGHT_KIDNEY}")
