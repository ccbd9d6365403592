"""Segmentations that the core writes as .seg.nrrd, as Slicer reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from GlobalLocalAlignmentLib.config import Label, load_preset
from GlobalLocalAlignmentLib.formats.segmentationfile import write_segmentation
from GlobalLocalAlignmentLib.volumes import Volume
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import add_phantom


def matrix_of(node) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def load(labels: list[Label], path: Path):
    """A phantom's labels as a file and as the node that Slicer makes of it; the volume, its labels, the node."""
    volume, truth = add_phantom("CT")
    array = np.ascontiguousarray(truth.T.astype(np.uint8))
    write_segmentation(Volume(array, matrix_of(volume)), labels, path, predicted=True)
    return volume, truth, slicer.util.loadSegmentation(str(path))


def test_names_colours_terms_and_voxels_arrive_in_the_grid_of_the_volume(slicer_host, tmp_path: Path):
    labels = [Label.model_validate(label) for label in load_preset("abdomen")["labels"]]
    volume, truth, node = load(labels, tmp_path / "x.seg.nrrd")
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == len(labels) and segmentation.GetNumberOfLayers() == 1
    for index, label in enumerate(labels):
        segment = segmentation.GetNthSegment(index)
        assert segment.GetName() == label.name
        assert np.allclose(segment.GetColor(), np.array(label.color) / 255, atol=1e-4)
        assert segment.GetTerminology() == label.terminology != ""
        assert segment.GetLabelValue() == label.value
        array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentation.GetNthSegmentID(index), volume)
        assert np.array_equal(array > 0, truth == label.value)


def test_slicer_goes_on_editing_in_the_grid_of_the_volume_and_exports_the_label_values(slicer_host, tmp_path: Path):
    labels = [Label.model_validate(label) for label in load_preset("abdomen")["labels"]]
    volume, truth, node = load(labels, tmp_path / "x.seg.nrrd")
    converter = slicer.vtkSegmentationConverter
    text = node.GetSegmentation().GetConversionParameter(converter.GetReferenceImageGeometryParameterName())
    geometry = slicer.vtkOrientedImageData()
    assert converter.DeserializeImageGeometry(text, geometry)
    matrix = vtk.vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    assert np.allclose(slicer.util.arrayFromVTKMatrix(matrix), matrix_of(volume), atol=1e-4)
    assert geometry.GetDimensions() == volume.GetImageData().GetDimensions()
    # the tag by which the modules know a segment of a model
    assert results.usersSegments(node) == []


def test_odd_names_arrive_and_two_of_one_name_are_two_segments(slicer_host, tmp_path: Path):
    labels = [Label(value=1, name='Leber "ä" 肝'), Label(value=2, name="a: b\\c"), Label(value=3, name="a: b\\c")]
    _, _, node = load(labels, tmp_path / "x.seg.nrrd")
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(index).GetName() for index in range(3)]
    assert names == [label.name for label in labels]
