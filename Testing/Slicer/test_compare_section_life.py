"""What may happen while segmentations are compared and afterwards: cancelled, removed, closed, saved; several cases."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
import slicer.util
from GlobalLocalAlignmentSlicerLib.comparing.comparedpairs import findPairs
from GlobalLocalAlignmentSlicerLib.comparing.comparisonplots import PLOT, boxPath
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.scene.labelchoice import SceneLabels
from GlobalLocalAlignmentSlicerLib.scene.ownnodes import ERRORS, SCORES, ownNodes
from test_compare_section import PATIENCE, choose, compare, errors, exported, named, pair, section, wait  # noqa: F401
from test_segment_statistics import blobs, segmentation


def own() -> list:
    return [node for kind in ("Table", "Segmentation", "PlotChart") for node in ownNodes(f"vtkMRML{kind}Node")]


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files, which nothing may be left in."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_cancelled_comparison_leaves_nothing_and_can_be_started_again(section, slicer_host, pair, temporary):  # noqa: F811
    choose(section, *pair)
    section.ui.compareButton.click()
    assert section.ui.compareButton.text == "Cancel"
    section.ui.compareButton.click()
    wait(section, slicer_host)
    assert section.ui.compareStatusLabel.text == "Stopped." and section.ui.compareButton.text == "Compare"
    assert own() == [] and list(temporary.glob("gla-*/input*")) == []
    compare(section, slicer_host)
    assert len(section.comparison.cases) == 1


@pytest.mark.cold_start
def test_a_comparison_that_is_cancelled_at_work_keeps_what_was_shown(section, slicer_host, pair):  # noqa: F811
    compare(section, slicer_host, *pair)
    before = section.comparison
    section.ui.compareButton.click()
    slicer_host.wait_until(lambda: section.comparer._job._process is not None, PATIENCE)
    section.ui.compareButton.click()
    wait(section, slicer_host)
    assert section.comparison is before and "Stopped." in section.ui.compareStatusLabel.text
    section.ui.worstButton.click()
    wait(section, slicer_host)
    assert "wrong voxels" in section.ui.worstStatusLabel.text


@pytest.mark.cold_start
def test_closing_the_scene_ends_the_comparison_and_removes_its_files(section, slicer_host, pair, temporary):  # noqa: F811
    compare(section, slicer_host, *pair)
    section.ui.compareButton.click()
    slicer_host.wait_until(lambda: section.comparer._job._process is not None, PATIENCE)
    slicer.mrmlScene.Clear()
    slicer_host.process_events(300)
    assert not section.comparer.running and section.comparison is None and own() == []
    assert not section.ui.worstButton.enabled and section.ui.errorCaseComboBox.count == 0
    assert section.ui.scoresTable.mrmlTableNode() is None
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("removed", [0, 1], ids=["result", "truth"])
def test_a_segmentation_that_is_removed_before_it_is_written_is_said(section, slicer_host, pair, removed: int):  # noqa: F811
    choose(section, *pair)
    name = pair[removed].GetName()
    section.ui.compareButton.click()
    slicer.mrmlScene.RemoveNode(pair[removed])
    wait(section, slicer_host)
    assert section.ui.compareStatusLabel.text == f"{name} was removed from the scene." and own() == []
    assert not section.ui.compareButton.enabled


@pytest.mark.cold_start
@pytest.mark.parametrize("removed", [0, 1], ids=["result", "truth"])
def test_a_segmentation_that_is_removed_while_it_is_compared_has_its_scores(section, slicer_host, pair, removed: int):  # noqa: F811
    choose(section, *pair)
    section.ui.compareButton.click()
    slicer_host.wait_until(lambda: section.comparer._job._process is not None, PATIENCE)
    slicer.mrmlScene.RemoveNode(pair[removed])
    wait(section, slicer_host)
    assert [row.structure for row in section.comparison.rows] == ["liver", "spleen"]
    assert len(ownNodes("vtkMRMLSegmentationNode", ERRORS)) == (1 if removed == 0 else 0)
    if removed == 1:
        assert "was removed" in section.ui.worstStatusLabel.text


def test_the_users_removal_of_what_was_shown_is_no_fault(section, slicer_host, pair):  # noqa: F811
    compare(section, slicer_host, *pair)
    for node in own():
        slicer.mrmlScene.RemoveNode(node)
    assert section.ui.scoresTable.mrmlTableNode() is None
    section.ui.errorsShownCheckBox.click()
    section.ui.showTableButton.click()
    section.ui.showPlotButton.click()
    section.ui.worstButton.click()
    wait(section, slicer_host)
    assert len(ownNodes("vtkMRMLPlotChartNode", PLOT)) == 1
    compare(section, slicer_host)
    assert len(ownNodes("vtkMRMLTableNode", SCORES)) == 1


def test_a_core_that_fails_is_said_in_one_line(section, slicer_host, pair, monkeypatch):  # noqa: F811
    from GlobalLocalAlignmentSlicerLib.comparing import comparisonjob

    monkeypatch.setattr(comparisonjob, "MODULE", "GlobalLocalAlignmentLib.nothing")
    compare(section, slicer_host, *pair)
    assert "nothing" in section.ui.compareStatusLabel.text and section.comparison is None
    assert section.ui.compareButton.enabled and section.ui.compareButton.text == "Compare"


def test_choices_come_back_with_the_scene(section, slicer_host, pair, tmp_path):  # noqa: F811
    compare(section, slicer_host, *pair)
    section.ui.addPairButton.click()
    section.pairsTable.widget.item(0, 0).setCheckState(qt.Qt.Unchecked)
    section.ui.plotComboBox.currentText = "HD95 (mm)"
    section.ui.worstComboBox.currentText = "lowest Dice"
    section.ui.errorsShownCheckBox.click()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear()
    assert section.pairsTable.pairs == [] and section.ui.truthSelector.currentNode() is None
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert section.ui.truthSelector.currentNode().GetName() == "truth"
    assert section.ui.comparedSelector.currentNode().GetName() == "mine"
    assert section.ui.plotComboBox.currentText == "HD95 (mm)"
    assert section.ui.worstComboBox.currentText == "lowest Dice" and not section.ui.errorsShownCheckBox.checked
    (listed,) = section.pairsTable.pairs
    assert not listed.checked and listed.pair.resultId == section.ui.comparedSelector.currentNode().GetID()
    # the scores of the time before are in the table, and the next comparison takes the place of all
    assert section.ui.scoresTable.mrmlTableNode().GetNumberOfRows() == 2
    compare(section, slicer_host)
    assert [
        len(ownNodes(kind, name)) for kind, name in (("vtkMRMLTableNode", SCORES), ("vtkMRMLPlotChartNode", PLOT))
    ] == [
        1,
        1,
    ]
    assert errors().GetDisplayNode().GetVisibility() == 0


def case(number: int, folder: bool = False):
    """A volume, its result and its ground truth."""
    volume = slicer.util.addVolumeFromArray(np.zeros((11, 13, 14), np.int16), name=f"CT {number}")
    result = named(segmentation(blobs(number)), f"CT {number} segmentation")
    result.SetNodeReferenceID(results.INPUT_ROLE, volume.GetID())
    return volume, result, named(segmentation(blobs(number + 1)), f"CT {number} ground truth")


def test_several_cases_have_rows_a_box_for_each_structure_and_a_file(section, slicer_host, tmp_path):  # noqa: F811
    for number in (1, 2, 3):
        case(number)
    section.ui.findPairsButton.click()
    assert section.pairsTable.widget.rowCount == 3
    compare(section, slicer_host)
    found = exported(section, slicer_host, tmp_path / "scores.csv")
    assert [(row["case"], row["structure"]) for row in found] == [
        (f"CT {number}", name) for number in (1, 2, 3) for name in ("liver", "spleen")
    ]
    (chart,) = ownNodes("vtkMRMLPlotChartNode", PLOT)
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    livers = [float(row["dice"]) for row in found if row["structure"] == "liver"]
    assert series[0].GetName() == f"1 liver: median {np.median(livers):.3g}, 3 cases"
    y = slicer.util.arrayFromTableColumn(series[0].GetTableNode(), "value")
    assert {min(livers), np.median(livers), max(livers)} <= set(y.tolist())
    points = slicer.util.arrayFromTableColumn(series[-1].GetTableNode(), "value")
    assert sorted(points.tolist()) == sorted(float(row["dice"]) for row in found)
    # the errors are those of one case at a time
    assert errors().GetName() == "CT 1 errors"
    section.ui.errorCaseComboBox.setCurrentIndex(2)
    wait(section, slicer_host)
    assert errors().GetName() == "CT 3 errors"


def test_unchecked_pairs_are_left_out_and_cleared_ones_forgotten(section, slicer_host):  # noqa: F811
    for number in (1, 2):
        case(number)
    section.ui.findPairsButton.click()
    section.pairsTable.widget.item(0, 0).setCheckState(qt.Qt.Unchecked)
    compare(section, slicer_host)
    assert [one.name for one in section.comparison.cases] == ["CT 2"]
    section.ui.clearPairsButton.click()
    assert not section.ui.compareButton.enabled
    section.ui.findPairsButton.click()
    section.ui.findPairsButton.click()
    assert section.pairsTable.widget.rowCount == 2
    assert section.ui.compareStatusLabel.text == "No further pair found: add each by hand."


def test_one_bad_case_leaves_the_others(section, slicer_host):  # noqa: F811
    nodes = [case(number) for number in (1, 2)]
    section.ui.findPairsButton.click()
    for node in nodes[0][1:]:
        node.GetSegmentation().RemoveAllSegments()
    compare(section, slicer_host)
    assert [one.name for one in section.comparison.cases] == ["CT 2"]
    assert "CT 1 segmentation and CT 1 ground truth hold no segment." in section.ui.compareStatusLabel.text


def test_a_removed_segmentation_takes_its_pair_out_of_the_list(section, slicer_host):  # noqa: F811
    nodes = [case(number) for number in (1, 2)]
    section.ui.findPairsButton.click()
    slicer.mrmlScene.RemoveNode(nodes[0][2])
    assert [listed.pair.resultId for listed in section.pairsTable.pairs] == [nodes[1][1].GetID()]
    assert section.pairsTable.widget.rowCount == 1


def test_pairs_are_found_by_volume_by_folder_and_by_name():
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    volume, result, truth = case(1)
    # of another name
    truth.SetName("drawn")
    truth.SetNodeReferenceID(role, volume.GetID())
    filed, drawn = named(segmentation(blobs(1)), "auto seg of Monday"), named(segmentation(blobs(2)), "by Ann")
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "patient")
    for node in (filed, drawn):
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    alike = named(segmentation(blobs(1)), "Case_07_prediction"), named(segmentation(blobs(2)), "gt-case_07")
    named(segmentation(blobs(1)), "case_08 segmentation")
    found = {listed.pair.resultId: (listed.pair.referenceId, listed.why) for listed in findPairs()}
    assert found == {
        result.GetID(): (truth.GetID(), "same volume"),
        filed.GetID(): (drawn.GetID(), "same folder"),
        alike[0].GetID(): (alike[1].GetID(), "names"),
    }


def test_errors_are_neither_paired_nor_labels_to_learn_from(section, slicer_host):  # noqa: F811
    volume, result, truth = case(1)
    compare(section, slicer_host, result, truth)
    assert [listed.pair.referenceId for listed in findPairs()] == [truth.GetID()]
    assert errors().GetID() not in [node.GetID() for node in SceneLabels().all(volume)]


def test_a_box_shows_quartiles_median_and_the_outermost_values_that_are_no_outliers():
    values = np.array([0.0, 5.0, 6.0, 7.0, 8.0])
    path = boxPath(1, values)
    assert {5.0, 6.0, 7.0, 8.0} == set(path[:, 1].tolist())
    assert set(boxPath(2, np.array([0.5]))[:, 1].tolist()) == {0.5}
    # the line of the median goes from one side of the box to the other
    median = path[path[:, 1] == 6.0]
    assert (median[:, 0].min(), median[:, 0].max()) == (0.7, 1.3)


def test_leaving_the_panel_does_not_end_a_comparison(section, slicer_host, pair, panel):  # noqa: F811
    choose(section, *pair)
    section.ui.compareButton.click()
    panel.exit()
    wait(section, slicer_host)
    assert len(section.comparison.cases) == 1 and len(ownNodes("vtkMRMLTableNode", SCORES)) == 1
    panel.enter()
    assert section.ui.compareButton.enabled


def backgrounds() -> set[str]:
    """Names of the volumes in the backgrounds of the slice views."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {slicer.mrmlScene.GetNodeByID(one.GetBackgroundVolumeID() or "").GetName() for one in composites}


