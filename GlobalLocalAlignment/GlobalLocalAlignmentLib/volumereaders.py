"""Voxels and geometry out of NIfTI, NRRD, MetaImage and DICOM, and what is broken in such files.

Geometry is where ITK, and with it Slicer, puts it. Voxels are not left to ITK unchecked: it fills up a NIfTI file that
was cut short, and returns noise for a damaged compressed MetaImage.
"""

from __future__ import annotations

import gzip
import logging
import math
import re
import zlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from .errors import InputError
from .volume import LPS_TO_RAS, volume_suffix

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
DICOM_SUFFIXES = (".dcm", ".ima")
AGAIN = "copy or export it again"

CHUNK = 1 << 20
NIFTI_DIMENSIONS = 7
NIFTI_UNITS = {1: 1e3, 3: 1e-3}
"""Millimetres of a metre and of a micrometre by their codes; everything else is millimetres."""

SLICE_POSITION_TOLERANCE = 0.2
"""Slices of a series may lie this share of their distance beside an even spacing: scanners round positions."""

METAIMAGE_BYTES = {
    "CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4,
    "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip
"""Bytes of a value by the name of its type, MET_ left out; of LONG the least, it depends on who wrote it."""

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
    try:
        if path.is_dir():
            return _read_series(path)
        if not path.exists():
            raise InputError(path, "does not exist", "check the path")
        if path.stat().st_size == 0:
            raise InputError(path, "is empty, it has no bytes", "copy it again")
        suffix = volume_suffix(path)
        if suffix in (".nii.gz", ".nii"):
            return _read_nifti(path)
        if suffix in VOLUME_SUFFIXES:
            if suffix in (".mha", ".mhd"):
                _check_metaimage(path)
            return _read_with_itk(path, str(path))
        if is_dicom_file(path):
            return _read_dicom_file(path)
    except OSError as error:
        raise InputError(path, f"cannot be read ({_reason(error)})", AGAIN) from error
    raise InputError(path, "is not of a known format", f"use {', '.join(VOLUME_SUFFIXES)} or a DICOM folder")


# NIfTI


def _read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    opened = gzip.open if volume_suffix(path) == ".nii.gz" else open
    try:
        with opened(path, "rb") as stream:
            kind = _nifti_kind(path, stream.read(nibabel.Nifti2Image.header_class.sizeof_hdr))
            stream.seek(0)
            image = kind.from_file_map(kind.make_file_map({"image": stream}), mmap=False)
            array = _nifti_array(image)
            # the checksum comes last; without it a damaged file reads like a good one
            while stream.read(CHUNK):
                pass
        return array, _nifti_geometry(path, image)
    except (OSError, EOFError, zlib.error, ValueError, MemoryError, OverflowError) as error:
        raise InputError(path, f"cannot be read ({_reason(error)})", AGAIN) from error
    except (ImageFileError, HeaderDataError, WrapStructError) as error:
        raise InputError(path, f"has a broken NIfTI header ({_reason(error)})", AGAIN) from error


def _nifti_kind(path: Path, start: bytes) -> type[nibabel.Nifti1Image]:
    """NIfTI-1 or NIfTI-2, after checks of what nibabel would repair in silence."""
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        size = kind.header_class.sizeof_hdr
        if len(start) >= size and size in (int.from_bytes(start[:4], order) for order in ("little", "big")):
            header = kind.header_class(start[:size], check=False)
            sizes, spacing = header["dim"][1 : 1 + NIFTI_DIMENSIONS], header["pixdim"][1:4]
            count = int(header["dim"][0])
            if not 1 <= count <= NIFTI_DIMENSIONS:
                raise InputError(path, f"has a broken NIfTI header ({count} dimensions)", AGAIN)
            if (sizes[:count] < 1).any():
                raise InputError(path, f"has no voxels ({'x'.join(map(str, sizes[:count]))})", AGAIN)
            _check_spacing(path, spacing[:count])
            return kind
    raise InputError(path, "cannot be read (it is no NIfTI file)", AGAIN)


def _nifti_array(image: nibabel.Nifti1Image) -> np.ndarray:
    proxy = image.dataobj
    scaled = (proxy.slope, proxy.inter) != (1, 0)
    # 32 bits hold what a scanner measures; nibabel's own choice would be 64
    array = np.asarray(proxy, dtype=np.float32) if scaled else proxy.get_unscaled()
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _nifti_geometry(path: Path, image: nibabel.Nifti1Image) -> np.ndarray:
    """Where ITK puts the voxels, which chooses between the two matrices of a header by its own rule and minds the unit.

    nibabel's matrix is taken where ITK refuses both, because they are not orthogonal.
    """
    ijk_to_ras = np.array(image.affine, np.float64)
    if not np.isfinite(ijk_to_ras).all():
        raise InputError(path, "has a header with a position that is no number", "export it again")
    unit = NIFTI_UNITS.get(int(image.header["xyzt_units"]) & 7, 1.0)
    in_millimetres = np.diag([unit, unit, unit, 1.0])
    if isinstance(image, nibabel.Nifti2Image):
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
    matrices = [matrix for matrix, code in (image.get_sform(coded=True), image.get_qform(coded=True)) if code > 0]
    if matrices and not any(_same_place(chosen, in_millimetres @ matrix, image.shape[:3]) for matrix in matrices):
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


def _check_spacing(path: Path, spacing: np.ndarray) -> None:
    if not np.isfinite(spacing).all() or (np.asarray(spacing) <= 0).any():
        values = "x".join(f"{value:g}" for value in spacing)
        raise InputError(path, f"has a voxel spacing of {values} mm", "export it again with its true spacing")


# NRRD, MetaImage, single DICOM files


def _read_with_itk(path: Path, names: str | tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    try:
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
    return f"cannot be read ({_reason(error)})"


def _reason(error: BaseException) -> str:
    """The line of a library's message that says most, without addresses in memory."""
    lines = [line.strip() for line in str(getattr(error, "strerror", None) or error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("- could the file")] or [type(error).__name__]
    text = re.sub(r"^(sitk::|itk::|ITK )ERROR: |^Reason: |\(0x[0-9a-f]+\)", "", lines[-1])
    return text if len(text) < 160 else text[:157] + "..."


def _check_metaimage(path: Path) -> None:
    """Refuse data that are cut short or damaged, which ITK reports on the screen, or not at all."""
    fields, start = _metaimage_fields(path)
    name = fields["ElementDataFile"]
    try:
        if "ElementSpacing" in fields:
            _check_spacing(path, np.array(fields["ElementSpacing"].split(), np.float64))
        sizes = [int(size) for size in fields["DimSize"].split()]
        kind = fields["ElementType"].upper().removeprefix("MET_").removesuffix("_ARRAY")
        value_bytes = METAIMAGE_BYTES[kind] * int(fields.get("ElementNumberOfChannels", 1))
        compressed = fields.get("CompressedData", "").lower() == "true"
        packed_bytes = int(fields["CompressedDataSize"]) if compressed else 0
    except (KeyError, ValueError) as error:
        raise InputError(path, f"has a broken MetaImage header ({_reason(error)})", AGAIN) from error
    if not sizes or min(sizes) < 1:
        raise InputError(path, f"has no voxels ({'x'.join(map(str, sizes))})", AGAIN)
    if name.upper().startswith("LIST") or "%" in name:
        return
    data = path if name.upper() == "LOCAL" else path.parent / name
    if not data.is_file():
        raise InputError(path, f"names the data file {name}, which is not there", "put it beside the header")
    first, wanted = start if data == path else 0, math.prod(sizes) * value_bytes
    held = data.stat().st_size - first
    if compressed:
        held = _inflated_bytes(data, first, packed_bytes) if packed_bytes <= held else None
    if held is None or held < wanted:
        raise InputError(
            path, f"cannot be read, it is damaged or cut short (it holds {held or 0} of {wanted} bytes)", AGAIN
        )


def _metaimage_fields(path: Path) -> tuple[dict[str, str], int]:
    """Header of a MetaImage and where it ends."""
    fields: dict[str, str] = {}
    with open(path, "rb") as stream:
        while "ElementDataFile" not in fields:
            key, equals, value = stream.readline(CHUNK).decode(errors="replace").partition("=")
            if not equals:
                raise InputError(path, "cannot be read (it has no MetaImage header)", AGAIN)
            fields[key.strip()] = value.strip()
        return fields, stream.tell()


def _inflated_bytes(path: Path, start: int, length: int) -> int | None:
    """Size of compressed data when unpacked, None where they are damaged or end too early."""
    inflate, size = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    with open(path, "rb") as stream:
        stream.seek(start)
        try:
            while not inflate.eof and (packed := stream.read(min(CHUNK, length))):
                length -= len(packed)
                size += len(inflate.decompress(packed))
        except zlib.error:
            return None
    return size if inflate.eof else None


# DICOM


def _read_dicom_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    array, ijk_to_ras = _read_with_itk(path, str(path))
    if array.ndim == 3 and array.shape[2] == 1:
        raise InputError(path, "is one slice", "name the folder of its DICOM series")
    return array, ijk_to_ras


def _read_series(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    names = _series_files(folder)
    if len(names) == 1:
        return _read_with_itk(folder, names[0])
    _check_even(folder, *_slice_origins(folder, names))
    return _read_with_itk(folder, names)


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
    names = tuple(map(str, paths))
    origins, normal = _slice_origins(folder, names)
    order = np.argsort(origins @ normal, kind="stable").tolist()
    names = tuple(names[place] for place in order)
    if len(names) > 1:
        _check_even(folder, origins[order], normal)
    array, ijk_to_ras = _read_with_itk(folder, names if len(names) > 1 else names[0])
    return array, ijk_to_ras, order


def find_series(folder: Path) -> dict[str, tuple[str, ...]]:
    """Files of each DICOM series in a folder, in the order of their place; by the UID of the series.

    Raises:
        InputError: they cannot be read.
    """
    reader = sitk.ImageSeriesReader
    try:
        return {name: reader.GetGDCMSeriesFileNames(str(folder), name) for name in reader.GetGDCMSeriesIDs(str(folder))}
    except RuntimeError as error:
        raise InputError(folder, f"cannot be read ({_reason(error)})", AGAIN) from error


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
        counts = ", ".join(f"{_description(names[0])} of {len(names)} files" for names in series.values())
        raise InputError(folder, f"holds {len(series)} DICOM series ({counts})", "put each into a folder of its own")
    refuse_damaged_slices(folder, series)
    if not series:
        raise InputError(folder, "holds no DICOM series that can be read", "name a volume file or a DICOM folder")
    return next(iter(series.values()))


def _description(name: str) -> str:
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    try:
        reader.ReadImageInformation()
        return reader.GetMetaData("0008|103e").strip() or Path(name).name
    except RuntimeError:
        return Path(name).name


def _slice_origins(folder: Path, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Origins (N, 3) of the slices of a series and their common normal, LPS."""
    reader, origins, directions, sizes = sitk.ImageFileReader(), [], [], set()
    for name in names:
        reader.SetFileName(name)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise InputError(name, f"cannot be read ({_reason(error)})", AGAIN) from error
        if reader.GetDimension() == 3 and reader.GetSize()[2] > 1:
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
