"""The section that compares a result with ground truth: scores, plot, errors, worst slices."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from GlobalLocalAlignmentSlicerLib.comparing.comparisonplots import PLOT
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.scene.ownnodes import ERRORS, SCORES, ownNodes
from test_segment_statistics import AXIAL, LIVER, OBLIQUE, blobs, evaluated, labelmap, segmentation

PATIENCE = 60_000
EVALUATED = ("dice", "assd_voxel", "pooled_asd_voxel", "assd_mm", "pooled_asd_mm", "hd95_mm")
COUNTED = ("reference_voxels", "predicted_voxels")


@pytest.fixture
def section(panel):
    """The section of the open panel."""
    return panel.compareSection


@pytest.fixture
def pair():
    """A result and its ground truth."""
    return named(segmentation(blobs(1)), "mine"), named(segmentation(blobs(2)), "truth")


def named(node, name: str):
    node.SetName(name)
    return node


def choose(section, result, truth) -> None:
    section.ui.comparedSelector.setCurrentNode(result)
    section.ui.truthSelector.setCurrentNode(truth)


def wait(section, slicer_host) -> None:
    slicer_host.wait_until(lambda: not section.comparer.running and not section.errorViews.busy, PATIENCE)


def compare(section, slicer_host, *nodes) -> None:
    """Choose result and ground truth, compare them, and wait until all of it is shown."""
    if nodes:
        choose(section, *nodes)
    section.ui.compareButton.click()
    wait(section, slicer_host)


def exported(section, slicer_host, path: Path) -> list[dict[str, str]]:
    slicer_host.answers.give(str(path))
    section.ui.exportScoresButton.click()
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def rows(section) -> dict[str, object]:
    """Rows of the only case by structure."""
    return {row.structure: row for row in section.comparison.rows}


def errors():
    (node,) = ownNodes("vtkMRMLSegmentationNode", ERRORS)
    return node


def voxels(node, number: int, volume) -> np.ndarray:
    """Voxels (K, J, I) of a segment on the grid of a volume."""
    identifier = node.GetSegmentation().GetNthSegmentID(number)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, identifier, volume) > 0


@pytest.mark.parametrize("grid", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_the_csv_has_the_numbers_of_gla_evaluate_to_the_last_digit(section, slicer_host, tmp_path, grid):
    expected = evaluated(tmp_path, blobs(1), blobs(2), grid)
    compare(section, slicer_host, segmentation(blobs(1), grid), segmentation(blobs(2), grid))
    found = exported(section, slicer_host, tmp_path / "comparison.csv")
    assert [row["structure"] for row in found] == ["liver", "spleen"]
    for own, row in zip(found, expected, strict=True):
        assert {key: own[key] for key in (*EVALUATED, *COUNTED)} == {key: row[key] for key in (*EVALUATED, *COUNTED)}


def test_the_table_in_the_panel_has_the_same_numbers_and_their_units(section, slicer_host, pair):
    compare(section, slicer_host, *pair)
    (table,) = ownNodes("vtkMRMLTableNode", SCORES)
    assert section.ui.scoresTable.mrmlTableNode() is table
    column = table.GetTable().GetColumnByName
    assert [column("Structure").GetValue(row) for row in (0, 1)] == ["liver", "spleen"]
    assert column("HD95 mm").GetValue(1) == rows(section)["spleen"].hd95_mm
    assert table.GetColumnUnitLabel("HD95 mm") == "mm"
    # without a mask there is nothing to say of one
    assert column("Mask where right") is None


def test_scores_are_those_of_segment_statistics(section, slicer_host, pair):
    from GlobalLocalAlignmentSlicerLib.comparing.segmentstatistics import registerComparison
    from SegmentStatistics import SegmentStatisticsLogic
    from test_segment_statistics import scores

    before = list(SegmentStatisticsLogic.registeredPlugins)
    registerComparison()
    found = scores(*pair)
    SegmentStatisticsLogic.registeredPlugins[:] = before
    compare(section, slicer_host, *pair)
    for name, values in found.items():
        numbers = {key: value for key, value in values.items() if isinstance(value, float)}
        assert len(numbers) >= 7 and numbers == {key: getattr(rows(section)[name], key) for key in numbers}


def test_a_structure_that_was_not_found_has_a_row_and_one_without_counterpart_is_said(section, slicer_host):
    result = segmentation(blobs(1), names={1: "liver", 2: "stomach"})
    compare(section, slicer_host, result, segmentation(blobs(2)))
    found = rows(section)
    assert list(found) == ["liver", "stomach", "spleen"]
    assert (found["spleen"].dice, found["spleen"].predicted_voxels) == (0.0, 0)
    assert found["spleen"].reference_voxels == (blobs(2) == 2).sum() and math.isnan(found["spleen"].hd95_mm)
    assert math.isnan(found["stomach"].dice) and math.isnan(found["stomach"].predicted_voxels)
    text = section.ui.compareStatusLabel.text
    assert "stomach: the reference has no segment of this name or term" in text
    assert "spleen: the result has no segment of this name or term: not found" in text


def test_segments_go_together_by_their_terms(section, slicer_host):
    result, truth = segmentation(blobs(1), names={1: "Leber", 2: "spleen"}), segmentation(blobs(2))
    for node in (result, truth):
        node.GetSegmentation().GetNthSegment(0).SetTerminology(LIVER)
    compare(section, slicer_host, result, truth)
    assert rows(section)["Leber"].reference_segment == "liver" and rows(section)["Leber"].dice > 0


def test_empty_hidden_and_overlapping_segments_are_compared(section, slicer_host):
    result, truth = segmentation(blobs(1)), segmentation(blobs(2))
    for node, seed in ((result, 3), (truth, 4)):
        # over the others, in a layer of its own
        volume = labelmap((blobs(seed) > 0).astype(np.uint8), AXIAL)
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(volume, node)
        node.GetSegmentation().GetNthSegment(2).SetName("body")
        node.GetSegmentation().AddEmptySegment("", "bladder")
        node.GetDisplayNode().SetSegmentVisibility(node.GetSegmentation().GetNthSegmentID(0), False)
        slicer.mrmlScene.RemoveNode(volume)
    compare(section, slicer_host, result, truth)
    found = rows(section)
    body = [blobs(seed) > 0 for seed in (3, 4)]
    assert found["body"].dice == 2 * (body[0] & body[1]).sum() / (body[0].sum() + body[1].sum())
    livers = [blobs(seed) == 1 for seed in (1, 2)]
    assert found["liver"].dice == 2 * (livers[0] & livers[1]).sum() / (livers[0].sum() + livers[1].sum())
    assert math.isnan(found["bladder"].dice) and found["bladder"].comparison_note == "both segments are empty"


def test_errors_are_the_voxels_that_one_of_both_has_alone(section, slicer_host, pair):
    volume = labelmap(blobs(1), AXIAL)
    compare(section, slicer_host, *pair)
    compared, truth = blobs(1), blobs(2)
    wrong = compared != truth
    assert [errors().GetSegmentation().GetNthSegment(number).GetName() for number in (0, 1)] == [
        "missed voxels",
        "extra voxels",
    ]
    assert np.array_equal(voxels(errors(), 0, volume), wrong & (truth > 0))
    assert np.array_equal(voxels(errors(), 1, volume), wrong & (compared > 0))
    section.ui.errorStructureComboBox.setCurrentIndex(section.ui.errorStructureComboBox.findData("spleen"))
    wait(section, slicer_host)
    assert np.array_equal(voxels(errors(), 0, volume), (truth == 2) & (compared != 2))
    assert np.array_equal(voxels(errors(), 1, volume), (truth != 2) & (compared == 2))


def test_errors_lie_beside_the_input_with_the_geometry_of_the_ground_truth(section, slicer_host, pair):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    volume = slicer.util.addVolumeFromArray(np.zeros((11, 13, 14), np.int16), name="CT")
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "patient")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), folder)
    pair[0].SetNodeReferenceID(results.INPUT_ROLE, volume.GetID())
    compare(section, slicer_host, *pair)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(errors())) == folder
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometries = [node.GetSegmentation().GetConversionParameter(name) for node in (errors(), pair[1])]
    assert geometries[0] == geometries[1] != ""
    assert section.comparison.cases[0].name == "CT"


def test_errors_are_hidden_and_shown_with_the_check_box(section, slicer_host, pair):
    compare(section, slicer_host, *pair)
    assert errors().GetDisplayNode().GetVisibility()
    section.ui.errorsShownCheckBox.click()
    assert not errors().GetDisplayNode().GetVisibility()
    # also those of the next comparison
    compare(section, slicer_host)
    assert not errors().GetDisplayNode().GetVisibility()


def test_comparing_again_replaces_its_own_nodes_and_leaves_the_users(section, slicer_host, pair):
    users = [
        slicer.mrmlScene.AddNewNodeByClass(kind, "Comparison with ground truth")
        for kind in ("vtkMRMLTableNode", "vtkMRMLPlotChartNode")
    ]
    compare(section, slicer_host, *pair)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    first = errors().GetID()
    pair[0].GetSegmentation().GetNthSegment(0).SetName("heart")
    compare(section, slicer_host)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes and errors().GetID() == first
    assert [row.structure for row in section.comparison.rows] == ["heart", "spleen", "liver"]
    assert users[0].GetNumberOfColumns() == 0 and users[1].GetNumberOfPlotSeriesNodes() == 0
    assert [node.GetName() for node in pair] == ["mine", "truth"]


def test_the_legend_names_the_bars_and_the_score_can_be_changed(section, slicer_host, pair):
    compare(section, slicer_host, *pair)
    (chart,) = ownNodes("vtkMRMLPlotChartNode", PLOT)

    def bars() -> dict[str, float]:
        found = {}
        for number in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(number)
            assert series.GetPlotType() == series.PlotTypeBar
            values = slicer.util.arrayFromTableColumn(series.GetTableNode(), series.GetYColumnName())
            found[series.GetName()] = values.tolist()
        return found

    assert bars() == {f"{name}: {row.dice:.3g}": [row.dice] for name, row in rows(section).items()}
    assert chart.GetYAxisRange() == (0, 1) and chart.GetLegendVisibility()
    section.ui.plotComboBox.currentText = "HD95 (mm)"
    assert bars() == {f"{name}: {row.hd95_mm:.3g}": [row.hd95_mm] for name, row in rows(section).items()}
    assert chart.GetYAxisTitle() == "HD95 mm"
    section.ui.showPlotButton.click()
    shown = slicer.util.getNodesByClass("vtkMRMLPlotViewNode")
    assert chart.GetID() in [view.GetPlotChartNodeID() for view in shown]


def test_the_table_can_be_shown_beside_the_views(section, slicer_host, pair):
    compare(section, slicer_host, *pair)
    section.ui.showTableButton.click()
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActiveTableID() == ownNodes("vtkMRMLTableNode", SCORES)[0].GetID()


@pytest.mark.parametrize("finer", ["truth", "result"])
def test_another_grid_is_resampled_and_said(section, slicer_host, finer: str):
    fine_grid = AXIAL @ np.diag([0.5, 0.5, 0.5, 1])
    fine_grid[:3, 3] = (AXIAL @ [-0.25, -0.25, -0.25, 1])[:3]
    fine = blobs(2).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    nodes = segmentation(blobs(1)), segmentation(fine, fine_grid)
    compare(section, slicer_host, *(nodes if finer == "truth" else nodes[::-1]))
    text = {
        "truth": "resampled to the grid of the reference: 0.35 x 0.65 x 2 mm",
        "result": "the reference was resampled to the finer grid of this one: 0.35 x 0.65 x 2 mm",
    }[finer]
    assert f"liver, spleen: {text}." in section.ui.compareStatusLabel.text
    volume = labelmap(fine, fine_grid)
    on_fine = blobs(1).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    truth, other = (fine, on_fine) if finer == "truth" else (on_fine, fine)
    assert np.array_equal(voxels(errors(), 0, volume), (truth > 0) & (truth != other))


def transform(kind: str):
    """A shift by four voxels along I, or one that bends nothing but is no matrix."""
    if kind == "linear":
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        shift = np.eye(4)
        shift[0, 3] = -2.8
        node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
        return node
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    plate = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for point in np.ndindex(2, 2, 2):
        place = np.array(point) * 100.0 - 50
        source.InsertNextPoint(place)
        target.InsertNextPoint(place - [2.8, 0, 0])
    plate.SetBasisToR()
    plate.SetSourceLandmarks(source)
    plate.SetTargetLandmarks(target)
    node.SetAndObserveTransformToParent(plate)
    return node


@pytest.mark.parametrize("kind", ["linear", "bent"])
@pytest.mark.parametrize("moved", [0, 1], ids=["result", "truth"])
def test_segments_are_compared_and_errors_shown_where_transforms_put_them(section, slicer_host, pair, kind, moved):
    pair[moved].SetAndObserveTransformNodeID(transform(kind).GetID())
    compare(section, slicer_host, *pair)
    labels = [np.pad(blobs(seed), ((0, 0), (0, 0), (4, 4))) for seed in (1, 2)]
    labels[moved] = np.roll(labels[moved], 4, axis=2)
    liver = [one == 1 for one in labels]
    expected = 2 * (liver[0] & liver[1]).sum() / (liver[0].sum() + liver[1].sum())
    assert rows(section)["liver"].dice == pytest.approx(expected, abs=1e-12 if kind == "linear" else 0.02)
    grid = AXIAL.copy()
    grid[:3, 3] = (AXIAL @ [-4, 0, 0, 1])[:3]
    missed = voxels(errors(), 0, labelmap(labels[0], grid))
    wrong = (labels[1] > 0) & (labels[1] != labels[0])
    assert (missed == wrong).mean() >= (1 if kind == "linear" else 0.97)
    assert errors().GetTransformNodeID() == (pair[1].GetTransformNodeID() if kind == "linear" else None)


def offsets() -> dict[str, float]:
    return {node.GetName(): node.GetSliceOffset() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}


def test_each_view_jumps_to_the_slice_with_the_most_wrong_voxels_or_the_lowest_dice(section, slicer_host):
    truth = np.zeros((9, 10, 11), np.uint8)
    truth[1:8, 1:9, 1:9] = 1
    result = truth.copy()
    # many of many in slice 3, all of few in slice 7
    result[3, 1:7, 1:9] = 0
    result[7], truth[7] = 0, 0
    truth[7, 2, 2] = 1
    compare(section, slicer_host, segmentation(result, names={1: "liver"}), segmentation(truth, names={1: "liver"}))
    section.ui.worstButton.click()
    wait(section, slicer_host)
    assert offsets()["Red"] == pytest.approx((AXIAL @ [0, 0, 3, 1])[2])
    assert "Red: 48 wrong voxels, Dice 0.400" in section.ui.worstStatusLabel.text
    section.ui.worstComboBox.currentText = "lowest Dice"
    section.ui.worstButton.click()
    wait(section, slicer_host)
    assert offsets()["Red"] == pytest.approx((AXIAL @ [0, 0, 7, 1])[2])
    assert "Red: 1 wrong voxels, Dice 0.000" in section.ui.worstStatusLabel.text


@pytest.mark.parametrize("follows", [True, False], ids=["view along the volume", "axial view"])
def test_in_an_oblique_volume_the_views_jump_to_where_the_errors_are(section, slicer_host, follows: bool):
    truth = np.zeros((12, 12, 12), np.uint8)
    truth[2:10, 2:10, 2:10] = 1
    result = truth.copy()
    result[8, 3:9, 3:9] = 0
    nodes = [segmentation(labels, OBLIQUE, {1: "liver"}) for labels in (result, truth)]
    volume = labelmap(truth, OBLIQUE)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    if follows:
        red.RotateToVolumePlane(volume)
    before = slicer.util.arrayFromVTKMatrix(red.GetSliceToRAS())[:3, :3].copy()
    compare(section, slicer_host, *nodes)
    section.ui.worstButton.click()
    wait(section, slicer_host)
    matrix = slicer.util.arrayFromVTKMatrix(red.GetSliceToRAS())
    assert np.allclose(matrix[:3, :3], before)
    wrong = np.argwhere(np.moveaxis(truth != result, (0, 1, 2), (2, 1, 0)))
    places = np.c_[wrong, np.ones(len(wrong))] @ OBLIQUE.T
    away = np.abs((places[:, :3] - matrix[:3, 3]) @ matrix[:3, 2])
    if follows:
        assert away.max() < 1e-6
    else:
        # the slice through the volume that holds the most of them
        assert (away <= 0.75).sum() == max(
            (np.abs(places[:, :3] @ matrix[:3, 2] - place) <= 0.75).sum() for place in places[:, :3] @ matrix[:3, 2]
        )


def test_a_result_without_errors_says_so_and_leaves_the_views(section, slicer_host):
    compare(section, slicer_host, segmentation(blobs(1)), segmentation(blobs(1)))
    before = offsets()
    section.ui.worstButton.click()
    wait(section, slicer_host)
    assert section.ui.worstStatusLabel.text == "No voxel is wrong." and offsets() == before


def test_the_mask_is_averaged_where_the_result_is_right_and_where_it_is_wrong(section, slicer_host, pair):
    volume = slicer.util.addVolumeFromArray(
        np.zeros((11, 13, 14), np.int16), ijkToRAS=slicer.util.vtkMatrixFromArray(AXIAL), name="CT"
    )
    values = np.random.default_rng(0).random((11, 13, 14)).astype(np.float32)
    compared, truth = blobs(1), blobs(2)
    right, wrong = (compared == truth) & (truth > 0), compared != truth
    values[wrong] += 1
    results.showVolume(volume, values, results.FEATURE_MASK)
    pair[0].SetNodeReferenceID(results.INPUT_ROLE, volume.GetID())
    compare(section, slicer_host, *pair)
    assert section.comparison.cases[0].maskMeans == pytest.approx((values[right].mean(), values[wrong].mean()))
    spleen = rows(section)["spleen"]
    only = (compared == 2) != (truth == 2)
    assert spleen.mask_wrong == pytest.approx(values[only].mean())
    assert spleen.mask_correct == pytest.approx(values[(compared == 2) & (truth == 2)].mean())
    assert "so look twice where it is bright" in section.ui.compareStatusLabel.text
    values[wrong] += 0.03 + values[right].mean() - values[wrong].mean()
    results.showVolume(volume, values, results.FEATURE_MASK)
    compare(section, slicer_host)
    assert "it is hardly higher" in section.ui.compareStatusLabel.text
    results.showVolume(volume, 2 - values, results.FEATURE_MASK)
    compare(section, slicer_host)
    assert "it does not point at these errors" in section.ui.compareStatusLabel.text


def test_compare_says_why_it_is_disabled(section, slicer_host, pair):
    button = section.ui.compareButton
    assert not button.enabled and button.toolTip == "Choose the segmentation that is taken as the truth."
    section.ui.truthSelector.setCurrentNode(pair[1])
    assert button.toolTip == "Choose the segmentation that is compared with it."
    section.ui.comparedSelector.setCurrentNode(pair[1])
    assert not button.enabled and "says nothing about itself" in button.toolTip
    compare(section, slicer_host, *pair)
    section.ui.comparedSelector.setCurrentNode(errors())
    assert not button.enabled and "shows the errors of a comparison" in button.toolTip


def test_surfaces_without_a_labelmap_are_said(section, slicer_host, pair):
    segments = pair[1].GetSegmentation()
    pair[1].CreateClosedSurfaceRepresentation()
    converter = slicer.vtkSegmentationConverter
    segments.SetSourceRepresentationName(converter.GetSegmentationClosedSurfaceRepresentationName())
    segments.RemoveRepresentation(converter.GetSegmentationBinaryLabelmapRepresentationName())
    compare(section, slicer_host, *pair)
    assert section.ui.compareStatusLabel.text == (
        "truth has no binary labelmap: create one in the module Segmentations"
    )
    assert section.comparison is None and ownNodes("vtkMRMLTableNode") == []


def test_a_file_that_cannot_be_written_is_said_in_one_line(section, slicer_host, pair, tmp_path):
    compare(section, slicer_host, *pair)
    (tmp_path / "file").write_text("")
    slicer_host.answers.give(str(tmp_path / "file" / "scores"))
    section.ui.exportScoresButton.click()
    text = section.ui.compareStatusLabel.text
    assert "scores.csv" in text and "choose another file" in text and "\n" not in text
    slicer_host.answers.give("")
    section.ui.exportScoresButton.click()
