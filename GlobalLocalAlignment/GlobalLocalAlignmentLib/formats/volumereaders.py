"""Voxels and geometry out of NIfTI, NRRD, MetaImage and DICOM, and what is broken in such files.

Geometry is where ITK, and with it Slicer, puts it. Voxels are not left to ITK unchecked: it fills up a NIfTI file that
was cut short, and returns noise for a damaged compressed MetaImage.
"""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from ..errors import InputError
from ..volume import LPS_TO_RAS, refuse_name, volume_suffix
from .dicomchecks import check_geometry, check_nesting
from .textheaders import check_metaimage, check_nrrd
from .volumechecks import (
    AGAIN,
    CHUNK,
    MOST_PACKED,
    check_spacing,
    reason,
    refuse_cut_short,
    refuse_too_large,
    unheard,
)

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
DICOM_SUFFIXES = (".dcm", ".ima")

MOST_REST = 64 << 20
"""Bytes after the voxels of a NIfTI file; there should be none."""

NIFTI_DIMENSIONS = 7
NIFTI_UNITS = {1: 1e3, 3: 1e-3}
"""Millimetres of a metre and of a micrometre by their codes; everything else is millimetres."""

SLICE_POSITION_TOLERANCE = 0.2
"""Slices of a series may lie this share of their distance beside an even spacing: scanners round positions."""

# what a library would print about a broken file is said by an InputError, in one line
sitk.ProcessObject.SetGlobalWarningDisplay(False)
nibabel.imageglobals.logger.setLevel(logging.CRITICAL)


def is_dicom_file(path: Path) -> bool:
    """Whether the suffix or the magic number of a file says that it is DICOM."""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with open(path, "rb") as stream:
            stream.seek(128)
            return stream.read(4) == b"DICM"
    except OSError:
        return False


