"""DICOM files made by hand, in any transfer syntax: what no library would write, and what identifies a patient."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
BIG_ENDIAN, RLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
MPEG2 = "1.2.840.10008.1.2.4.100"
CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
LONG_LENGTHS = ("OB", "OW", "OF", "SQ", "UN", "UT")
UNDEFINED = 0xFFFFFFFF

Tag = tuple[int, int]
PIXELS: Tag = (0x7FE0, 0x0010)
Value = str | bytes | int | np.ndarray

KINDS: dict[Tag, str] = {
    (0x0008, 0x0016): "UI", (0x0008, 0x0018): "UI", (0x0008, 0x0060): "CS", (0x0008, 0x103E): "LO",
    (0x0010, 0x0010): "PN", (0x0010, 0x0020): "LO", (0x0018, 0x0050): "DS", (0x0020, 0x000D): "UI",
    (0x0020, 0x000E): "UI", (0x0020, 0x0013): "IS", (0x0020, 0x0032): "DS", (0x0020, 0x0037): "DS",
    (0x0028, 0x0002): "US", (0x0028, 0x0004): "CS", (0x0028, 0x0006): "US", (0x0028, 0x0008): "IS",
    (0x0028, 0x0010): "US", (0x0028, 0x0011): "US", (0x0028, 0x0030): "DS", (0x0028, 0x0100): "US",
    (0x0028, 0x0101): "US", (0x0028, 0x0102): "US", (0x0028, 0x0103): "US", PIXELS: "OW",
}  # fmt: skip
"""Value representations of what every slice has; others are given with the value."""


def slice_header(
    plane: np.ndarray, place: float, number: int, spacing: tuple[float, float, float] = (2.0, 2.5, 4.0)
) -> dict[Tag, Value]:
    """Elements of a CT slice of a series.

    Args:
        plane: (rows, columns) int16.
        place: millimetres along the normal.
        number: of the slice.
        spacing: of columns, rows and slices, mm.
    """
    return {
        (0x0008, 0x0016): CT_IMAGE,
        (0x0008, 0x0018): f"1.2.826.0.1.{number}",
        (0x0008, 0x0060): "CT",
        (0x0018, 0x0050): str(spacing[2]),
        (0x0020, 0x000D): "1.2.826.0.2",
        (0x0020, 0x000E): "1.2.826.0.3",
        (0x0020, 0x0013): str(number),
        (0x0020, 0x0032): f"-20\\-30\\{place}",
        (0x0020, 0x0037): r"1\0\0\0\1\0",
        (0x0028, 0x0002): 1,
        (0x0028, 0x0004): "MONOCHROME2",
        (0x0028, 0x0010): plane.shape[0],
        (0x0028, 0x0011): plane.shape[1],
        (0x0028, 0x0030): f"{spacing[1]}\\{spacing[0]}",
        (0x0028, 0x0100): 16,
        (0x0028, 0x0101): 16,
        (0x0028, 0x0102): 15,
        (0x0028, 0x0103): 1,
        PIXELS: plane.astype(np.int16),
    }


def dicom_bytes(header: dict[Tag, Value], syntax: str = EXPLICIT, kinds: dict[Tag, str] | None = None) -> bytes:
    """A DICOM file.

    Args:
        header: values by tag; a list of bytes stands for the fragments of encapsulated pixels.
        syntax: transfer syntax.
        kinds: value representations by tag, of those that are not in ``KINDS``.
    """
    known = KINDS | (kinds or {})
    meta = b"".join(
        element(tag, kind, value, EXPLICIT)
        for tag, kind, value in (
            ((2, 1), "OB", b"\0\1"),
            ((2, 2), "UI", header.get((8, 0x16), CT_IMAGE)),
            ((2, 3), "UI", header.get((8, 0x18), "1.2.3")),
            ((2, 0x10), "UI", syntax),
            ((2, 0x12), "UI", "1.2.826.0.9"),
        )
    )
    meta = element((2, 0), "UL", struct.pack("<I", len(meta)), EXPLICIT) + meta
    body = b"".join(element(tag, known[tag], value, syntax) for tag, value in sorted(header.items()))
    if syntax == DEFLATED:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = packer.compress(body) + packer.flush()
    return bytes(128) + b"DICM" + meta + body


def element(tag: Tag, kind: str, value: Value | list[bytes], syntax: str, length: int | None = None) -> bytes:
    """One element; ``length`` is a lie about its length."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    if isinstance(value, list):
        parts = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in [b"", *value])
        content, length = parts + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), UNDEFINED
        kind = "OB"
    else:
        content = _content(value, kind, order)
        length = len(content) if length is None else length
    start = struct.pack(f"{order}HH", *tag)
    if syntax == IMPLICIT and tag[0] != 2:
        return start + struct.pack("<I", length) + content
    if kind in LONG_LENGTHS:
        return start + kind.encode() + bytes(2) + struct.pack(f"{order}I", length) + content
    return start + kind.encode() + struct.pack(f"{order}H", length & 0xFFFF) + content


def _content(value: Value, kind: str, order: str) -> bytes:
    if isinstance(value, np.ndarray):
        return value.astype(value.dtype.newbyteorder(order)).tobytes()
    if isinstance(value, int):
        return struct.pack(f"{order}H", value)
    content = value.encode() if isinstance(value, str) else value
    return content + (b"\0" if kind == "UI" else b" ") * (len(content) % 2)


def rle_fragment(plane: np.ndarray) -> bytes:
    """(rows, columns) int16 as RLE of DICOM: two segments, the high bytes and the low ones, without runs."""
    content = plane.astype(">i2").tobytes()
    segments = [_packed(content[start::2]) for start in (0, 1)]
    offsets = [64, 64 + len(segments[0])]
    packed = struct.pack("<16I", 2, *offsets, *[0] * 13) + b"".join(segments)
    return packed + bytes(len(packed) % 2)


def _packed(content: bytes) -> bytes:
    parts = [content[start : start + 128] for start in range(0, len(content), 128)]
    packed = b"".join(bytes([len(part) - 1]) + part for part in parts)
    return packed + bytes(len(packed) % 2)


def write_files(folder: Path, files: Iterable[bytes]) -> Path:
    """A series: a file for each slice; returns the folder."""
    folder.mkdir(parents=True)
    for number, content in enumerate(files):
        (folder / f"IM{number:04d}.dcm").write_bytes(content)
    return folder
