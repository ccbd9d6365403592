"""Mapping of what cases call their structures to what a model learns."""

from __future__ import annotations

import pytest
from GlobalLocalAlignmentSlicerLib.scene.terms import NO_TERM, Term, codesOf, describeTerm, foundTerm
from GlobalLocalAlignmentSlicerLib.training.structures import Found, StructureMapping, StructureRow
from hypothesis import given
from hypothesis import strategies as st

SPLEEN = Term("codes of the spleen", "spleen", (157, 108, 162))


def mapping_of(*cases: list[Found]) -> StructureMapping:
    mapping = StructureMapping()
    mapping.update(cases)
    return mapping


def test_names_that_differ_in_case_and_separators_are_one_structure():
    mapping = mapping_of([Found("Left_Kidney")], [Found("left kidney")], [Found("LEFT-KIDNEY")])
    (row,) = mapping.rows
    assert (row.learntAs, row.cases) == ("Left_Kidney", 3)


def test_rows_of_one_name_are_merged_and_keep_the_first_colour_and_a_terminology():
    mapping = mapping_of([Found("RK", color=(1, 2, 3)), Found("LK", terminology="codes"), Found("liver")])
    for row in mapping.rows[:2]:
        row.learntAs = "kidney"
    kidney, liver = mapping.structures()
    assert (kidney.value, kidney.name, kidney.color, kidney.terminology) == (1, "kidney", (1, 2, 3), "codes")
    assert kidney.setting() == {"value": 1, "name": "kidney", "color": [1, 2, 3], "terminology": "codes"}
    assert mapping.values() == {"rk": 1, "lk": 1, "liver": liver.value}


def test_what_is_not_used_is_background():
    mapping = mapping_of([Found("liver"), Found("table")])
    mapping.rows[0].used = False
    assert mapping.values() == {"liver": 0, "table": 1}


def test_what_the_user_said_survives_cases_that_come_and_go():
    mapping = mapping_of([Found("liver"), Found("spleen")])
    mapping.rows[1].learntAs = "Milz"
    mapping.move(1, -1)
    mapping.update([[Found("spleen"), Found("aorta")], [Found("spleen")]])
    assert [(row.learntAs, row.cases) for row in mapping.rows] == [("Milz", 2), ("aorta", 1)]


def test_no_row_is_left_out_while_cases_are_still_being_looked_at():
    mapping = mapping_of([Found("liver"), Found("spleen")])
    mapping.rows[0].learntAs = "Leber"
    mapping.update([], complete=False)
    mapping.update([[Found("spleen")]], complete=False)
    assert [(row.learntAs, row.cases) for row in mapping.rows] == [("Leber", 0), ("spleen", 1)]
    mapping.update([[Found("spleen")]])
    assert [row.learntAs for row in mapping.rows] == ["spleen"]


def test_rows_of_another_time_wait_for_their_cases_and_change_no_row_that_is_there():
    mapping = mapping_of([Found("liver")])
    others = [StructureRow(Found("Liver"), 0, "Leber"), StructureRow(Found("spleen"), 0, "Milz", used=False)]
    assert mapping.add(others) and not mapping.add(others)
    mapping.update([[Found("liver"), Found("spleen")]])
    assert [(row.learntAs, row.used) for row in mapping.rows] == [("liver", True), ("Milz", False)]


def test_a_move_ends_at_the_first_and_the_last_row():
    mapping = mapping_of([Found("a"), Found("b"), Found("c")])
    assert mapping.move(0, -1) == 0
    assert mapping.move(0, 7) == 2
    assert [row.learntAs for row in mapping.rows] == ["b", "c", "a"]


def test_values_of_files_come_in_the_order_of_the_values_and_are_named_after_them():
    mapping = mapping_of([Found("", 7), Found("", 2)])
    assert [row.learntAs for row in mapping.rows] == ["label 2", "label 7"]


def test_a_value_of_label_files_is_named_and_coloured_by_its_term_as_often_as_it_changes():
    (row,) = mapping_of([Found("", 2)]).rows
    before = row.learntAs, row.color
    for term in (SPLEEN, Term("codes of the liver", "liver", (221, 130, 101))):
        row.take(term)
        assert (row.terminology, row.learntAs, row.color) == (term.text, term.name, term.color)
    row.take(NO_TERM)
    assert (row.terminology, row.learntAs, row.color) == ("", *before)


def test_a_value_that_its_file_names_is_named_and_keeps_its_name():
    (row,) = mapping_of([Found("Milz", 2, (1, 2, 3), "codes")]).rows
    assert (row.found.key, row.learntAs, row.color, row.terminology) == ("value 2", "Milz", (1, 2, 3), "codes")
    row.take(SPLEEN)
    assert (row.learntAs, row.color, row.terminology) == ("Milz", (1, 2, 3), SPLEEN.text)


