"""Read, check and write volumes and label maps with their geometry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import nibabel
import numpy as np

from .errors import InputError
from .formats.volumechecks import FARTHEST, check_spacing
from .formats.volumereaders import read_slices, read_voxels
from .formats.volumewriters import write_volume
from .volume import Volume

__all__ = ["Volume", "check_same_geometry", "read_labelmap", "read_volume", "write_volume"]

LARGEST_VALUE = 1e15
"""Of an image; beyond it sums of 32 bits overflow."""

CORNER_TOLERANCE = 1e-2
"""Corners of an image and of its label map may lie this share of a voxel apart."""

HEADER_ROUNDING = 1e-3
"""Millimetres that are added to the tolerance: the last decimal that some programs write into headers."""

WHOLE_NUMBER_TOLERANCE = 1e-3
"""Labels that a header scales come back this close to whole numbers."""


def read_volume(path: Path, slices: Sequence[Path] = ()) -> Volume:
    """Read an image: three-dimensional, finite, not constant. The type of the values is kept.

    Args:
        path: a volume file or a folder that holds one DICOM series.
        slices: files of the series, where the folder holds others too.

    Raises:
        InputError: it cannot be read or used.
    """
    volume = _read(path, slices)
    array = volume.array
    if array.dtype.kind == "f" and not _all_finite(array):
        raise InputError(path, "holds NaN or infinite values", "replace them, for example by the value of air")
    low, high = array.min(), array.max()
    if array.dtype.itemsize > 2 and max(-float(low), float(high)) > LARGEST_VALUE:
        most = low if -float(low) > float(high) else high
        raise InputError(path, f"holds a value of {most:g}", "replace it, no scanner measures that much")
    if low == high:
        raise InputError(path, f"is constant, every voxel is {array.flat[0]:g}", "check the export or leave it out")
    return volume


def read_labelmap(path: Path) -> Volume:
    """Read a label map: three-dimensional, whole numbers, possibly all the same.

    Integers keep their type. Floating-point files that hold whole numbers become int16, or int32 where they need it.

    Raises:
        InputError: it cannot be read or used.
    """
    volume = _read(path)
    array = volume.array
    if array.dtype.kind == "f":
        array = _whole_numbers(array, path)
    return Volume(array, volume.ijk_to_ras, path)


def check_same_geometry(image: Volume, labelmap: Volume) -> None:
    """Check that a label map belongs on an image, voxel by voxel.

    Raises:
        InputError: their shapes differ, or their corners lie more than 0.01 voxel (and 0.001 mm) apart.
    """
    problem = None
    if image.shape != labelmap.shape:
        problem = "has another number of voxels"
    else:
        apart = _corner_distances(image, labelmap)
        if (apart > CORNER_TOLERANCE * np.array(image.spacing) + HEADER_ROUNDING).any():
            problem = f"lies up to {apart.max():.3g} mm beside its image"
    if problem:
        raise InputError(
            labelmap.path or "labelmap",
            f"{problem}: it has another geometry ({_geometry(labelmap)}) than its image"
            f" {image.path or ''} ({_geometry(image)})",
            "resample it to the image",
        )


def _corner_distances(image: Volume, labelmap: Volume) -> np.ndarray:
    """Largest distance between the corners of two volumes along each axis of the image, mm."""
    corners = np.array([(*corner, 1) for corner in product(*((-0.5, size - 0.5) for size in image.shape))])
    apart = (corners @ (labelmap.ijk_to_ras - image.ijk_to_ras).T)[:, :3]
    return np.abs(np.linalg.solve(image.ijk_to_ras[:3, :3], apart.T)).max(axis=1) * image.spacing


def _geometry(volume: Volume) -> str:
    size = "x".join(map(str, volume.shape))
    spacing = "x".join(f"{length:.4g}" for length in volume.spacing)
    axes = "".join(nibabel.aff2axcodes(volume.ijk_to_ras))
    origin = ", ".join(f"{value:.2f}" for value in volume.ijk_to_ras[:3, 3])
    return f"{size} voxels of {spacing} mm, axes {axes}, first voxel at RAS {origin}"


def _read(path: Path, slices: Sequence[Path] = ()) -> Volume:
    array, ijk_to_ras = read_slices(path, slices)[:2] if slices else read_voxels(path)
    if array.ndim != 3:
        raise InputError(path, f"has {array.ndim} dimensions ({_size(array)})", "name a volume of three")
    if array.size == 0:
        raise InputError(path, f"has no voxels ({_size(array)})", "export it again")
    if sorted(array.shape)[1] < 2:
        raise InputError(path, f"has {_size(array)} voxels", "name a volume, not a line")
    if array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
        what = "colours or vectors" if array.dtype.kind == "V" else f"{array.dtype} values"
        raise InputError(path, f"holds {what}", "name a volume with one real number a voxel")
    lengths = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    if not np.isfinite(ijk_to_ras).all() or lengths.min() <= 0:
        raise InputError(path, "has a header without a usable spacing or direction", "export it again")
    if abs(np.linalg.det(ijk_to_ras[:3, :3] / lengths)) < 1e-3:
        raise InputError(
            path, "has a header without a usable direction, two of its axes are parallel", "export it again"
        )
    check_spacing(path, lengths)
    if np.abs(ijk_to_ras[:3, 3]).max() > FARTHEST:
        raise InputError(path, f"lies {np.abs(ijk_to_ras[:3, 3]).max():g} mm from the origin", "export it again")
    return Volume(array, ijk_to_ras, path)


def _size(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape))


def _planes(array: np.ndarray) -> Iterator[np.ndarray]:
    """Planes that are checked one by one, so that no check needs the memory of a whole volume."""
    return (array[..., index] for index in range(array.shape[-1]))


def _all_finite(array: np.ndarray) -> bool:
    return all(bool(np.isfinite(plane).all()) for plane in _planes(array))


def _whole_numbers(array: np.ndarray, path: Path) -> np.ndarray:
    limits = np.iinfo(np.int32)
    whole = _all_finite(array) and all(
        bool((np.abs(plane - np.rint(plane)) <= WHOLE_NUMBER_TOLERANCE).all()) for plane in _planes(array)
    )
    if not whole or array.min() < limits.min or array.max() > limits.max:
        raise InputError(path, "holds values that are not whole numbers", "name a label map, not an image")
    small = np.iinfo(np.int16)
    fits = small.min <= array.min() and array.max() <= small.max
    labels = np.empty_like(array, dtype=np.int16 if fits else np.int32)
    for index, plane in enumerate(_planes(array)):
        labels[..., index] = np.rint(plane)
    return labels
