"""The table of cases and the mapping of structures are kept with the scene, and come back with it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import qt
import slicer
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS
from GlobalLocalAlignmentSlicerLib.training import casesinscene
from test_training_module import add, add_cohorts, add_phantom, draw, panel, states
from test_training_on_disk import add_folder

__all__ = ["panel"]


def parameter_node():
    return slicer.mrmlScene.GetSingletonNode("GlobalLocalAlignmentTraining", "vtkMRMLScriptedModuleNode")


def settle(panel, slicer_host) -> None:
    """Let the panel take over what a scene brought, and look at it."""
    slicer_host.wait_until(lambda: not panel._takeOverTimer.active)
    panel.logic.finishLooking()


def load(panel, slicer_host, scene: Path) -> None:
    """Open a scene in the place of the one that is there."""
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(scene), {"clear": True})
    settle(panel, slicer_host)


def import_beside(panel, slicer_host, scene: Path) -> None:
    """Add a scene to the one that is there."""
    slicer.util.loadScene(str(scene))
    settle(panel, slicer_host)


def saved(tmp_path: Path, name: str = "scene.mrb") -> Path:
    assert slicer.util.saveScene(str(tmp_path / name))
    return tmp_path / name


def text_of(scene: Path) -> str:
    """The .mrml text of a .mrb file."""
    with zipfile.ZipFile(scene) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".mrml"))
        return archive.read(name).decode()


def rows_of(panel) -> list[tuple[str, str, str]]:
    """Role, volume and labels of all rows, by name."""
    nodes = slicer.mrmlScene.GetNodeByID
    return [
        (case.role, nodes(case.volumeId).GetName(), nodes(case.labelsId).GetName() if case.labelsId else "")
        for case in panel.logic.cases.cases
    ]


def mapping_of(panel) -> list[tuple[str, str, bool, tuple[int, int, int]]]:
    return [(row.found.name, row.learntAs, row.used, row.color) for row in panel.logic.mapping.rows]


def labels_shown(panel) -> list[str]:
    """Labels that are chosen in the rows of the source."""
    table = panel.ui.casesTable
    choosers = (table.cellWidget(row, 2) for row in range(table.rowCount))
    return [chooser.currentText for chooser in choosers if chooser is not None]


def say_something_of_the_structures(panel) -> None:
    """Merge two, leave one out, change a colour and the order."""
    table = panel.ui.structuresTable
    for row in (1, 2):
        table.item(row, 3).setText("Niere")
    table.item(0, 0).setCheckState(qt.Qt.Unchecked)
    table.cellWidget(3, 5).setColor(qt.QColor(10, 20, 30))
    table.setCurrentCell(3, 1)
    panel.ui.upButton.click()


def test_a_scene_that_is_opened_brings_its_table_and_can_be_trained_on(panel, slicer_host, tmp_path: Path):
    sources, _ = add_cohorts(panel)
    # not the segmentation that the module would have chosen
    other = draw(sources[1], slicer.util.arrayFromVolume(sources[1]) > 0, {1: "body"})
    panel.logic.cases.cases[1].labelsId = other.GetID()
    panel.logic.look(panel.logic.cases.cases[1])
    panel.logic.finishLooking()
    say_something_of_the_structures(panel)
    rows, mapping, shown = rows_of(panel), mapping_of(panel), labels_shown(panel)
    assert rows[1] == ("source", "MR 2", other.GetName()) and mapping[2][1:] == ("spleen", True, (10, 20, 30))
    scene = saved(tmp_path)
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    assert panel.logic.cases.cases == [] and panel.ui.casesTable.rowCount == 0
    assert panel.logic.mapping.rows == [] and not panel.ui.startButton.enabled
    load(panel, slicer_host, scene)
    assert (rows_of(panel), mapping_of(panel), labels_shown(panel)) == (rows, mapping, shown)
    assert all(state.startswith("good") for state in states(panel))
    assert panel.ui.startButton.enabled, panel.ui.startButton.toolTip


def test_labels_that_only_a_folder_of_the_scene_brings_together_are_shown_as_chosen(panel, slicer_host, tmp_path: Path):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    node, labels = add_phantom("MR", "MR", 1)
    segmentation = draw(node, labels, {1: "liver"})
    segmentation.SetNodeReferenceID(segmentation.GetReferenceImageGeometryReferenceRole(), None)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Patient Ä")
    for child in (node, segmentation):
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(child), folder)
    add(panel, "source", node)
    assert labels_shown(panel) == ["MR drawn"]
    # whoever holds it keeps the scene from making another one
    del hierarchy
    load(panel, slicer_host, saved(tmp_path))
    assert labels_shown(panel) == ["MR drawn"]


def test_a_restored_view_of_the_scene_takes_no_case_away(panel, slicer_host):
    earlier = slicer.vtkMRMLScriptedModuleNode()
    earlier.Copy(parameter_node())
    add_cohorts(panel)
    rows = rows_of(panel)
    # what a scene view of before does to the parameter node
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.RestoreState)
    parameter_node().Copy(earlier)
    slicer.mrmlScene.EndState(slicer.vtkMRMLScene.RestoreState)
    settle(panel, slicer_host)
    assert rows_of(panel) == rows
    assert len(casesinscene.read(parameter_node())[0]) == len(rows)


def test_a_panel_that_opens_after_the_scene_shows_its_table(panel, slicer_host, tmp_path: Path):
    add_cohorts(panel)
    say_something_of_the_structures(panel)
    rows, mapping = rows_of(panel), mapping_of(panel)
    slicer.util.reloadScriptedModule("GlobalLocalAlignmentTraining")
    later = slicer.modules.GlobalLocalAlignmentTrainingWidget
    assert later is not panel
    later.logic.finishLooking()
    assert (rows_of(later), mapping_of(later)) == (rows, mapping)


def test_a_scene_is_taken_over_while_another_module_is_looked_at(panel, slicer_host, tmp_path: Path):
    add_cohorts(panel)
    rows, scene = rows_of(panel), saved(tmp_path)
    slicer_host.open_module("GlobalLocalAlignment")
    load(panel, slicer_host, scene)
    assert rows_of(panel) == rows


def test_an_imported_table_means_its_own_volumes_and_leaves_that_which_is_there(panel, slicer_host, tmp_path: Path):
    """Both scenes have nodes of the same IDs: those of the imported one are given others."""
    node, labels = add_phantom("imported MR", "MR", 1)
    draw(node, labels, {4: "spleen"})
    add(panel, "source", node)
    panel.ui.structuresTable.item(0, 3).setText("Milz")
    scene, same = saved(tmp_path), node.GetID()
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    first, labels = add_phantom("first MR", "MR", 2)
    draw(first, labels, {1: "liver"})
    add(panel, "validation", first)
    assert first.GetID() == same
    import_beside(panel, slicer_host, scene)
    expected = [("validation", "first MR", "first MR drawn"), ("source", "imported MR", "imported MR drawn")]
    assert rows_of(panel) == expected
    assert [case.volumeId == same for case in panel.logic.cases.cases] == [True, False]
    assert [row.learntAs for row in panel.logic.mapping.rows] == ["liver", "Milz"]
    # and what is saved now has both
    both = saved(tmp_path)
    load(panel, slicer_host, both)
    assert rows_of(panel) == expected


def test_an_imported_scene_without_a_table_takes_none_away(panel, slicer_host, tmp_path: Path):
    scene = saved(tmp_path)
    add_cohorts(panel)
    say_something_of_the_structures(panel)
    rows, mapping = rows_of(panel), mapping_of(panel)
    import_beside(panel, slicer_host, scene)
    assert (rows_of(panel), mapping_of(panel)) == (rows, mapping)
    assert len(casesinscene.read(parameter_node())[0]) == len(rows)


def test_a_case_that_is_added_before_an_imported_table_is_taken_over_costs_none_of_it(
    panel, slicer_host, tmp_path: Path
):
    add(panel, "target", add_phantom("imported CT", "CT", 3)[0])
    scene = saved(tmp_path)
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    slicer.util.loadScene(str(scene))
    panel.logic.addVolumes([add_phantom("CT", "CT", 4)[0]], "target")
    settle(panel, slicer_host)
    assert [name for _, name, _ in rows_of(panel)] == ["CT", "imported CT"]


def test_work_on_many_nodes_that_brings_no_table_changes_none(panel, slicer_host):
    add_cohorts(panel)
    rows, mapping = rows_of(panel), mapping_of(panel)
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    slicer.mrmlScene.EndState(slicer.vtkMRMLScene.BatchProcessState)
    settle(panel, slicer_host)
    assert (rows_of(panel), mapping_of(panel)) == (rows, mapping)


def test_the_path_of_a_folder_on_disk_is_not_in_the_scene(panel, slicer_host, cohorts: Path, tmp_path: Path):
    add_cohorts(panel)
    add_folder(panel, slicer_host, "source", cohorts / "source" / "images", cohorts / "source" / "labels")
    scene = saved(tmp_path)
    assert str(cohorts) not in text_of(scene) and cohorts.name not in text_of(scene)
    assert "MR 1" in text_of(scene) and "not hold them" in panel.ui.addFolderButton.toolTip
    # the session keeps them; the scene has the others
    slicer.mrmlScene.Clear(0)
    settle(panel, slicer_host)
    assert [case.folder is None for case in panel.logic.cases.cases] == [False, False]
    load(panel, slicer_host, scene)
    assert [case.folder is None for case in panel.logic.cases.cases] == [False, False, True, True, True, True]


def test_a_volume_or_labels_that_are_removed_are_referred_to_no_longer(panel):
    sources, targets = add_cohorts(panel)
    lost = targets[0].GetID()
    slicer.mrmlScene.RemoveNode(targets[0])
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("MR 1 drawn"))
    kept, _ = casesinscene.read(parameter_node())
    assert [case.name for case in kept] == ["MR 1", "MR 2", "CT 4"] and kept[0].labelsId == ""
    panel.ui.casesTable.selectRow(0)
    panel.ui.removeCasesButton.click()
    node = parameter_node()
    roles = [node.GetNthNodeReferenceRole(index) for index in range(node.GetNumberOfNodeReferenceRoles())]
    referred = sorted(filter(None, map(node.GetNodeReferenceID, roles)))
    assert lost not in referred and sources[0].GetID() not in referred
    assert referred == sorted([sources[1].GetID(), slicer.util.getNode("MR 2 drawn").GetID(), targets[1].GetID()])


def test_a_volume_that_left_while_nobody_watched_is_left_out(panel, slicer_host):
    _, targets = add_cohorts(panel)
    slicer_host.unload_module("GlobalLocalAlignmentTraining")
    slicer.mrmlScene.RemoveNode(targets[0])
    assert [case.name for case in casesinscene.read(parameter_node())[0]] == ["MR 1", "MR 2", "CT 4"]


def test_saving_again_and_again_lets_nothing_grow(panel, slicer_host, tmp_path: Path):
    add_cohorts(panel)
    sizes = set()
    for number in range(3):
        scene = saved(tmp_path, f"scene{number}.mrb")
        node = parameter_node()
        sizes.add((len(node.GetParameter(casesinscene.PARAMETER)), node.GetNumberOfNodeReferenceRoles()))
        load(panel, slicer_host, scene)
    assert len(sizes) == 1


def test_what_is_kept_already_does_not_modify_the_node(panel):
    add_cohorts(panel)
    modified, node = [], parameter_node()
    tag = node.AddObserver("ModifiedEvent", lambda caller, event: modified.append(event))
    try:
        panel.logic.lookAtAll()
        panel.logic.finishLooking()
        assert modified == []
        panel.ui.structuresTable.item(0, 3).setText("Leber")
        assert len(modified) == 1
    finally:
        node.RemoveObserver(tag)


def damaged(change) -> str:
    """Text of a table with one source case and one structure, changed."""
    found = {"name": "liver", "value": None, "color": [1, 2, 3], "terminology": ""}
    row = {"found": found, "learntAs": "liver", "used": True, "color": [1, 2, 3]}
    state = {"version": 1, "cases": [{"role": "source"}], "structures": [row]}
    change(state, row)
    return json.dumps(state)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "damaged"),
        ("[1, 2]", "damaged"),
        ("[" * 100_000, "damaged"),
        (damaged(lambda state, row: state.pop("cases")), "damaged"),
        (damaged(lambda state, row: row.update(learntAs=7)), "damaged"),
        (damaged(lambda state, row: row.update(color=[1, 2])), "damaged"),
        (damaged(lambda state, row: row.update(color=[1, 2, 300])), "damaged"),
        (damaged(lambda state, row: row.update(found="liver")), "damaged"),
        (damaged(lambda state, row: state.update(version=99)), "newer version"),
        (damaged(lambda state, row: state.update(cases=[{"role": "teacher"}])), "newer version"),
    ],
)
def test_a_text_that_cannot_be_read_is_told_of_and_left_out(panel, slicer_host, tmp_path: Path, text: str, told: str):
    add_phantom("CT", "CT", 3)
    parameter_node().SetParameter(casesinscene.PARAMETER, text)
    scene = saved(tmp_path)
    load(panel, slicer_host, scene)
    assert told in panel.ui.casesStatusLabel.text and "\n" not in panel.ui.casesStatusLabel.text
    assert panel.logic.cases.cases == [] and panel.logic.mapping.rows == []
    # nobody's work is overwritten before there is something to keep
    assert parameter_node().GetParameter(casesinscene.PARAMETER) == text
    add(panel, "target", slicer.util.getNode("CT"))
    assert [case.name for case in casesinscene.read(parameter_node())[0]] == ["CT"]


def test_a_further_field_of_a_row_does_not_keep_an_earlier_version_from_reading(panel):
    text = damaged(lambda state, row: row.update(comment="of a later version"))
    parameter_node().SetParameter(casesinscene.PARAMETER, text)
    assert [row.learntAs for row in casesinscene.read(parameter_node())[1]] == ["liver"]


def test_looking_again_keeps_what_was_said_of_the_structures(panel):
    node, labels = add_phantom("MR", "MR", 1)
    draw(node, labels, PHANTOM_LABELS["abdomen"])
    add(panel, "source", node)
    say_something_of_the_structures(panel)
    mapping = mapping_of(panel)
    panel.ui.checkAgainButton.click()
    panel.logic.finishLooking()
    assert mapping_of(panel) == mapping


def test_a_scene_of_a_version_without_a_parameter_is_read_over_the_one_that_is_open(panel, slicer_host, tmp_path: Path):
    panel.setParameterNode(None)
    for name in ("preset", "seed"):
        parameter_node().UnsetParameter(name)
    scene = saved(tmp_path, "earlier.mrml")
    panel.initializeParameterNode()
    import_beside(panel, slicer_host, scene)
    panel.ui.seedSpinBox.value = 7
    assert panel._parameterNode.seed == 7 and panel._parameterNode.preset == panel.ui.presetComboBox.currentText
