"""Closed surfaces of segments, made as Slicer makes them, in a process of their own.

``python -m GlobalLocalAlignmentSlicerLib.surfaces.closedsurfaces FOLDER COUNT`` does the tasks that ``writeTask`` left
in a folder: it reads label maps and writes points and triangles. It touches no scene: numpy and the filters of VTK are
all that it takes, both of which Slicer's own Python has.

The steps and their order are those of ``vtkBinaryLabelmapToClosedSurfaceConversionRule`` of Slicer 5.12 (flying edges,
decimation, windowed sinc, normals), so that the surfaces are Slicer's own, and those that Slicer makes later, after a
segment was edited, look the same.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..background.diskspace import describe

WHOLE = "surfaces"
"""Name of the event that the surfaces of one task are all written."""


@dataclass(frozen=True)
class SurfaceParameters:
    """Slicer's parameters of this conversion; as defaults, Slicer's own.

    Attributes:
        smoothing: 0 to 1; none at 0 and below, which is how Slicer's button turns it off.
        decimation: share of triangles to do without, 0 to 1.
        normals: whether points have normals.
    """

    smoothing: float = 0.5
    decimation: float = 0.0
    normals: bool = True


@dataclass(frozen=True)
class LabelLayer:
    """A label map of one or more segments, as a segmentation keeps it.

    Attributes:
        labels: (K, J, I) whole numbers, the label values of the segments.
        first: index along I, J and K of the first voxel.
        toRas: matrix (4, 4) from indices to the coordinates of the segmentation, millimetres.
    """

    labels: np.ndarray
    first: tuple[int, int, int]
    toRas: np.ndarray


@dataclass(frozen=True)
class Surface:
    """A closed surface.

    Attributes:
        points: (N, 3) millimetres; float32, as Slicer's own.
        triangles: (M, 3) places of points.
        normals: (N, 3) outward unit vectors, float32; (0, 3) where none were asked for.
    """

    points: np.ndarray
    triangles: np.ndarray
    normals: np.ndarray

    def write(self, path: Path) -> None:
        """Write the surface to a file.

        Raises:
            OSError: the file cannot be written.
        """
        np.savez(path, points=self.points, triangles=self.triangles, normals=self.normals)

    @classmethod
    def read(cls, path: Path) -> Surface:
        """Read what ``write`` wrote; on any thread.

        Raises:
            OSError: the file cannot be read.
        """
        with np.load(path) as arrays:
            return cls(arrays["points"], arrays["triangles"], arrays["normals"])


NO_SURFACE = Surface(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int64), np.zeros((0, 3), np.float32))
"""Of a segment without voxels."""


def closedSurface(layer: LabelLayer, value: int, parameters: SurfaceParameters) -> Surface:
    """The surface of one label value of a label map; ``NO_SURFACE`` where no voxel has it."""
    from vtkmodules.vtkCommonTransforms import vtkTransform
    from vtkmodules.vtkFiltersCore import vtkDecimatePro, vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D, vtkTransformPolyDataFilter

    if not (layer.labels == value).any():
        return NO_SURFACE
    edges = vtkDiscreteFlyingEdges3D()
    edges.SetInputData(_image(layer))
    edges.ComputeGradientsOff()
    edges.ComputeNormalsOff()
    edges.SetValue(0, value)
    filters = [edges]
    if parameters.decimation > 0:
        decimator = vtkDecimatePro()
        decimator.SetFeatureAngle(60)
        decimator.SplittingOff()
        decimator.PreserveTopologyOn()
        decimator.SetMaximumError(1)
        decimator.SetTargetReduction(parameters.decimation)
        filters.append(decimator)
    if parameters.smoothing > 0:
        smoother = vtkWindowedSincPolyDataFilter()
        smoother.SetNumberOfIterations(int(20 + parameters.smoothing * 40))
        smoother.SetPassBand(10.0 ** (-4.0 * parameters.smoothing))
        smoother.BoundarySmoothingOff()
        smoother.FeatureEdgeSmoothingOff()
        smoother.NonManifoldSmoothingOn()
        smoother.NormalizeCoordinatesOn()
        filters.append(smoother)
    toRas = vtkTransform()
    toRas.SetMatrix(layer.toRas.ravel().tolist())
    transformer = vtkTransformPolyDataFilter()
    transformer.SetTransform(toRas)
    filters.append(transformer)
    if parameters.normals:
        normals = vtkPolyDataNormals()
        normals.ConsistencyOn()
        normals.SplittingOff()
        filters.append(normals)
    for before, after in zip(filters, filters[1:], strict=False):
        after.SetInputConnection(before.GetOutputPort())
    filters[-1].Update()
    return _surface(filters[-1].GetOutput())


def _image(layer: LabelLayer) -> Any:
    """The label map as an image with indices for coordinates, closed by a border of background where it needs one."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData

    labels, first = layer.labels, np.array(layer.first)
    border = labels.copy()
    border[1:-1, 1:-1, 1:-1] = 0
    if border.any():
        labels, first = np.pad(labels, 1), first - 1
    last = first + labels.shape[::-1] - 1
    image = vtkImageData()
    image.SetExtent(*(int(index) for pair in zip(first, last, strict=True) for index in pair))
    image.GetPointData().SetScalars(numpy_to_vtk(labels.ravel(), deep=True))
    return image