def read_voxels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values in index order and the (4, 4) float64 matrix from index to RAS millimetres.

    Trailing dimensions of one are dropped; the type of the values is kept, and is float32 where a header scales them.

    Args:
        path: a volume file, or a folder that holds one DICOM series.

    Raises:
        InputError: it cannot be read.
    """
    refuse_name(path)
    try:
        if path.is_dir():
            with unheard():
                return _read_series(path)
        if not path.exists():
            raise InputError(path, "does not exist", "check the path")
        if path.stat().st_size == 0:
            raise InputError(path, "is empty, it has no bytes", "copy it again")
        suffix = volume_suffix(path)
        if suffix in (".nii.gz", ".nii"):
            return _read_nifti(path)
        if suffix in VOLUME_SUFFIXES:
            check = check_metaimage if suffix in (".mha", ".mhd") else check_nrrd
            check(path)
            return _read_with_itk(path, str(path))
        if is_dicom_file(path):
            with unheard():
                return _read_dicom_file(path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({reason(error)})", AGAIN) from error
    raise InputError(path, "is not of a known format", f"use {', '.join(VOLUME_SUFFIXES)} or a DICOM folder")


# NIfTI


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    packed = volume_suffix(path) == ".nii.gz"
    opened = gzip.open if packed else open
    try:
        with opened(path, "rb") as stream:
            header = _nifti_header(path, stream.read(nibabel.Nifti2Image.header_class.sizeof_hdr))
            _check_nifti_size(path, header, packed)
            array = _nifti_array(stream, header)
            # the checksum comes last; without it a damaged file reads like a good one
            rest = 0
            while piece := stream.read(CHUNK):
                rest += len(piece)
                if rest > MOST_REST:
                    raise InputError(path, "holds much more than the voxels that its header speaks of", AGAIN)
        return array, _nifti_geometry(path, header)
    except (OSError, EOFError, zlib.error, ValueError, MemoryError, OverflowError) as error:
        raise InputError(path, f"cannot be read ({reason(error)})", AGAIN) from error
    except (ImageFileError, HeaderDataError, WrapStructError) as error:
        raise InputError(path, f"has a broken NIfTI header ({reason(error)})", AGAIN) from error


def _nifti_header(path: Path, start: bytes) -> nibabel.Nifti1Header:
    """Header of NIfTI-1 or NIfTI-2, after checks of what nibabel would repair in silence; extensions are not read."""
    for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header):
        size = kind.sizeof_hdr
        if len(start) < size or size not in (int.from_bytes(start[:4], order) for order in ("little", "big")):
            continue
        header = kind(start[:size], check=False)
        sizes, count = header["dim"][1 : 1 + NIFTI_DIMENSIONS], int(header["dim"][0])
        if not 1 <= count <= NIFTI_DIMENSIONS:
            raise InputError(path, f"has a broken NIfTI header ({count} dimensions)", AGAIN)
        if (sizes[:count] < 1).any():
            raise InputError(path, f"has no voxels ({'x'.join(map(str, sizes[:count]))})", AGAIN)
        if bytes(header["magic"]).startswith(b"ni"):
            raise InputError(path, "is the header of a pair of files (.hdr and .img)", "export it as one .nii.gz")
        check_spacing(path, header["pixdim"][1 : 1 + min(count, 3)].astype(np.float64) * _millimetres(header))
        return kind(start[:size])
    raise InputError(path, "cannot be read (it is no NIfTI file)", AGAIN)


def _millimetres(header: nibabel.Nifti1Header) -> float:
    """Of the unit of lengths of a header."""
    return NIFTI_UNITS.get(int(header["xyzt_units"]) & 7, 1.0)


def _check_nifti_size(path: Path, header: nibabel.Nifti1Header, packed: bool) -> None:
    """Raise InputError if a file cannot hold what its header speaks of, or the memory that is free cannot."""
    wanted = math.prod(map(int, header.get_data_shape())) * header.get_data_dtype().itemsize
    first, size = int(header.get_data_offset()), path.stat().st_size
    if packed:
        # how much is in it is known at its end alone, but one byte stands for so many and no more
        if first + wanted > MOST_PACKED * size + CHUNK:
            problem = f"cannot be read, it is damaged or cut short ({size} bytes cannot unpack to {first + wanted})"
            raise InputError(path, problem, AGAIN)
    else:
        refuse_cut_short(path, max(0, size - first), wanted)
    refuse_too_large(path, wanted)


def _nifti_array(stream: BinaryIO, header: nibabel.Nifti1Header) -> np.ndarray:
    proxy = nibabel.arrayproxy.ArrayProxy(stream, header, mmap=False)
    scaled = (proxy.slope, proxy.inter) != (1, 0)
    # 32 bits hold what a scanner measures; nibabel's own choice would be 64
    array = np.asarray(proxy, dtype=np.float32) if scaled else proxy.get_unscaled()
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _nifti_geometry(path: Path, header: nibabel.Nifti1Header) -> np.ndarray:
    """Where ITK puts the voxels, which chooses between the two matrices of a header by its own rule and minds the unit.

    nibabel's matrix is taken where ITK refuses both, because they are not orthogonal.
    """
    ijk_to_ras = np.array(header.get_best_affine(), np.float64)
    if not np.isfinite(ijk_to_ras).all():
        raise InputError(path, "has a header with a position that is no number", "export it again")
    unit = _millimetres(header)
    in_millimetres = np.diag([unit, unit, unit, 1.0])
    if isinstance(header, nibabel.Nifti2Header):
        # ITK does not know NIfTI-2
        return in_millimetres @ ijk_to_ras
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NiftiImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return in_millimetres @ ijk_to_ras
    chosen = _itk_geometry(reader)
    matrices = [matrix for matrix, code in (header.get_sform(coded=True), header.get_qform(coded=True)) if code > 0]
    shape = header.get_data_shape()[:3]
    if matrices and not any(_same_place(chosen, in_millimetres @ matrix, shape) for matrix in matrices):
        raise InputError(
            path,
            f"has a header that contradicts itself: voxels of {_lengths(chosen)} mm by its spacing,"
            f" {_lengths(in_millimetres @ matrices[0])} mm by its matrix",
            "export it again",
        )
    return chosen


def _same_place(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether two matrices put the corners of a volume less than a voxel apart."""
    last = np.array([size - 1 for size in shape] + [0] * (3 - len(shape)))
    corners = np.array([(*(last * corner), 1) for corner in product((0, 1), repeat=3)])
    return np.abs(corners @ (first - second).T).max() < np.linalg.norm(first[:3, :3], axis=0).min()


