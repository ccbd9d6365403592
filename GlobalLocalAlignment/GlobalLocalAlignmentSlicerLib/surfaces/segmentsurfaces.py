"""Closed surfaces of a segmentation: what they are made of, and how they come into it without work for the window."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .closedsurfaces import LabelLayer, Surface, SurfaceParameters, SurfaceTask, surfacePath


@dataclass(frozen=True)
class SegmentSource:
    """What the surface of a segment is made of, as it was when it was read.

    Attributes:
        labelmap: vtkOrientedImageData that holds the segment, with others where they share one.
        time: when it was last modified.
        value: of the segment in it.
        layer: place of the labelmap among the layers that were read, None where it has no voxels.
    """

    labelmap: Any
    time: int
    value: int
    layer: int | None

    def isThatOf(self, segment: Any | None) -> bool:
        """Whether a segment still consists of these voxels."""
        if segment is None or segment.GetRepresentation(_labelmapName()) is not self.labelmap:
            return False
        return self.labelmap.GetMTime() == self.time and segment.GetLabelValue() == self.value


@dataclass(frozen=True)
class SegmentationSource:
    """What the surfaces of a segmentation are made of.

    Attributes:
        layers: copies of its label maps.
        segments: by ID.
        parameters: how the user wants surfaces of it.
    """

    layers: list[LabelLayer]
    segments: dict[str, SegmentSource]
    parameters: SurfaceParameters

    def task(self) -> SurfaceTask:
        """For the process that makes the surfaces."""
        values: list[list[int]] = [[] for _layer in self.layers]
        for source in self.segments.values():
            if source.layer is not None:
                values[source.layer].append(source.value)
        return SurfaceTask(list(zip(self.layers, values, strict=True)), self.parameters)

    def readSurfaces(self, folder: Path, number: int) -> dict[str, Surface]:
        """Surfaces that the process made, by ID of the segment; on any thread.

        Raises:
            OSError: a file cannot be read.
        """
        return {
            identifier: Surface.read(surfacePath(folder, number, source.layer, source.value))
            for identifier, source in self.segments.items()
            if source.layer is not None
        }

    def isThatOf(self, segmentation: Any) -> bool:
        """Whether a segmentation still consists of these segments, with these voxels."""
        return set(segmentation.GetSegmentIDs()) == set(self.segments) and all(
            source.isThatOf(segmentation.GetSegment(identifier)) for identifier, source in self.segments.items()
        )


def hasSurfaces(segmentationNode: Any) -> bool:
    """Whether a segmentation is shown in 3D."""
    return segmentationNode.GetSegmentation().ContainsRepresentation(_surfaceName())


def removeSurfaces(segmentationNode: Any) -> None:
    """Show a segmentation in 2D alone; segments that consist of surfaces stay as they are.

    While its segments change one after the other, Slicer would make surfaces anew each time, on the main thread.
    """
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetSourceRepresentationName() != _surfaceName() and hasSurfaces(segmentationNode):
        segmentation.RemoveRepresentation(_surfaceName())


def whyNotHere(segmentationNode: Any) -> str:
    """Why the surfaces of a segmentation are left to Slicer's own button; empty where they are not."""
    rule = _rule()
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetSourceRepresentationName() != _labelmapName():
        return _("{name} does not consist of labelmaps").format(name=segmentationNode.GetName())
    method = segmentation.GetConversionParameter(rule.GetConversionMethodParameterName())
    joint = segmentation.GetConversionParameter(rule.GetJointSmoothingParameterName())
    if method not in ("", "0") or joint not in ("", "0"):
        text = _("{name} asks for surface nets or joint smoothing")
        return text.format(name=segmentationNode.GetName())
    parent = segmentationNode.GetParentTransformNode()
    if parent is not None and not parent.IsTransformToWorldLinear():
        # to show them Slicer bends each point, on the main thread
        return _("{name} is under a transform that is not linear").format(name=segmentationNode.GetName())
    return ""


