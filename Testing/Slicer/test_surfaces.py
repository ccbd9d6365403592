"""Surfaces of results: where Slicer's own would lie, made beside the window, never in the way of the segmentation."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard, ModelCard
from GlobalLocalAlignmentSlicerLib.scene import results
from GlobalLocalAlignmentSlicerLib.surfaces import surfacemaker
from GlobalLocalAlignmentSlicerLib.surfaces.closedsurfaces import Surface, closedSurface
from GlobalLocalAlignmentSlicerLib.surfaces.segmentsurfaces import handIn, hasSurfaces, readSource, whyNotHere
from GlobalLocalAlignmentSlicerLib.surfaces.surfacemaker import SurfaceMaker
from segmentpanel import PATIENCE, add_phantom, choose
from vtk.util.numpy_support import vtk_to_numpy

NAMES = ("liver", "right kidney", "left kidney", "spleen", "what nobody has")
SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
RULE = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
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
def maker(slicer_host):
    maker = SurfaceMaker()
    yield maker
    maker.stop()


@pytest.fixture
def node(slicer_host):
    """An oblique result with an empty structure, and one that reaches the border of the volume."""
    volume, labels = add_phantom("CT")
    labels = labels.astype(np.uint8)
    labels[:2, :5, :5] = 4
    return results.showSegmentation(volume, labels, CARD)


def made(maker, slicer_host, *nodes) -> list[str]:
    """Lines that are said at the end."""
    said: list[list[str]] = []
    maker.make(list(nodes), onFinished=said.append)
    slicer_host.wait_until(lambda: said, PATIENCE)
    (messages,) = said
    return messages


def surface_of(node, name: str):
    segmentation = node.GetSegmentation()
    return segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name)).GetRepresentation(SURFACE)


def arrays_of(node, name: str) -> list[np.ndarray]:
    """Points, normals and triangles of a surface; empty ones of an empty surface."""
    data = surface_of(node, name)
    if not data.GetNumberOfPoints():
        return [np.zeros((0, 3))] * 3
    return [
        vtk_to_numpy(data.GetPoints().GetData()).copy(),
        vtk_to_numpy(data.GetPointData().GetNormals()).copy(),
        vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3).copy(),
    ]


def refuse_other(node, names=NAMES) -> None:
    """Compare with what Slicer itself makes of the same segments."""
    ours = {name: arrays_of(node, name) for name in names}
    node.RemoveClosedSurfaceRepresentation()
    node.CreateClosedSurfaceRepresentation()
    for name in names:
        points, normals, triangles = arrays_of(node, name)
        assert ours[name][0].shape == points.shape, name
        assert np.allclose(ours[name][0], points, atol=1e-3), name
        assert np.allclose(ours[name][1], normals, atol=1e-3), name
        assert np.array_equal(ours[name][2], triangles), name


def test_surfaces_lie_where_slicers_own_would(maker, slicer_host, node):
    assert made(maker, slicer_host, node) == []
    assert [surface_of(node, name).GetNumberOfPoints() > 0 for name in NAMES] == [True] * 4 + [False]
    refuse_other(node)


def test_surfaces_are_as_smooth_and_fine_as_the_user_has_them(slicer_host, node):
    segmentation = node.GetSegmentation()
    for name, value in (
        (RULE.GetSmoothingFactorParameterName(), "0.2"),
        (RULE.GetDecimationFactorParameterName(), "0.6"),
        (RULE.GetSmoothingFactorParameterName(), "-0.5"),
    ):
        segmentation.SetConversionParameter(name, value)
        hand_in_here(node)
        refuse_other(node)
        node.RemoveClosedSurfaceRepresentation()
    segmentation.SetConversionParameter(RULE.GetComputeSurfaceNormalsParameterName(), "0")
    hand_in_here(node)
    liver = surface_of(node, "liver")
    assert liver.GetNumberOfPoints() > 0 and liver.GetPointData().GetNormals() is None
    segmentation.SetConversionParameter(RULE.GetConversionMethodParameterName(), "1")
    assert whyNotHere(node) == "CT segmentation asks for surface nets or joint smoothing"


def hand_in_here(node) -> None:
    """Make and hand in, without a process."""
    source = readSource(node)
    surfaces = {
        identifier: closedSurface(source.layers[segment.layer], segment.value, source.parameters)
        for identifier, segment in source.segments.items()
    }
    assert list(handIn(node, source, surfaces)) == [None] * 4


def test_slicer_makes_none_itself_while_they_are_handed_in(slicer_host, node):
    source = readSource(node)
    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], np.float32)
    triangle = Surface(corners, np.array([[0, 1, 2]]), np.zeros((0, 3), np.float32))
    node.GetDisplayNode().SetVisibility(True)
    counts = []
    for _step in handIn(node, source, {segment: triangle for segment in source.segments}):
        slicer_host.process_events()
        slicer_host.views.threed.picture((50, 50))
        counts.append([surface_of(node, name).GetNumberOfPoints() for name in NAMES])
    assert counts == [[3] * done + [0] * (5 - done) for done in range(5)]
    assert [surface_of(node, name).GetNumberOfPoints() for name in NAMES] == [3] * 5
    # seen by the 3D view, and by no slice view
    assert node.GetDisplayNode().GetDisplayRepresentationName3D() == SURFACE
    assert node.GetDisplayNode().GetDisplayRepresentationName2D() == LABELMAP


def test_a_surface_that_comes_another_way_meanwhile_stays(slicer_host, node):
    source = readSource(node)
    fromElsewhere = vtk.vtkPolyData()
    steps = handIn(node, source, {segment: Surface(*[np.ones((1, 3))] * 3) for segment in source.segments})
    next(steps)
    node.GetSegmentation().GetNthSegment(0).AddRepresentation(SURFACE, fromElsewhere)
    next(steps)
    assert surface_of(node, "liver") is fromElsewhere
    node.RemoveClosedSurfaceRepresentation()
    assert list(steps) == [None] * 3 and not hasSurfaces(node)


def edit(node) -> None:
    """Take a part of the liver away, as the Segment Editor does."""
    segmentation = node.GetSegmentation()
    identifier = segmentation.GetSegmentIdBySegmentName("liver")
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(identifier, image)
    inside = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    inside[: len(inside) // 2] = 0
    image.Modified()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, node, identifier, logic.MODE_REPLACE)


def test_a_segment_that_is_edited_gets_another_surface_as_ever(maker, slicer_host, node):
    made(maker, slicer_host, node)
    before, others = surface_of(node, "liver").GetNumberOfPoints(), surface_of(node, "left kidney")
    edit(node)
    assert 0 < surface_of(node, "liver").GetNumberOfPoints() < before
    assert surface_of(node, "left kidney") is others
    refuse_other(node)


def test_a_moved_result_keeps_its_surfaces_with_it_and_a_bent_one_is_left_to_slicer(maker, slicer_host, node):
    moved = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.array([[0, -1, 0, 5], [1, 0, 0, -7], [0, 0, 1, 11], [0, 0, 0, 1.0]])
    moved.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(moved.GetID())
    assert made(maker, slicer_host, node) == []
    refuse_other(node)
    node.RemoveClosedSurfaceRepresentation()
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    bent.SetAndObserveTransformToParent(vtk.vtkBSplineTransform())
    node.SetAndObserveTransformNodeID(bent.GetID())
    assert made(maker, slicer_host, node) == [
        "No surfaces: CT segmentation is under a transform that is not linear; the button in Results makes them."
    ]
    assert not hasSurfaces(node)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that the process waits for before it does anything; its number is in the folder "pid" meanwhile."""
    go = tmp_path / "go"
    lines = (
        "import os, pathlib, sys, time",
        f"pathlib.Path({str(tmp_path)!r}, 'pid', str(os.getpid())).mkdir(parents=True)",
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)",
        "from GlobalLocalAlignmentSlicerLib.surfaces.closedsurfaces import main",
        "sys.exit(main(sys.argv[1:]))",
    )
    monkeypatch.setattr(surfacemaker, "MODULE", "heldsurfaces")
    (tmp_path / "heldsurfaces.py").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return go


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where temporary folders are made, empty again once nothing is made any longer."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def started(maker, slicer_host, held: Path, *nodes) -> list[list[str]]:
    """Start, and wait until the process is there; what is said at the end."""
    said: list[list[str]] = []
    maker.make(list(nodes), onFinished=said.append)
    slicer_host.wait_until(lambda: numbers(held), PATIENCE)
    return said


