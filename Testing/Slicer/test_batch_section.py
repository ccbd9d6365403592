"""The part of the segmenting panel for many volumes on disk: folder in, folder out, nothing in the scene."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from dicomfiles import STACK, write_series
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.volumes import Volume, read_volume, write_volume
from GlobalLocalAlignmentSlicerLib.batch import batchresults
from GlobalLocalAlignmentSlicerLib.batch.batchtable import FILE, REMARK, STATE
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.surfaces.segmentsurfaces import hasSurfaces
from segmentpanel import PATIENCE


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Folder with a volume, one in a subfolder, and one that is none."""
    image = render_phantom("abdomen", "CT", 7, (40, 32, 8), (8, 8, 16), oblique=True)[0]
    write_volume(image, tmp_path / "in" / "a.nii.gz")
    write_volume(image, tmp_path / "in" / "x" / "b ä.nrrd")
    (tmp_path / "in" / "x" / "c.nrrd").write_bytes(b"nothing")
    return tmp_path / "in"


def choose(panel, model: Path, tree: Path, kind: str = "seg.nrrd"):
    """Name a model, the folders and a format; the widgets of the section."""
    ui = panel._batch.ui
    panel.ui.modelPathEdit.currentPath = str(model)
    ui.batchInputEdit.currentPath = str(tree)
    ui.batchOutputEdit.currentPath = str(tree.parent / "out")
    ui.batchFormatComboBox.setCurrentIndex(ui.batchFormatComboBox.findData(kind))
    return ui


def run(panel, slicer_host) -> None:
    panel._batch.ui.batchStartButton.click()
    slicer_host.wait_until(lambda: not panel._batch.batch.running, PATIENCE)
    slicer_host.process_events()


def rows(ui, column: int) -> list[str]:
    return [ui.batchTable.item(row, column).text() for row in range(ui.batchTable.rowCount)]


def load(panel, slicer_host, row: int) -> None:
    panel._batch.ui.batchTable.selectRow(row)
    panel._batch.ui.batchLoadButton.click()
    slicer_host.wait_until(lambda: panel._batch._loading is None, PATIENCE)


def test_start_says_what_is_missing(panel, untrained_model: Path, tree: Path):
    ui = panel._batch.ui
    assert not ui.batchStartButton.enabled and "model" in ui.batchStartButton.toolTip
    panel.ui.modelPathEdit.currentPath = str(untrained_model)
    assert ui.batchStartButton.toolTip == "Choose a folder with volumes."
    ui.batchInputEdit.currentPath = str(tree)
    assert ui.batchStartButton.toolTip == "Choose a folder for the results."
    ui.batchOutputEdit.currentPath = str(tree)
    assert "another folder" in ui.batchStartButton.toolTip
    ui.batchOutputEdit.currentPath = str(tree.parent / "out")
    assert ui.batchStartButton.enabled and ui.batchStartButton.text == "Start"
    assert not ui.batchLoadButton.enabled and "Select one volume" in ui.batchLoadButton.toolTip


def test_a_folder_is_segmented_beside_the_scene_and_one_case_comes_into_it(
    panel, slicer_host, untrained_model: Path, tree: Path
):
    ui = choose(panel, untrained_model, tree)
    run(panel, slicer_host)
    assert rows(ui, FILE) == ["a.nii.gz", "x/b ä.nrrd", "x/c.nrrd"], panel.ui.logText.toPlainText()
    assert rows(ui, STATE) == ["done", "done", "failed"]
    assert "cannot be read" in rows(ui, REMARK)[2]
    assert ui.batchStatusLabel.text == "2 done, 1 failed."
    assert (tree.parent / "out" / "x" / "b ä_segmentation.seg.nrrd").is_file()
    assert slicer.util.getNodesByClass("vtkMRMLVolumeNode") == []
    load(panel, slicer_host, 1)
    assert ui.batchStatusLabel.text == "b ä is in the scene."
    node = slicer.util.getNode("b ä")
    image = read_volume(tree / "x" / "b ä.nrrd")
    assert np.array_equal(slicer.util.arrayFromVolume(node).T, image.array)
    assert panel._parameterNode.shownVolume is node
    segmentation = results.findResult(node, results.SEGMENTATION).GetSegmentation()
    assert segmentation.GetNthSegment(0).GetName() == "liver" and segmentation.GetNthSegment(0).GetTerminology()
    assert results.findResult(node, results.FEATURE_MASK) is not None
    slicer_host.wait_until(lambda: not panel.logic.surfaces.running, PATIENCE)
    assert hasSurfaces(results.findResult(node, results.SEGMENTATION))
    # once more: the volume is there already
    panel.ui.surfacesCheckBox.click()
    load(panel, slicer_host, 1)
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
    # it was in 3D, and is again whatever the box says
    slicer_host.wait_until(lambda: not panel.logic.surfaces.running, PATIENCE)
    assert hasSurfaces(results.findResult(node, results.SEGMENTATION))
    ui.batchTable.selectRow(2)
    assert not ui.batchLoadButton.enabled