def _lengths(matrix: np.ndarray) -> str:
    return "x".join(f"{length:.3g}" for length in np.linalg.norm(matrix[:3, :3], axis=0))


# NRRD, MetaImage, single DICOM files


def _read_with_itk(path: Path, names: str | tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    try:
        with unheard():
            image = sitk.ReadImage(names)
    except RuntimeError as error:
        raise InputError(path, _itk_problem(error), AGAIN) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(path, "holds several numbers a voxel (colours or vectors)", "name a volume with one")
    array = sitk.GetArrayFromImage(image).T
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array, _itk_geometry(image)


def _itk_geometry(image: sitk.Image | sitk.ImageFileReader) -> np.ndarray:
    """Index to RAS of the first three axes of an image of ITK."""
    dimensions = image.GetDimension()
    direction = np.eye(max(3, dimensions))
    direction[:dimensions, :dimensions] = np.reshape(image.GetDirection(), (dimensions, dimensions))
    spacing, origin = np.ones(3), np.zeros(3)
    spacing[:dimensions], origin[:dimensions] = image.GetSpacing()[:3], image.GetOrigin()[:3]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = direction[:3, :3] * spacing, origin
    return LPS_TO_RAS @ matrix


def _itk_problem(error: RuntimeError) -> str:
    text = str(error)
    if "spacing is not supported" in text:
        return "has a voxel spacing of zero or no spacing"
    if "Bad direction" in text:
        return "has a direction matrix that is singular"
    return f"cannot be read ({reason(error)})"


# DICOM


def _read_dicom_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    check_nesting(path)
    _slice_origins(path, (str(path),))
    array, ijk_to_ras = _read_with_itk(path, str(path))
    if array.ndim == 3 and array.shape[2] == 1:
        raise InputError(path, "is one slice", "name the folder of its DICOM series")
    return array, ijk_to_ras


def _read_series(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    names = _series_files(folder)
    origins, normal = _slice_origins(folder, names)
    if len(names) == 1:
        array, ijk_to_ras = _read_with_itk(folder, names[0])
        if array.ndim == 3 and array.shape[2] == 1:
            raise InputError(folder, "holds one slice", "name a series of several")
        return array, ijk_to_ras
    _check_even(folder, origins, normal)
    return _read_with_itk(folder, names)


@unheard()
def read_slices(folder: Path, paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """One volume of DICOM files that are known to belong together, whatever their headers say of series.

    Args:
        folder: where they are, for messages.
        paths: of the slices, in any order.

    Returns:
        values in index order; index to RAS millimetres; for each plane along the last axis, the number of its file in
        ``paths``.

    Raises:
        InputError: a file cannot be read, or the slices are no evenly spaced stack.
    """
    for path in paths:
        check_nesting(path)
    names = tuple(map(str, paths))
    origins, normal = _slice_origins(folder, names)
    order = np.argsort(origins @ normal, kind="stable").tolist()
    names = tuple(names[place] for place in order)
    if len(names) > 1:
        _check_even(folder, origins[order], normal)
    array, ijk_to_ras = _read_with_itk(folder, names if len(names) > 1 else names[0])
    return array, ijk_to_ras, order


@unheard()
def find_series(folder: Path) -> dict[str, tuple[str, ...]]:
    """Files of each DICOM series in a folder, in the order of their place; by the UID of the series.

    Raises:
        InputError: they cannot be read.
    """
    for path in folder.iterdir():
        refuse_name(path)
        if path.is_file():
            check_nesting(path)
    reader = sitk.ImageSeriesReader
    try:
        return {name: reader.GetGDCMSeriesFileNames(str(folder), name) for name in reader.GetGDCMSeriesIDs(str(folder))}
    except RuntimeError as error:
        raise InputError(folder, f"cannot be read ({reason(error)})", AGAIN) from error


def refuse_damaged_slices(folder: Path, series: dict[str, tuple[str, ...]]) -> None:
    """Raise InputError for a file of a folder that should be a slice and is in none of its series."""
    known = {Path(name).name for names in series.values() for name in names}
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") or path.name.upper() == "DICOMDIR"
        if path.is_file() and not hidden and path.name not in known and is_dicom_file(path):
            raise InputError(path, "is a DICOM file that is damaged or cut short", AGAIN)
        if path.is_file() and not hidden and known and path.stat().st_size == 0:
            raise InputError(path, "is empty, it has no bytes", "copy it again")


def _series_files(folder: Path) -> tuple[str, ...]:
    series = find_series(folder)
    if len(series) > 1:
        # by the names of files: what a header calls a series may name the patient
        counts = ", ".join(f"that of {Path(names[0]).name} with {len(names)} files" for names in series.values())
        raise InputError(folder, f"holds {len(series)} DICOM series ({counts})", "put each into a folder of its own")
    refuse_damaged_slices(folder, series)
    if not series:
        raise InputError(folder, "holds no DICOM series that can be read", "name a volume file or a DICOM folder")
    return next(iter(series.values()))


def _slice_origins(folder: Path, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Origins (N, 3) of the slices of a series and their common normal, LPS."""
    reader, origins, directions, sizes = sitk.ImageFileReader(), [], [], set()
    for name in names:
        reader.SetFileName(name)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise InputError(name, f"cannot be read ({reason(error)})", AGAIN) from error
        check_geometry(Path(name), reader)
        if len(names) > 1 and reader.GetDimension() == 3 and reader.GetSize()[2] > 1:
            raise InputError(folder, "holds several volumes of many slices each", "put each into a folder of its own")
        origins.append(reader.GetOrigin()[:3])
        directions.append(reader.GetDirection()[:9])
        sizes.add(reader.GetSize()[:2])
    if len(sizes) > 1:
        raise InputError(folder, "holds slices of different sizes", "take the localizer out of the series")
    directions = np.array(directions)
    if np.abs(directions - directions[0]).max() > 1e-2:
        raise InputError(folder, "holds slices of different directions", "take the localizer out of the series")
    return np.array(origins), directions[0].reshape(3, 3)[:, 2]


def _check_even(folder: Path, origins: np.ndarray, normal: np.ndarray) -> None:
    """Refuse slices that are missing, doubled or shifted sideways; ITK would stack them as if they were not."""
    heights = (origins - origins[0]) @ normal
    gaps = np.diff(heights)
    step = float(heights[-1] / (len(heights) - 1))
    beside = heights - step * np.arange(len(heights))
    if abs(step) < 1e-6 or np.abs(gaps).min() < 1e-6:
        raise InputError(
            folder, "has several slices at one place (times or echoes of one series?)", "put one volume into a folder"
        )
    if np.abs(beside).max() > SLICE_POSITION_TOLERANCE * abs(step):
        raise InputError(
            folder,
            f"has slices {np.abs(gaps).min():.2f} to {np.abs(gaps).max():.2f} mm apart",
            "some are missing, export the series again",
        )
    sideways = np.linalg.norm(origins - origins[0] - heights[:, None] * normal, axis=1).max()
    if sideways > SLICE_POSITION_TOLERANCE * abs(step):
        raise InputError(
            folder, f"has slices shifted sideways by up to {sideways:.1f} mm (a tilted gantry?)", "resample it upright"
        )