def numbers(held: Path) -> list[int]:
    """Of the processes that were started."""
    return [int(path.name) for path in held.parent.glob("pid/*")]


def test_other_voxels_than_those_that_were_read_are_no_surfaces(maker, slicer_host, node, held, folders):
    said = started(maker, slicer_host, held, node)
    edit(node)
    held.touch()
    slicer_host.wait_until(lambda: said, PATIENCE)
    text = "CT segmentation was changed while its surfaces were made; the button in Results makes them."
    assert said == [[text]] and not hasSurfaces(node)


def test_surfaces_that_slicer_made_meanwhile_stay(maker, slicer_host, node, held, folders):
    said = started(maker, slicer_host, held, node)
    node.CreateClosedSurfaceRepresentation()
    own = [surface_of(node, name) for name in NAMES]
    held.touch()
    slicer_host.wait_until(lambda: said, PATIENCE)
    assert said == [[]] and [surface_of(node, name) for name in NAMES] == own


def test_a_segmentation_that_is_removed_keeps_nobody_from_the_next(maker, slicer_host, node, held, folders):
    volume, labels = add_phantom("other", 3)
    other = results.showSegmentation(volume, labels.astype(np.uint8), CARD)
    said = started(maker, slicer_host, held, node, other)
    slicer.mrmlScene.RemoveNode(node)
    held.touch()
    slicer_host.wait_until(lambda: said, PATIENCE)
    assert said == [[]] and surface_of(other, "liver").GetNumberOfPoints() > 0
    slicer_host.wait_until(lambda: not list(folders.iterdir()), PATIENCE)


