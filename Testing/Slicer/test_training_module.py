"""The panel of the training module: cases of the scene, the training's process, the run it leaves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS, render_phantom
from GlobalLocalAlignmentSlicerLib.background.devicefinder import Devices, Gpu
from GlobalLocalAlignmentSlicerLib.models.modelcard import readModelCard
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.scene.terms import codesOf
from GlobalLocalAlignmentSlicerLib.training.estimate import describeEstimate
from GlobalLocalAlignmentSlicerLib.training.scenecases import labelmapValue
from GlobalLocalAlignmentSlicerLib.training.structures import Found
from segmentpanel import export

ROOT = Path(__file__).resolve().parents[2]
MODULES = [ROOT / name / f"{name}.py" for name in ("GlobalLocalAlignment", "GlobalLocalAlignmentTraining")]
PATIENCE = 120_000
OWN_TERM = "Unser Verzeichnis~99X^1^Körperteil~99X^2^Große Drüse~99X^3^Oben~Orte~^^~^^"
OWN_COLOR = (3, 127, 254)
"""Of a segment of the user's, from no list of Slicer's."""


@pytest.fixture
def panel(slicer_host, tiny_words: str, tmp_path: Path):
    """The open panel of the module, set to a training of seconds in a folder of the test."""
    for module in MODULES:
        slicer_host.load_module(module)
    panel = slicer_host.open_module("GlobalLocalAlignmentTraining")
    panel.ui.runsButton.directory = str(tmp_path)
    panel.ui.presetComboBox.currentText = "phantom"
    panel.ui.settingsText.setPlainText(tiny_words)
    return panel


def add_phantom(name: str, modality: str, seed: int):
    """A small oblique phantom as a volume node, and its label map (K, J, I)."""
    image, labels = render_phantom("abdomen", modality, seed, (40, 32, 8), (8, 8, 16), oblique=True)
    matrix = slicer.util.vtkMatrixFromArray(image.ijk_to_ras)
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(image.array.T), ijkToRAS=matrix, name=name)
    return node, labels.array.T


def draw(node, labels: np.ndarray, names: dict[int, str]):
    """A segmentation of a volume with a segment for each label value."""
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{node.GetName()} drawn")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    for value, name in names.items():
        identifier = segmentation.GetSegmentation().AddEmptySegment("", name)
        inside = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(inside, segmentation, identifier, node)
    return segmentation


def add(panel, role: str, *nodes) -> None:
    """Add volumes to the table as a user does, and wait until they were looked at."""
    panel.ui.roleComboBox.setCurrentIndex(panel.ui.roleComboBox.findData(role))
    for node in nodes:
        panel.ui.volumesSelector.setCheckState(node, 2)
    panel.ui.addVolumesButton.click()
    panel.logic.finishLooking()


def add_cohorts(panel) -> tuple[list, list]:
    """Two labelled MR phantoms and two CT phantoms, in the scene and in the table."""
    sources = []
    for seed in (1, 2):
        node, labels = add_phantom(f"MR {seed}", "MR", seed)
        liver = draw(node, labels, PHANTOM_LABELS["abdomen"]).GetSegmentation().GetNthSegment(0)
        liver.SetTerminology(OWN_TERM)
        liver.SetColor([part / 255 for part in OWN_COLOR])
        sources.append(node)
    targets = [add_phantom(f"CT {seed}", "CT", seed)[0] for seed in (3, 4)]
    add(panel, "source", *sources)
    add(panel, "target", *targets)
    return sources, targets


def choose_labels(panel, row: int, labels) -> None:
    """Choose labels in a row of the table as a user does, and wait until the case was looked at."""
    chooser = panel.ui.casesTable.cellWidget(row, 2)
    chooser.setCurrentIndex(chooser.findText(labels.GetName()))
    panel.logic.finishLooking()


def start(panel, slicer_host) -> None:
    """Click on Start and wait until the training is under way."""
    panel.ui.startButton.click()
    slicer_host.wait_until(lambda: panel.logic.run.ours, PATIENCE)


def wait_for_the_end(panel, slicer_host) -> None:
    slicer_host.wait_until(lambda: not panel.logic.busy, PATIENCE)


def states(panel) -> list[str]:
    table = panel.ui.casesTable
    return [table.item(row, 3).text() for row in range(table.rowCount)]


@pytest.mark.cold_start
def test_from_volumes_in_the_scene_to_a_model_that_segments_them(panel, slicer_host, tmp_path: Path):
    sources, targets = add_cohorts(panel)
    assert states(panel) == [*2 * ["good; liver, right kidney, left kidney, spleen"], *2 * ["good"]]
    assert panel.ui.startButton.enabled, panel.ui.startButton.toolTip
    suggested = panel.ui.runNameEdit.text
    start(panel, slicer_host)
    assert panel.ui.startButton.text == "Stop"
    inputs = panel.logic.run.inputs
    wait_for_the_end(panel, slicer_host)
    run = panel.logic.run
    assert run.status == "finished", panel.ui.logText.toPlainText()
    assert panel.ui.startButton.text == "Start" and "has the model" in panel.ui.statusLabel.text
    assert (run.folder.name, panel.ui.runNameEdit.text) == (suggested, f"{suggested}_2")
    assert panel.ui.startButton.enabled, panel.ui.startButton.toolTip
    assert not inputs.exists()
    card = readModelCard(run.model)
    assert [label.name for label in card.labels] == list(PHANTOM_LABELS["abdomen"].values())
    assert (card.source, card.target) == ("MR", "CT")
    chart = panel.logic.curves.chart("synthesis losses")
    assert chart.GetNumberOfPlotSeriesNodes() == 5
    # over to the segmenting module
    panel.ui.segmentButton.click()
    other = slicer.util.getModuleWidget("GlobalLocalAlignment")
    assert slicer.util.selectedModule() == "GlobalLocalAlignment"
    other.ui.volumesSelector.setCheckState(targets[0], 2)
    other.ui.applyButton.click()
    slicer_host.wait_until(lambda: not other.logic.running, PATIENCE)
    assert results.findResult(targets[0], results.FEATURE_MASK) is not None
    # term and colour that somebody gave a source segment have come through model and prediction, and go on
    liver = results.findResult(targets[0], results.SEGMENTATION).GetSegmentation().GetNthSegment(0)
    assert (liver.GetName(), liver.GetTerminology(), bytes_of(liver.GetColor())) == ("liver", OWN_TERM, OWN_COLOR)
    export(other, slicer_host)
    labelmap = slicer.util.getNode(f"{targets[0].GetName()} labels")
    found = labelmapValue(labelmap, 1)
    # a colour table keeps codes and their words, not the names of the lists that they are from
    assert found.terminology.split("~")[1:4] == OWN_TERM.split("~")[1:4]
    assert found == Found("liver", None, OWN_COLOR, found.terminology)


def bytes_of(color) -> tuple[int, ...]:
    """A colour of 0 to 1 in steps of 1 / 255."""
    return tuple(round(255 * part) for part in color)


def test_what_is_trained_on_is_what_was_drawn(panel, slicer_host):
    """Label maps are exact under the image, merged and left out as the mapping says, in its order."""
    from GlobalLocalAlignmentLib.volumes import read_volume

    node, labels = add_phantom("MR", "MR", 1)
    draw(node, labels, PHANTOM_LABELS["abdomen"])
    add(panel, "source", node)
    add(panel, "target", add_phantom("CT", "CT", 3)[0])
    table = panel.ui.structuresTable
    for row, name in ((1, "kidney"), (2, "kidney")):
        table.item(row, 3).setText(name)
    table.item(0, 0).setCheckState(qt.Qt.Unchecked)
    table.setCurrentCell(3, 1)
    panel.ui.upButton.click()
    panel.ui.upButton.click()
    assert [structure.name for structure in panel.logic.mapping.structures()] == ["spleen", "kidney"]
    panel.ui.startButton.click()
    slicer_host.wait_until(lambda: panel.logic.run.ours, PATIENCE)
    inputs = panel.logic.run.inputs
    written = read_volume(inputs / "source" / "labels" / "scene0000.nrrd")
    image = read_volume(inputs / "source" / "images" / "scene0000.nrrd")
    expected = np.select([labels == 4, (labels == 2) | (labels == 3)], [1, 2], 0)
    assert np.array_equal(written.array.T, expected)
    assert np.allclose(written.ijk_to_ras, image.ijk_to_ras)
    panel.ui.startButton.click()
    panel.ui.startButton.click()
    wait_for_the_end(panel, slicer_host)
    assert not inputs.exists()


def test_each_row_says_what_is_wrong_with_it(panel):
    good, labels = add_phantom("good", "MR", 1)
    draw(good, labels, PHANTOM_LABELS["abdomen"])
    bare, _ = add_phantom("bare", "MR", 2)
    partial, labels = add_phantom("partial", "MR", 3)
    draw(partial, np.where(labels == 4, 0, labels), PHANTOM_LABELS["abdomen"])
    constant = slicer.util.addVolumeFromArray(np.full((4, 5, 6), 7, np.int16), name="constant")
    hole = slicer.util.addVolumeFromArray(np.full((4, 5, 6), np.nan, np.float32), name="hole")
    elsewhere, labels = add_phantom("elsewhere", "MR", 4)
    matrix = slicer.util.vtkMatrixFromArray(np.diag([1.0, 1, 1, 1]))
    far = slicer.util.addVolumeFromArray(labels.astype(np.uint8), matrix, "far", "vtkMRMLLabelMapVolumeNode")
    add(panel, "source", good, bare, partial, elsewhere)
    choose_labels(panel, 3, far)
    add(panel, "target", constant, hole)
    told = states(panel)
    assert told[0].startswith("good; liver")
    assert "no segmentation and no labelmap" in told[1]
    assert told[2].endswith("without spleen; empty: spleen")
    assert "far has another geometry" in told[3]
    assert told[4] == "has the same value everywhere"
    assert "not numbers" in told[5]
    assert panel.ui.startButton.toolTip.startswith("bare: has no segmentation")
    assert "3 more have problems" in panel.ui.startButton.toolTip


def test_labels_that_nothing_connects_with_a_volume_are_offered_and_not_chosen(panel):
    """As after loading an image and a segmentation from two files."""
    node, labels = add_phantom("MR", "MR", 1)
    segmentation = draw(node, labels, PHANTOM_LABELS["abdomen"])
    segmentation.SetNodeReferenceID(segmentation.GetReferenceImageGeometryReferenceRole(), None)
    add(panel, "source", node)
    assert "choose one" in states(panel)[0]
    choose_labels(panel, 0, segmentation)
    assert states(panel) == ["good; liver, right kidney, left kidney, spleen"]


def test_labels_that_come_after_their_volume_are_found_when_it_is_checked_again(panel):
    first, labels = add_phantom("first", "MR", 1)
    second, _ = add_phantom("second", "MR", 2)
    add(panel, "source", first, second)
    draw(first, labels, PHANTOM_LABELS["abdomen"])
    panel.ui.checkAgainButton.click()
    panel.logic.finishLooking()
    told = states(panel)
    assert told[0].startswith("good; liver") and "choose one" in told[1]
    assert panel.ui.casesTable.cellWidget(0, 2).currentText == "first drawn"
    assert panel.ui.casesTable.cellWidget(1, 2).findText("first drawn") == 0


def test_a_labelmap_is_found_by_its_grid_and_named_by_its_colours(panel):
    node, labels = add_phantom("MR", "MR", 1)
    matrix = results.ijkToRas(node)
    labelmap = slicer.util.addVolumeFromArray(
        labels.astype(np.uint8), slicer.util.vtkMatrixFromArray(matrix), "MR labels", "vtkMRMLLabelMapVolumeNode"
    )
    labelmap.CreateDefaultDisplayNodes()
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(5)
    for value, name in {0: "background", 1: "Liver", 2: "2", 3: "left_kidney", 4: "spleen"}.items():
        colors.SetColor(value, name, 0.2 * value, 0.5, 0.5, 1.0)
    colors.SetTerminologyFromString(4, OWN_TERM)
    labelmap.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    add(panel, "source", node)
    (case,) = panel.logic.cases.cases
    assert case.labelsId == labelmap.GetID()
    assert [(found.name, found.value) for found in case.found] == [
        *(("Liver", None), ("", 2), ("left_kidney", None), ("spleen", None))
    ]
    assert [codesOf(found.terminology) for found in case.found] == [(), (), (), codesOf(OWN_TERM)]
    assert panel.logic.mapping.values()["left kidney"] == panel.logic.mapping.values()["spleen"] - 1


def test_volumes_of_a_folder_are_checked_together(panel, slicer_host):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    inside, outside = add_phantom("inside", "CT", 1)[0], add_phantom("outside", "CT", 2)[0]
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient Ä")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(inside), folder)
    panel.enter()
    index = panel.ui.folderComboBox.findText("Patient Ä")
    panel.ui.folderComboBox.setCurrentIndex(index)
    panel.ui.folderComboBox.activated.emit(index)
    assert panel.ui.volumesSelector.checkedNodes() == (inside,)
    panel.ui.roleComboBox.setCurrentIndex(1)
    panel.ui.addVolumesButton.click()
    panel.logic.finishLooking()
    assert [case.name for case in panel.logic.cases.ofRole("target")] == ["inside"]
    assert outside.GetScene() is not None


def test_a_removed_volume_takes_its_row_along_and_a_removed_segmentation_is_missed(panel):
    sources, targets = add_cohorts(panel)
    slicer.mrmlScene.RemoveNode(targets[0])
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("MR 1 drawn"))
    panel.logic.finishLooking()
    assert [case.name for case in panel.logic.cases.cases] == ["MR 1", "MR 2", "CT 4"]
    assert "no segmentation" in states(panel)[0]
    assert not panel.ui.startButton.enabled


def test_stop_is_clean_and_resume_goes_on(panel, slicer_host, tiny_words: str):
    add_cohorts(panel)
    panel.ui.settingsText.setPlainText(tiny_words.replace("synthesis.iterations=6", "synthesis.iterations=400"))
    start(panel, slicer_host)
    slicer_host.wait_until(lambda: panel.logic.run.state.iteration >= 4, PATIENCE)
    panel.ui.startButton.click()
    assert "Stopping" in panel.ui.statusLabel.text
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "stopped" and panel.ui.resumeButton.enabled
    assert "can be resumed" in panel.ui.statusLabel.text
    reached = panel.logic.run.state.iteration
    panel.ui.resumeButton.click()
    slicer_host.wait_until(
        lambda: panel.logic.run.status == "running" and panel.logic.run.state.iteration > reached, PATIENCE
    )
    panel.ui.startButton.click()
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "stopped"


def test_a_stop_while_cases_are_written_leaves_nothing(panel, slicer_host):
    add_cohorts(panel)
    panel.ui.startButton.click()
    inputs = panel.logic.run.inputs
    panel.logic._writing.step()
    assert inputs.is_dir() and not panel.logic.run.ours
    panel.ui.startButton.click()
    assert panel.ui.statusLabel.text == "Stopped before the training began."
    assert not inputs.exists() and panel.ui.startButton.enabled


def test_a_run_that_failed_says_why_and_the_next_one_can_start(panel, slicer_host):
    add_cohorts(panel)
    panel.ui.settingsText.setPlainText("synthesis.iteration=3")
    start(panel, slicer_host)
    wait_for_the_end(panel, slicer_host)
    assert "synthesis.iteration" in panel.ui.statusLabel.text and "does not exist" in panel.ui.statusLabel.text
    assert panel.ui.startButton.enabled and not panel.ui.resumeButton.enabled


def test_a_run_of_a_newer_version_is_shown_with_a_warning(panel, slicer_host, tmp_path: Path):
    run = tmp_path / "newer"
    run.mkdir()
    (run / "config.json").write_text("{}")
    line = {"schema": 99, "time": 0, "event": "stopped", "stage": "synthesis", "iteration": 5}
    (run / "events.jsonl").write_text(json.dumps(line) + "\n")
    slicer_host.answers.give(str(run))
    panel.ui.openButton.click()
    slicer_host.wait_until(lambda: panel.logic.run.status == "stopped")
    assert "newer version" in panel.ui.statusLabel.text


def test_a_folder_without_a_run_is_not_opened(panel, slicer_host, tmp_path: Path):
    slicer_host.answers.give(str(tmp_path))
    panel.ui.openButton.click()
    assert "holds no run" in panel.ui.statusLabel.text
    assert panel.logic.run is None


def test_the_term_of_a_structure_is_shown_and_goes_into_the_run(panel, slicer_host):
    code = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^64033007^Kidney~SCT^24028007^Right~Anatomic codes - DICOM master list~^^~^^"
    )
    node, labels = add_phantom("MR", "MR", 1)
    segmentation = draw(node, labels, {2: "right kidney"})
    segmentation.GetSegmentation().GetNthSegment(0).SetTerminology(code)
    add(panel, "source", node)
    assert panel.ui.structuresTable.item(0, 4).text() == "Kidney, Right"
    assert panel.logic.mapping.structures()[0].setting()["terminology"] == code


def test_time_and_memory_are_measured_before_a_training(panel, slicer_host):
    panel.ui.estimateButton.click()
    assert panel.ui.estimateButton.text == "Cancel"
    slicer_host.wait_until(lambda: not panel.logic.estimating, PATIENCE)
    assert re.match(r"About .+ on cpu.*, \d+\.\d GiB of memory\.", panel.ui.estimateLabel.text)
    assert panel.ui.estimateButton.text == "Estimate time and memory"
    panel.ui.settingsText.setPlainText("plane.size=[33, 40]")
    panel.ui.estimateButton.click()
    slicer_host.wait_until(lambda: not panel.logic.estimating, PATIENCE)
    assert "plane.size" in panel.ui.estimateLabel.text


def test_an_estimate_can_be_cancelled_and_warns_where_memory_is_short(panel, slicer_host):
    event = {"seconds": 7260.0, "device": "cuda", "memory_bytes": 12 << 30, "device_memory_bytes": 8 << 30}
    panel.ui.estimateButton.click()
    # the answer is there, and is stopped before its process has ended
    panel.logic._estimate.onEvent({"event": "estimate"} | event)
    panel.ui.estimateButton.click()
    slicer_host.wait_until(lambda: not panel.logic.estimating, PATIENCE)
    assert panel.ui.estimateLabel.text == ""
    assert describeEstimate(event).startswith("About 2 h 01 min on cuda, 12.0 GiB of memory.")
    assert "8.0 GiB: lower the batch sizes" in describeEstimate(event)
    assert "lower" not in describeEstimate(event | {"device_memory_bytes": 24 << 30})


def test_whoever_declines_an_installation_is_told(panel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(panel.logic.dependencies, "ensure", lambda: False)
    panel.ui.estimateButton.click()
    assert panel.ui.statusLabel.text == "Not started: what the core needs was not installed."
    assert not panel.logic.estimating


def test_many_checked_volumes_and_long_names_leave_the_panel_narrow(panel, slicer_host, tmp_path: Path):
    for number in range(8):
        node = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2)), name=f"a volume with a long name {number}")
        panel.ui.volumesSelector.setCheckState(node, 2)
    # the button of the folder for runs is as wide as its path
    panel.ui.runsButton.directory = tmp_path.anchor
    panel.ui.folderComboBox.addItem("a folder that has a long name, as those of DICOM studies often have")
    slicer_host.grab(panel.parent, tmp_path / "panel.png", 420)
    assert panel.parent.width == 420


def test_the_device_is_looked_at_before_a_training(panel):
    panel.onDevicesFound(Devices((Gpu("T500", 4 << 30, 1 << 30),)))
    assert "T500" in panel.ui.deviceHintLabel.text and "about 4 GB are wanted" in panel.ui.deviceHintLabel.text


def test_both_modules_load_with_nothing_installed_that_the_core_needs():
    """In a process of its own, in which these packages cannot be imported."""
    benchmark = ROOT / "Testing" / "Benchmarks" / "module_load.py"
    done = subprocess.run([sys.executable, str(benchmark), "--one"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == {path.stem for path in MODULES}


def test_the_modules_own_tests_pass(panel):
    slicer.selfTests["GlobalLocalAlignmentTraining"]()
