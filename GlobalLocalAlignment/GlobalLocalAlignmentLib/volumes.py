"""Read, check and write volumes and label maps with their geometry."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from .errors import InputError
from .volumereaders import LPS_TO_RAS, read_slices, read_voxels, volume_suffix
from .wholefiles import put_in_place

PART_PREFIX = ".part_"
"""Of folders with what is being written; a process that was killed leaves one behind."""

WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
CORNER_TOLERANCE = 1e-2
"""Corners of an image and of its label map may lie this share of a voxel apart."""

HEADER_ROUNDING = 1e-3
"""Millimetres that are added to the tolerance: the last decimal that some programs write into headers."""

WHOLE_NUMBER_TOLERANCE = 1e-3
"""Labels that a header scales come back this close to whole numbers."""


@dataclass(frozen=True)
class Volume:
    """Voxels with their place in the patient.

    Attributes:
        array: (I, J, K) values.
        ijk_to_ras: (4, 4) float64, voxel index to RAS millimetres.
        path: where it was read from, for messages.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    path: Path | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along I, J and K."""
        return self.array.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels along I, J and K."""
        return tuple(float(length) for length in np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))


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
    if array.min() == array.max():
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


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume by its suffix: .nii.gz, .nii, .nrrd, .mha, .mhd (with its .raw beside it).

    Integers keep their type, other numbers are written as float32. The file is written beside its place and renamed,
    so a failure leaves what was there before.

    Raises:
        InputError: the suffix is not known or the folder cannot be written.
    """
    suffix = volume_suffix(path)
    if suffix not in WRITABLE_SUFFIXES:
        raise InputError(path, "has no suffix that can be written", f"use one of {', '.join(WRITABLE_SUFFIXES)}")
    write = _write_nifti if suffix in (".nii.gz", ".nii") else write_with_itk
    with whole_volume(path) as place:
        write(_storable(volume.array), volume.ijk_to_ras, place)


@contextmanager
def whole_volume(path: Path) -> Iterator[Path]:
    """A place for a writer that wants a path: what it writes comes to its own place when the block ends well.

    The folder of the path is made. A failure leaves what was there before.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PART_PREFIX, dir=path.parent) as folder:
            # under its own name, because the header of .mhd names its data file
            yield Path(folder) / path.name
            for written in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
                with open(written, "rb+") as stream:
                    os.fsync(stream.fileno())
                put_in_place(written, path.parent / written.name)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1].removeprefix("Reason: ")
        raise InputError(
            path, f"cannot be written into {path.parent} ({reason})", "make space there or choose another folder"
        ) from error


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


def _storable(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    return array if array.dtype.kind in "iu" else array.astype(np.float32, copy=False)


def _write_nifti(array: np.ndarray, ijk_to_ras: np.ndarray, path: Path) -> None:
    # not by ITK: on a full disk it leaves a file cut short and reports nothing
    image = nibabel.Nifti1Image(array, ijk_to_ras, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(ijk_to_ras, code="scanner")
    # a sheared matrix has no quaternion; a rounded one would put the image elsewhere in programs that prefer it
    if _is_orthogonal(ijk_to_ras):
        image.set_qform(ijk_to_ras, code="scanner")
    else:
        image.set_qform(None, code=0)
    image.to_filename(path)


def write_with_itk(
    array: np.ndarray, ijk_to_ras: np.ndarray, path: Path, fields: Mapping[str, str] | None = None
) -> None:
    """Write voxels (I, J, K) by ITK, for NRRD with fields of one's own in the header.

    Raises:
        RuntimeError: they cannot be written.
    """
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    ijk_to_lps = LPS_TO_RAS @ ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / spacing).ravel().tolist())
    for name, text in (fields or {}).items():
        image.SetMetaData(name, text)
    sitk.WriteImage(image, str(path), useCompression=path.suffix.lower() != ".mhd")


def _is_orthogonal(ijk_to_ras: np.ndarray) -> bool:
    directions = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return np.allclose(directions.T @ directions, np.eye(3), atol=1e-4)