@pytest.mark.parametrize("how", ["uncheck", "close", "kill"])
def test_what_ends_the_surfaces_leaves_the_segmentation(panel, slicer_host, node, held, folders, how: str):
    maker = panel.logic.surfaces
    said = started(maker, slicer_host, held, node)
    (process,) = numbers(held)
    if how == "kill":
        os.kill(process, signal.SIGKILL)
        slicer_host.wait_until(lambda: said, PATIENCE)
        ((line,),) = said
        assert line.startswith("No surfaces: the process was ended from outside")
    else:
        panel.ui.surfacesCheckBox.click() if how == "uncheck" else slicer.mrmlScene.Clear()
        assert not maker.running
    # nothing of it is left, not even of the process
    slicer_host.wait_until(lambda: not list(folders.iterdir()) and not Path("/proc", str(process)).exists(), PATIENCE)
    assert said == [] or how == "kill"
    if how == "close":
        return
    assert not hasSurfaces(node) and node.GetSegmentation().GetNumberOfSegments() == len(NAMES)
    # and the next time they come
    held.touch()
    assert made(maker, slicer_host, node) == [] and hasSurfaces(node)


def test_a_result_comes_into_3d_after_it_is_in_2d_where_that_is_wanted(panel, slicer_host, tiny_run: Path):
    volume, _labels = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", volume)
    assert panel.ui.surfacesCheckBox.checked
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    segmentation = results.findResult(volume, results.SEGMENTATION)
    assert panel.ui.statusLabel.text == "1 segmented." and panel.ui.applyButton.text == "Apply"
    assert panel.logic.surfaces.running and not hasSurfaces(segmentation)
    slicer_host.wait_until(lambda: not panel.logic.surfaces.running, PATIENCE)
    assert hasSurfaces(segmentation) and panel.ui.show3DButton.checked
    refuse_other(segmentation, [segment.name for segment in panel._card.labels])
    panel.ui.show3DButton.click()
    assert not hasSurfaces(segmentation)
    panel.ui.show3DButton.click()
    assert hasSurfaces(segmentation)
    panel.ui.show3DButton.click()
    panel.ui.surfacesCheckBox.click()
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.statusLabel.text == "1 segmented." and not panel.logic.surfaces.running
    assert not hasSurfaces(segmentation)
    # what the user said holds for the next scene too
    slicer.mrmlScene.Clear()
    assert not panel._parameterNode.surfaces and not panel.ui.surfacesCheckBox.checked


def test_what_is_missing_in_3d_is_said_below_what_is_there_in_2d(panel):
    panel.ui.statusLabel.text = "1 segmented."
    panel.onSurfaces([])
    assert panel.ui.statusLabel.text == "1 segmented."
    panel.onSurfaces(["No surfaces: because."])
    assert panel.ui.statusLabel.text == "1 segmented.\nNo surfaces: because."
