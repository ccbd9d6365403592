"""Made-up data sets in the layouts of their sites, tiny."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GlobalLocalAlignmentLib.datasets.tfrecord import masked_checksum
from GlobalLocalAlignmentLib.volumes import Volume, write_volume

OBLIQUE = np.array([[-0.8, 0, 0.3, 5], [0, -0.9, 0, 6], [0.3, 0, 2.0, 7], [0, 0, 0, 1.0]])
PATIENT = "Erika^Mustermann"


def image_like(labels: np.ndarray, seed: int, low: int = -1000, high: int = 900) -> np.ndarray:
    """int16 noise in the shape of labels, brighter where they are."""
    noise = np.random.default_rng(seed).integers(low, high, labels.shape)
    return (noise + 50 * (labels > 0)).astype(np.int16)


def blocks(values: tuple[int, ...], shape: tuple[int, int, int] = (36, 34, 12)) -> np.ndarray:
    """int16 labels: a box for each value, one beside the other, with background on every side."""
    labels, width = np.zeros(shape, np.int16), (shape[0] - 4) // len(values)
    for index, value in enumerate(values):
        labels[2 + index * width : 2 + (index + 1) * width, 6 : shape[1] - 9, 4 : shape[2] - 3] = value
    return labels


def write_mmwhs(
    folder: Path, modality: str, number: int, values: tuple[int, ...] = (205, 420, 500, 820, 550, 600, 850)
) -> None:
    """A case of MMWHS, with the label values."""
    labels, name = blocks(values), folder / f"{modality}_train" / f"{modality}_train_{number}"
    low = -1000 if modality == "ct" else 0
    write_volume(Volume(image_like(labels, number, low), OBLIQUE), name.with_name(f"{name.name}_image.nii.gz"))
    write_volume(Volume(labels, OBLIQUE), name.with_name(f"{name.name}_label.nii.gz"))


def write_btcv(folder: Path, number: int, values: tuple[int, ...] = (6, 2, 3, 1, 4, 5, *range(7, 14))) -> None:
    """A case of BTCV, with the label values."""
    labels = blocks(values)
    write_volume(Volume(image_like(labels, number), OBLIQUE), folder / "img" / f"img{number:04d}.nii.gz")
    write_volume(Volume(labels, OBLIQUE), folder / "label" / f"label{number:04d}.nii.gz")


def write_chaos(
    folder: Path,
    case: str,
    image: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (1.5, 1.25, 7.0),
) -> Path:
    """A case of CHAOS: slices numbered from the head down, each of a series of its own, with a patient's name.

    Args:
        folder: that becomes Train_Sets.
        case: name of its folder.
        image: (columns, rows, slices from the feet up), made up where it is not given.
        labels: the same with values 63, 126, 189 and 252.
        spacing: of columns, rows and slices.

    Returns:
        the folder of the series.
    """
    labels = blocks((63, 126, 189, 252)) if labels is None else labels
    image = image_like(labels, len(case), 0) if image is None else image
    series, count = folder / "MR" / case / "T2SPIR", labels.shape[2]
    for part in ("DICOM_anon", "Ground"):
        (series / part).mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for place in range(count):
        number = count - place
        picture = sitk.GetImageFromArray(image[None, :, :, place].transpose(0, 2, 1))
        picture.SetSpacing((spacing[0], spacing[1], 1.0))
        header = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"1.2.{case or 0}.{number}",
            "0008|0020": "20190411",
            "0008|0060": "MR",
            "0010|0010": PATIENT,
            "0020|000d": "1.2.3",
            "0020|000e": f"1.2.3.{number}",
            "0020|0013": str(number),
            "0020|0032": "\\".join(map(str, (-20.0, -30.0, 11.0 + place * spacing[2]))),
            "0020|0037": r"1\0\0\0\1\0",
        }
        for tag, value in header.items():
            picture.SetMetaData(tag, value)
        writer.SetFileName(str(series / "DICOM_anon" / f"IMG-0004-{number:05d}.dcm"))
        writer.Execute(picture)
        truth = sitk.GetImageFromArray(labels[:, :, place].T.astype(np.uint8))
        sitk.WriteImage(truth, str(series / "Ground" / f"IMG-0004-{number:05d}.png"))
    return series


def varint(number: int) -> bytes:
    """A whole number as protocol buffers write it."""
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def counted(field: int, content: bytes) -> bytes:
    """A field of a message that holds a string or a message."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def example(features: dict[str, bytes | int]) -> bytes:
    """An Example of TensorFlow."""
    entries = b""
    for name, value in features.items():
        kind, packed = (1, counted(1, value)) if isinstance(value, bytes) else (3, counted(1, varint(value)))
        entries += counted(1, counted(1, name.encode()) + counted(2, counted(kind, packed)))
    return counted(1, entries)


def record(data: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_checksum(length)) + data + struct.pack("<I", masked_checksum(data))


def slab(image: np.ndarray, labels: np.ndarray) -> bytes:
    """The record of a slice as SIFA writes it: (rows, columns) twice, other slices beside the one in the middle."""
    volumes = [np.stack([plane + 1, plane, plane + 2], axis=-1).astype("<f4") for plane in (image, labels)]
    sizes = {f"{kind}size_dim{axis}": size for kind in "dl" for axis, size in enumerate((*image.shape, 3))}
    named = {"data_vol": volumes[0].tobytes(), "label_vol": volumes[1].tobytes()}
    return record(example({**sizes, **named, "bias_dim0": -17}))


def write_slab(path: Path, seed: int = 0, values: tuple[int, ...] = (1, 2, 3, 4, 5)) -> tuple[np.ndarray, np.ndarray]:
    """A training slice of SIFA; returns its image and labels, (rows, columns)."""
    labels = blocks(values, (40, 32, 12))[..., 6].astype(np.float32)
    image = np.random.default_rng(seed).normal(size=labels.shape).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(slab(image, labels))
    return image, labels