def _surface(data: Any) -> Surface:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    if not data.GetNumberOfPolys():
        return NO_SURFACE
    normals = data.GetPointData().GetNormals()
    return Surface(
        vtk_to_numpy(data.GetPoints().GetData()).astype(np.float32),
        vtk_to_numpy(data.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64),
        vtk_to_numpy(normals).astype(np.float32) if normals is not None else NO_SURFACE.normals,
    )


@dataclass(frozen=True)
class SurfaceTask:
    """What one segmentation needs.

    Attributes:
        layers: its label maps, each with the values that are wanted of it.
        parameters: of the conversion.
    """

    layers: list[tuple[LabelLayer, list[int]]]
    parameters: SurfaceParameters


def writeTask(folder: Path, number: int, task: SurfaceTask) -> None:
    """Write what the process is to do for one segmentation; on any thread.

    Raises:
        OSError: the folder cannot be written.
    """
    layers = []
    for place, (layer, values) in enumerate(task.layers):
        np.save(_labelsPath(folder, number, place), layer.labels)
        layers.append({"first": list(layer.first), "toRas": layer.toRas.tolist(), "values": values})
    content = {"parameters": vars(task.parameters), "layers": layers}
    _taskPath(folder, number).write_text(json.dumps(content), encoding="utf-8")


def surfacePath(folder: Path, number: int, place: int, value: int) -> Path:
    """File for the surface of a value, in the layer of a place, in the task of a number."""
    return folder / f"surface_{number:04d}_{place}_{value}.npz"


def _taskPath(folder: Path, number: int) -> Path:
    return folder / f"task_{number:04d}.json"


def _labelsPath(folder: Path, number: int, place: int) -> Path:
    return folder / f"labels_{number:04d}_{place}.npy"


def main(arguments: list[str]) -> int:
    """Make the surfaces of all tasks in a folder; says of each that it is done. Returns the exit code."""
    folder, count = Path(arguments[0]), int(arguments[1])
    try:
        for number in range(count):
            task = json.loads(_taskPath(folder, number).read_text(encoding="utf-8"))
            parameters = SurfaceParameters(**task["parameters"])
            for place, entry in enumerate(task["layers"]):
                labels = np.load(_labelsPath(folder, number, place))
                layer = LabelLayer(labels, tuple(entry["first"]), np.array(entry["toRas"]))
                for value in entry["values"]:
                    closedSurface(layer, value, parameters).write(surfacePath(folder, number, place, value))
            print(json.dumps({"event": WHOLE, "number": number}), flush=True)
    except OSError as error:
        print(f"error: {describe(error, folder)}", flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
