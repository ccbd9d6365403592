"""The panel of the segmenting module: from nodes in the scene through the core's process to nodes in the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentLib.bundle import load_bundle, save_bundle
from GlobalLocalAlignmentLib.settings import Refinement
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.segmenting.segmentationjob import AS_THE_MODEL_SAYS
from segmentpanel import MODULE, PATIENCE, add_phantom, choose, export


def test_apply_says_why_it_is_disabled(panel, tiny_run: Path, tmp_path: Path):
    assert not panel.ui.applyButton.enabled and "model" in panel.ui.applyButton.toolTip
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    panel.ui.modelPathEdit.currentPath = str(tmp_path / "broken.safetensors")
    assert "broken.safetensors is no model" in panel.ui.applyButton.toolTip
    panel.ui.modelPathEdit.currentPath = str(tiny_run / "model.safetensors")
    assert "right kidney" in panel.ui.cardLabel.text
    assert "volume" in panel.ui.applyButton.toolTip
    node, _ = add_phantom("CT")
    panel.ui.volumesSelector.setCheckState(node, 2)
    assert panel.ui.applyButton.enabled


def test_the_module_works_where_there_are_no_views(slicer_host):
    slicer.app.commandOptions().noLayoutManager = True
    slicer_host.load_module(MODULE)
    panel = slicer_host.open_module("GlobalLocalAlignment")
    node, labels = add_phantom("CT")
    results.showVolume(node, np.zeros(labels.shape, np.float32), results.SYNTHESIZED)
    panel._parameterNode.shownVolume = node
    panel.ui.compareButton.click()


def test_passes_are_those_of_the_model_until_others_are_chosen(panel, slicer_host, tiny_run: Path, tmp_path: Path):
    bundle = load_bundle(tiny_run / "model.safetensors")
    card = bundle.card.model_copy(update={"refinement": Refinement(shifts=2)})
    networks = {name: getattr(bundle, name) for name in ("segmenter", "feature_discriminator")}
    save_bundle(tmp_path / "refined.safetensors", card.model_copy(update={"synthesis_domains": None}), networks)
    node, _ = add_phantom("CT")
    choose(panel, tmp_path / "refined.safetensors", node)
    assert "4 passes over each" in panel.ui.cardLabel.text
    assert panel.ui.shiftsComboBox.currentText == AS_THE_MODEL_SAYS
    masks = {}
    for chosen in (AS_THE_MODEL_SAYS, "2", "1"):
        panel.ui.shiftsComboBox.currentText = chosen
        assert panel._parameterNode.shifts == chosen
        panel.ui.applyButton.click()
        slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
        assert panel.ui.statusLabel.text == "1 segmented.", panel.ui.logText.toPlainText()
        masks[chosen] = slicer.util.arrayFromVolume(results.findResult(node, results.FEATURE_MASK)).copy()
    assert np.array_equal(masks[AS_THE_MODEL_SAYS], masks["2"])
    assert not np.array_equal(masks[AS_THE_MODEL_SAYS], masks["1"])


@pytest.mark.cold_start
def test_volumes_become_segmentations_with_mask_and_style_in_the_scene(panel, slicer_host, tiny_run: Path):
    nodes = [add_phantom(name, seed)[0] for name, seed in (("CT one", 1), ("CT zwei ä", 2))]
    choose(panel, tiny_run / "model.safetensors", *nodes)
    panel._parameterNode.synthesized = True
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text == "Cancel" and panel.logic.running
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.statusLabel.text == "2 segmented.", panel.ui.logText.toPlainText()
    for node in nodes:
        segmentation = results.findResult(node, results.SEGMENTATION)
        assert segmentation.GetName() == f"{node.GetName()} segmentation"
        assert [segmentation.GetSegmentation().GetNthSegment(index).GetName() for index in range(4)] == [
            "liver",
            "right kidney",
            "left kidney",
            "spleen",
        ]
        for kind in (results.FEATURE_MASK, results.SYNTHESIZED):
            volume = results.findResult(node, kind)
            assert np.array_equal(
                slicer.util.arrayFromVTKMatrix(results_matrix(volume)),
                slicer.util.arrayFromVTKMatrix(results_matrix(node)),
            )


def results_matrix(node):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_the_modules_own_tests_pass(panel, slicer_host):
    slicer.selfTests["GlobalLocalAlignment"]()


def test_cancel_ends_the_segmentation_and_the_panel_can_start_again(panel, slicer_host, tiny_run: Path):
    node, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", node)
    panel.ui.applyButton.click()
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert results.findResult(node, results.SEGMENTATION) is None
    assert panel.ui.statusLabel.text == "CT: stopped"
    assert panel.ui.applyButton.text == "Apply" and panel.ui.applyButton.enabled


@pytest.mark.parametrize("early", [True, False])
def test_a_volume_that_is_removed_while_it_is_segmented_is_named_and_the_others_go_on(
    panel, slicer_host, tiny_run: Path, early: bool
):
    gone, kept = add_phantom("gone", 1)[0], add_phantom("kept", 2)[0]
    choose(panel, tiny_run / "model.safetensors", gone, kept)
    panel.ui.applyButton.click()
    if not early:
        slicer_host.wait_until(lambda: panel.logic._job.running, PATIENCE)
    slicer.mrmlScene.RemoveNode(gone)
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.statusLabel.text.splitlines() == ["1 segmented.", "gone was removed while it was segmented."]
    assert results.findResult(kept, results.SEGMENTATION) is not None


def test_closing_the_scene_ends_the_segmentation_without_a_trace(panel, slicer_host, tiny_run: Path):
    node, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", node)
    panel.ui.applyButton.click()
    folder = panel.logic._job.folder
    slicer.mrmlScene.Clear(0)
    assert not panel.logic.running and panel.ui.applyButton.text == "Apply"
    slicer_host.wait_until(lambda: not folder.exists(), PATIENCE)
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == []


def test_results_follow_the_transform_and_lie_beside_their_volume(panel, slicer_host, tiny_run: Path):
    node, _ = add_phantom("CT")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    choose(panel, tiny_run / "model.safetensors", node)
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    for kind in (results.SEGMENTATION, results.FEATURE_MASK):
        result = results.findResult(node, kind)
        assert result.GetTransformNodeID() == transform.GetID()
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(result)) == folder


def test_slicer_that_quits_leaves_no_image_of_a_patient_behind(panel, slicer_host, tiny_run: Path):
    choose(panel, tiny_run / "model.safetensors", add_phantom("CT")[0])
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: panel.logic._job.running, PATIENCE)
    job = panel.logic._job
    assert list((job.folder / "images").iterdir())
    # as at the end of Slicer: no timer comes after it
    slicer_host.quit()
    assert not (job.folder / "images").exists()
    slicer_host.wait_until(lambda: not job.running, PATIENCE)
    assert not job.folder.exists()


def test_results_are_not_segmented_themselves(panel, tiny_run: Path):
    node, _ = add_phantom("CT")
    mask = results.showVolume(node, np.zeros(slicer.util.arrayFromVolume(node).shape), results.FEATURE_MASK)
    choose(panel, tiny_run / "model.safetensors", mask)
    assert panel.volumes() == [] and not panel.ui.applyButton.enabled
    choose(panel, tiny_run / "model.safetensors", node)
    assert panel.volumes() == [node] and panel.ui.applyButton.enabled


def test_a_labelmap_cannot_be_checked_and_a_result_is_said_to_be_left_out(panel, tiny_run: Path):
    node, labels = add_phantom("CT")
    labelmap = slicer.util.addVolumeFromArray(
        labels.astype(np.uint8), name="CT labels", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    mask = results.showVolume(node, np.zeros(labels.shape, np.float32), results.FEATURE_MASK)
    choose(panel, tiny_run / "model.safetensors", node, labelmap, mask)
    assert panel.volumes() == [node]
    assert labelmap not in panel.ui.volumesSelector.checkedNodes()
    assert "Left out, because results are not segmented: CT feature mask." in panel.ui.concernsLabel.text


def test_a_volume_of_another_plane_than_the_model_is_doubted_but_not_refused(panel, tiny_run: Path):
    node = slicer.util.addVolumeFromArray(np.full((40, 32, 8), -1000, np.int16), name="CT")
    node.SetSpacing(6, 1, 1)
    choose(panel, tiny_run / "model.safetensors", node)
    assert panel.ui.concernsLabel.text == "CT consists of sagittal slices; the model looks at axial ones."
    assert panel.ui.applyButton.enabled


def test_a_volume_of_another_kind_than_the_model_is_doubted_but_not_refused(panel, tiny_run: Path):
    node = slicer.util.addVolumeFromArray(np.full((4, 5, 6), 300, np.int16), name="MR")
    choose(panel, tiny_run / "model.safetensors", node)
    assert "MR has no values of a CT" in panel.ui.concernsLabel.text
    assert panel.ui.applyButton.enabled


def test_the_labelmap_has_the_label_values_of_the_model(panel, slicer_host, tiny_run: Path):
    node, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", node)
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    export(panel, slicer_host)
    labelmap = slicer.util.getNode("CT labels")
    exported = slicer.util.arrayFromVolume(labelmap)
    segmentation = results.findResult(node, results.SEGMENTATION)
    for index in range(4):
        identifier = segmentation.GetSegmentation().GetNthSegmentID(index)
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifier, node)
        assert np.array_equal(exported == index + 1, inside > 0)
