"""The panel of the training module: cases of the scene and of the disk, the training's process, the run it leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS, render_phantom

MODULE = Path(__file__).resolve().parents[2] / "GlobalLocalAlignmentTraining" / "GlobalLocalAlignmentTraining.py"
SEGMENTING = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment" / "GlobalLocalAlignment.py"
PATIENCE = 120_000


@pytest.fixture
def panel(slicer_host, tmp_path: Path):
    """The open panel of the module, with a folder for runs."""
    slicer_host.load_module(SEGMENTING)
    slicer_host.load_module(MODULE)
    panel = slicer_host.open_module("GlobalLocalAlignmentTraining")
    panel.ui.runsButton.directory = str(tmp_path)
    return panel


def add_phantom(name: str, modality: str, seed: int, labelled: bool):
    """A small phantom as a volume node, with a segmentation if it is labelled."""
    image, labels = render_phantom("abdomen", modality, seed, (40, 32, 8), (8, 8, 16), oblique=True)
    matrix = slicer.util.vtkMatrixFromArray(image.ijk_to_ras)
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(image.array.T), ijkToRAS=matrix, name=name)
    return node, (add_segmentation(node, labels.array.T, PHANTOM_LABELS["abdomen"]) if labelled else None)


def add_segmentation(node, labels: np.ndarray, names: dict[int, str]):
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{node.GetName()} drawn")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    for value, name in names.items():
        identifier = segmentation.GetSegmentation().AddEmptySegment("", name)
        slicer.util.updateSegmentBinaryLabelmapFromArray((labels == value).astype(np.uint8), segmentation, identifier, node)
    return segmentation


def add(panel, role: str, *nodes) -> None:
    panel.ui.roleComboBox.setCurrentIndex(panel.ui.roleComboBox.findData(role))
    for node in nodes:
        panel.ui.volumesSelector.setCheckState(node, 2)
    panel.ui.addVolumesButton.click()
    panel.logic.finishLooking()


def test_grab(panel, slicer_host, tmp_path):
    sources = [add_phantom(f"MR {n}", "MR", n, True)[0] for n in (1, 2)]
    targets = [add_phantom(f"CT {n}", "CT", n, False)[0] for n in (3, 4)]
    add(panel, "source", *sources)
    add(panel, "target", *targets)
    print([(c.name, c.problem, c.found, c.doubts) for c in panel.logic.cases.cases])
    print(panel.ui.startButton.toolTip)
    slicer_host.grab(panel.parent, Path("/tmp/panel.png"), 480)