def in_slices(node) -> bool:
    display = node.GetDisplayNode()
    return bool(display.GetVisibility() and display.GetVisibility2D())


def test_errors_lie_over_their_own_volume_and_nothing_lies_over_them(panel, section, slicer_host):  # noqa: F811
    cases = [case(number) for number in (1, 2)]
    truth = cases[0][2]
    truth.CreateDefaultDisplayNodes()
    # the user does not look at this one, and is not to look at it afterwards
    truth.GetDisplayNode().SetVisibility2D(False)
    for _volume, result, reference in cases:
        result.CreateDefaultDisplayNodes()
        reference.CreateDefaultDisplayNodes()
    section.ui.findPairsButton.click()
    compare(section, slicer_host)
    assert backgrounds() == {"CT 1"} and in_slices(errors())
    assert not in_slices(cases[0][1]) and in_slices(cases[1][1])
    section.ui.errorCaseComboBox.setCurrentIndex(1)
    wait(section, slicer_host)
    assert backgrounds() == {"CT 2"} and in_slices(errors())
    assert [in_slices(node) for one in cases for node in one[1:]] == [True, False, False, False]
    section.ui.errorsShownCheckBox.click()
    assert not in_slices(errors())
    assert [in_slices(node) for one in cases for node in one[1:]] == [True, False, True, True]
    # who chooses a case wants to see its errors
    section.ui.errorCaseComboBox.setCurrentIndex(0)
    wait(section, slicer_host)
    assert section.ui.errorsShownCheckBox.checked and backgrounds() == {"CT 1"} and in_slices(errors())


