"""What the segmenting module does to the slice views, and what it leaves as the user made it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import PATIENCE, add_phantom, choose


def with_mask(name: str, seed: int = 7):
    """A volume and its mask in the scene."""
    node, labels = add_phantom(name, seed)
    return node, results.showVolume(node, np.zeros(labels.shape, np.float32), results.FEATURE_MASK)


def layers() -> list[tuple]:
    """Background, foreground and opacity of the slice views."""
    return [
        (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID(), round(view.GetForegroundOpacity(), 3))
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    ]


@pytest.fixture
def two(panel):
    """Two volumes with masks, the first chosen in the results."""
    first, second = with_mask("first", 1), with_mask("second", 2)
    panel._parameterNode.shownVolume = first[0]
    return first, second


def test_a_volume_chosen_in_the_results_is_shown_under_its_mask(panel, two):
    (first, mask), (second, other) = two
    assert set(layers()) == {(first.GetID(), mask.GetID(), 0.5)}
    panel.ui.shownVolumeSelector.setCurrentNode(second)
    assert set(layers()) == {(second.GetID(), other.GetID(), 0.5)}


def test_a_volume_without_a_mask_leaves_the_users_foreground(panel, two):
    (first, mask), (second, other) = two
    plain, labels = add_phantom("plain")
    slicer.util.setSliceViewerLayers(foreground=second)
    results.showSegmentation(plain, labels.astype(np.uint8), _card())
    panel._parameterNode.shownVolume = plain
    assert set(layers()) == {(plain.GetID(), second.GetID(), 0.5)}
    panel._parameterNode.shownVolume = first
    panel._parameterNode.shownVolume = plain
    # the mask of another volume does not stay
    assert set(layers()) == {(plain.GetID(), None, 0.5)}


def test_of_the_results_those_of_the_volume_are_shown_alone(panel):
    (first, labels), (second, others) = add_phantom("first", 1), add_phantom("second", 2)
    mine, other = (
        results.showSegmentation(node, array.astype(np.uint8), _card())
        for node, array in ((first, labels), (second, others))
    )
    truth = results.showReference(second, others.astype(np.uint8), _card())
    for volume, expected in ((first, [True, False, True]), (second, [False, True, True])):
        panel.ui.shownVolumeSelector.setCurrentNode(volume)
        assert [bool(node.GetDisplayNode().GetVisibility()) for node in (mine, other, truth)] == expected


def _card():
    from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard, ModelCard

    labels = tuple(LabelCard(value, f"structure {value}", (255, 0, 0)) for value in range(1, 5))
    return ModelCard(Path("m"), labels, "MR", "CT", "axial", 1.0, (32, 32), ())


def test_entering_the_module_leaves_the_views_alone(panel, slicer_host, two):
    (first, mask), (second, other) = two
    slicer_host.open_module("GlobalLocalAlignment")
    slicer.util.setSliceViewerLayers(background=second, foreground=first, foregroundOpacity=0.25)
    panel.exit()
    panel.enter()
    assert set(layers()) == {(second.GetID(), first.GetID(), 0.25)}


def test_the_masks_opacity_changes_only_where_the_volume_is_looked_at(panel, two):
    (first, mask), (second, other) = two
    red, *others = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    for view in others:
        view.SetBackgroundVolumeID(second.GetID())
        view.SetForegroundVolumeID(None)
    panel.ui.maskOpacitySlider.value = 0.8
    assert layers() == [
        (first.GetID(), mask.GetID(), 0.8),
        *[(second.GetID(), None, 0.5) for _ in others],
    ]


def test_a_foreground_of_the_users_own_gives_way_to_the_mask_only_when_the_mask_is_switched_on(panel, two):
    (first, mask), (second, other) = two
    slicer.util.setSliceViewerLayers(foreground=second, foregroundOpacity=0.25)
    panel.ui.maskOpacitySlider.value = 0.8
    panel.ui.showMaskCheckBox.checked = False
    assert set(layers()) == {(first.GetID(), second.GetID(), 0.25)}
    panel.ui.showMaskCheckBox.checked = True
    assert set(layers()) == {(first.GetID(), mask.GetID(), 0.8)}
    panel.ui.showMaskCheckBox.checked = False
    assert set(layers()) == {(first.GetID(), mask.GetID(), 0.0)}


def test_a_scene_that_is_read_keeps_its_own_views(panel, two, tmp_path: Path):
    (first, mask), (second, other) = two
    slicer.util.setSliceViewerLayers(background=second, foreground=first, foregroundOpacity=0.25)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert shown_names() == {("second", "first", 0.25)}
    assert panel._parameterNode.shownVolume.GetName() == "first" and panel.ui.showMaskCheckBox.enabled
    panel.ui.maskOpacitySlider.value = 0.9
    assert shown_names() == {("second", "first", 0.25)}


def test_a_scene_of_a_version_without_a_parameter_is_read_over_the_one_that_is_open(panel, two, tmp_path: Path):
    node = panel._parameterNode.parameterNode
    panel.setParameterNode(None)
    for name in ("maskOpacity", "shownVolume"):
        node.UnsetParameter(name)
    slicer.util.saveScene(str(tmp_path / "earlier.mrml"))
    panel.initializeParameterNode()
    panel.ui.maskOpacitySlider.value = 0.9
    slicer.util.loadScene(str(tmp_path / "earlier.mrml"))
    assert panel._parameterNode is not None and panel.ui.maskOpacitySlider.value == panel._parameterNode.maskOpacity
    panel.ui.maskOpacitySlider.value = 0.4
    assert panel._parameterNode.maskOpacity == 0.4


def shown_names() -> set[tuple]:
    """Names of background and foreground, and opacity, of the slice views."""
    return {(*(slicer.mrmlScene.GetNodeByID(node).GetName() for node in view[:2]), view[2]) for view in layers()}


def test_a_finished_segmentation_is_shown_but_not_over_another_module(panel, slicer_host, tiny_run: Path):
    node, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", node)
    for here in (False, True, True):
        before = layers()
        panel.ui.applyButton.click()
        if not here:
            panel.exit()
        slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
        if here:
            assert set(layers()) == {(node.GetID(), results.findResult(node, results.FEATURE_MASK).GetID(), 0.5)}
        else:
            assert layers() == before
            panel.enter()
            assert panel._parameterNode.shownVolume is node and layers() == before
        # looked away, and segmented once more
        slicer.util.setSliceViewerLayers(background=None, foreground=None)
