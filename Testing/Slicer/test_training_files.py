"""Cases of the scene become files that are right voxel by voxel, whatever the segmentation is like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentLib.volumes import read_volume
from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard, ModelCard
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.scene.labelchoice import SceneLabels
from GlobalLocalAlignmentSlicerLib.scene.volumefiles import VolumeFileError, ijkToRas
from GlobalLocalAlignmentSlicerLib.training.scenecases import finishCheck, startCheck
from GlobalLocalAlignmentSlicerLib.training.structures import StructureMapping
from GlobalLocalAlignmentSlicerLib.training.trainingcases import CaseTable, TrainingCase
from GlobalLocalAlignmentSlicerLib.training.trainingfiles import writeCases
from GlobalLocalAlignmentSlicerLib.training.trainingsettings import TrainingOptions, configuration

SHAPE = (4, 10, 12)
SPACING = (1.5, 2.0, 5.0)
CARD = ModelCard(Path("m"), (LabelCard(1, "liver", (1, 2, 3)),), "MR", "CT", "axial", 1.0, (32, 32), ())


def volume(name: str, step: int = 1, matrix: np.ndarray | None = None):
    """A volume with rising values; ``step`` times finer in plane."""
    if matrix is None:
        matrix = np.diag([*(SPACING[0] / step, SPACING[1] / step, SPACING[2]), 1.0])
        # the same corner, whatever the size of a voxel
        matrix[:2, 3] = -0.5 * np.array(SPACING[:2]) * (1 - 1 / step)
    shape = (SHAPE[0], SHAPE[1] * step, SHAPE[2] * step)
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    return slicer.util.addVolumeFromArray(array, slicer.util.vtkMatrixFromArray(matrix), name)


def segmentation(reference, **segments: np.ndarray):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{reference.GetName()} drawn")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    for name, inside in segments.items():
        identifier = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(inside.astype(np.uint8), node, identifier, reference)
    return node


def box(rows: slice, columns: slice, step: int = 1) -> np.ndarray:
    array = np.zeros((SHAPE[0], SHAPE[1] * step, SHAPE[2] * step), bool)
    array[1:3, rows, columns] = True
    return array


def checked(role: str, node, labels=None) -> TrainingCase:
    case = TrainingCase(role, node.GetName(), node.GetID(), labels.GetID() if labels is not None else "")
    read = startCheck(case)
    if read is not None:
        finishCheck(case, read())
    return case


def write(case: TrainingCase, mapping: StructureMapping, folder: Path) -> np.ndarray:
    """Label map (K, J, I) that is written for a case."""
    _, written = mapping.fileMapping()
    for _ in writeCases([case], mapping.values(), written, folder):
        pass
    return read_volume(folder / "source" / "labels" / "scene0000.nrrd").array.T


def mapping_of(*cases: TrainingCase) -> StructureMapping:
    mapping = StructureMapping()
    mapping.update(case.found for case in cases)
    return mapping


def test_where_segments_overlap_the_later_structure_has_the_voxel(tmp_path: Path):
    node = volume("MR")
    liver, tumour = box(slice(1, 8), slice(1, 8)), box(slice(3, 5), slice(3, 5))
    case = checked("source", node, segmentation(node, tumour=tumour, liver=liver))
    mapping = mapping_of(case)
    mapping.move(1, -1)
    assert np.array_equal(write(case, mapping, tmp_path), np.select([tumour, liver], [2, 1], 0))


def test_a_segmentation_of_a_finer_grid_is_resampled_to_its_volume(tmp_path: Path):
    node, fine = volume("MR"), volume("fine", step=2)
    case = checked("source", node, segmentation(fine, liver=box(slice(4, 12), slice(6, 16), step=2)))
    assert case.problem == ""
    assert np.array_equal(write(case, mapping_of(case), tmp_path), box(slice(2, 6), slice(3, 8)).astype(np.uint8))


def test_segments_that_are_hidden_are_learnt_and_empty_ones_are_not(tmp_path: Path):
    node = volume("MR")
    drawn = segmentation(node, liver=box(slice(1, 4), slice(1, 4)), nothing=np.zeros(SHAPE))
    drawn.GetDisplayNode().SetSegmentVisibility("liver", False)
    case = checked("source", node, drawn)
    assert [found.name for found in case.found] == ["liver"]
    assert case.doubts == ("empty: nothing",)
    assert write(case, mapping_of(case), tmp_path).any()


def test_a_segmentation_beside_the_volume_or_under_another_transform_is_refused():
    node = volume("MR")
    away = np.diag([*SPACING, 1.0])
    away[0, 3] = 500
    far = segmentation(volume("far", matrix=away), liver=box(slice(1, 4), slice(1, 4)))
    assert "lies outside the volume" in checked("source", node, far).problem
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved = segmentation(node, liver=box(slice(1, 4), slice(1, 4)))
    moved.SetAndObserveTransformNodeID(transform.GetID())
    assert "another transform" in checked("source", node, moved).problem
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert checked("source", node, moved).problem == ""


def test_volume_and_labels_lie_in_the_files_as_in_the_scene(tmp_path: Path):
    tilt = np.array([[0.0, 0.28, 0.96, 7], [-0.96, 0, 0, -3], [0.28, 0, 0, 5], [0, 0, 0, 1.0]])
    tilt[:3, :3] = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0] * SPACING
    node = volume("MR", matrix=tilt)
    case = checked("source", node, segmentation(node, liver=box(slice(1, 8), slice(2, 9))))
    labels = write(case, mapping_of(case), tmp_path)
    assert np.array_equal(labels, box(slice(1, 8), slice(2, 9)).astype(np.uint8))
    for folder in ("images", "labels"):
        assert np.allclose(read_volume(tmp_path / "source" / folder / "scene0000.nrrd").ijk_to_ras, ijkToRas(node))


def test_labels_are_found_by_their_reference_then_by_their_grid_and_never_among_results():
    node, other = volume("MR"), volume("other", step=2)
    inside = box(slice(1, 4), slice(1, 4))
    labelmap = slicer.util.addVolumeFromArray(
        inside.astype(np.uint8), slicer.util.vtkMatrixFromArray(ijkToRas(node)), "map", "vtkMRMLLabelMapVolumeNode"
    )
    drawn = segmentation(node, liver=inside)
    segmentation(other, liver=box(slice(1, 4), slice(1, 4), step=2))
    results.showSegmentation(node, inside.astype(np.uint8), CARD)
    assert SceneLabels().likely(node) == [drawn, labelmap]


def test_of_a_segmentation_that_holds_results_too_the_users_own_segments_are_learnt(tmp_path: Path):
    node = volume("MR")
    tumour, liver = box(slice(1, 4), slice(1, 4)), box(slice(2, 9), slice(2, 9))
    chosen = segmentation(node, tumour=tumour)
    results.showSegmentation(node, liver.astype(np.uint8), CARD, chosen)
    assert chosen.GetSegmentation().GetNumberOfSegments() == 2 and SceneLabels().likely(node) == [chosen]
    case = checked("source", node, chosen)
    assert [found.name for found in case.found] == ["tumour"]
    # another case brings the name of the result among what is learnt
    other = volume("other")
    mapping = mapping_of(case, checked("source", other, segmentation(other, liver=liver)))
    assert mapping.values() == {"tumour": 1, "liver": 2}
    assert np.array_equal(write(case, mapping, tmp_path), tumour.astype(np.uint8))


def test_a_segmentation_that_holds_results_alone_is_not_offered_as_labels():
    node = volume("MR")
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    results.showSegmentation(node, box(slice(1, 4), slice(1, 4)).astype(np.uint8), CARD, chosen)
    assert SceneLabels().likely(node) == []


def test_a_volume_that_is_removed_while_cases_are_written_is_named(tmp_path: Path):
    node = volume("MR")
    case = checked("source", node, segmentation(node, liver=box(slice(1, 4), slice(1, 4))))
    mapping = mapping_of(case)
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(VolumeFileError, match="MR was removed"):
        write(case, mapping, tmp_path)


def test_the_configuration_names_no_patient(tmp_path: Path):
    node = volume("Doe^Jane")
    table, case = CaseTable(), checked("source", node, segmentation(node, liver=box(slice(1, 4), slice(1, 4))))
    table.add(case)
    table.add(checked("target", volume("Doe^John")))
    settings = configuration(TrainingOptions("abdomen", tmp_path / "run"), table, mapping_of(case), tmp_path / "inputs")
    assert "Doe" not in str(settings)
    assert settings["source"]["images"] == [str(tmp_path / "inputs" / "source" / "images")]
    assert settings["labels"][0]["name"] == "liver" and "labelmaps" not in settings["target"]
