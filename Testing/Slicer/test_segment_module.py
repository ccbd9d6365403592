"""The panel of the segmenting module: from nodes in the scene through the core's process to nodes in the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentSlicerLib import results

MODULE = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment" / "GlobalLocalAlignment.py"
PATIENCE = 120_000


@pytest.fixture
def panel(slicer_host):
    """The open panel of the module."""
    slicer_host.load_module(MODULE)
    return slicer_host.open_module("GlobalLocalAlignment")


def add_phantom(name: str, seed: int = 7):
    """A small CT phantom as a node, oblique in space; the node and its label map (K, J, I)."""
    image, labels = render_phantom("abdomen", "CT", seed, (40, 32, 8), (8, 8, 16), oblique=True)
    node = slicer.util.addVolumeFromArray(
        np.ascontiguousarray(image.array.T), ijkToRAS=slicer.util.vtkMatrixFromArray(image.ijk_to_ras), name=name
    )
    return node, labels.array.T


def choose(panel, model: Path, *nodes) -> None:
    for node in nodes:
        panel.ui.volumesSelector.setCheckState(node, 2)
    panel.ui.modelPathEdit.currentPath = str(model)


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
