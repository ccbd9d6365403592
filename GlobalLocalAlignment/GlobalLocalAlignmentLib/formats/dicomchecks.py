"""What GDCM, which reads DICOM for ITK, does not survive or makes up: looked at before and after it reads a header."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .volumechecks import AGAIN, CHUNK, check_spacing

DEEPEST = 64
"""Sequences within sequences. GDCM calls itself for each; some ten thousand overflow its stack and end the process."""

MOST_ITEMS = 500
"""Items of sequences behind a place where a header cannot be followed."""

MOST_HEADER_BYTES = 256 << 20
DEFLATED, BIG_ENDIAN, IMPLICIT = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2"
LONG_LENGTHS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
ITEM, ITEM_END, SEQUENCE_END, PIXELS = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD), (0x7FE0, 0x0010)
SYNTAX = (0x0002, 0x0010)
UNDEFINED = 0xFFFFFFFF
SQUARE_TOLERANCE = 0.05
"""Of the lengths of row and column directions and of the cosine between them; headers round them."""


def check_nesting(path: Path) -> None:
    """Refuse a DICOM file whose sequences lie too deep in each other.

    Raises:
        InputError: they do.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        stream.seek(128)
        walk = _Walk(stream, 132 if stream.read(4) == b"DICM" else 0)
        walk.follow(group=2)
        if walk.syntax.rstrip(b"\0 ") == DEFLATED:
            stream.seek(walk.place)
            content = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                inflated = content.decompress(stream.read(MOST_HEADER_BYTES), MOST_HEADER_BYTES)
            except zlib.error:
                inflated = b""
            walk = _Walk(io.BytesIO(inflated), 0)
        walk.follow()
        if walk.deepest > DEEPEST or walk.items_ahead() > MOST_ITEMS:
            raise InputError(path, "has sequences within sequences, deeper than any DICOM file", AGAIN)


class _Walk:
    """Goes through the elements of a DICOM file up to its pixels, as far as it understands them.

    Attributes:
        place: of the next element.
        syntax: transfer syntax, as soon as it was met.
        deepest: how many sequences lay in each other.
        lost: whether something was met that is no element.
    """

    def __init__(self, stream: BinaryIO, place: int) -> None:
        self.stream, self.place = stream, place
        self.syntax, self.deepest, self.lost = b"", 0, False
        self._ends: list[int | None] = []
        stream.seek(0, io.SEEK_END)
        self.size = stream.tell()

    def follow(self, group: int | None = None) -> None:
        """Go on to the pixels, to the end, or to the first element beyond a group."""
        while not self.lost and self.place + 8 <= self.size and self.deepest <= DEEPEST:
            while self._ends and self._ends[-1] is not None and self.place >= self._ends[-1]:
                self._ends.pop()
            tag, kind, length, content = self._element(explicit_little=group == 2)
            if (group is not None and tag[0] > group) or (tag == PIXELS and not self._ends):
                return
            self._step(tag, kind, length, content)

    def items_ahead(self) -> int:
        """Items in what was not understood, as far as they are not too many; none where all was."""
        mark, count = struct.pack(self._order + "HH", *ITEM), 0
        self.stream.seek(self.place)
        while self.lost and count <= MOST_ITEMS and (piece := self.stream.read(CHUNK)):
            count += piece.count(mark)
        return count

    @property
    def _order(self) -> str:
        return ">" if self.syntax.rstrip(b"\0 ") == BIG_ENDIAN else "<"

    def _element(self, explicit_little: bool) -> tuple[tuple[int, int], bytes, int, int]:
        """Tag, value representation (empty where it is not given), length, and where the content begins."""
        order = "<" if explicit_little else self._order
        self.stream.seek(self.place)
        start = self.stream.read(12)
        tag = struct.unpack_from(order + "HH", start)
        kind = start[4:6]
        if tag[0] == 0xFFFE or not kind.isalpha() or not kind.isupper():
            return tag, b"", struct.unpack_from(order + "I", start, 4)[0], self.place + 8
        if kind in LONG_LENGTHS:
            if len(start) < 12:
                return tag, kind, UNDEFINED - 1, self.place + 8
            return tag, kind, struct.unpack_from(order + "I", start, 8)[0], self.place + 12
        return tag, kind, struct.unpack_from(order + "H", start, 6)[0], self.place + 8

    def _step(self, tag: tuple[int, int], kind: bytes, length: int, content: int) -> None:
        if tag in (ITEM_END, SEQUENCE_END):
            if self._ends:
                self._ends.pop()
            self.place = content
            return
        opens = tag == ITEM or kind == b"SQ" or length == UNDEFINED or self._begins_with_item(kind, length, content)
        if length != UNDEFINED and content + length > self.size:
            self.lost = True
        elif opens:
            self._ends.append(None if length == UNDEFINED else content + length)
            # a sequence and its item are two
            self.deepest = max(self.deepest, len(self._ends) // 2)
            self.place = content
        else:
            if tag == SYNTAX:
                self.stream.seek(content)
                self.syntax = self.stream.read(min(length, 64))
            self.place = content + length

    def _begins_with_item(self, kind: bytes, length: int, content: int) -> bool:
        if kind not in (b"", b"UN") or length < 8:
            return False
        self.stream.seek(content)
        return self.stream.read(4) == struct.pack(self._order + "HH", *ITEM)


def check_geometry(path: Path, reader: sitk.ImageFileReader) -> None:
    """Refuse a slice whose spacing or directions are none: ITK takes 1 mm and straight axes in their place.

    Args:
        path: of the slice.
        reader: that has read its header.

    Raises:
        InputError: they are.
    """
    spacing = _numbers(path, reader, "0028|0030", 2, "pixel spacing")
    if spacing is not None:
        check_spacing(path, spacing)
    _numbers(path, reader, "0020|0032", 3, "position")
    directions = _numbers(path, reader, "0020|0037", 6, "directions")
    if directions is not None:
        row, column = directions[:3], directions[3:]
        products = np.array([row @ row - 1, column @ column - 1, row @ column])
        if np.abs(products).max() > SQUARE_TOLERANCE:
            raise InputError(path, "has directions of rows and columns that are not square to each other", AGAIN)


def _numbers(path: Path, reader: sitk.ImageFileReader, key: str, count: int, name: str) -> np.ndarray | None:
    """Numbers of an element, None where it is not there or empty."""
    if not reader.HasMetaDataKey(key):
        return None
    text = reader.GetMetaData(key).strip("\0 ")
    if not text:
        return None
    try:
        numbers = np.array([float(part) for part in re.split(r"\\", text)])
    except ValueError:
        numbers = np.array([])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise InputError(path, f"has a {name} that is none", AGAIN)
    return numbers
