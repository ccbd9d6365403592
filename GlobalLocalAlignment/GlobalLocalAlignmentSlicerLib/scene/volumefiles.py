"""Volumes of the scene as files for the core, and the core's files as arrays that fit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..translation import tr as _

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
ORTHOGONAL_TOLERANCE = 1e-3


class VolumeFileError(Exception):
    """A volume that cannot be handed to the core or taken from it, in one line for the user.

    Args:
        text: the line, or what makes it where it is read: on another thread than the main one nothing is translated.
    """

    def __init__(self, text: str | Callable[[], str]) -> None:
        super().__init__(text)
        self._text = text

    def __str__(self) -> str:
        return self._text() if callable(self._text) else self._text


def writeVolume(node: Any, path: Path) -> None:
    """Write a scalar volume or labelmap node, without a transform that it is under, whatever the node's own file is.

    Args:
        node: vtkMRMLScalarVolumeNode or vtkMRMLLabelMapVolumeNode.
        path: NRRD file.

    Raises:
        VolumeFileError: no image, not one value a voxel, a sheared grid, or a file that cannot be written.
    """
    import slicer

    data = node.GetImageData()
    if data is None or data.GetNumberOfPoints() == 0:
        raise VolumeFileError(_("{name} holds no image").format(name=node.GetName()))
    if data.GetNumberOfScalarComponents() != 1:
        text = _("{name} has several values in a voxel; choose a volume with one")
        raise VolumeFileError(text.format(name=node.GetName()))
    writeArray(slicer.util.arrayFromVolume(node), ijkToRas(node), path, node.GetName())


def writeArray(array: np.ndarray, matrix: np.ndarray, path: Path, name: str) -> None:
    """Write voxels (K, J, I) that lie where a matrix from voxel indices to RAS (4, 4) says, on any thread.

    Raises:
        VolumeFileError: a sheared grid, or a file that cannot be written; ``name`` is what the user calls the volume.
    """
    import SimpleITK as sitk

    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = matrix[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > ORTHOGONAL_TOLERANCE:
        raise VolumeFileError(lambda: _("{name} has a sheared grid; resample it first").format(name=name))
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((RAS_TO_LPS @ directions).ravel().tolist())
    image.SetOrigin((RAS_TO_LPS @ matrix[:3, 3]).tolist())
    try:
        sitk.WriteImage(image, str(path), False)
    except RuntimeError as error:
        # cut short, and yet a file that the core would find
        path.unlink(missing_ok=True)
        folder = path.parent
        raise VolumeFileError(
            lambda: _("{name} cannot be written to {folder}; make space there").format(name=name, folder=folder)
        ) from error


def readArray(path: Path) -> np.ndarray:
    """Voxels (K, J, I) of a file that the core wrote. Touches no node, so it may run on another thread.

    Raises:
        VolumeFileError: the file cannot be read.
    """
    import SimpleITK as sitk

    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise VolumeFileError(lambda: _("the result {name} cannot be read").format(name=path.name)) from error


def refuseOtherGrid(array: np.ndarray, node: Any) -> None:
    """Raise VolumeFileError if voxels (K, J, I) are not those of a volume node any longer."""
    expected = tuple(reversed(node.GetImageData().GetDimensions())) if node.GetImageData() is not None else None
    if array.shape != expected:
        text = _("{name} was changed while it was segmented; segment it again")
        raise VolumeFileError(text.format(name=node.GetName()))


def ijkToRas(node: Any) -> np.ndarray:
    """The node's matrix from voxel indices to RAS millimetres, 4 x 4."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
