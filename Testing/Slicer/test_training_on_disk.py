"""Cases on disk in the training module: found and looked at by the core, trained on without entering the scene."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentLib.formats.segmentationfile import write_segmentation
from GlobalLocalAlignmentLib.knownstructures import KNOWN_STRUCTURES
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, read_volume, write_volume
from test_training_module import PATIENCE, add, add_phantom, draw, panel, start, states, wait_for_the_end

__all__ = ["panel"]


def add_folder(panel, slicer_host, role: str, images: Path, labelmaps: Path | None = None) -> None:
    panel.ui.roleComboBox.setCurrentIndex(panel.ui.roleComboBox.findData(role))
    slicer_host.answers.give(str(images), *([str(labelmaps)] if labelmaps else []))
    panel.ui.addFolderButton.click()
    slicer_host.wait_until(lambda: not panel.ui.casesStatusLabel.text.startswith("Looking"), PATIENCE)


def test_folders_on_disk_and_volumes_of_the_scene_are_trained_on_together(panel, slicer_host, cohorts: Path):
    """Files number their structures from 1; the scene has two of them by name, in another order."""
    add_folder(panel, slicer_host, "source", cohorts / "source" / "images", cohorts / "source" / "labels")
    assert "2 cases in" in panel.ui.casesStatusLabel.text
    assert states(panel) == 2 * ["good; value 1, value 2, value 3, value 4"]
    node, labels = add_phantom("MR", "MR", 5)
    draw(node, labels, {4: "Spleen", 1: "Liver"})
    add(panel, "source", node)
    add_folder(panel, slicer_host, "target", cohorts / "target" / "images")
    add_folder(panel, slicer_host, "validation", cohorts / "target" / "images", cohorts / "target" / "labels")
    table = panel.ui.structuresTable
    for row, name in {0: "Liver", 1: "kidneys", 2: "kidneys", 3: "Spleen"}.items():
        table.item(row, 3).setText(name)
    assert [structure.name for structure in panel.logic.mapping.structures()] == ["Liver", "kidneys", "Spleen"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    start(panel, slicer_host)
    wait_for_the_end(panel, slicer_host)
    run = panel.logic.run
    assert run.status == "finished", panel.ui.logText.toPlainText()
    assert [label["name"] for label in run.configuration()["labels"]] == ["Liver", "kidneys", "Spleen"]
    assert panel.logic.curves.chart("segmentation Dice") is not None


def test_segmentations_on_disk_bring_names_colours_and_terms(panel, slicer_host, cohorts: Path, tmp_path: Path):
    liver, spleen = (KNOWN_STRUCTURES["abdomen"][place] for place in (0, 3))
    for case, structures in ((0, (liver, spleen)), (1, (replace(spleen, value=1), replace(liver, value=4)))):
        labelmap = read_labelmap(cohorts / "source" / "labels" / f"case_0{case}.nii.gz")
        write_segmentation(labelmap, structures, tmp_path / f"case_0{case}.seg.nrrd")
    add_folder(panel, slicer_host, "source", cohorts / "source" / "images", tmp_path)
    rows = panel.logic.mapping.rows
    assert [(row.found.value, row.learntAs) for row in rows] == [
        *((1, "liver"), (2, "label 2"), (3, "label 3"), (4, "spleen"))
    ]
    assert (rows[0].color, rows[0].terminology) == (liver.color, liver.terminology)
    assert panel.ui.structuresTable.item(0, 1).text() == "liver, value 1 of label files"
    first, second = states(panel)
    assert first == "good; liver, value 2, value 3, spleen"
    assert "its value 1 is spleen, that of case_00 is liver: one of the two is learnt wrongly" in second


def test_each_file_says_what_is_wrong_with_it(panel, slicer_host, cohorts: Path, tmp_path: Path):
    folder = tmp_path / "mine ä"
    folder.mkdir()
    good = read_volume(cohorts / "target" / "images" / "case_00.nii.gz")
    write_volume(good, folder / "good.nii.gz")
    write_volume(Volume(np.full_like(good.array, 7), good.ijk_to_ras), folder / "constant.nii.gz")
    (folder / "broken.nii.gz").write_bytes(b"nothing")
    add_folder(panel, slicer_host, "target", folder)
    told = dict(zip((case.name for case in panel.logic.cases.cases), states(panel), strict=True))
    assert told["good"] == "good"
    assert "constant.nii.gz" in told["constant"] and "broken.nii.gz" in told["broken"]
    panel.ui.casesTable.selectRow([case.name for case in panel.logic.cases.cases].index("broken"))
    panel.ui.removeCasesButton.click()
    (kept,) = panel.logic.cases.folders
    assert panel.logic.cases.excluded[kept] == ["broken"]


def test_a_folder_without_volumes_is_told_of(panel, slicer_host, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    add_folder(panel, slicer_host, "target", tmp_path / "empty")
    assert "hold no case" in panel.ui.casesStatusLabel.text
    assert panel.logic.cases.cases == [] and panel.logic.cases.folders == []


@pytest.fixture
def cases_on_disk(panel, slicer_host, cohorts: Path):
    add_folder(panel, slicer_host, "source", cohorts / "source" / "images", cohorts / "source" / "labels")
    add_folder(panel, slicer_host, "target", cohorts / "target" / "images")
    return panel


def test_a_training_that_is_killed_says_so_and_can_be_resumed(cases_on_disk, slicer_host, tiny_words: str):
    panel = cases_on_disk
    panel.ui.settingsText.setPlainText(tiny_words.replace("synthesis.iterations=6", "synthesis.iterations=400"))
    start(panel, slicer_host)
    slicer_host.wait_until(lambda: panel.logic.run.state.iteration >= 4, PATIENCE)
    os.killpg(panel.logic.run._process._process.pid, signal.SIGKILL)
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "interrupted"
    assert "can be resumed" in panel.ui.statusLabel.text
    assert all(word in panel.ui.statusLabel.text for word in ("memory", "batch sizes", "plane", "preset"))
    assert panel.ui.resumeButton.enabled


def test_a_run_that_another_process_trains_is_watched_and_not_trained_twice(
    cases_on_disk, slicer_host, tiny_words: str
):
    panel = cases_on_disk
    panel.ui.settingsText.setPlainText(tiny_words.replace("synthesis.iterations=6", "synthesis.iterations=4000"))
    start(panel, slicer_host)
    slicer_host.wait_until(lambda: panel.logic.run.state.stage == "synthesis", PATIENCE)
    mine = panel.logic.run
    # as another Slicer that opens the run
    panel.logic.run = None
    panel.logic.open(mine.folder)
    slicer_host.wait_until(lambda: panel.logic.run.status == "running", PATIENCE)
    assert not panel.logic.run.ours and not panel.ui.resumeButton.enabled
    panel.logic.run.resume()
    slicer_host.wait_until(lambda: not panel.logic.run.ours, PATIENCE)
    assert "is being trained by another process" in panel.ui.statusLabel.text
    # looks away, looks again, and stops it from there
    assert panel.ui.openButton.text == "Watch no longer"
    panel.ui.openButton.click()
    assert panel.logic.run is None and mine.ours and panel.ui.openButton.text == "Open run ..."
    panel.logic.open(mine.folder)
    slicer_host.wait_until(lambda: panel.logic.run.status == "running", PATIENCE)
    panel.ui.startButton.click()
    slicer_host.wait_until(lambda: panel.logic.run.status == "stopped" and not mine.ours, PATIENCE)


def test_a_stop_that_comes_before_a_resumed_run_has_begun_is_not_lost(cases_on_disk, slicer_host, tiny_words: str):
    panel = cases_on_disk
    panel.ui.settingsText.setPlainText(tiny_words.replace("synthesis.iterations=6", "synthesis.iterations=4000"))
    start(panel, slicer_host)
    slicer_host.wait_until(lambda: panel.logic.run.state.iteration >= 4, PATIENCE)
    panel.ui.startButton.click()
    wait_for_the_end(panel, slicer_host)
    panel.ui.resumeButton.click()
    panel.ui.startButton.click()
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "stopped" and panel.ui.resumeButton.enabled


def test_a_run_may_have_a_long_name_with_any_letters(cases_on_disk, slicer_host, tmp_path: Path):
    panel = cases_on_disk
    folder = tmp_path / ("Läufe " + "x" * 100) / ("肝臓 " + "y" * 60)
    folder.mkdir(parents=True)
    panel.ui.runsButton.directory = str(folder)
    panel.ui.runNameEdit.text = "Lauf mit Leerzeichen & Ümlaut"
    start(panel, slicer_host)
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "finished", panel.ui.logText.toPlainText()


def test_what_a_run_warned_of_is_still_said_when_it_has_finished(panel, slicer_host, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"preset": "phantom"}))
    (tmp_path / "model.safetensors").touch()
    events = [{"event": "run_started"}, {"event": "warning", "message": "D1 has won: lower its rate"}]
    events.append({"event": "run_finished"})
    lines = [json.dumps({"schema": 1, "stage": "segmentation", **event}) for event in events]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    panel.logic.open(tmp_path)
    slicer_host.wait_until(lambda: panel.logic.run.status == "finished", PATIENCE)
    assert panel.ui.statusLabel.text.splitlines()[1:] == ["Warning: D1 has won: lower its rate"]