def test_a_term_without_a_colour_leaves_the_colour():
    (row,) = mapping_of([Found("", 2)]).rows
    before = row.color
    row.take(Term("codes", "spleen"))
    assert (row.learntAs, row.color) == ("spleen", before)


def test_a_name_and_a_colour_of_the_users_survive_a_term():
    (row,) = mapping_of([Found("", 2)]).rows
    row.learntAs, row.color = "Milz", (1, 2, 3)
    row.take(SPLEEN)
    assert (row.terminology, row.learntAs, row.color) == (SPLEEN.text, "Milz", (1, 2, 3))


def test_name_and_colour_of_a_segment_survive_a_term():
    (row,) = mapping_of([Found("S", color=(1, 2, 3))]).rows
    row.take(SPLEEN)
    assert (row.terminology, row.learntAs, row.color) == (SPLEEN.text, "S", (1, 2, 3))


def test_a_chosen_term_survives_cases_that_come_and_go():
    mapping = mapping_of([Found("S", terminology="found")])
    mapping.rows[0].take(NO_TERM)
    mapping.update([[Found("S", terminology="found")], [Found("S", terminology="found")]])
    assert mapping.structures()[0].terminology == ""
    mapping.row("s").take(SPLEEN)
    mapping.update([[Found("S", terminology="found")]])
    assert mapping.structures()[0].terminology == SPLEEN.text


def test_of_merged_rows_the_first_with_a_term_gives_it():
    mapping = mapping_of([Found("RK"), Found("LK", terminology="left"), Found("K", terminology="both")])
    for row in mapping.rows:
        row.learntAs = "kidney"
    assert mapping.structures()[0].terminology == "left"
    mapping.row("lk").take(NO_TERM)
    assert mapping.structures()[0].terminology == "both"


@pytest.mark.parametrize("codes", ["SCT^85756007^Tissue", "SRT^T-D0050^Tissue", "SRT^T-D0050^Gewebe"])
def test_the_term_that_every_new_segment_has_is_none(codes: str):
    assert foundTerm(f"general~{codes}~{codes}~^^~anatomic~^^~^^") == ""


@pytest.mark.parametrize(
    "text",
    [
        "general~SCT^85756007^Tissue~SCT^51114001^Artery~^^~anatomic~^^~^^",
        "general~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~anatomic~SCT^10200004^Liver~^^",
        "general~SCT^123037004^Anatomical Structure~SCT^78961009^Spleen~^^~~^^~^^",
    ],
)
def test_a_term_that_says_something_is_kept(text: str):
    assert foundTerm(text) == text


def test_a_term_of_a_colour_table_of_slicers_is_a_term():
    text = "~SCT^123037004^Anatomical Structure~SCT^78961009^Spleen~^^~~^^~^^"
    assert foundTerm(f"{text}~") == text
    assert describeTerm(f"{text}~") == "Spleen" and codesOf(f"{text}~") == codesOf(text)
    assert foundTerm("~^^~^^~^^~~^^~^^~") == foundTerm(f"{text}~~") == foundTerm(f"{text}~more") == ""


@pytest.mark.parametrize("text", ["", "nonsense", "general~SCT^85756007^Tissue~^^~^^~anatomic~^^~^^"])
def test_what_is_no_entry_or_has_no_type_is_no_term(text: str):
    assert foundTerm(text) == ""


def test_a_term_is_described_with_side_and_region():
    text = "general~SCT^49755003^Morphology~SCT^4147007^Mass~SCT^7771000^Left~anatomic~SCT^10200004^Liver~^^"
    assert describeTerm(text) == "Mass, Left, Liver"
    assert describeTerm("") == ""


@given(
    values=st.lists(st.integers(1, 40), unique=True, max_size=12),
    names=st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8),
    learnt=st.lists(st.sampled_from(["one", "two", "three", ""]), min_size=20, max_size=20),
)
def test_files_and_scene_become_the_same_values_whatever_the_files_use(
    values: list[int], names: list[str], learnt: list[str]
):
    mapping = mapping_of([*(Found("", value) for value in values), *map(Found, names)])
    for row, name in zip(mapping.rows, learnt, strict=False):
        row.learntAs = name
    file_mapping, written = mapping.fileMapping()
    becomes = mapping.values()
    for value in values:
        assert file_mapping.get(value, value) == becomes[f"value {value}"]
    for structure in mapping.structures():
        assert file_mapping.get(written[structure.value], written[structure.value]) == structure.value
