"""Read and write volumes and label maps with their geometry: NIfTI, NRRD, MetaImage and DICOM series."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError

from .errors import InputError

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
CORNER_TOLERANCE = 0.05
"""Corners of an image and its labelmap may differ by this share of a voxel: headers are rounded."""

sitk.ProcessObject.SetGlobalWarningDisplay(False)


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


def read_volume(path: Path) -> Volume:
    """Read an image: three-dimensional, finite, not constant. The type of the values is kept.

    Args:
        path: a volume file or a folder that holds one DICOM series.

    Raises:
        InputError: it cannot be read or used.
    """
    volume = _read(path)
    array = volume.array
    if array.dtype.kind == "f" and not _all_finite(array):
        raise InputError(path, "holds NaN or infinite values", "replace them, for example by the value of air")
    if array.min() == array.max():
        raise InputError(path, f"is constant, every voxel is {array.flat[0]:g}", "check the export or leave it out")
    return volume


def read_labelmap(path: Path) -> Volume:
    """Read a label map: three-dimensional, whole numbers. Floating-point files that hold whole numbers are accepted.

    Raises:
        InputError: it cannot be read or used.
    """
    volume = _read(path)
    array = volume.array
    if array.dtype.kind == "f":
        if not _all_finite(array) or any((plane != np.rint(plane)).any() for plane in _planes(array)):
            raise InputError(path, "holds values that are not whole numbers", "name a label map, not an image")
        array = array.astype(np.int32)
    return Volume(array, volume.ijk_to_ras, path)


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume by its suffix (.nii.gz, .nii, .nrrd, .mha); a failure leaves nothing half-written.

    Raises:
        InputError: the suffix is not known or the folder cannot be written.
    """
    suffix = _suffix(path)
    if suffix not in WRITABLE_SUFFIXES:
        raise InputError(path, "has no suffix that can be written", f"use one of {', '.join(WRITABLE_SUFFIXES)}")
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array.transpose(2, 1, 0)))
    ijk_to_lps = LPS_TO_RAS @ volume.ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / spacing).ravel().tolist())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(suffix, ".part_", path.parent)
        os.close(handle)
        try:
            sitk.WriteImage(image, temporary, useCompression=suffix in (".nrrd", ".mha"))
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            path, f"cannot be written ({_reason(error)})", "make space or choose another folder"
        ) from error


def check_same_geometry(image: Volume, labelmap: Volume) -> None:
    """Raise InputError unless both have the same shape and their corners lie at the same places."""
    same = image.shape == labelmap.shape
    if same:
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in image.shape])).reshape(3, -1)
        corners = np.vstack([corners, np.ones(corners.shape[1])])
        distance = np.abs((image.ijk_to_ras - labelmap.ijk_to_ras) @ corners).max()
        same = distance <= CORNER_TOLERANCE * min(image.spacing)
    if not same:
        raise InputError(
            labelmap.path or "labelmap",
            f"has another geometry ({_geometry(labelmap)}) than its image ({_geometry(image)})",
            "resample it to the image",
        )


def _geometry(volume: Volume) -> str:
    size = "x".join(map(str, volume.shape))
    spacing = "x".join(f"{length:.3g}" for length in volume.spacing)
    origin = ", ".join(f"{value:.1f}" for value in volume.ijk_to_ras[:3, 3])
    return f"{size} voxels of {spacing} mm at RAS {origin}"


def _read(path: Path) -> Volume:
    if not path.exists():
        raise InputError(path, "does not exist", "check the path")
    volume = _read_series(path) if path.is_dir() else _read_file(path)
    if volume.array.ndim != 3 or min(volume.array.shape) < 1:
        raise InputError(path, f"has {volume.array.ndim} dimensions", "name a volume of three")
    if min(volume.shape[:2]) < 2 and sorted(volume.shape)[1] < 2:
        raise InputError(path, f"has {'x'.join(map(str, volume.shape))} voxels", "name a volume, not a line")
    if volume.array.dtype.kind not in "iufb":
        raise InputError(path, f"holds values of type {volume.array.dtype}", "name a volume with one number a voxel")
    if not np.isfinite(volume.ijk_to_ras).all() or abs(np.linalg.det(volume.ijk_to_ras[:3, :3])) < 1e-9:
        raise InputError(path, "has a header without a usable spacing or direction", "export it again")
    return volume


