"""Volumes leave the scene and results enter it voxel by voxel, however the volume lies in space."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentLib.config import configuration, load_preset
from GlobalLocalAlignmentLib.formats.segmentationfile import write_segmentation
from GlobalLocalAlignmentLib.knownstructures import KNOWN_STRUCTURES
from GlobalLocalAlignmentLib.volumes import Volume, read_volume
from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard, ModelCard
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.scene.sliceplanes import slicePlane
from GlobalLocalAlignmentSlicerLib.scene.terms import describeTerm, foundTerm
from GlobalLocalAlignmentSlicerLib.scene.volumefiles import (
    VolumeFileError,
    ijkToRas,
    readArray,
    refuseOtherGrid,
    writeVolume,
)
from SlicerHost.host import GENUINE_TERMINOLOGIES

SHAPE = (5, 6, 7)
TILT = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
DIRECTIONS = {
    "axial": np.diag([-1.0, -1.0, 1.0]),
    "oblique": TILT @ np.diag([-1.0, -1.0, 1.0]),
    "left-handed": np.diag([1.0, -1.0, 1.0]),
    "sagittal": np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}
LIVER = configuration(load_preset("abdomen")).labels[0].terminology
CARD = ModelCard(
    Path("model"),
    (LabelCard(3, "liver", (221, 130, 101), LIVER), LabelCard(1, "spleen", (111, 163, 196), "")),
    "MR",
    "CT",
    "axial",
    1.0,
    (32, 32),
    (),
)


def volume(directions: np.ndarray, name: str = "CT"):
    """Random values on a grid of 0.8 x 0.9 x 4 mm that lies off the origin."""
    matrix = np.eye(4)
    matrix[:3, :3] = directions * (0.8, 0.9, 4.0)
    matrix[:3, 3] = (12.5, -40.25, 301.0)
    values = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    return slicer.util.addVolumeFromArray(values, ijkToRAS=slicer.util.vtkMatrixFromArray(matrix), name=name)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_volume_is_written_as_it_lies_in_the_scene(name: str, tmp_path: Path):
    node = volume(DIRECTIONS[name])
    writeVolume(node, tmp_path / "case0000.nrrd")
    written = read_volume(tmp_path / "case0000.nrrd")
    assert np.array_equal(written.array.T, slicer.util.arrayFromVolume(node))
    assert np.allclose(written.ijk_to_ras, ijkToRas(node), atol=1e-6)
    assert node.GetStorageNode() is None


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_label_map_becomes_segments_voxel_by_voxel(name: str):
    node = volume(DIRECTIONS[name])
    labels = np.random.default_rng(1).choice(np.array([0, 1, 3], np.uint8), SHAPE)
    segmentation = results.showSegmentation(node, labels, CARD)
    for index, label in enumerate(CARD.labels):
        segment = segmentation.GetSegmentation().GetNthSegment(index)
        assert segment.GetName() == label.name
        assert np.allclose(np.multiply(segment.GetColor(), 255), label.color)
        assert foundTerm(segment.GetTerminology() or "") == label.terminology
        identifier = segmentation.GetSegmentation().GetNthSegmentID(index)
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifier, node)
        assert np.array_equal(inside > 0, labels == label.value)


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("abdomen", ["Liver", "Kidney, Right", "Kidney, Left", "Spleen"]),
        ("cardiac", ["Muscle, Left Ventricle", "Left atrium", "Left ventricle", "Ascending aorta"]),
    ],
)
def test_slicer_reads_the_terms_of_the_presets(preset: str, names: list[str]):
    logic, entry = slicer.modules.terminologies.logic(), slicer.vtkSlicerTerminologyEntry()
    labels = configuration(load_preset(preset)).labels
    assert [describeTerm(label.terminology) for label in labels] == names
    for label in labels:
        assert logic.DeserializeTerminologyEntry(label.terminology, entry)
        assert logic.SerializeTerminologyEntry(entry) == label.terminology


def test_the_codes_of_the_known_structures_are_in_slicers_lists(slicer_host):
    if not slicer_host.genuine:
        pytest.skip("needs Slicer's own lists: SLICER_SOURCE_DIR")
    known = known_codes(slicer_host.sources / GENUINE_TERMINOLOGIES)
    for structure in (one for structures in KNOWN_STRUCTURES.values() for one in structures):
        types, *codes, regions, region, region_modifier = structure.terminology.split("~")
        assert (types, *codes) in known, structure
        assert region == "^^" or (regions, region) in known, structure
        assert region_modifier == "^^"


def known_codes(folder: Path) -> set[tuple[str, ...]]:
    """What Slicer's lists hold: (list, category, type, modifier) and (list, region)."""
    found = set()
    for file in folder.glob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        for category in content.get("SegmentationCodes", {}).get("Category", []):
            name = content["SegmentationCategoryTypeContextName"]
            for kind in category["Type"]:
                modifiers = ["^^", *map(code_of, kind.get("Modifier", []))]
                found |= {(name, code_of(category), code_of(kind), modifier) for modifier in modifiers}
        for region in content.get("AnatomicCodes", {}).get("AnatomicRegion", []):
            found.add((content["AnatomicContextName"], code_of(region)))
    return found


