"""NIfTI files: wrong headers, odd values, archives that unpack to more than they should."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from .case import AFFINE, BadFile, changed, flipped, truncated

SIZES, SPACING, TYPE, OFFSET, SLOPE = 40, 76, 70, 108, 112
"""Places of fields in a header of NIfTI-1."""


def nifti_cases() -> list[BadFile]:
    """All of them."""
    return [
        *truncated(".nii"),
        *truncated(".nii.gz"),
        *flipped(".nii.gz"),
        *_fields(),
        *_values(),
        *_geometry(),
        *_archives(),
    ]


def _put(place: int, kind: str, *values: float) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        packed = struct.pack(f"<{kind}", *values)
        return content[:place] + packed + content[place + len(packed) :]

    return change


def _fields() -> list[BadFile]:
    fields = {
        "size of the header": _put(0, "i", 999),
        "no dimension": _put(SIZES, "h", 0),
        "nine dimensions": _put(SIZES, "h", 9),
        "negative dimensions": _put(SIZES, "h", -3),
        "size zero": _put(SIZES + 4, "h", 0),
        "size negative": _put(SIZES + 4, "h", -20),
        "size twice as large": _put(SIZES + 6, "h", 24),
        "sizes of 70 TB": _put(SIZES + 2, "hhh", 32767, 32767, 32767),
        "seven dimensions of 32767": _put(SIZES, "8h", 7, *[32767] * 7),
        "unknown type of values": _put(TYPE, "h", 999),
        "type of values that is none": _put(TYPE, "h", 0),
        "spacing zero": _put(SPACING + 4, "f", 0),
        "spacing not a number": _put(SPACING + 4, "f", np.nan),
        "spacing infinite": _put(SPACING + 8, "f", np.inf),
        "spacing negative": _put(SPACING + 4, "f", -2),
        "spacing of a femtometre": _put(SPACING + 4, "fff", 1e-12, 1e-12, 1e-12),
        "spacing of a light year": _put(SPACING + 4, "f", 9.5e18),
        "offset negative": _put(OFFSET, "f", -64),
        "offset beyond the end": _put(OFFSET, "f", 1e9),
        "offset infinite": _put(OFFSET, "f", np.inf),
        "offset not a number": _put(OFFSET, "f", np.nan),
        "half of a pair of files": lambda content: content[:344] + b"ni1\0" + content[348:],
        "no magic": lambda content: content[:344] + bytes(4) + content[348:],
        "all header bytes 255": lambda content: content[:4] + b"\xff" * 344 + content[348:],
    }
    packed = ("sizes of 70 TB", "offset beyond the end", "size twice as large")
    return [
        *(changed(name, ".nii", change) for name, change in fields.items()),
        *(
            changed(name, ".nii.gz", lambda content, name=name: gzip.compress(fields[name](gzip.decompress(content))))
            for name in packed
        ),
        changed("slope not a number, which means none", ".nii", _put(SLOPE, "f", np.nan), readable=True),
        changed("slope infinite, which means none", ".nii", _put(SLOPE, "f", np.inf), readable=True),
        changed("an extension that claims 2 GB", ".nii", _with_extension, readable=True),
    ]


def _with_extension(content: bytes) -> bytes:
    extension = bytes([1, 0, 0, 0]) + struct.pack("<ii", 0x7FFFFFF0, 2) + b"patient"
    extension += bytes(-len(extension) % 16)
    return _put(OFFSET, "f", 348 + len(extension))(content)[:348] + extension + content[352:]


def _written(name: str, change: Callable[[np.ndarray], np.ndarray], readable: bool = False, **more: object) -> BadFile:
    """Other values, written by nibabel."""

    def make(folder: Path, array: np.ndarray) -> Path:
        affine, kind = more.get("affine", AFFINE), more.get("kind", nibabel.Nifti1Image)
        values = change(array)
        nibabel.save(kind(values, affine, dtype=values.dtype), folder / "case.nii.gz")
        return folder / "case.nii.gz"

    return BadFile(f"nii.gz: {name}", make, readable)


def _with(array: np.ndarray, value: float, kind: type = np.float32) -> np.ndarray:
    changed_array = array.astype(kind)
    changed_array[3, 4, 5] = value
    return changed_array


def _values() -> list[BadFile]:
    colours = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    return [
        _written("a value not a number", lambda array: _with(array, np.nan)),
        _written("a value infinite", lambda array: _with(array, -np.inf)),
        _written("a value of 1e300", lambda array: _with(array, 1e300, np.float64)),
        _written("values of 1e300", lambda array: array.astype(np.float64) * 1e300),
        _written("colours", lambda array: np.zeros(array.shape, colours)),
        _written("complex values", lambda array: array.astype(np.complex64)),
        _written("four dimensions", lambda array: np.stack([array, array], axis=-1)),
        _written("two dimensions", lambda array: array[..., 5]),
        _written("one row", lambda array: array[:, :1, :1]),
        _written("all voxels 2.5", lambda array: np.full(array.shape, 2.5, np.float32)),
        _written("five dimensions, two of them one", lambda array: array[..., None, None], readable=True),
        _written("64-bit values", lambda array: array.astype(np.int64), readable=True),
        _written("NIfTI-2", lambda array: array, readable=True, kind=nibabel.Nifti2Image),
    ]


def _geometry() -> list[BadFile]:
    def matrix(*rows: tuple[float, ...]) -> Callable[[bytes], bytes]:
        def change(content: bytes) -> bytes:
            content = content[:252] + struct.pack("<hh", 0, 1) + content[256:]
            return content[:280] + np.array(rows, "<f4").tobytes() + content[328:]

        return change

    shear = AFFINE.copy()
    shear[0, 2] = 0.5
    kinds = {
        "matrix of zeros": matrix((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)),
        "two axes the same": matrix((-2, -2, 0, 20), (0, 0, 0, 30), (0, 0, 4, -40)),
        "matrix not a number": matrix((np.nan, 0, 0, 20), (0, -2.5, 0, 30), (0, 0, 4, -40)),
        "position infinite": matrix((-2, 0, 0, np.inf), (0, -2.5, 0, 30), (0, 0, 4, -40)),
        "position of 1e30 mm": matrix((-2, 0, 0, 1e30), (0, -2.5, 0, 30), (0, 0, 4, -40)),
        "matrix of 1e30": matrix((-2e30, 0, 0, 20), (0, -2.5e30, 0, 30), (0, 0, 4e30, -40)),
        "quaternion not a number": lambda content: (
            content[:252] + struct.pack("<hh", 1, 0) + struct.pack("<fff", *[np.nan] * 3) + content[268:]
        ),
        "spacing and matrix contradict": lambda content: _put(SPACING + 4, "fff", 1, 1, 1)(
            matrix((-2, 0, 0, 20), (0, -2.5, 0, 30), (0, 0, 4, -40))(content)
        ),
    }
    return [
        *(changed(name, ".nii", change) for name, change in kinds.items()),
        BadFile("nii: big-endian", _big_endian, readable=True),
    ]


def _big_endian(folder: Path, array: np.ndarray) -> Path:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nibabel.Nifti1Image(array.astype(">i2"), AFFINE, header)
    image.header.set_xyzt_units("mm")
    (folder / "case.nii").write_bytes(image.to_bytes())
    return folder / "case.nii"


def _in_two(content: bytes) -> bytes:
    return gzip.compress(content[:900]) + gzip.compress(content[900:])


def _archives() -> list[BadFile]:
    def repacked(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        return lambda content: change(gzip.decompress(content))

    def bomb(content: bytes) -> bytes:
        return gzip.compress(content) + gzip.compress(bytes(80 << 20), 1) * 8

    return [
        changed("text", ".nii.gz", lambda content: b"this is no volume\n" * 40),
        changed("text, compressed", ".nii.gz", lambda content: gzip.compress(b"hello " * 500)),
        changed("not compressed", ".nii.gz", gzip.decompress),
        changed("compressed twice", ".nii.gz", gzip.compress),
        changed("the name of one that is not compressed", ".nii", gzip.compress),
        changed("640 MB of zeros after the voxels", ".nii.gz", repacked(bomb)),
        changed("garbage after the archive", ".nii.gz", lambda content: content + b"garbage" * 9),
        changed("in two members", ".nii.gz", repacked(_in_two), readable=True),
        changed("some bytes after the voxels", ".nii", lambda content: content + bytes(100), readable=True),
    ]
