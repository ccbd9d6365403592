"""The host's stand-in for Slicer's browser of terminologies."""

from __future__ import annotations

import pytest
import qt
import slicer
from SlicerHost import problems
from SlicerHost.problems import HostError

KIDNEY = "list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^24028007^Right~~^^~^^"
FOREIGN = "list~99X^1^Mine~99X^2^Gizmo~^^~~^^~^^"


def entry_of(text: str = ""):
    entry = slicer.vtkSlicerTerminologyEntry()
    slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, entry)
    return entry


@pytest.fixture
def browser():
    return slicer.qSlicerTerminologyNavigatorWidget()


@pytest.fixture
def told(browser) -> list[bool]:
    """What the browser says of the validity of its selection."""
    told = []
    browser.connect("selectionValidityChanged(bool)", told.append)
    return told


def selected(browser):
    entry = slicer.vtkSlicerTerminologyEntry()
    assert browser.terminologyEntry(entry)
    return entry


def types(browser):
    return browser.findChild(qt.QTableWidget, "tableWidget_Type")


def test_it_is_empty_until_an_entry_is_set(browser):
    assert types(browser).rowCount == 0
    assert not browser.terminologyEntry(slicer.vtkSlicerTerminologyEntry())
    browser.setTerminologyEntry(entry_of())
    assert types(browser).rowCount > 3


def test_an_entry_that_is_set_comes_back_with_label_and_colour(browser):
    browser.setTerminologyEntry(entry_of(KIDNEY))
    entry = selected(browser)
    text = slicer.modules.terminologies.logic().SerializeTerminologyEntry(entry)
    assert text.partition("~")[2] == KIDNEY.partition("~")[2]
    assert browser.nameFromTerminology(entry) == "right kidney"
    assert browser.recommendedColorFromTerminology(entry) == qt.QColor(185, 102, 83)


def test_an_entry_of_another_terminology_comes_back_too(browser):
    browser.setTerminologyEntry(entry_of(FOREIGN))
    assert selected(browser).GetTypeObject().GetCodeMeaning() == "Gizmo"


def test_no_type_is_a_valid_selection_as_in_slicer(browser, told):
    browser.setTerminologyEntry(entry_of())
    assert told == [False, True]
    assert not selected(browser).GetTypeObject().GetCodeValue()


def test_a_choice_of_categories_is_not_valid_until_a_type_is_chosen(browser, told):
    browser.setTerminologyEntry(entry_of(KIDNEY))
    told.clear()
    browser.findChild(qt.QTableWidget, "tableWidget_Category").selectRow(1)
    types(browser).setCurrentCell(1, 0)
    assert told == [False, True]


def test_a_search_narrows_the_types(browser):
    browser.setTerminologyEntry(entry_of())
    browser.findChild(qt.QLineEdit, "SearchBox_Type").text = "SPLEE"
    assert [types(browser).item(row, 0).text() for row in range(types(browser).rowCount)] == ["Spleen"]


def test_the_colour_of_a_type_is_grey_while_no_modifier_is_chosen_as_in_slicer(browser):
    browser.setTerminologyEntry(entry_of(KIDNEY))
    browser.findChild(qt.QComboBox, "ComboBox_TypeModifier").setCurrentIndex(0)
    assert browser.recommendedColorFromTerminology(selected(browser)) == qt.QColor(127, 127, 127)


def test_only_entries_are_taken(browser):
    for method in (browser.setTerminologyEntry, browser.terminologyEntry, browser.nameFromTerminology):
        with pytest.raises(TypeError, match="vtkSlicerTerminologyEntry"):
            method(KIDNEY)


def test_what_slicer_does_not_wrap_is_missing(browser):
    for name in ("terminologyInfo", "setTerminologyInfo", "nameFromCurrentTerminology"):
        with pytest.raises(AttributeError):
            getattr(browser, name)
    with pytest.raises(TypeError):
        slicer.qSlicerTerminologyNavigatorWidget.nameFromTerminology(entry_of())


def test_an_entry_read_from_a_text_has_no_name_and_no_colour(browser):
    for method in (browser.nameFromTerminology, browser.recommendedColorFromTerminology):
        with problems.expected("neither label nor colour"), pytest.raises(HostError):
            method(entry_of(KIDNEY))


def test_a_region_is_refused(browser):
    liver = KIDNEY.replace("~~^^~^^", "~anatomic~SCT^10200004^Liver~^^")
    with problems.expected("no regions"), pytest.raises(HostError):
        browser.setTerminologyEntry(entry_of(liver))