def test_errors_of_another_volume_go_where_the_user_turns_to_a_volume(panel, section, slicer_host):  # noqa: F811
    cases = [case(number) for number in (1, 2)]
    for _volume, result, _truth in cases:
        result.SetAttribute(results.KIND_ATTRIBUTE, results.SEGMENTATION)
        result.CreateDefaultDisplayNodes()
    section.ui.findPairsButton.click()
    compare(section, slicer_host)
    assert in_slices(errors()) and panel._parameterNode.shownVolume is cases[0][0]
    panel.ui.shownVolumeSelector.setCurrentNode(cases[1][0])
    assert backgrounds() == {"CT 2"} and in_slices(cases[1][1])
    assert not in_slices(errors()) and not section.ui.errorsShownCheckBox.checked
    # shown once more, they bring their own volume back
    section.ui.errorsShownCheckBox.click()
    assert backgrounds() == {"CT 1"} and in_slices(errors()) and not in_slices(cases[1][1])


def test_errors_of_a_result_that_was_made_anew_are_hidden(panel, section, slicer_host):  # noqa: F811
    volume, result, _truth = case(1)
    result.CreateDefaultDisplayNodes()
    section.ui.findPairsButton.click()
    compare(section, slicer_host)
    assert in_slices(errors()) and not in_slices(result)
    panel.showResultsOf(volume)
    assert not in_slices(errors()) and in_slices(result)
    # those of the next comparison are seen again, unless the user has hidden them
    compare(section, slicer_host)
    assert in_slices(errors()) and not in_slices(result)
    section.ui.errorsShownCheckBox.click()
    compare(section, slicer_host)
    assert not in_slices(errors()) and in_slices(result)
