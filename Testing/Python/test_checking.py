"""Checking the cases of a training without starting it: every fault by its case, nothing written, memory constant."""

from __future__ import annotations

import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib import cohort as module
from GlobalLocalAlignmentLib.checking import check_cases
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.errors import InputErrors
from GlobalLocalAlignmentLib.training.events import EventLog, describe
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, write_volume


@pytest.fixture
def data(cohorts: Path, tmp_path: Path) -> Path:
    """Copy of both cohorts that a test may spoil."""
    shutil.copytree(cohorts, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def check_arguments(tiny_settings: dict, data: Path, tmp_path: Path) -> list[str]:
    """Arguments that check the copy."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(configuration(merge(tiny_settings, folders(data))).dump()))
    return ["check", "--config", str(file)]


def folders(data: Path) -> dict:
    return {
        "source": {"images": [data / "source" / "images"], "labelmaps": [data / "source" / "labels"]},
        "target": {"images": [data / "target" / "images"]},
    }


def change_label(path: Path, value: int, replacement: int) -> None:
    labels = read_labelmap(path)
    array = np.where(labels.array == value, replacement, labels.array).astype(np.uint8)
    write_volume(Volume(array, labels.ijk_to_ras), path)


def outcome(capsys: pytest.CaptureFixture, arguments: list[str]) -> tuple[int, list[dict], list[str]]:
    """Exit code, events and lines of error of a command that a program watches."""
    capsys.readouterr()
    code = run(["--events", *arguments])
    out, err = capsys.readouterr()
    entries = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return code, entries, [line for line in err.splitlines() if line.strip()]


def of_kind(entries: list[dict], kind: str) -> list[dict]:
    return [entry for entry in entries if entry["event"] == kind]


def test_right_cases_are_listed_with_their_values_and_modality_and_nothing_is_written(
    check_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
):
    before = sorted(tmp_path.rglob("*"))
    code, entries, errors = outcome(capsys, check_arguments)
    assert (code, errors) == (0, [])
    found = [
        tuple(entry[key] for key in ("role", "name", "message", "values", "modality"))
        for entry in of_kind(entries, "case")
    ]
    assert found == [
        ("source", "case_00", "", [1, 2, 3, 4], "MR"),
        ("source", "case_01", "", [1, 2, 3, 4], "MR"),
        ("target", "case_00", "", [], "CT"),
        ("target", "case_01", "", [], "CT"),
    ]
    assert [(entry["iteration"], entry["of"]) for entry in of_kind(entries, "progress")] == [(1, 2), (2, 2)] * 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_table_sums_up_what_is_right(check_arguments: list[str], capsys: pytest.CaptureFixture):
    assert run(check_arguments) == 0
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row[1:4]] for row in rows]
    assert cells[0] == ["source", "2", "MR"] and cells[-1] == ["target", "2", "CT"]


def test_every_fault_of_every_role_is_a_line_and_the_message_of_its_case(
    check_arguments: list[str], data: Path, capsys: pytest.CaptureFixture
):
    (data / "source" / "images" / "case_00.nii.gz").write_text("no volume")
    change_label(data / "source" / "labels" / "case_01.nii.gz", 4, 77)
    (data / "target" / "images" / "case_01.nii.gz").write_text("no volume")
    code, entries, errors = outcome(capsys, check_arguments)
    assert code == 2
    messages = {(entry["role"], entry["name"]): entry["message"] for entry in of_kind(entries, "case")}
    assert errors == [f"error: {message}" for message in messages.values() if message]
    assert {case for case, message in messages.items() if not message} == {("target", "case_00")}
    assert "label value 77" in messages["source", "case_01"]
    assert not of_kind(entries, "failed")
    unread, unknown = of_kind(entries, "case")[:2]
    assert (unread["modality"], unread["values"]) == ("", [])
    assert (unknown["modality"], unknown["values"]) == ("MR", [1, 2, 3, 77])


def test_each_case_without_its_label_is_named(check_arguments: list[str], data: Path, capsys: pytest.CaptureFixture):
    for path in (data / "source" / "labels").iterdir():
        path.rename(path.with_name(f"other_{path.name}"))
    code, entries, errors = outcome(capsys, check_arguments)
    assert code == 2 and len(errors) == 2
    assert all("no label map for case" in entry["message"] for entry in of_kind(entries, "case")[:2])


def test_what_is_wrong_with_the_cases_as_a_whole_is_a_failure_of_their_role(
    check_arguments: list[str], data: Path, capsys: pytest.CaptureFixture
):
    for path in (data / "source" / "labels").iterdir():
        change_label(path, 4, 0)
    code, entries, errors = outcome(capsys, [*check_arguments, "--set", "target.modality=PET"])
    assert code == 2 and len(errors) == 2
    assert [entry["message"] for entry in of_kind(entries, "case")] == [""] * 4
    failed = of_kind(entries, "failed")
    assert [entry["role"] for entry in failed] == ["source", "target"]
    assert "no voxel of spleen" in failed[0]["message"] and "no intensity rule" in failed[1]["message"]


def test_a_role_can_be_checked_before_the_others_are_given(data: Path, capsys: pytest.CaptureFixture):
    source = ["--source-images", str(data / "source" / "images"), "--source-labels", str(data / "source" / "labels")]
    code, entries, errors = outcome(capsys, ["check", "--preset", "phantom", *source])
    assert (code, errors) == (0, [])
    # the preset has no labels, so every value is one
    assert {entry["role"] for entry in of_kind(entries, "case")} == {"source"}
    watched = [word.replace("--source", "--validation") for word in source]
    code, entries, _ = outcome(capsys, ["check", "--preset", "phantom", *watched])
    assert code == 0 and {entry["role"] for entry in of_kind(entries, "case")} == {"validation"}


def test_without_any_image_there_is_nothing_to_check(capsys: pytest.CaptureFixture):
    code, entries, errors = outcome(capsys, ["check", "--preset", "phantom"])
    assert code == 2 and entries == []
    assert errors == ["error: images: are not given; name a folder with --source-images or --target-images"]


def test_values_are_those_after_the_mapping(check_arguments: list[str], capsys: pytest.CaptureFixture):
    mapped = ["--set", "labels=[{value: 9, name: all}]", "--set", "source.label_mapping={1: 9, 2: 9, 3: 9, 4: 0}"]
    code, entries, _ = outcome(capsys, [*check_arguments, *mapped])
    assert code == 0
    assert [entry["values"] for entry in of_kind(entries, "case")] == [[9], [9], [], []]


def test_one_volume_is_in_memory_at_a_time_even_where_none_can_be_used(
    tiny_settings: dict, data: Path, monkeypatch: pytest.MonkeyPatch
):
    read, volumes, kept = module.read_volume, [], []

    def watched(path: Path) -> Volume:
        kept.append(sum(volume() is not None for volume in volumes))
        volume = read(path)
        volumes.append(weakref.ref(volume))
        return volume

    monkeypatch.setattr(module, "read_volume", watched)
    blank = {"target": {"intensity": {"rule": "window", "low": -1e9, "high": 1e9}}}
    settings = configuration(merge(merge(tiny_settings, folders(data)), blank))
    with pytest.raises(InputErrors):
        check_cases(settings, EventLog(None))
    assert kept == [0] * 4


def test_a_case_can_be_described_in_a_line():
    events = []
    EventLog(None, [events.append]).emit("case", "check", role="source", name="07", message="is bad", values=[1, 2])
    assert describe(events[0]).endswith("check: case, source, 07, is bad")