def _read_file(path: Path) -> Volume:
    suffix = _suffix(path)
    if suffix not in VOLUME_SUFFIXES and suffix != ".dcm":
        raise InputError(path, "is not of a known format", f"use {', '.join(VOLUME_SUFFIXES)} or a DICOM folder")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty", "copy it again")
    # nibabel notices a truncated file where ITK fills the rest with zeros, and takes headers that ITK refuses
    return _read_nifti(path) if suffix in (".nii.gz", ".nii") else _read_with_itk(path, str(path))


def _read_nifti(path: Path) -> Volume:
    try:
        image = nibabel.load(path)
        shape = image.shape
        if len(shape) > 3 and shape[3:] == (1,) * (len(shape) - 3):
            image = nibabel.funcs.squeeze_image(image)
            shape = image.shape
        if len(shape) != 3:
            raise InputError(
                path, f"has {len(shape)} dimensions ({'x'.join(map(str, shape))})", "name a volume of three"
            )
        array = np.asanyarray(image.dataobj)
        affine = np.asarray(image.affine, np.float64)
    except InputError:
        raise
    except (ImageFileError, OSError, EOFError, ValueError, MemoryError, nibabel.wrapstruct.WrapStructError) as error:
        raise InputError(path, f"cannot be read ({_reason(error)})", "copy or export it again") from error
    except Exception as error:  # noqa: BLE001 - a broken header can raise anything, and the rest of a batch goes on
        raise InputError(path, f"cannot be read ({type(error).__name__})", "copy or export it again") from error
    if array.dtype.kind == "f" and array.dtype.itemsize > 4:
        # scaled integers come as 64 bits, which no scanner has measured
        array = array.astype(np.float32)
    return Volume(_little(array), affine, path)


def _read_series(path: Path) -> Volume:
    reader = sitk.ImageSeriesReader()
    series = reader.GetGDCMSeriesIDs(str(path))
    if not series:
        raise InputError(path, "holds no DICOM series that can be read", "name a volume file or a DICOM folder")
    if len(series) > 1:
        raise InputError(path, f"holds {len(series)} DICOM series", "put each series into a folder of its own")
    names = reader.GetGDCMSeriesFileNames(str(path), series[0])
    volume = _read_with_itk(path, names)
    gaps = _slice_gaps(names)
    if gaps is not None and len(gaps) and gaps.max() - gaps.min() > 0.05 * max(gaps.mean(), 1e-6):
        raise InputError(
            path,
            f"has slices {gaps.min():.2f} to {gaps.max():.2f} mm apart",
            "some are missing or doubled, export the series again",
        )
    return volume


def _slice_gaps(names: tuple[str, ...]) -> np.ndarray | None:
    """Distances between neighbouring slices along their normal, None for a series of less than three files."""
    if len(names) < 3:
        return None
    reader, positions, normal = sitk.ImageFileReader(), [], None
    for name in names:
        reader.SetFileName(name)
        reader.ReadImageInformation()
        direction = np.array(reader.GetDirection()).reshape(3, 3)
        normal = direction[:, 2] if normal is None else normal
        positions.append(float(np.dot(reader.GetOrigin(), normal)))
    return np.abs(np.diff(positions))


def _read_with_itk(path: Path, names: str | tuple[str, ...]) -> Volume:
    try:
        image = sitk.ReadImage(names)
    except RuntimeError as error:
        raise InputError(path, f"cannot be read ({_reason(error)})", "copy or export it again") from error
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        raise InputError(path, f"has {image.GetDimension()} dimensions", "name a volume of three")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(path, "holds several numbers a voxel (a colour or vector image)", "name a scalar volume")
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return Volume(sitk.GetArrayFromImage(image).transpose(2, 1, 0), LPS_TO_RAS @ matrix, path)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def _planes(array: np.ndarray):
    return (array[..., index] for index in range(array.shape[-1]))


def _all_finite(array: np.ndarray) -> bool:
    return all(bool(np.isfinite(plane).all()) for plane in _planes(array))


def _little(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _reason(error: BaseException) -> str:
    """Last sentence of a library's message, without its line breaks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[-1] if lines else type(error).__name__
    return text if len(text) < 160 else text[:157] + "..."


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
