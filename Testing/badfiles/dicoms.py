"""DICOM series: mixed, with gaps, in every transfer syntax, with elements that lie about their length."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import dicombytes as dicom
import numpy as np
import SimpleITK as sitk
from dicombytes import PIXELS, Tag, Value, dicom_bytes, slice_header, write_files

from .case import BadFile

Header = dict[Tag, Value]
RATE = 4.0


def _headers(array: np.ndarray) -> list[Header]:
    """Headers of all slices of the good volume."""
    return [slice_header(array[..., k].T, -40 + RATE * k, k + 1) for k in range(array.shape[2])]


def _series(
    name: str,
    change: Callable[[list[Header]], list[Header]] = list,
    readable: bool = False,
    syntax: str = dicom.EXPLICIT,
) -> BadFile:
    def make(folder: Path, array: np.ndarray) -> Path:
        return write_files(folder / "case", [dicom_bytes(header, syntax) for header in change(_headers(array))])

    return BadFile(f"dicom: {name}", make, readable)


def _each(name: str, change: Header, kinds: dict[Tag, str] | None = None, of: slice = slice(None)) -> BadFile:
    """Other elements in some slices, all if not said."""

    def make(folder: Path, array: np.ndarray) -> Path:
        headers = _headers(array)
        for header in headers[of]:
            header.update(change)
        return write_files(folder / "case", [dicom_bytes(header, kinds=kinds) for header in headers])

    return BadFile(f"dicom: {name}", make)


def _bytes(name: str, change: Callable[[bytes], bytes], readable: bool = False, of: int | None = 5) -> BadFile:
    """Other bytes in one slice, or in all of them."""

    def make(folder: Path, array: np.ndarray) -> Path:
        files = [dicom_bytes(header) for header in _headers(array)]
        files = [change(file) if of in (None, number) else file for number, file in enumerate(files)]
        return write_files(folder / "case", files)

    return BadFile(f"dicom: {name}", make, readable)


def _lie(tag: Tag, kind: str, length: int) -> Callable[[bytes], bytes]:
    """An element with a false length before the pixels."""
    start = struct.pack("<HH", *PIXELS)

    def change(content: bytes) -> bytes:
        place = content.index(start)
        return content[:place] + dicom.element(tag, kind, b"abcd", dicom.EXPLICIT, length) + content[place:]

    return change


def _nested(depth: int) -> Callable[[bytes], bytes]:
    """Sequences within sequences, of no given length."""
    begin = struct.pack("<HH2s2xI", 0x0040, 0x0275, b"SQ", dicom.UNDEFINED)
    begin += struct.pack("<HHI", 0xFFFE, 0xE000, dicom.UNDEFINED)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)

    def change(content: bytes) -> bytes:
        place = content.index(struct.pack("<HH", *PIXELS))
        return content[:place] + begin * depth + end * depth + content[place:]

    return change


def _packed(name: str, syntax: str, fragment: Callable[[np.ndarray], bytes], readable: bool = True) -> BadFile:
    def change(headers: list[Header]) -> list[Header]:
        for header in headers:
            header[PIXELS] = [fragment(header[PIXELS])]
        return headers

    return _series(name, change, readable, syntax)


def _by_itk(compressor: str) -> BadFile:
    """Slices that ITK compresses."""

    def make(folder: Path, array: np.ndarray) -> Path:
        with tempfile.TemporaryDirectory() as plain:
            files = [dicom_bytes(header) for header in _headers(array)]
            names = sorted(write_files(Path(plain) / "case", files).iterdir())
            (folder / "case").mkdir()
            for name in names:
                image = sitk.ReadImage(str(name))
                writer = sitk.ImageFileWriter()
                writer.KeepOriginalImageUIDOn()
                writer.UseCompressionOn()
                writer.SetCompressor(compressor)
                writer.SetFileName(str(folder / "case" / name.name))
                writer.Execute(image)
        return folder / "case"

    return BadFile(f"dicom: {compressor} without loss", make, readable=True)


def _beside(name: str, file: str, content: bytes | None, readable: bool = False) -> BadFile:
    """Another file beside the slices; None is a pipe that nobody writes."""

    def make(folder: Path, array: np.ndarray) -> Path:
        series = write_files(folder / "case", [dicom_bytes(header) for header in _headers(array)])
        if content is None:
            os.mkfifo(series / file)
        else:
            (series / file).write_bytes(content)
        return series

    return BadFile(f"dicom: {name}", make, readable)


def dicom_cases() -> list[BadFile]:
    """All of them."""

    def two_series(headers: list[Header]) -> list[Header]:
        others = [header | {(0x20, 0xE): "1.2.826.0.4", (8, 0x18): f"1.2.9.{n}"} for n, header in enumerate(headers)]
        return headers + others

    def doubled(headers: list[Header]) -> list[Header]:
        return headers + [headers[4] | {(8, 0x18): "1.2.826.0.1.99"}]

    def echoes(headers: list[Header]) -> list[Header]:
        return headers + [header | {(8, 0x18): f"1.2.9.{number}"} for number, header in enumerate(headers)]

    def localizer(headers: list[Header]) -> list[Header]:
        return [*headers, headers[0] | {(0x20, 0x37): r"0\1\0\0\0\-1", (8, 0x18): "1.2.9"}]

    def other_size(headers: list[Header]) -> list[Header]:
        small = headers[3][PIXELS][:10]
        headers[3] = headers[3] | {(0x28, 0x10): 10, PIXELS: small}
        return headers

    def shifted(headers: list[Header]) -> list[Header]:
        for number, header in enumerate(headers):
            header[0x20, 0x32] = f"-20\\{-30 + number}\\{-40 + RATE * number}"
        return headers

    cuts: dict[str, Callable[[bytes], bytes]] = {
        "a slice without a byte": lambda content: b"",
        "a slice cut within its preamble": lambda content: content[:100],
        "a slice cut within its header": lambda content: content[:300],
        "a slice cut before its pixels": lambda content: content[: content.index(struct.pack("<HH", *PIXELS))],
        "a slice cut in half": lambda content: content[:-480],
        "a slice without its last byte": lambda content: content[:-1],
        "a slice of text": lambda content: b"this is no slice\n" * 40,
    }
    lies = {
        "4 GB in an unknown element": ((0x0009, 0x0010), "UN", 0xFFFFFFF0),
        "2 GB in a text": ((0x0010, 0x4000), "UT", 0x7FFFFFF0),
        "1 GB in bytes": ((0x0042, 0x0011), "OB", 0x3FFFFFF0),
        "a sequence of 4 GB": ((0x0040, 0x0275), "SQ", 0xFFFFFFF0),
        "an odd length": ((0x0010, 0x4000), "UT", 3),
    }
    fields: dict[str, Header] = {
        "spacing zero": {(0x28, 0x30): r"0\0"},
        "spacing negative": {(0x28, 0x30): r"-2\2"},
        "spacing of words": {(0x28, 0x30): "wide"},
        "spacing of 1e30 mm": {(0x28, 0x30): r"1e30\2"},
        "directions of zeros": {(0x20, 0x37): r"0\0\0\0\0\0"},
        "directions parallel": {(0x20, 0x37): r"1\0\0\1\0\0"},
        "positions of words": {(0x20, 0x32): "here"},
        "more rows than pixels": {(0x28, 0x10): 65535, (0x28, 0x11): 65535},
        "no rows": {(0x28, 0x10): 0},
        "a billion frames": {(0x28, 0x08): "1000000000"},
        "17 bits": {(0x28, 0x100): 17},
        "255 samples": {(0x28, 0x02): 255},
        "colours": {(0x28, 0x02): 3, (0x28, 0x04): "RGB", (0x28, 0x06): 0, (0x28, 0x100): 8, (0x28, 0x101): 8,
                    (0x28, 0x102): 7, (0x28, 0x103): 0, (0x28, 0x11): 16},
    }  # fmt: skip
    return [
        _series("explicit little-endian", readable=True),
        _series("implicit little-endian", readable=True, syntax=dicom.IMPLICIT),
        _series("explicit big-endian", readable=True, syntax=dicom.BIG_ENDIAN),
        _series("deflated", readable=True, syntax=dicom.DEFLATED),
        _packed("RLE", dicom.RLE, dicom.rle_fragment),
        _by_itk("JPEG2000"),
        _by_itk("JPEG"),
        _packed("RLE, cut short", dicom.RLE, lambda plane: dicom.rle_fragment(plane)[:-200], readable=False),
        _packed("RLE of nothing", dicom.RLE, lambda plane: b"", readable=False),
        _packed("JPEG 2000 that is none", "1.2.840.10008.1.2.4.90", lambda plane: b"no picture", readable=False),
        _packed("MPEG", dicom.MPEG2, lambda plane: bytes(100), readable=False),
        _packed("an unknown syntax", "1.2.3.4.5", lambda plane: bytes(100), readable=False),
        _series("two series", two_series),
        _series("a slice missing", lambda headers: headers[:4] + headers[5:]),
        _series("slices missing at the end only", lambda headers: headers[:9] + headers[11:]),
        _series("a slice twice", doubled),
        _series("every slice twice", echoes),
        _series("a localizer among them", localizer),
        _series("a slice of another size", other_size),
        _series("a tilted gantry", shifted),
        _series("one slice alone", lambda headers: headers[:1]),
        *(_bytes(name, change) for name, change in cuts.items()),
        *(_bytes(f"every {name.removeprefix('a ')}", change, of=None) for name, change in list(cuts.items())[3:6]),
        *(_bytes(f"{name} in one slice", _lie(*lie)) for name, lie in lies.items()),
        *(_bytes(f"{name} in every slice", _lie(*lie), of=None) for name, lie in lies.items()),
        _bytes("sequences ten deep", _nested(10), readable=True),
        _bytes("sequences twenty thousand deep", _nested(20_000)),
        *(_each(name, change) for name, change in fields.items()),
        _each("colours in one slice", fields["colours"], of=slice(5, 6)),
        _each("pixels of no byte", {PIXELS: b""}, {PIXELS: "OW"}),
        _beside("an empty file among them", "IM9999", b""),
        _beside("a text among them", "readme.txt", b"from the archive\n", readable=True),
        _beside("a pipe among them", "IM9999", None, readable=True),
        _beside("a table of contents", "DICOMDIR", bytes(128) + b"DICM", readable=True),
    ]