def readSource(segmentationNode: Any) -> SegmentationSource:
    """Copy what the surfaces of a segmentation are made of; they can be made elsewhere then."""
    import slicer
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    segmentation = segmentationNode.GetSegmentation()
    layers: list[LabelLayer] = []
    places: dict[Any, int | None] = {}
    segments = {}
    for identifier in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(identifier)
        labelmap = segment.GetRepresentation(_labelmapName())
        if labelmap not in places:
            places[labelmap] = None
            scalars = labelmap.GetPointData().GetScalars() if labelmap is not None else None
            if scalars is not None and scalars.GetNumberOfTuples():
                matrix = vtk.vtkMatrix4x4()
                labelmap.GetImageToWorldMatrix(matrix)
                labels = vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1]).copy()
                places[labelmap] = len(layers)
                layers.append(LabelLayer(labels, labelmap.GetExtent()[::2], slicer.util.arrayFromVTKMatrix(matrix)))
        time = labelmap.GetMTime() if labelmap is not None else 0
        segments[identifier] = SegmentSource(labelmap, time, segment.GetLabelValue(), places[labelmap])
    return SegmentationSource(layers, segments, _parameters(segmentation))


def handIn(node: Any, source: SegmentationSource, surfaces: dict[str, Surface]) -> Generator[None, None, None]:
    """Give a segmentation its surfaces, one a step, so that each is drawn in a turn of its own.

    Once a segment has a surface, Slicer makes those that others lack, in one go. So all get an empty one first.
    A segment that gets another surface meanwhile, or none, keeps that.

    Args:
        node: vtkMRMLSegmentationNode without surfaces.
        source: what the surfaces were made of.
        surfaces: by ID of the segment; those that are missing are empty.
    """
    import slicer
    import vtk

    segmentation, name = node.GetSegmentation(), _surfaceName()
    identifier = node.GetID()
    empty = {}
    with slicer.util.NodeModify(node):
        # nobody looks at it before all segments have one
        for segmentId in source.segments:
            empty[segmentId] = vtk.vtkPolyData()
            segmentation.GetSegment(segmentId).AddRepresentation(name, empty[segmentId])
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        # as Slicer's button does: surfaces in 3D alone
        display.SetPreferredDisplayRepresentationName3D(name)
        display.SetPreferredDisplayRepresentationName2D(_labelmapName())
        segmentation.InvokeEvent(slicer.vtkSegmentation.ContainedRepresentationNamesModified)
    for segmentId, surface in surfaces.items():
        if not len(surface.points):
            continue
        yield
        if slicer.mrmlScene.GetNodeByID(identifier) is not node:
            return
        segment = segmentation.GetSegment(segmentId)
        if source.segments[segmentId].isThatOf(segment) and segment.GetRepresentation(name) is empty[segmentId]:
            segment.AddRepresentation(name, _polyData(surface))


def _polyData(surface: Surface) -> Any:
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

    data, points, triangles = vtk.vtkPolyData(), vtk.vtkPoints(), vtk.vtkCellArray()
    points.SetData(numpy_to_vtk(surface.points, deep=True))
    triangles.SetData(3, numpy_to_vtkIdTypeArray(surface.triangles.ravel(), deep=True))
    data.SetPoints(points)
    data.SetPolys(triangles)
    if len(surface.normals):
        normals = numpy_to_vtk(surface.normals, deep=True)
        normals.SetName("Normals")
        data.GetPointData().SetNormals(normals)
    return data


def _parameters(segmentation: Any) -> SurfaceParameters:
    rule = _rule()
    smoothing, decimation, normals = (
        float(segmentation.GetConversionParameter(name) or default)
        for name, default in (
            (rule.GetSmoothingFactorParameterName(), 0.5),
            (rule.GetDecimationFactorParameterName(), 0.0),
            (rule.GetComputeSurfaceNormalsParameterName(), 1),
        )
    )
    return SurfaceParameters(smoothing, decimation, normals > 0)


def _rule() -> Any:
    import slicer

    return slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule


def _surfaceName() -> str:
    import slicer

    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()


def _labelmapName() -> str:
    import slicer

    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