def code_of(entry: dict[str, str]) -> str:
    return "^".join(entry[key] for key in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))


def test_a_segmentation_file_of_the_core_opens_as_the_segmentation_that_it_was(tmp_path: Path):
    node = volume(DIRECTIONS["oblique"])
    labels = np.random.default_rng(1).choice(np.array([0, 1, 3], np.uint8), SHAPE)
    cards = (*CARD.labels, LabelCard(9, "größte \\ Stelle", (1, 2, 3), "Mine~99X^1^Größe~99X^2^a: b~^^~~^^~^^"))
    write_segmentation(Volume(labels.T, ijkToRas(node)), cards, tmp_path / "x.seg.nrrd")
    loaded = slicer.util.loadSegmentation(str(tmp_path / "x.seg.nrrd"))
    loaded.SetReferenceImageGeometryParameterFromVolumeNode(node)
    segmentation = loaded.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 3
    for index, label in enumerate(cards):
        segment = segmentation.GetNthSegment(index)
        assert (segment.GetName(), segment.GetLabelValue()) == (label.name, label.value)
        assert foundTerm(segment.GetTerminology() or "") == label.terminology
        assert np.round(np.multiply(segment.GetColor(), 255)).tolist() == list(label.color)
        inside = slicer.util.arrayFromSegmentBinaryLabelmap(loaded, segmentation.GetNthSegmentID(index), node)
        assert np.array_equal(inside > 0, labels == label.value)


def test_a_structure_that_was_not_found_is_an_empty_segment_and_the_others_are_their_own():
    node = volume(DIRECTIONS["axial"])
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 3, 4] = 1
    segmentation = results.showSegmentation(node, labels, CARD)
    counts = [
        int((slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, identifier, node) > 0).sum())
        for identifier in segmentation.GetSegmentation().GetSegmentIDs()
    ]
    assert counts == [0, 1]


def test_segments_of_the_user_stay_in_a_segmentation_that_was_chosen():
    node = volume(DIRECTIONS["axial"])
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    chosen.GetSegmentation().AddEmptySegment("lesion", "lesion")
    for _ in range(2):
        results.showSegmentation(node, np.ones(SHAPE, np.uint8), CARD, chosen)
    names = [chosen.GetSegmentation().GetNthSegment(index).GetName() for index in range(3)]
    assert sorted(names) == ["lesion", "liver", "spleen"]
    assert chosen.GetSegmentation().GetNumberOfSegments() == 3
    assert results.findResult(node, results.SEGMENTATION) is None


def test_the_mask_has_a_fixed_window_and_rising_colours():
    node = volume(DIRECTIONS["oblique"])
    mask = results.showVolume(node, np.full(SHAPE, 0.5, np.float32), results.FEATURE_MASK)
    display = mask.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
    table = display.GetColorNode().GetLookupTable()
    weights = (0.2126, 0.7152, 0.0722)
    brightness = [np.dot(table.GetTableValue(index)[:3], weights) for index in range(0, 256, 32)]
    assert brightness == sorted(brightness)
    again = results.showVolume(node, np.zeros(SHAPE, np.float32), results.FEATURE_MASK)
    assert again.GetID() == mask.GetID()


def test_a_style_transferred_volume_is_shown_between_its_own_darkest_and_brightest_values():
    node, array = volume(DIRECTIONS["oblique"]), np.zeros((40, 40, 40), np.float32)
    array[:, :, 20:] = 80
    shown = results.showVolume(node, array - 30, results.SYNTHESIZED).GetDisplayNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == (-30, 50)
    results.showVolume(node, array * 2, results.SYNTHESIZED)
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == (0, 160)
    results.showVolume(node, np.zeros(SHAPE, np.float32), results.SYNTHESIZED)
    assert shown.GetWindowLevelMin() < shown.GetWindowLevelMax()


def test_volumes_that_cannot_be_handed_on_are_named(tmp_path: Path):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    sheared = volume(np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "sheared")
    for node, words in ((empty, "empty holds no image"), (sheared, "sheared has a sheared grid")):
        with pytest.raises(VolumeFileError, match=words):
            writeVolume(node, tmp_path / "x.nrrd")
    node = volume(DIRECTIONS["axial"])
    with pytest.raises(VolumeFileError, match="CT was changed"):
        refuseOtherGrid(np.zeros((2, 3, 4), np.uint8), node)
    with pytest.raises(VolumeFileError, match="missing.nrrd cannot be read"):
        readArray(tmp_path / "missing.nrrd")


def test_one_of_the_grids_is_left_handed():
    assert [name for name, directions in DIRECTIONS.items() if np.linalg.det(directions) < 0] == ["left-handed"]


def test_the_plane_of_a_volume_is_that_of_its_thick_axis():
    planes = {name: slicePlane(ijkToRas(volume(directions))) for name, directions in DIRECTIONS.items()}
    assert planes == {"axial": "axial", "oblique": "axial", "left-handed": "axial", "sagittal": "sagittal"}
    assert slicePlane(np.diag([1.0, 1.0, 1.2, 1.0])) == ""
