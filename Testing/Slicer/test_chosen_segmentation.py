"""Results in a segmentation of the user's: what was in it stays as it was, the results are exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard, ModelCard
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import PATIENCE, add_phantom, choose, export

NAMES = ("liver", "right kidney", "left kidney", "spleen")
GEOMETRY = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
CARD = ModelCard(
    Path("m"),
    tuple(LabelCard(value, name, (255, 10 * value, 0)) for value, name in enumerate(NAMES, start=1)),
    "MR",
    "CT",
    "axial",
    1.0,
    (32, 32),
    (),
)


@pytest.fixture
def users(slicer_host):
    """A segmentation on a grid of its own, turned and finer than the phantom, with two segments in one layer."""
    matrix = np.array([[0, 1.5, 0, -40], [-1.5, 0, 0, 30], [0, 0, 2.5, -20], [0, 0, 0, 1.0]])
    volume = slicer.util.addVolumeFromArray(
        np.zeros((12, 20, 24), np.int16), ijkToRAS=slicer.util.vtkMatrixFromArray(matrix), name="MR"
    )
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, part in (("tumour", np.s_[2:9, 3:11, 4:15]), ("bone", np.s_[3:5, 12:19, 16:22])):
        voxels = np.zeros((12, 20, 24), np.uint8)
        voxels[part] = 1
        node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, name, volume)
    return node, volume


def own(node) -> dict:
    """Voxels, extent and matrix of each segment of the user's."""
    found = {}
    for name in ("tumour", "bone"):
        labelmap = node.GetBinaryLabelmapInternalRepresentation(name)
        matrix = vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(matrix)
        value = node.GetSegmentation().GetSegment(name).GetLabelValue()
        inside = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, name) == value
        places = np.argwhere(inside)[:, ::-1] + labelmap.GetExtent()[::2]
        found[name] = (places.tolist(), slicer.util.arrayFromVTKMatrix(matrix).tolist())
    return found


def refuse_other(node, volume, labels) -> None:
    for value, name in enumerate(NAMES, start=1):
        identifier = node.GetSegmentation().GetSegmentIdBySegmentName(name)
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, volume)
        assert np.array_equal(inside > 0, labels == value), name


def transform(matrix, name: str = "moved"):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(matrix, float)))
    return node


MOVED = [[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1]]


def test_segments_of_the_users_keep_their_voxels_and_their_grid(users):
    node, volume = users
    before, geometry = own(node), node.GetSegmentation().GetConversionParameter(GEOMETRY)
    ct, labels = add_phantom("CT")
    for _ in range(2):
        assert results.showSegmentation(ct, labels.astype(np.uint8), CARD, node) is node
        assert own(node) == before
        assert node.GetSegmentation().GetConversionParameter(GEOMETRY) == geometry
        assert [node.GetSegmentation().GetNthSegment(place).GetName() for place in range(6)] == [
            "tumour",
            "bone",
            *NAMES,
        ]
        refuse_other(node, ct, labels)


def test_nothing_of_the_users_moves_with_the_transform_of_the_volume(users):
    node, volume = users
    before = own(node)
    ct, labels = add_phantom("CT")
    ct.SetAndObserveTransformNodeID(transform(MOVED).GetID())
    for _ in range(2):
        results.showSegmentation(ct, labels.astype(np.uint8), CARD, node)
        assert node.GetTransformNodeID() is None and own(node) == before
        # on the grid of the volume where it is in the world, by hand: Slicer's own function would resample
        for name in NAMES:
            labelmap = node.GetBinaryLabelmapInternalRepresentation(
                node.GetSegmentation().GetSegmentIdBySegmentName(name)
            )
            matrix = vtk.vtkMatrix4x4()
            labelmap.GetImageToWorldMatrix(matrix)
            expected = np.array(MOVED, float) @ _matrix(ct)
            assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), expected)
    # Slicer keeps the box alone that holds them
    first, last = np.reshape(labelmap.GetExtent(), (3, 2))[::-1].T
    box = tuple(slice(start, end + 1) for start, end in zip(first, last, strict=True))
    assert np.array_equal(slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "liver"), labels[box])
    assert np.count_nonzero(labels) == np.count_nonzero(labels[box])


def _matrix(volume) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_results_of_a_moved_volume_are_exact_the_second_time_too(slicer_host):
    ct, labels = add_phantom("CT")
    ct.SetAndObserveTransformNodeID(transform(MOVED).GetID())
    for _ in range(2):
        node = results.showSegmentation(ct, labels.astype(np.uint8), CARD)
        assert node.GetTransformNodeID() == ct.GetTransformNodeID()
        refuse_other(node, ct, labels)


def test_what_cannot_hold_the_results_is_said_before_apply(panel, users, tiny_run: Path):
    node, volume = users
    ct, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", ct)
    panel._parameterNode.segmentation = node
    assert panel.ui.applyButton.enabled
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    spline = vtk.vtkBSplineTransform()
    bent.SetAndObserveTransformToParent(spline)
    node.SetAndObserveTransformNodeID(bent.GetID())
    panel.updateApply()
    assert "transforms that do not go together" in panel.ui.applyButton.toolTip and not panel.ui.applyButton.enabled
    node.SetAndObserveTransformNodeID(None)
    node.CreateClosedSurfaceRepresentation()
    surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    node.GetSegmentation().SetSourceRepresentationName(surface)
    panel.updateApply()
    assert panel.ui.applyButton.toolTip == "mine consists of surfaces: choose another segmentation."


def test_results_in_a_chosen_segmentation_can_be_exported(panel, slicer_host, users, tiny_run: Path):
    node, volume = users
    ct, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", ct)
    panel._parameterNode.segmentation = node
    node.CreateClosedSurfaceRepresentation()
    panel._parameterNode.surfaces = False
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.statusLabel.text == "1 segmented.", panel.ui.logText.toPlainText()
    # what was in 3D is there again, the user's own segments too
    slicer_host.wait_until(lambda: not panel.logic.surfaces.running, PATIENCE)
    assert node.GetClosedSurfaceInternalRepresentation("tumour").GetNumberOfPoints() > 0
    assert panel.ui.show3DButton.checked
    assert panel.ui.exportButton.enabled and panel.ui.show3DButton.enabled
    export(panel, slicer_host)
    exported = slicer.util.arrayFromVolume(slicer.util.getNode("CT labels"))
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(node, node.GetSegmentation().GetNthSegmentID(2), ct)
    assert np.array_equal(exported == 1, inside > 0)
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