def test_a_batch_that_was_ended_goes_on_in_a_later_slicer(panel, slicer_host, untrained_model: Path, tree: Path):
    ui = choose(panel, untrained_model, tree)
    section = panel._batch
    ui.batchStartButton.click()
    assert ui.batchStartButton.text == "Cancel" and not ui.batchInputEdit.enabled
    slicer_host.wait_until(lambda: section.batch._begun, PATIENCE)
    assert len(rows(ui, FILE)) == 3
    ui.batchStartButton.click()
    slicer_host.wait_until(lambda: not section.batch.running, PATIENCE)
    assert ui.batchStatusLabel.text.startswith("Stopped. ")
    assert ui.batchInputEdit.enabled and ui.batchStartButton.text == "Resume"
    # another panel, as after the next start: it knows the folders by its settings
    slicer.util.reloadScriptedModule("GlobalLocalAlignment")
    again = slicer.modules.GlobalLocalAlignmentWidget
    ui = again._batch.ui
    assert ui.batchOutputEdit.currentPath == str(tree.parent / "out") and len(rows(ui, FILE)) == 3
    again.ui.modelPathEdit.currentPath = str(untrained_model)
    assert ui.batchStartButton.text == "Resume"
    run(again, slicer_host)
    assert rows(ui, STATE) == ["done", "done", "failed"]


def test_what_ends_a_batch_as_a_whole_is_said(panel, slicer_host, untrained_model: Path, tree: Path):
    ui = choose(panel, untrained_model, tree)
    (tree.parent / "empty").mkdir()
    ui.batchInputEdit.currentPath = str(tree.parent / "empty")
    run(panel, slicer_host)
    assert "holds no volume" in ui.batchStatusLabel.text and ui.batchStartButton.enabled
    (tree.parent / "other").mkdir()
    (tree.parent / "other" / "batch.csv").write_text("a,b\n1,2\n")
    ui.batchOutputEdit.currentPath = str(tree.parent / "other")
    assert "is no list of a batch" in ui.batchStatusLabel.text


def test_a_series_that_shares_its_folder_is_loaded_alone(panel, slicer_host, untrained_model: Path, tmp_path: Path):
    for patient in ("1", "2"):
        places = [(0.0, 0.0, 3.0 * slice_) for slice_ in range(5 + int(patient))]
        write_series(tmp_path / "in" / "all", places, f"1.{patient}", columns=40, header={"0010|0020": patient})
    ui = choose(panel, untrained_model, tmp_path / "in", "nii.gz")
    panel._parameterNode.featureMask = False
    run(panel, slicer_host)
    assert rows(ui, STATE) == ["done", "done"], panel.ui.logText.toPlainText()
    for row in (0, 1):
        load(panel, slicer_host, row)
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert sorted(node.GetImageData().GetDimensions()[2] for node in nodes) == [6, 7]
    assert all(results.findResult(node, results.SEGMENTATION) is not None for node in nodes)


def test_dicom_segmentations_come_in_by_slicers_plugin_or_it_is_said_what_to_install(
    panel, slicer_host, untrained_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("highdicom")
    write_series(tmp_path / "in" / "head", STACK, columns=40, header={"0020|0052": "1.2.99"})
    ui = choose(panel, untrained_model, tmp_path / "in", "dicom-seg")
    panel._parameterNode.featureMask = False
    run(panel, slicer_host)
    assert rows(ui, STATE) == ["done"], panel.ui.logText.toPlainText()
    load(panel, slicer_host, 0)
    assert "install the extension Quantitative Reporting" in ui.batchStatusLabel.text
    seen: list[str] = []

    class Plugin:
        """What Slicer's plugin does of interest here."""

        def examineFiles(self, files: list[str]) -> list:
            return [SimpleNamespace(files=files)] if files == seen else []

        def load(self, loadable) -> bool:
            slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "from DICOM")
            return True

    def insert(path: str, store: bool, thumbnail: bool) -> None:
        assert not store
        seen.append(path)

    monkeypatch.setattr(slicer.modules, "dicomPlugins", {batchresults.DICOM_PLUGIN: Plugin}, raising=False)
    monkeypatch.setattr(slicer, "dicomDatabase", SimpleNamespace(insert=insert), raising=False)
    load(panel, slicer_host, 0)
    assert ui.batchStatusLabel.text == "head is in the scene."
    assert seen == [str(tmp_path / "out" / "head_segmentation.dcm")]
    node = slicer.util.getNode("from DICOM")
    assert node.GetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole()) == slicer.util.getNode("head").GetID()


def test_a_volume_that_has_changed_since_is_not_shown_under_its_old_result(
    panel, slicer_host, untrained_model: Path, tree: Path
):
    (tree / "x" / "c.nrrd").unlink()
    ui = choose(panel, untrained_model, tree)
    run(panel, slicer_host)
    image = read_volume(tree / "a.nii.gz")
    write_volume(Volume(image.array[:-1], image.ijk_to_ras), tree / "a.nii.gz")
    load(panel, slicer_host, 0)
    assert "segment it again" in ui.batchStatusLabel.text
    (tree / "x" / "b ä.nrrd").unlink()
    load(panel, slicer_host, 1)
    assert "choose the input folder of this batch" in ui.batchStatusLabel.text


def test_slicer_that_quits_ends_the_batch_and_keeps_what_is_done(panel, slicer_host, untrained_model: Path, tree: Path):
    choose(panel, untrained_model, tree)
    batch = panel._batch.batch
    panel._batch.ui.batchStartButton.click()
    process, folder = batch._process._process, batch.folder
    slicer_host.quit()
    assert process.wait(60) != 0
    batch.poll()
    assert not batch.running and not folder.exists()
