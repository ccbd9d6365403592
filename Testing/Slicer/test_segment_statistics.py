"""The comparison with ground truth in Segment Statistics: Slicer's own module, or a stricter stand-in for it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentSlicerLib.comparing.segmentpairs import pairOf
from GlobalLocalAlignmentSlicerLib.comparing.segmentstatistics import registerComparison
from scipy import ndimage
from segmentpanel import MODULE
from SegmentStatistics import SegmentStatisticsLogic

PLUGIN = "GroundTruthComparisonSegmentStatisticsPlugin"
ROLE = f"{PLUGIN}.Reference"
AXIAL = np.array([[-0.7, 0, 0, 40], [0, -1.3, 0, 20], [0, 0, 4, -30], [0, 0, 0, 1.0]])
OBLIQUE = np.array([[0.8, 0.0, 0.9, -20.0], [0.0, 1.3, 0.0, 5.0], [-0.6, 0.0, 1.2, 30.0], [0.0, 0.0, 0.0, 1.0]])
SAGITTAL = np.array([[0, 0, 1.1, -20], [-0.9, 0, 0, 40], [0, -0.9, 0, 60], [0, 0, 0, 1.0]])
TEXTS = {"reference_segment", "comparison_note"}
NAMES = {1: "liver", 2: "spleen"}
LIVER = "Anatomy~SCT^123037004^Body structure~SCT^10200004^Liver~^^~~^^~^^"
LIVER_IN_OTHER_WORDS = "Mine~SCT^1^Organ~SCT^10200004^Foie~^^~Regions~^^~^^"
SPLEEN = "Anatomy~SCT^123037004^Body structure~SCT^78961009^Spleen~^^~~^^~^^"


@pytest.fixture(autouse=True)
def registered(slicer_host):
    """The plugin is registered, and no other test sees it."""
    before = list(SegmentStatisticsLogic.registeredPlugins)
    assert registerComparison()
    yield
    SegmentStatisticsLogic.registeredPlugins[:] = before


def blobs(seed: int, shape: tuple[int, int, int] = (11, 13, 14)) -> np.ndarray:
    """Labels (K, J, I) of two structures."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.digitize(noise, np.quantile(noise, [0.6 + 0.03 * seed, 0.9 - 0.02 * seed])).astype(np.uint8)


def labelmap(labels: np.ndarray, grid: np.ndarray):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.util.updateVolumeFromArray(node, labels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(grid))
    return node


