"""The scene of the demo, opened again: voxels, names, colours and views, and no trace of the computer."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from GlobalLocalAlignmentLib.phantom import write_cohort
from GlobalLocalAlignmentLib.scene import write_scene
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, read_volume, write_volume
from GlobalLocalAlignmentSlicerLib.models.modelcard import readModelCard
from GlobalLocalAlignmentSlicerLib.samples.demoscene import main
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.scene.colortables import OWN_COLORS

CASES = ("case_00", "case_01")


@pytest.fixture(scope="module")
def demo(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder as a demo leaves it, with predictions that differ from the truth, and its scene."""
    folder = tmp_path_factory.mktemp("Vorführung") / "demo"
    write_cohort(folder / "data" / "test", "abdomen", "CT", len(CASES), 3, (40, 32, 8), (8, 8, 16))
    predictions = folder / "predictions" / "ours"
    predictions.mkdir(parents=True)
    (folder / "runs").mkdir()
    (folder / "runs" / "ours").symlink_to(tiny_run)
    random = np.random.default_rng(1)
    for name in CASES:
        truth = read_labelmap(folder / "data" / "test" / "labels" / f"{name}.nii.gz")
        missed = random.random(truth.array.shape) < 0.1
        for kind, array in (
            ("segmentation", np.where(missed, 0, truth.array).astype(np.uint8)),
            ("feature_mask", random.random(truth.array.shape).astype(np.float32)),
        ):
            write_volume(Volume(array, truth.ijk_to_ras), predictions / f"{name}_{kind}.nii.gz")
    assert write_scene(folder) == f"scene   {folder / 'scene.mrb'}"
    return folder


@pytest.fixture
def scene(slicer_host, demo: Path):
    """The scene in a Slicer that knows nothing of it; nodes by name."""
    slicer.util.loadScene(str(demo / "scene.mrb"))
    return slicer.util.getNode


@pytest.mark.parametrize("name", CASES)
def test_each_case_is_there_voxel_by_voxel(scene, demo: Path, name: str):
    volume, mask = scene(name), scene(f"{name} feature mask")
    image = read_volume(demo / "data" / "test" / "images" / f"{name}.nii.gz")
    predicted = read_volume(demo / "predictions" / "ours" / f"{name}_feature_mask.nii.gz")
    for node, expected in ((volume, image), (mask, predicted)):
        matrix = vtk.vtkMatrix4x4()
        node.GetIJKToRASMatrix(matrix)
        assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), expected.ijk_to_ras, atol=1e-4)
        assert np.array_equal(slicer.util.arrayFromVolume(node), expected.array.T)
    card = readModelCard(demo / "runs" / "ours" / "model.safetensors")
    for title, parts in (
        ("segmentation", ("predictions", "ours", f"{name}_segmentation.nii.gz")),
        ("ground truth", ("data", "test", "labels", f"{name}.nii.gz")),
    ):
        node, labels = scene(f"{name} {title}"), read_labelmap(demo.joinpath(*parts)).array.T
        segmentation = node.GetSegmentation()
        for index, label in enumerate(card.labels):
            segment = segmentation.GetNthSegment(index)
            assert segment.GetName() == label.name
            assert np.allclose(segment.GetColor(), np.array(label.color) / 255, atol=0.01)
            inside = slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentation.GetNthSegmentID(index), volume)
            assert np.array_equal(inside > 0, labels == label.value)


def test_results_are_known_as_such_and_the_truth_is_none(scene):
    for name in CASES:
        assert results.findSegmentation(scene(name)) is scene(f"{name} segmentation")
        assert results.findResult(scene(name), results.FEATURE_MASK) is scene(f"{name} feature mask")
        truth = scene(f"{name} ground truth")
        assert not results.isResult(truth) and len(results.usersSegments(truth)) == 4


def test_each_case_has_its_folder(scene):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for name in CASES:
        for ending in ("", " segmentation", " ground truth", " feature mask"):
            parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(scene(name + ending)))
            assert hierarchy.GetItemName(parent) == name
            assert hierarchy.GetItemLevel(parent) == "Folder"


def test_the_views_show_the_first_case_under_its_mask(scene):
    views = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert [view.GetLayoutName() for view in views] == ["Red", "Yellow", "Green"]
    for view in views:
        assert view.GetBackgroundVolumeID() == scene("case_00").GetID()
        assert view.GetForegroundVolumeID() == scene("case_00 feature mask").GetID()
        assert view.GetForegroundOpacity() == 0.5
        # fitted: the whole phantom of 320 x 256 x 128 mm
        node = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{view.GetLayoutName()}")
        assert max(node.GetFieldOfView()[:2]) >= 255
    shown = [
        node.GetName()
        for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        if node.GetDisplayNode().GetVisibility()
    ]
    assert shown == ["case_00 segmentation"]
    # the surfaces of the 3D view
    segmentation = scene("case_00 segmentation").GetSegmentation()
    for identifier in segmentation.GetSegmentIDs():
        surface = segmentation.GetSegment(identifier).GetRepresentation("Closed surface")
        assert surface is not None and surface.GetNumberOfPolys() > 0


