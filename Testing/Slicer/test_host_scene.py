"""The real MRML core in the host: nodes, segmentations from arrays, subject hierarchy, tables, plots, views."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
import slicer.util
import vtk

OBLIQUE = np.array([[0.8, 0.0, 0.6, -20.0], [0.0, 1.5, 0.0, 5.0], [-0.6, 0.0, 0.8, 30.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.fixture
def blob():
    """An oblique volume (32, 40, 48) that is bright in the middle."""
    k, j, i = np.mgrid[-16:16, -20:20, -24:24]
    array = (200 * np.exp(-(i**2 + j**2 + k**2) / 100)).astype(np.float32)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(OBLIQUE.ravel())
    volume = slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name="blob")
    volume.CreateDefaultDisplayNodes()
    return volume


def segment(volume: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    """Segmentation with an inner and an outer segment, made as the modules will make it."""
    array = slicer.util.arrayFromVolume(volume)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.util.updateVolumeFromArray(labels, (array > 50).astype(np.uint8) + (array > 120))
    labels.CopyOrientation(volume)
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    assert slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, segmentation)
    slicer.mrmlScene.RemoveNode(labels)
    return segmentation


def test_an_array_goes_into_a_volume_and_comes_back(blob):
    array = slicer.util.arrayFromVolume(blob)
    assert (array.shape, array.dtype) == ((32, 40, 48), np.float32)
    matrix = vtk.vtkMatrix4x4()
    blob.GetIJKToRASMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), OBLIQUE)


def test_labels_become_segments_with_the_same_voxels_in_the_same_place(blob):
    segmentation = segment(blob)
    ids = segmentation.GetSegmentation().GetSegmentIDs()
    array = slicer.util.arrayFromVolume(blob)
    voxels = [slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, blob) for name in ids]
    assert np.array_equal(voxels[0] > 0, (array > 50) & (array <= 120))
    assert np.array_equal(voxels[1] > 0, array > 120)
    names = segmentation.GetSegmentation().GetSegment(ids[0])
    names.SetName("liver")
    names.SetColor(0.8, 0.4, 0.3)
    assert segmentation.GetSegmentation().GetSegmentIdBySegmentName("liver") == ids[0]


def test_subject_hierarchy_places_a_node_under_the_folder_of_another(blob):
    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = tree.CreateFolderItem(tree.GetSceneItemID(), "patient")
    tree.SetItemParent(tree.GetItemByDataNode(blob), folder)
    segmentation = segment(blob)
    tree.SetItemParent(tree.GetItemByDataNode(segmentation), tree.GetItemParent(tree.GetItemByDataNode(blob)))
    children = vtk.vtkIdList()
    tree.GetItemChildren(folder, children)
    found = [children.GetId(index) for index in range(children.GetNumberOfIds())]
    assert found == [tree.GetItemByDataNode(blob), tree.GetItemByDataNode(segmentation)]
    slicer.mrmlScene.RemoveNode(segmentation)
    tree.GetItemChildren(folder, children)
    assert children.GetNumberOfIds() == 1


def test_a_table_node_shows_in_a_table_view():
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(table)
    slicer.util.updateTableFromArray(table, [np.arange(3), np.arange(3) ** 2.0], ["iteration", "loss"])
    model = view.model()
    assert (model.rowCount(), model.columnCount()) == (3, 2)
    assert [model.horizontalHeaderItem(1).text(), model.item(2, 1).text()] == ["loss", "4"]


def test_a_chart_shows_in_the_layout_and_in_a_plot_view(slicer_host, tmp_path):
    nodes = {}
    chart = slicer.util.plot(np.array([[0, 4.0], [1, 2], [2, 1.5]]), 0, ["iteration", "loss"], "losses", True, nodes)
    shown = slicer.app.layoutManager().layout
    assert shown == slicer.modules.plots.logic().GetLayoutWithPlot(shown)
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    view.SetPlotChartNodeID(chart.GetID())
    widget = slicer.qMRMLPlotView()
    widget.setMRMLScene(slicer.mrmlScene)
    widget.setMRMLPlotViewNode(view)
    widget.resize(300, 200)
    empty = qt.QImage(widget.grab().toImage())
    view.SetPlotChartNodeID(None)
    assert widget.grab().toImage() != empty


def test_statistics_take_a_plugin_of_ours(blob):
    from SegmentStatistics import SegmentStatisticsLogic
    from SegmentStatisticsPlugins import SegmentStatisticsPluginBase

    class HostStatisticsPlugin(SegmentStatisticsPluginBase):
        def __init__(self):
            super().__init__()
            self.name = self.title = "Host"
            self.keys = self.defaultKeys = ["letters"]

        def computeStatistics(self, segmentID):  # noqa: N802, N803
            return {"letters": len(segmentID)}

        def getMeasurementInfo(self, key):  # noqa: N802
            return self.createMeasurementInfo("letters", "Letters", "Length of the ID", "letters")

    SegmentStatisticsLogic.registerPlugin(HostStatisticsPlugin())
    try:
        segmentation, logic = segment(blob), SegmentStatisticsLogic()
        logic.getParameterNode().SetParameter("Segmentation", segmentation.GetID())
        logic.computeStatistics()
        found, first = logic.getStatistics(), segmentation.GetSegmentation().GetNthSegmentID(0)
        array = slicer.util.arrayFromVolume(blob)
        assert found[first, "HostStatisticsPlugin.letters"] == len(first)
        assert found[first, "LabelmapSegmentStatisticsPlugin.voxel_count"] == ((array > 50) & (array <= 120)).sum()
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
        logic.exportToTable(table)
        assert table.GetNumberOfRows() == 2
    finally:
        SegmentStatisticsLogic.registeredPlugins.remove(HostStatisticsPlugin)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("a, b", "c", "several cells"),
        (np.float32(1), np.float32(2), "no column of float32"),
        (1, 2.5, "several types"),
        (1, None, "cannot be missing"),
        ("a", None, "cannot be missing"),
    ],
)
def test_statistics_refuse_what_slicer_cannot_show(blob, slicer_host, monkeypatch, first, second, message):
    if slicer_host.genuine:
        pytest.skip("Slicer's own takes it")
    from SegmentStatistics import SegmentStatisticsLogic
    from SegmentStatisticsPlugins import LabelmapSegmentStatisticsPlugin

    segmentation, logic = segment(blob), SegmentStatisticsLogic()
    values = dict(zip(segmentation.GetSegmentation().GetSegmentIDs(), (first, second), strict=True))

    def compute(plugin: LabelmapSegmentStatisticsPlugin, identifier: str) -> dict[str, object]:
        value = values[identifier]
        return {} if value is None else {"voxel_count": value}

    monkeypatch.setattr(LabelmapSegmentStatisticsPlugin, "computeStatistics", compute)
    logic.getParameterNode().SetParameter("Segmentation", segmentation.GetID())
    with pytest.raises((TypeError, ValueError), match=message):
        logic.computeStatistics()
        logic.exportToTable(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode"))


def test_the_four_views_show_volume_and_segments(blob, slicer_host, tmp_path):
    slicer.util.setSliceViewerLayers(background=blob, fit=True)
    before = slicer_host.views.four_up((400, 300))
    segmentation = segment(blob)
    segmentation.CreateClosedSurfaceRepresentation()
    slicer.util.resetThreeDViews()
    after = slicer_host.views.four_up((400, 300))
    assert after.shape == (300, 400, 3)
    halves = ((slice(0, 148), slice(152, 300)), (slice(0, 198), slice(202, 400)))
    changed = (after != before).any(axis=-1)
    quarters = [changed[rows, columns].mean() for rows in halves[0] for columns in halves[1]]
    assert min(quarters) > 0.01
    slicer.util.forceRenderAllViews()
    slicer_host.four_up(tmp_path / "views.png", (400, 300))
    assert qt.QImage(str(tmp_path / "views.png")).width() == 400


def test_slice_views_are_the_right_way_round(slicer_host):
    array = np.zeros((20, 20, 20), np.uint8)
    # without a matrix i, j and k are R, A and S: this is the upper, front, left corner of the patient
    array[15:, 15:, :5] = 200
    volume = slicer.util.addVolumeFromArray(array)
    volume.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=volume)
    slicer.app.layoutManager().resetSliceViews()
    red = slicer_host.views.slices["Red"]
    red.node.SetSliceOffset(17.0)
    picture = red.picture((200, 200))[..., 0]
    rows, columns = np.nonzero(picture > 100)
    # on the screen the front is up, and the left of the patient is right
    assert rows.mean() < 100 and columns.mean() > 100


def test_the_layout_manager_is_there_or_none():
    names = slicer.app.layoutManager().sliceViewNames()
    assert names == ("Red", "Yellow", "Green")
    node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert node.GetID() == "vtkMRMLSliceNodeRed"
    assert slicer.util.mainWindow() is None
    slicer.app.commandOptions().noLayoutManager = True
    assert slicer.app.layoutManager() is None


@pytest.mark.parametrize("name", ["volume.nrrd", "volume.nii.gz"])
def test_a_volume_is_saved_and_loaded(blob, tmp_path, name: str):
    assert slicer.util.saveNode(blob, str(tmp_path / name))
    loaded = slicer.util.loadVolume(str(tmp_path / name))
    assert np.array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(blob))
    matrix = vtk.vtkMatrix4x4()
    loaded.GetIJKToRASMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), OBLIQUE, atol=1e-5)
    with pytest.raises(RuntimeError, match="does not exist"):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"))


def test_a_segmentation_is_saved_and_loaded(blob, tmp_path):
    segmentation = segment(blob)
    segmentation.GetSegmentation().GetNthSegment(0).SetName("liver")
    assert slicer.util.saveNode(segmentation, str(tmp_path / "labels.seg.nrrd"))
    loaded = slicer.util.loadSegmentation(str(tmp_path / "labels.seg.nrrd"))
    assert loaded.GetSegmentation().GetSegmentIdBySegmentName("liver")


@pytest.mark.parametrize("name", ["scene.mrb", "folder"])
def test_a_scene_is_saved_and_loaded(blob, tmp_path, name: str):
    segment(blob)
    voxels = slicer.util.arrayFromVolume(blob).copy()
    assert slicer.util.saveScene(str(tmp_path / name))
    slicer.mrmlScene.Clear(0)
    (scene,) = [tmp_path / name] if name.endswith(".mrb") else (tmp_path / name).glob("*.mrml")
    slicer.util.loadScene(str(scene))
    assert np.array_equal(slicer.util.arrayFromVolume(slicer.util.getNode("blob")), voxels)
    assert slicer.util.getNode("segmentation").GetSegmentation().GetNumberOfSegments() == 2
