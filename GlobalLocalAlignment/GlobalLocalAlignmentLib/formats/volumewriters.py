"""Volumes written as whole files or not at all.

Of the packages that Slicer does not bring, NIfTI alone needs one, and asks for it when it is written: Slicer's sample
data are written before anything is installed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..volume import LPS_TO_RAS, Volume, refuse_name, volume_suffix
from ..wholefiles import put_in_place

PART_PREFIX = ".part_"
"""Of folders with what is being written; a process that was killed leaves one behind."""

WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


def write_volume(volume: Volume, path: Path, fields: Mapping[str, str] | None = None) -> None:
    """Write a volume by its suffix: .nii.gz, .nii, .nrrd, .mha, .mhd (with its .raw beside it).

    Integers keep their type, other numbers are written as float32. The file is written beside its place and renamed,
    so a failure leaves what was there before.

    Args:
        volume: what to write.
        path: where to; its folder is made.
        fields: key/value pairs for the header of a .nrrd file; the other formats keep none.

    Raises:
        InputError: the suffix is not known or the folder cannot be written.
    """
    refuse_name(path)
    suffix = volume_suffix(path)
    if suffix not in WRITABLE_SUFFIXES:
        raise InputError(path, "has no suffix that can be written", f"use one of {', '.join(WRITABLE_SUFFIXES)}")
    array = _storable(volume.array)
    with whole_volume(path) as part:
        if suffix in (".nii.gz", ".nii"):
            _write_nifti(array, volume.ijk_to_ras, part)
        else:
            _write_with_itk(array, volume.ijk_to_ras, part, fields or {})


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


def _storable(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    return array if array.dtype.kind in "iu" else array.astype(np.float32, copy=False)


def _write_nifti(array: np.ndarray, ijk_to_ras: np.ndarray, path: Path) -> None:
    # not by ITK: on a full disk it leaves a file cut short and reports nothing
    import nibabel

    image = nibabel.Nifti1Image(array, ijk_to_ras, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(ijk_to_ras, code="scanner")
    # a sheared matrix has no quaternion; a rounded one would put the image elsewhere in programs that prefer it
    if _is_orthogonal(ijk_to_ras):
        image.set_qform(ijk_to_ras, code="scanner")
    else:
        image.set_qform(None, code=0)
    image.to_filename(path)


def _write_with_itk(array: np.ndarray, ijk_to_ras: np.ndarray, path: Path, fields: Mapping[str, str]) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    ijk_to_lps = LPS_TO_RAS @ ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / spacing).ravel().tolist())
    for key, value in fields.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), useCompression=path.suffix.lower() != ".mhd")


def _is_orthogonal(ijk_to_ras: np.ndarray) -> bool:
    directions = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return np.allclose(directions.T @ directions, np.eye(3), atol=1e-4)
