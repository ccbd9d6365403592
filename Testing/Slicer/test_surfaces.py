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
from GlobalLocalAlignmentSlicerLib import results
from GlobalLocalAlignmentSlicerLib.modelcard import LabelCard, ModelCard
from GlobalLocalAlignmentSlicerLib.segmentsurfaces import hasSurfaces, readSource
from GlobalLocalAlignmentSlicerLib.surfacemaker import SurfaceMaker
from segmentpanel import PATIENCE, add_phantom, choose
from SlicerHost import problems
from vtk.util.numpy_support import vtk_to_numpy

NAMES = ("liver", "right kidney", "left kidney", "spleen", "what nobody has")
SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (RULE.GetSmoothingFactorParameterName(), "-0.5"),
        (RULE.GetSmoothingFactorParameterName(), "0.2"),
        (RULE.GetDecimationFactorParameterName(), "0.6"),
    ],
)
def test_surfaces_are_as_smooth_and_fine_as_the_user_has_them(maker, slicer_host, node, name: str, value: str):
    node.GetSegmentation().SetConversionParameter(name, value)
    assert made(maker, slicer_host, node) == []
    refuse_other(node)


def test_surfaces_without_normals(maker, slicer_host, node):
    node.GetSegmentation().SetConversionParameter(RULE.GetComputeSurfaceNormalsParameterName(), "0")
    assert made(maker, slicer_host, node) == []
    liver = surface_of(node, "liver")
    assert liver.GetNumberOfPoints() > 0 and liver.GetPointData().GetNormals() is None