def segmentation(labels: np.ndarray, grid: np.ndarray = AXIAL, names: dict[int, str] = NAMES):
    """A segmentation of the labels; a value that no voxel has becomes an empty segment."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    volume = labelmap(labels, grid)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(volume, node)
    slicer.mrmlScene.RemoveNode(volume)
    segments = node.GetSegmentation()
    present = [value for value in names if (labels == value).any()]
    for value, identifier in zip(present, list(segments.GetSegmentIDs()), strict=True):
        segments.GetSegment(identifier).SetName(names[value])
    for value in set(names) - set(present):
        segments.AddEmptySegment("", names[value])
    return node


def statistics(node, reference=None, **enabled: bool) -> SegmentStatisticsLogic:
    """A logic of Segment Statistics that has measured the comparison, and nothing else."""
    logic = SegmentStatisticsLogic()
    parameters = logic.getParameterNode()
    for plugin in logic.plugins:
        parameters.SetParameter(f"{type(plugin).__name__}.enabled", str(type(plugin).__name__ == PLUGIN))
    for key, on in enabled.items():
        parameters.SetParameter(f"{PLUGIN}.{key}.enabled", str(on))
    parameters.SetParameter("Segmentation", node.GetID())
    parameters.SetNodeReferenceID(ROLE, reference.GetID() if reference is not None else None)
    logic.computeStatistics()
    return logic


def scores(node, reference, **enabled: bool) -> dict[str, dict[str, object]]:
    """Measurements by the name of the segment and the key of the plugin."""
    found, values = statistics(node, reference, **enabled).getStatistics(), {}
    for identifier in found["SegmentIDs"]:
        values[found[identifier, "Segment"]] = {
            pair[1].removeprefix(f"{PLUGIN}."): value
            for pair, value in found.items()
            if isinstance(pair, tuple) and pair[0] == identifier and pair[1].startswith(PLUGIN)
        }
    return values


def evaluated(
    folder: Path, compared: np.ndarray, reference: np.ndarray, grid: np.ndarray, suffix: str = ".nrrd"
) -> list[dict[str, str]]:
    """Rows of the CSV of `gla evaluate` for label maps that Slicer wrote."""
    for name, labels in (("predictions", compared), ("references", reference)):
        (folder / name).mkdir()
        assert slicer.util.saveNode(labelmap(labels, grid), str(folder / name / f"case_1{suffix}"))
    words = ["evaluate", "--predictions", folder / "predictions", "--references", folder / "references"]
    assert run([*map(str, words), "--output", str(folder / "scores.csv")]) == 0
    with open(folder / "scores.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    ("grid", "voxel"),
    [(AXIAL, 0.7 * 1.3 * 4), (SAGITTAL, 0.9 * 0.9 * 1.1), (OBLIQUE, 1 * 1.3 * 1.5)],
    ids=["axial", "sagittal", "oblique"],
)
@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz"])
def test_every_number_is_that_of_gla_evaluate_to_the_last_digit(tmp_path, grid, voxel: float, suffix: str):
    compared, reference = blobs(1), blobs(2)
    rows = evaluated(tmp_path, compared, reference, grid, suffix)
    found = scores(segmentation(compared, grid), segmentation(reference, grid), assd_voxel=True, pooled_asd_voxel=True)
    assert list(found) == ["liver", "spleen"]
    for row, own in zip(rows, found.values(), strict=True):
        for key in ("dice", "assd_voxel", "pooled_asd_voxel", "assd_mm", "pooled_asd_mm", "hd95_mm"):
            assert str(own[key]) == row[key], key
        more = int(row["predicted_voxels"]) - int(row["reference_voxels"])
        assert own["volume_difference_mm3"] == more * voxel
        assert own["comparison_note"] == ""


def test_false_volumes_count_the_voxels_of_one_segment_alone():
    compared, reference = blobs(1), blobs(2)
    voxel = 0.7 * 1.3 * 4
    for value, own in zip((1, 2), scores(segmentation(compared), segmentation(reference)).values(), strict=True):
        extra = ((compared == value) & (reference != value)).sum()
        missed = ((compared != value) & (reference == value)).sum()
        assert own["false_positive_mm3"] == pytest.approx(extra * voxel)
        assert own["false_negative_mm3"] == pytest.approx(missed * voxel)
        assert own["volume_difference_mm3"] == pytest.approx((extra - missed) * voxel)


def test_an_empty_segment_has_dice_0_and_no_distance(tmp_path):
    compared, reference = np.where(blobs(1) == 2, 0, blobs(1)).astype(np.uint8), blobs(2)
    row = evaluated(tmp_path, compared, reference, AXIAL)[1]
    own = scores(segmentation(compared), segmentation(reference))["spleen"]
    assert (str(own["dice"]), own.get("hd95_mm"), row["hd95_mm"]) == (row["dice"], None, "")
    assert own["false_negative_mm3"] == pytest.approx((reference == 2).sum() * 0.7 * 1.3 * 4)
    assert own["comparison_note"] == "this segment is empty"


def test_two_empty_segments_have_no_score():
    liver = (blobs(1) == 1).astype(np.uint8)
    own = scores(segmentation(liver), segmentation(liver))["spleen"]
    assert "dice" not in own and own["comparison_note"] == "both segments are empty"


def test_the_box_that_holds_the_segments_makes_no_difference():
    compared, reference = blobs(1), blobs(2)
    whole = scores(segmentation(np.pad(compared, 4), AXIAL), segmentation(np.pad(reference, 4), AXIAL))
    # the same voxels in the same places of a labelmap with another origin
    moved = AXIAL.copy()
    moved[:3, 3] = (AXIAL @ [4, 4, 4, 1])[:3]
    parts = scores(segmentation(np.pad(compared, 4), AXIAL), segmentation(reference, moved))
    assert parts == whole and parts["liver"]["comparison_note"] == ""


@pytest.mark.parametrize("finer_is_reference", [True, False])
def test_another_grid_is_resampled_to_the_finer_one_and_said(finer_is_reference: bool):
    coarse, fine_grid = blobs(1), AXIAL @ np.diag([0.5, 0.5, 0.5, 1])
    # each coarse voxel is the eight fine ones in its place
    fine_grid[:3, 3] = (AXIAL @ [-0.25, -0.25, -0.25, 1])[:3]
    fine = blobs(2).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    on_fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    if finer_is_reference:
        own, same = scores(segmentation(coarse), segmentation(fine, fine_grid)), (on_fine, fine)
        note = "resampled to the grid of the reference: 0.35 x 0.65 x 2 mm"
    else:
        own, same = scores(segmentation(fine, fine_grid), segmentation(coarse)), (fine, on_fine)
        note = "the reference was resampled to the finer grid of this one: 0.35 x 0.65 x 2 mm"
    expected = scores(*(segmentation(labels, fine_grid) for labels in same))
    for name in NAMES.values():
        assert own[name].pop("comparison_note") == note and expected[name].pop("comparison_note") == ""
    assert own == expected


@pytest.mark.parametrize("moved", ["both", "reference", "compared"])
def test_segments_are_compared_where_transforms_put_them(moved: str):
    compared, reference = segmentation(blobs(1)), segmentation(blobs(2))
    still = scores(compared, reference)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    # four voxels along I
    shift = np.eye(4)
    shift[0, 3] = -2.8
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    for node, name in ((compared, "compared"), (reference, "reference")):
        if moved in (name, "both"):
            node.SetAndObserveTransformNodeID(transform.GetID())
    found = scores(compared, reference)
    if moved == "both":
        assert found == still
        return
    labels = [np.pad(blobs(seed), ((0, 0), (0, 0), (4, 4))) for seed in (1, 2)]
    labels[moved == "reference"] = np.roll(labels[moved == "reference"], 4, axis=2)
    expected = scores(*map(segmentation, labels))
    assert found["liver"]["dice"] == expected["liver"]["dice"] != still["liver"]["dice"]
    assert found["liver"]["hd95_mm"] == pytest.approx(expected["liver"]["hd95_mm"])
    assert found["liver"]["comparison_note"] == ""


def test_segments_go_together_by_their_codes_before_their_names():
    compared, reference = segmentation(blobs(1)), segmentation(blobs(1), names={1: "liver", 2: "Foie"})
    own, other = compared.GetSegmentation(), reference.GetSegmentation()
    own.GetNthSegment(0).SetTerminology(LIVER)
    other.GetNthSegment(1).SetTerminology(LIVER_IN_OTHER_WORDS)
    assert pairOf(own.GetNthSegment(0), other).name == "Foie"
    own.GetNthSegment(0).SetTerminology("")
    assert pairOf(own.GetNthSegment(0), other).name == "liver"


def test_names_settle_which_of_several_segments_with_one_code_is_meant():
    compared, reference = segmentation(blobs(1)), segmentation(blobs(1), names={1: "lobe", 2: " Liver "})
    own, other = compared.GetSegmentation(), reference.GetSegmentation()
    for segment in (own.GetNthSegment(0), other.GetNthSegment(0), other.GetNthSegment(1)):
        segment.SetTerminology(LIVER)
    assert pairOf(own.GetNthSegment(0), other).name == " Liver "
    own.GetNthSegment(0).SetName("whole")
    pair = pairOf(own.GetNthSegment(0), other)
    assert (pair.segmentId, pair.note) == ("", "several segments of the reference go with it: lobe;  Liver ")


def test_the_same_name_with_another_term_is_compared_and_said():
    compared, reference = segmentation(blobs(1)), segmentation(blobs(2))
    compared.GetSegmentation().GetNthSegment(0).SetTerminology(LIVER)
    reference.GetSegmentation().GetNthSegment(0).SetTerminology(SPLEEN)
    note = scores(compared, reference)["liver"]["comparison_note"]
    assert note == "the same name with another term: Liver here and Spleen in the reference"


def test_a_segment_without_counterpart_has_no_score_and_says_so():
    own = scores(segmentation(blobs(1)), segmentation(blobs(2), names={1: "liver", 2: "kidney"}))
    assert own["spleen"] == {
        "reference_segment": "",
        "comparison_note": "the reference has no segment of this name or term",
    }


def test_surfaces_without_a_labelmap_are_said_and_left_as_they_are():
    reference = segmentation(blobs(2))
    reference.SetName("truth")
    reference.CreateClosedSurfaceRepresentation()
    segments = reference.GetSegmentation()
    segments.SetSourceRepresentationName(
        slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
    )
    labelmap_name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segments.RemoveRepresentation(labelmap_name)
    own = scores(segmentation(blobs(1)), reference)["liver"]
    assert own["comparison_note"] == "truth has no binary labelmap: create one in the module Segmentations"
    assert "dice" not in own and not segments.ContainsRepresentation(labelmap_name)


def test_without_a_reference_nothing_is_computed_and_the_options_say_why():
    node = segmentation(blobs(1))
    logic = statistics(node)
    plugin = logic.plugins[-1]
    assert logic.getNonEmptyKeys() == ["Segment"]
    assert plugin.hintLabel.text == "Nothing is compared: choose a reference segmentation."
    assert plugin.pluginCheckbox.toolTip == plugin.hintLabel.text
    assert "very segmentation" in statistics(node, node).plugins[-1].hintLabel.text
    assert statistics(node, node).getNonEmptyKeys() == ["Segment"]


def test_the_reference_is_chosen_in_the_options_and_kept_with_the_scene(tmp_path):
    node, reference = segmentation(blobs(1)), segmentation(blobs(2))
    logic = statistics(node)
    plugin, parameters = logic.plugins[-1], logic.getParameterNode()
    plugin.referenceSelector.setCurrentNode(reference)
    assert parameters.GetNodeReferenceID(ROLE) == reference.GetID() and plugin.hintLabel.text == ""
    logic.computeStatistics()
    assert f"{PLUGIN}.dice" in logic.getNonEmptyKeys()
    plugin.requestedKeysCheckboxes["dice"].click()
    logic.computeStatistics()
    assert f"{PLUGIN}.dice" not in logic.getNonEmptyKeys()
    slicer.mrmlScene.RemoveNode(reference)
    assert plugin.whyNot() and plugin.referenceSelector.currentNode() is None
    parameters.SetNodeReferenceID(ROLE, node.GetID())
    assert plugin.referenceSelector.currentNode() is node


def test_the_table_has_a_column_a_measurement_with_units_and_codes():
    compared, reference = segmentation(blobs(1)), segmentation(blobs(2), names={1: "liver", 2: "kidney, left"})
    logic = statistics(compared, reference)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    logic.exportToTable(table)
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    assert names == [
        "Segment",
        "Reference segment",
        "Dice",
        "ASD symmetric mm",
        "ASD pooled mm",
        "HD95 mm",
        "Volume difference mm3",
        "False positive volume mm3",
        "False negative volume mm3",
        "Comparison note",
    ]
    assert table.GetColumnUnitLabel("HD95 mm") == "mm"
    assert "UCUM" in table.GetColumnProperty("HD95 mm", "DICOM.UnitsCode")
    assert table.GetColumnTitle("HD95 mm") == "HD95"
    found, first = logic.getStatistics(), compared.GetSegmentation().GetNthSegmentID(0)
    dice = table.GetTable().GetColumnByName("Dice")
    assert dice.GetValue(0) == found[first, f"{PLUGIN}.dice"] and math.isnan(dice.GetValue(1))
    assert table.GetTable().GetColumnByName("Reference segment").GetValue(0) == "liver"


def test_the_csv_of_segment_statistics_keeps_its_columns_and_all_digits(tmp_path):
    compared, reference = segmentation(blobs(1)), segmentation(blobs(2), names={1: "liver", 2: 'kidney, "left"'})
    compared.GetSegmentation().GetNthSegment(1).SetTerminology(SPLEEN)
    reference.GetSegmentation().GetNthSegment(1).SetTerminology(SPLEEN)
    logic = statistics(compared, reference)
    logic.exportToCSVFile(str(tmp_path / "statistics.csv"))
    with open(tmp_path / "statistics.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    first, second = list(logic.getStatistics()["SegmentIDs"])
    assert float(rows[0][f"{PLUGIN}.assd_mm"]) == logic.getStatistics()[first, f"{PLUGIN}.assd_mm"]
    assert rows[1][f"{PLUGIN}.reference_segment"] == "kidney; 'left'"
    assert float(rows[1][f"{PLUGIN}.dice"]) == logic.getStatistics()[second, f"{PLUGIN}.dice"]
    assert None not in rows[0] and None not in rows[1]


def test_every_measurement_says_what_it_is():
    plugin = SegmentStatisticsLogic().plugins[-1]
    infos = {key: plugin.getMeasurementInfo(key) for key in plugin.keys}
    assert all(info["name"] and info["title"] and info["description"] for info in infos.values())
    assert len({info["name"] for info in infos.values()}) == len(plugin.keys)
    assert all(info["units"] == "mm" for key, info in infos.items() if key.endswith("_mm"))
    assert all("DICOM.UnitsCode" in info for key, info in infos.items() if key not in TEXTS)
    assert plugin.getMeasurementInfo("voxel_count") is None


def test_the_module_registers_it_once_slicer_has_started_and_again_after_a_reload(slicer_host):
    def ours() -> list[type]:
        return [kind for kind in SegmentStatisticsLogic.registeredPlugins if kind.__name__ == PLUGIN]

    SegmentStatisticsLogic.registeredPlugins[:] = [
        kind for kind in SegmentStatisticsLogic.registeredPlugins if kind.__name__ != PLUGIN
    ]
    slicer_host.load_module(MODULE)
    assert ours() == []
    slicer.app.startupCompleted.emit()
    assert len(ours()) == 1
    slicer_host.open_module("GlobalLocalAlignment")
    slicer.util.reloadScriptedModule("GlobalLocalAlignment")
    assert len(ours()) == 1
    # as after a reload of Segment Statistics
    SegmentStatisticsLogic.registeredPlugins.remove(ours()[0])
    slicer_host.open_module("GlobalLocalAlignment")
    assert len(ours()) == 1


def test_a_plugin_from_before_a_reload_gives_way_to_the_new_one(monkeypatch):
    import sys

    before = SegmentStatisticsLogic.registeredPlugins[-1]
    monkeypatch.delitem(sys.modules, "GlobalLocalAlignmentSlicerLib.comparing.segmentstatisticsplugin")
    assert registerComparison()
    named = [kind for kind in SegmentStatisticsLogic.registeredPlugins if kind.__name__ == PLUGIN]
    assert len(named) == 1 and named[0] is not before


def test_slicer_without_segment_statistics_starts_as_ever(slicer_host, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "SegmentStatistics", None)
    assert not registerComparison()
    slicer_host.load_module(MODULE)
    slicer.app.startupCompleted.emit()
    assert slicer_host.open_module("GlobalLocalAlignment").ui.applyButton is not None