def test_the_masks_colours_come_with_the_scene(scene):
    for name in CASES:
        display = scene(f"{name} feature mask").GetDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0.0, 1.0)
        colors = display.GetColorNode()
        assert colors.GetName() == OWN_COLORS and colors.GetNumberOfColors() == 256
        places, color, brightness = np.linspace(0, 255, 9).astype(int), [0.0] * 4, []
        for place in places:
            colors.GetColor(int(place), color)
            brightness.append(np.dot(color[:3], (0.299, 0.587, 0.114)))
        assert np.all(np.diff(brightness) > 0.03)


def test_nothing_in_the_scene_tells_of_the_computer(demo: Path):
    secrets = {str(demo.parent), str(Path.home()), os.getcwd()} - {"/"}
    if getpass.getuser() != "root":
        secrets.add(getpass.getuser())
    with zipfile.ZipFile(demo / "scene.mrb") as archive:
        for entry in archive.namelist():
            content = archive.read(entry)
            assert not any(secret.encode() in content for secret in secrets), entry
            assert entry.startswith("scene/")


def test_slicer_takes_it_for_a_scene_of_its_own(demo: Path):
    with zipfile.ZipFile(demo / "scene.mrb") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".mrml")]
        assert b'<MRML version="Slicer 5.12.0 0"' in archive.read(name)


def test_the_command_demo_writes_it(demo: Path, monkeypatch, capsys):
    from GlobalLocalAlignmentLib import cli
    from GlobalLocalAlignmentLib import demo as whole_job
    from GlobalLocalAlignmentLib.commands import training

    (demo / "scene.mrb").unlink()
    monkeypatch.setattr(whole_job, "run_demo", lambda output, *rest: ({}, output / "report.html"))
    monkeypatch.setattr(training, "print_scores", lambda *rest: None)
    assert cli.run(["demo", "--output", str(demo)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"scene   {demo / 'scene.mrb'}"
    assert (demo / "scene.mrb").is_file()


def test_slicer_itself_can_write_it_but_never_a_patient_along(slicer_host, demo: Path, capsys):
    assert main([str(demo)]) == 0
    assert main([str(demo)]) == 2
    assert "the scene holds volumes" in capsys.readouterr().err
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(str(demo / "scene.mrb"))
    (view, *_) = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert view.GetForegroundVolumeID() == slicer.util.getNode("case_00 feature mask").GetID()


def test_nothing_is_left_beside_the_scene(demo: Path):
    assert sorted(path.name for path in demo.iterdir()) == ["data", "predictions", "runs", "scene.mrb"]


@pytest.mark.parametrize("what", ["empty", "damaged"])
def test_a_folder_without_a_finished_demo_is_refused_in_one_line(demo: Path, tmp_path: Path, what: str):
    if what == "damaged":
        (tmp_path / "data").symlink_to(demo / "data")
        (tmp_path / "runs" / "ours").mkdir(parents=True)
        (tmp_path / "runs" / "ours" / "model.safetensors").write_bytes(b"nothing")
    line = write_scene(tmp_path)
    assert line.startswith("no scene: error: ") and len(line.splitlines()) == 1
    assert ("holds no finished demo" if what == "empty" else "is no model") in line
    assert not (tmp_path / "scene.mrb").exists()


def test_the_core_says_how_to_get_a_scene_where_it_cannot_write_one(demo: Path, monkeypatch):
    from GlobalLocalAlignmentLib import scene

    monkeypatch.setattr(scene, "CORE_OF_SLICER", "surely_not_installed")
    assert write_scene(demo) == scene.HOW.format(module=scene.MODULE)


def test_the_module_can_be_run_by_its_name(demo: Path):
    folder = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment"
    command = [sys.executable, "-m", "GlobalLocalAlignmentSlicerLib.samples.demoscene"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "error: give the folder of a demo\n")


def test_the_folder_may_be_given_as_a_path_from_here(demo: Path, tmp_path: Path):
    shutil.copytree(demo, tmp_path / "demo")
    (tmp_path / "demo" / "scene.mrb").unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "GlobalLocalAlignment")}
    command = [sys.executable, "-m", "GlobalLocalAlignmentSlicerLib.samples.demoscene", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "scene.mrb").is_file()
