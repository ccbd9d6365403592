"""Headers of MetaImage and NRRD, looked at before ITK reads the data that they promise.

ITK takes the memory that a header asks for before it knows whether there are data, fills up what was cut short, and
opens whatever file a header names.
"""

from __future__ import annotations

import math
import re
from pathlib import Path, PureWindowsPath

import numpy as np

from ..errors import InputError
from .volumechecks import (
    AGAIN,
    CHUNK,
    check_spacing,
    inflated_bytes,
    refuse_cut_short,
    refuse_too_large,
    unpacked_bzip2_bytes,
)

LONGEST_LINE, MOST_LINES = 1 << 16, 4096
MOST_NRRD_LINES = 1 << 16
"""Of a header; a segmentation of Slicer's has a dozen for each segment."""

MOST_DIMENSIONS = 10
"""Of a MetaImage: its reader has place for no more."""

PATTERN = re.compile(r"%0?(?P<digits>\d{0,2})d")
"""Place of a number in the names of several data files."""

METAIMAGE_BYTES = {
    "CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4,
    "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip
"""Bytes of a value by the name of its type, MET_ left out; of LONG the least, it depends on who wrote it."""

METAIMAGE_PLACES = {
    *("Offset", "Position", "Origin", "TransformMatrix", "Rotation", "Orientation", "Direction", "CenterOfRotation")
}
"""Fields whose numbers ITK takes for zero where they are none."""

NRRD_BYTES = {
    1: ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"),
    2: ("short", "short int", "signed short", "signed short int", "int16", "int16_t")
    + ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    4: ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"),
    8: ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t")
    + ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t", "double"),
}
"""Names of the types of values by their bytes."""


def check_metaimage(path: Path) -> None:
    """Refuse data that are cut short, damaged or elsewhere, which ITK reports on the screen, or not at all.

    Raises:
        InputError: they are, or the header is broken.
    """
    fields, start = _metaimage_fields(path)
    name = fields["ElementDataFile"]
    try:
        for place in {*fields} & METAIMAGE_PLACES:
            if not np.isfinite(np.array(fields[place].split(), np.float64)).all():
                raise ValueError(f"{place} is {fields[place]}")
        if "ElementSpacing" in fields:
            check_spacing(path, np.array(fields["ElementSpacing"].split(), np.float64))
        sizes = [int(size) for size in fields["DimSize"].split()]
        kind = fields["ElementType"].upper().removeprefix("MET_").removesuffix("_ARRAY")
        if kind not in METAIMAGE_BYTES:
            raise ValueError(f"values of type {kind}")
        value_bytes = METAIMAGE_BYTES[kind] * int(fields.get("ElementNumberOfChannels", 1))
        compressed = _true(fields.get("CompressedData", ""))
        packed_bytes = int(fields["CompressedDataSize"]) if compressed else 0
        first = int(fields.get("HeaderSize", 0))
        dimensions = int(fields["NDims"])
    except KeyError as error:
        raise InputError(path, f"has a broken MetaImage header (it has no {error.args[0]})", AGAIN) from error
    except ValueError as error:
        raise InputError(path, f"has a broken MetaImage header ({error})", AGAIN) from error
    if not 0 < dimensions <= MOST_DIMENSIONS or dimensions != len(sizes) or value_bytes < 1:
        raise InputError(path, f"has a broken MetaImage header ({dimensions} dimensions, {len(sizes)} sizes)", AGAIN)
    _refuse_no_voxels(path, sizes)
    wanted = math.prod(sizes) * value_bytes
    if not _true(fields.get("BinaryData", "")):
        # text: a digit and a blank at least
        wanted = min(wanted, 2 * math.prod(sizes) - 1)
    if name.upper() == "LOCAL":
        held = _held(path, path, start, wanted, compressed, packed_bytes)
    else:
        files = _data_files(path, name, start, sizes[-1])
        share = -(-wanted // len(files))
        held = sum(_held(path, file, max(first, 0), share, compressed, packed_bytes) for file in files)
    refuse_cut_short(path, held, wanted)
    refuse_too_large(path, math.prod(sizes) * value_bytes)


def check_nrrd(path: Path) -> None:
    """The same of an NRRD file or header.

    Raises:
        InputError: data are cut short, damaged or elsewhere, or the header is broken.
    """
    fields, start, names = _nrrd_fields(path)
    try:
        sizes = [int(size) for size in fields["sizes"].split()]
        kind, encoding = fields["type"].lower(), fields.get("encoding", "raw").lower()
        value_bytes = next(size for size, kinds in NRRD_BYTES.items() if kind in kinds)
        skipped_lines, skipped = int(fields.get("line skip", 0)), int(fields.get("byte skip", 0))
        if "spacings" in fields:
            spacing = np.array(fields["spacings"].split(), np.float64)
            # an axis that is no place has none
            check_spacing(path, spacing[np.isfinite(spacing) | (len(sizes) <= 3)])
    except StopIteration:
        raise InputError(path, f"holds values of type {kind}", "name a volume with one number a voxel") from None
    except KeyError as error:
        raise InputError(path, f"cannot be read (its header has no {error.args[0]})", AGAIN) from error
    except ValueError as error:
        raise InputError(path, f"has a broken NRRD header ({error})", AGAIN) from error
    _refuse_no_voxels(path, sizes)
    if skipped_lines and encoding != "raw":
        raise InputError(path, "skips lines of a file that is no raw one", AGAIN)
    wanted = math.prod(sizes) * value_bytes
    files = [_beside(path, name) for name in names] or [path]
    begin = start if files == [path] else 0
    share = -(-wanted // len(files))
    if encoding == "raw":
        skipped = max(skipped, 0) if not skipped_lines else 0
        held = sum(min(file.stat().st_size - begin - skipped, share) for file in files)
    elif encoding in ("gzip", "gz"):
        held = sum(_inflated(path, file, begin, share, max(skipped, 0)) for file in files)
    elif encoding in ("bzip2", "bz2"):
        held = sum(min(unpacked_bzip2_bytes(file, begin, share + max(skipped, 0)), share) for file in files)
    else:
        # text: a number and a blank for each value, or two digits a byte
        signs = 2 if encoding == "hex" else 2 / value_bytes
        held = sum(min(int((file.stat().st_size - begin + 1) / signs), share) for file in files)
    refuse_cut_short(path, max(held, 0), wanted)
    refuse_too_large(path, wanted)


def _true(word: str) -> bool:
    """Whether the reader of MetaImages takes a word for yes."""
    return word[:1] in ("T", "t", "1")


def _inflated(path: Path, file: Path, first: int, share: int, skipped: int) -> int:
    """Bytes of voxels in a compressed data file of an NRRD, 0 where they are damaged; some are to be skipped."""
    held = inflated_bytes(file, first, file.stat().st_size, share + skipped) - skipped
    if held > share:
        # what its checksum would say is not known then, and a damaged stream may give more as well as less
        raise InputError(path, f"holds more than the {share} bytes that its header speaks of", AGAIN)
    return max(held, 0)


def _refuse_no_voxels(path: Path, sizes: list[int]) -> None:
    if not sizes or min(sizes) < 1:
        raise InputError(path, f"has no voxels ({'x'.join(map(str, sizes))})", AGAIN)


def _held(path: Path, data: Path, first: int, wanted: int, compressed: bool, packed_bytes: int) -> int:
    """Bytes of voxels in a file, at most as many as are wanted; 0 where they are damaged."""
    held = data.stat().st_size - first
    if compressed:
        held = inflated_bytes(data, first, packed_bytes, wanted) if 0 <= packed_bytes <= held else 0
        if held > wanted:
            raise InputError(path, f"holds more than the {wanted} bytes that its header speaks of", AGAIN)
    return max(0, min(held, wanted))


def _data_files(path: Path, name: str, start: int, planes: int) -> list[Path]:
    """Files that the header of a MetaImage names: one, a list, or a pattern with first and last number and step."""
    words = name.split()
    if words and words[0].upper() == "LIST":
        with open(path, "rb") as stream:
            stream.seek(start)
            names = [line.strip() for line in stream.read(CHUNK).decode(errors="replace").splitlines() if line.strip()]
    elif match := PATTERN.search(words[0] if words else ""):
        try:
            numbers = [*map(int, words[1:]), *(1, planes, 1)[len(words) - 1 :]]
            digits = int(match["digits"] or 0)
            names = [
                words[0].replace(match[0], f"{number:0{digits}d}")
                for number in range(numbers[0], numbers[1] + 1, numbers[2])[:MOST_LINES]
            ]
        except (ValueError, OverflowError) as error:
            raise InputError(path, f"has a broken MetaImage header ({error})", AGAIN) from error
    else:
        names = [name]
    if not names or len(names) > MOST_LINES:
        raise InputError(path, f"names {len(names)} data files", AGAIN)
    return [_beside(path, name) for name in names]


def _beside(header: Path, name: str) -> Path:
    """The data file that a header names: in its folder or below it.

    Raises:
        InputError: it is elsewhere, on whichever system that name leads there, or is no file.
    """
    parts = PureWindowsPath(name)
    if not name or "\0" in name or parts.drive or parts.root or ".." in parts.parts:
        raise InputError(
            header,
            f"names the data file {name}, which is outside of its folder",
            "put it beside the header and its bare name into the header",
        )
    data = header.parent / name
    if not data.is_file():
        raise InputError(header, f"names the data file {name}, which is not there", "put it beside the header")
    return data


def _metaimage_fields(path: Path) -> tuple[dict[str, str], int]:
    """Header of a MetaImage and where it ends."""
    fields: dict[str, str] = {}
    with open(path, "rb") as stream:
        for _ in range(MOST_LINES):
            key, equals, value = stream.readline(LONGEST_LINE).decode(errors="replace").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if "ElementDataFile" in fields:
                return fields, stream.tell()
    raise InputError(path, "cannot be read (it has no MetaImage header)", AGAIN)


def _nrrd_fields(path: Path) -> tuple[dict[str, str], int, list[str]]:
    """Fields of an NRRD header by their names in small letters, where it ends, and the data files that it names."""
    fields: dict[str, str] = {}
    with open(path, "rb") as stream:
        if not stream.readline(LONGEST_LINE).startswith(b"NRRD000"):
            raise InputError(path, "cannot be read (it has no NRRD header)", AGAIN)
        for _ in range(MOST_NRRD_LINES):
            line = stream.readline(LONGEST_LINE).decode(errors="replace")
            text = line.strip()
            if not text:
                break
            key, colon, value = text.partition(": ")
            if not text.startswith("#") and ":=" not in key and colon:
                key = key.strip().lower()
                key = {"datafile": "data file", "lineskip": "line skip", "byteskip": "byte skip"}.get(key, key)
                fields[key] = value.strip()
                if key == "data file" and value.split()[:1] == ["LIST"]:
                    rest = stream.read(CHUNK).decode(errors="replace").splitlines()
                    return fields, 0, [line.strip() for line in rest if line.strip()]
        else:
            raise InputError(path, f"has an NRRD header of more than {MOST_NRRD_LINES} lines", AGAIN)
        start = stream.tell()
    if "data file" not in fields:
        return fields, start, []
    words = fields["data file"].split()
    match = PATTERN.search(words[0]) if len(words) in (4, 5) else None
    if match is None:
        return fields, 0, [fields["data file"]]
    try:
        first, last, step = map(int, words[1:4])
        numbers = range(first, last + (1 if step > 0 else -1), step)[:MOST_LINES]
    except (ValueError, OverflowError) as error:
        raise InputError(path, f"has a broken NRRD header ({error})", AGAIN) from error
    digits = int(match["digits"] or 0)
    return fields, 0, [words[0].replace(match[0], f"{number:0{digits}d}") for number in numbers]
