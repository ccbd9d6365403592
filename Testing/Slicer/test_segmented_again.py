"""A volume that is segmented a second time: results of the first time go or keep what the user made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import PATIENCE, add_phantom, choose, export

STRUCTURES = PHANTOM_LABELS["abdomen"].values()


def apply(panel, slicer_host) -> None:
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.statusLabel.text == "1 segmented.", panel.ui.logText.toPlainText()


def kinds_of(node) -> set[str]:
    """Kinds of the volumes that were made from a volume."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    ours = [one for one in nodes if one.GetNodeReferenceID(results.INPUT_ROLE) == node.GetID()]
    return {one.GetAttribute(results.KIND_ATTRIBUTE) for one in ours}


def test_what_is_not_asked_for_again_goes_and_the_rest_of_the_scene_stays(panel, slicer_host, tiny_run: Path):
    node, _ = add_phantom("CT")
    other, labels = add_phantom("other", 3)
    results.showVolume(other, np.zeros(labels.shape, np.float32), results.FEATURE_MASK)
    choose(panel, tiny_run / "model.safetensors", node)
    panel.ui.probabilitiesCheckBox.click()
    apply(panel, slicer_host)
    probabilities = {results.probabilityKind(name) for name in ("background", *STRUCTURES)}
    assert kinds_of(node) == {results.FEATURE_MASK, *probabilities}
    shares = [slicer.util.arrayFromVolume(results.findResult(node, kind)) for kind in probabilities]
    assert all(share.min() >= 0 and share.max() <= 1 and np.ptp(share) > 0 for share in shares)
    assert np.allclose(np.sum(shares, axis=0), 1, atol=0.01)
    mine = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16), name="CT feature mask")
    panel.ui.probabilitiesCheckBox.click()
    panel.ui.featureMaskCheckBox.click()
    panel.ui.synthesizedCheckBox.click()
    apply(panel, slicer_host)
    assert kinds_of(node) == {results.SYNTHESIZED}
    # the old mask does not lie over the new segmentation
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {view.GetForegroundVolumeID() for view in views} == {None}
    assert not panel.ui.showMaskCheckBox.enabled
    assert mine.GetScene() is not None and kinds_of(other) == {results.FEATURE_MASK}


def test_window_and_colours_that_the_user_gave_a_result_stay():
    node, labels = add_phantom("CT")
    mask, style = np.full(labels.shape, 0.5, np.float32), np.arange(labels.size, dtype=np.float32).reshape(labels.shape)
    grey = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "mine")
    grey.SetTypeToGrey()
    for kind, array in ((results.FEATURE_MASK, mask), (results.SYNTHESIZED, style)):
        display = results.showVolume(node, array, kind).GetDisplayNode()
        display.SetWindowLevelMinMax(0.25, 0.75)
        display.SetAndObserveColorNodeID(grey.GetID())
        again = results.showVolume(node, array + 1, kind)
        assert again.GetDisplayNode().GetColorNode() is grey
        assert (again.GetDisplayNode().GetWindowLevelMin(), again.GetDisplayNode().GetWindowLevelMax()) == (0.25, 0.75)
        assert np.array_equal(slicer.util.arrayFromVolume(again), array + 1)


def test_a_labelmap_lies_beside_its_volume_and_names_its_values(panel, slicer_host):
    from test_slice_layers import _card

    node, labels = add_phantom("CT")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    segmentation = results.showSegmentation(node, labels.astype(np.uint8), _card())
    segmentation.GetSegmentation().GetNthSegment(2).SetName("tumour")
    segmentation.GetSegmentation().GetNthSegment(2).SetColor(0.25, 0.5, 0.75)
    panel._parameterNode.shownVolume = node
    export(panel, slicer_host)
    export(panel, slicer_host)
    first, second = slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode")
    colors = first.GetDisplayNode().GetColorNode()
    names = [colors.GetColorName(value) for value in range(colors.GetNumberOfColors())]
    assert names == ["background", "structure 1", "structure 2", "tumour", "structure 4"]
    parts = [0.0] * 4
    colors.GetColor(3, parts)
    assert np.allclose(parts, (0.25, 0.5, 0.75, 1), atol=0.01)
    assert second.GetDisplayNode().GetColorNode() is not colors
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(first)) == folder


def test_a_labelmap_whose_volume_goes_while_it_is_made_is_told_and_not_made(panel, slicer_host):
    from test_slice_layers import _card

    node, labels = add_phantom("CT")
    segmentation = results.showSegmentation(node, labels.astype(np.uint8), _card())
    panel._parameterNode.shownVolume = node
    panel.ui.exportButton.click()
    slicer.mrmlScene.RemoveNode(segmentation)
    slicer_host.wait_until(lambda: not panel._results.exporting, PATIENCE)
    assert panel.ui.statusLabel.text == "CT segmentation was removed from the scene"
    assert slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode") == []


def test_a_scene_that_is_closed_while_a_labelmap_is_made_ends_it(panel, slicer_host):
    from test_slice_layers import _card

    node, labels = add_phantom("CT")
    results.showSegmentation(node, labels.astype(np.uint8), _card())
    panel._parameterNode.shownVolume = node
    panel.ui.exportButton.click()
    slicer.mrmlScene.Clear(0)
    slicer_host.process_events(50)
    assert slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode") == []


def test_a_labelmap_of_some_values_names_no_others():
    from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard, ModelCard
    from GlobalLocalAlignmentSlicerLib.training.scenecases import labelmapValue

    node, _ = add_phantom("CT")
    card = ModelCard(Path("m"), (LabelCard(3, "liver", (1, 2, 3)),), "MR", "CT", "axial", 1.0, (32, 32), ())
    labels = np.full(slicer.util.arrayFromVolume(node).shape, 3, np.uint8)
    segmentation = results.showSegmentation(node, labels, card)
    list(results.exportLabelmap(node, segmentation))
    labelmap = slicer.util.getNode("CT labels")
    # as a case of a training it says what it shows
    assert labelmapValue(labelmap, 3).name == "liver"
    assert labelmapValue(labelmap, 2).name == ""
