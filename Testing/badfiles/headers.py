"""NRRD and MetaImage files: headers that promise what is not there, or point elsewhere."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .case import BadFile, changed, flipped, truncated

NRRD = {
    "type": "int16",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "24 20 12",
    "space directions": "(2,0,0) (0,2.5,0) (0,0,4)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(-20,-30,-40)",
}
META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "-20 -30 -40",
    "ElementSpacing": "2 2.5 4",
    "DimSize": "24 20 12",
    "ElementType": "MET_SHORT",
}
OUTSIDE = {
    "above the folder": "../outside.raw",
    "below and above it": "below/../../outside.raw",
    "from the root": "{root}/outside.raw",
    "a device": "/dev/zero",
    "of a Windows drive": r"C:\outside.raw",
    "of a Windows share": r"\\server\share\outside.raw",
    "not there": "missing.raw",
}
"""Names of data files that a header may not have."""


LISTED = [f"plane{number:02d}.raw" for number in range(12)]
LISTED_OUTSIDE = [*LISTED[1:], "../outside.raw"]


def nrrd_text(change: dict[str, str | None]) -> bytes:
    """Header of an NRRD file with other fields; None leaves one out."""
    fields = {key: value for key, value in (NRRD | change).items() if value is not None}
    return ("NRRD0005\n" + "".join(f"{key}: {value}\n" for key, value in fields.items())).encode()


def meta_text(change: dict[str, str | None]) -> bytes:
    """The same of a MetaImage; the data file comes last."""
    fields = {key: value for key, value in (META | change).items() if value is not None}
    data = fields.pop("ElementDataFile", "LOCAL")
    return "".join(f"{key} = {value}\n" for key, value in [*fields.items(), ("ElementDataFile", data)]).encode()


def _voxels(array: np.ndarray) -> bytes:
    return array.astype("<i2").tobytes(order="F")


def _nrrd(
    name: str, change: dict[str, str | None], readable: bool = False, data: Callable[[bytes], bytes] = bytes
) -> BadFile:
    def make(folder: Path, array: np.ndarray) -> Path:
        path = folder / "case.nrrd"
        path.write_bytes(nrrd_text(change) + b"\n" + data(_voxels(array)))
        return path

    return BadFile(f"nrrd: {name}", make, readable)


def _meta(
    name: str, change: dict[str, str | None], readable: bool = False, data: Callable[[bytes], bytes] = bytes
) -> BadFile:
    def make(folder: Path, array: np.ndarray) -> Path:
        path = folder / "case.mha"
        path.write_bytes(meta_text(change) + data(_voxels(array)))
        return path

    return BadFile(f"mha: {name}", make, readable)


def _detached(
    name: str,
    suffix: str,
    data_field: str,
    readable: bool = False,
    files: Callable[[bytes], dict[str, bytes]] = lambda voxels: {"case.raw": voxels},
) -> BadFile:
    """A header whose data are in other files; one of the same name lies above the folder."""

    def make(folder: Path, array: np.ndarray) -> Path:
        place = folder / "inside"
        place.mkdir()
        (folder / "outside.raw").write_bytes(_voxels(array))
        for file, content in files(_voxels(array)).items():
            (place / file).write_bytes(content)
        named = data_field.replace("{root}", str(folder))
        path = place / f"case{suffix}"
        if suffix == ".nhdr":
            path.write_bytes(nrrd_text({"data file": named}))
        else:
            path.write_bytes(meta_text({"ElementDataFile": named}))
        return path

    return BadFile(f"{suffix[1:]}: {name}", make, readable)


def _planes(voxels: bytes) -> dict[str, bytes]:
    size = len(voxels) // 12
    return {name: voxels[number * size : (number + 1) * size] for number, name in enumerate(LISTED)}


def _pipe(suffix: str) -> BadFile:
    def make(folder: Path, array: np.ndarray) -> Path:
        os.mkfifo(folder / "case.raw")
        path = folder / f"case{suffix}"
        text = nrrd_text({"data file": "case.raw"}) if suffix == ".nhdr" else meta_text({"ElementDataFile": "case.raw"})
        path.write_bytes(text)
        return path

    return BadFile(f"{suffix[1:]}: the data file is a pipe that nobody writes", make)


def nrrd_cases() -> list[BadFile]:
    """All of NRRD."""
    fields: dict[str, dict[str, str | None]] = {
        "sizes of 70 TB": {"sizes": "100000 100000 3500"},
        "sizes beyond 64 bits": {"sizes": "99999999999 99999999999 99999999999"},
        "a size negative": {"sizes": "24 -20 12"},
        "a size zero": {"sizes": "24 0 12"},
        "two sizes for three dimensions": {"sizes": "24 20"},
        "no sizes": {"sizes": None},
        "sizes of words": {"sizes": "many of them"},
        "seventeen dimensions": {"dimension": "17", "sizes": "2 " * 17, "space directions": None, "kinds": None},
        "type block": {"type": "block"},
        "type unknown": {"type": "colour"},
        "no type": {"type": None},
        "encoding unknown": {"encoding": "zip of mine"},
        "spacing zero": {"space directions": None, "space": None, "space origin": None, "spacings": "0 1 1"},
        "spacing negative": {"space directions": None, "space": None, "space origin": None, "spacings": "2 -1 1"},
        "spacing not a number": {"space directions": None, "space": None, "space origin": None, "spacings": "nan 1 1"},
        "spacing of 1e-30 mm": {"space directions": "(1e-30,0,0) (0,2.5,0) (0,0,4)"},
        "spacing of 1e30 mm": {"space directions": "(2,0,0) (0,1e30,0) (0,0,4)"},
        "directions singular": {"space directions": "(2,0,0) (2,0,0) (0,0,4)"},
        "directions of zeros": {"space directions": "(0,0,0) (0,0,0) (0,0,0)"},
        "directions not numbers": {"space directions": "(nan,0,0) (0,2.5,0) (0,0,4)"},
        "origin infinite": {"space origin": "(inf,0,0)"},
        "origin of 1e30 mm": {"space origin": "(1e30,0,0)"},
        "vectors": {"dimension": "4", "sizes": "3 8 20 12", "kinds": "vector domain domain domain",
                    "space directions": "none (2,0,0) (0,2.5,0) (0,0,4)"},
        "four dimensions": {"dimension": "4", "sizes": "12 20 12 2", "kinds": "domain domain domain list",
                            "space directions": "(2,0,0) (0,2.5,0) (0,0,4) none"},
        "two dimensions": {"dimension": "2", "sizes": "24 240", "kinds": "domain domain", "space": None,
                           "space directions": None, "space origin": None},
    }  # fmt: skip
    packed = {"encoding": "gzip"}
    tiny = {"sizes": "24 20 100000000", **packed}
    return [
        *truncated(".nrrd"),
        *flipped(".nrrd"),
        *(_nrrd(name, change) for name, change in fields.items()),
        _nrrd("cut short, not compressed", {}, data=lambda voxels: voxels[:-2]),
        _nrrd("70 GB promised by some compressed bytes", tiny, data=gzip.compress),
        _nrrd("640 MB after the voxels", packed, data=lambda v: gzip.compress(v + bytes(640 << 20), 1)),
        _nrrd("lines to skip in a compressed file", {**packed, "line skip": "1"}, data=gzip.compress),
        _nrrd("bytes to skip beyond the end", {"byte skip": "100000"}),
        _nrrd("written as text", {"encoding": "ascii"}, readable=True, data=_as_text),
        _nrrd("written as text, cut short", {"encoding": "ascii"}, data=lambda voxels: _as_text(voxels)[:4000]),
        _nrrd("axes from the other side", {
            "space": "right-anterior-superior", "space directions": "(-2,0,0) (0,-2.5,0) (0,0,4)",
            "space origin": "(20,30,-40)"}, readable=True),
        changed("text", ".nrrd", lambda content: b"this is no volume\n" * 40),
        changed("a header of a million lines", ".nrrd", lambda content: b"NRRD0005\n" + b"a: b\n" * 1_000_000),
        changed("a header without an end", ".nrrd", lambda content: b"NRRD0005\n" + b"x" * (32 << 20)),
        *(_detached(f"data file {name}", ".nhdr", place) for name, place in OUTSIDE.items()),
        _detached("data file cut short", ".nhdr", "case.raw", files=lambda voxels: {"case.raw": voxels[:-2]}),
        _detached("data file with no byte", ".nhdr", "case.raw", files=lambda voxels: {"case.raw": b""}),
        _detached("data in a list of files", ".nhdr", "LIST 2\n" + "\n".join(LISTED), True, _planes),
        _detached("a listed file outside", ".nhdr", "LIST 2\n" + "\n".join(LISTED_OUTSIDE),
                  files=_planes),
        _detached("data in numbered files", ".nhdr", "plane%02d.raw 0 11 1 2", True, _planes),
        _detached("a numbered file missing", ".nhdr", "plane%02d.raw 0 12 1 2", files=_planes),
        _detached("data beside the header", ".nhdr", "case.raw", True),
        _pipe(".nhdr"),
    ]  # fmt: skip


def _as_text(voxels: bytes) -> bytes:
    return " ".join(map(str, np.frombuffer(voxels, "<i2"))).encode() + b"\n"


def metaimage_cases() -> list[BadFile]:
    """All of MetaImage."""
    fields: dict[str, dict[str, str | None]] = {
        "sizes of 70 TB": {"DimSize": "100000 100000 3500"},
        "sizes beyond 64 bits": {"DimSize": "99999999999 99999999999 99999999999"},
        "a size negative": {"DimSize": "24 -20 12"},
        "a size zero": {"DimSize": "24 0 12"},
        "two sizes for three dimensions": {"DimSize": "24 20"},
        "no sizes": {"DimSize": None},
        "eleven dimensions": {"NDims": "11", "DimSize": "2 " * 11},
        "a thousand dimensions": {"NDims": "1000", "DimSize": "2 " * 1000},
        "dimensions negative": {"NDims": "-3"},
        "no dimensions": {"NDims": None},
        "type unknown": {"ElementType": "MET_COLOUR"},
        "three channels": {"ElementNumberOfChannels": "3", "DimSize": "8 20 12"},
        "no channel": {"ElementNumberOfChannels": "0"},
        "spacing zero": {"ElementSpacing": "0 1 1"},
        "spacing negative": {"ElementSpacing": "2 -2.5 4"},
        "spacing not a number": {"ElementSpacing": "nan 2.5 4"},
        "spacing of 1e-30 mm": {"ElementSpacing": "1e-30 2.5 4"},
        "spacing of 1e30 mm": {"ElementSpacing": "2 2.5 1e30"},
        "matrix singular": {"TransformMatrix": "1 0 0 1 0 0 0 0 1"},
        "matrix of zeros": {"TransformMatrix": "0 0 0 0 0 0 0 0 0"},
        "matrix not numbers": {"TransformMatrix": "nan 0 0 0 1 0 0 0 1"},
        "position infinite": {"Offset": "inf 0 0"},
        "position of 1e30 mm": {"Offset": "1e30 0 0"},
        "position not a number": {"Offset": "nan 0 0"},
        "two dimensions": {"NDims": "2", "DimSize": "24 240", "TransformMatrix": "1 0 0 1", "Offset": "0 0",
                           "ElementSpacing": "1 1"},
        "four dimensions": {"NDims": "4", "DimSize": "12 20 12 2", "TransformMatrix": None, "Offset": "0 0 0 0",
                            "ElementSpacing": "1 1 1 1"},
        "compressed size negative": {"CompressedData": "True", "CompressedDataSize": "-1"},
        "compressed size too large": {"CompressedData": "True", "CompressedDataSize": "999999999"},
        "compressed, but it is not": {"CompressedData": "True", "CompressedDataSize": "11520"},
    }  # fmt: skip

    def packed(name: str, change: dict[str, str], voxels: Callable[[bytes], bytes]) -> BadFile:
        def make(folder: Path, array: np.ndarray) -> Path:
            content = gzip.compress(voxels(_voxels(array)), 1)
            text = meta_text({"CompressedData": "True", "CompressedDataSize": str(len(content)), **change})
            (folder / "case.mha").write_bytes(text + content)
            return folder / "case.mha"

        return BadFile(f"mha: {name}", make)

    return [
        *truncated(".mha"),
        *flipped(".mha"),
        *(_meta(name, change) for name, change in fields.items()),
        _meta("cut short, not compressed", {}, data=lambda voxels: voxels[:-2]),
        _meta("written as text", {"BinaryData": "False"}, True, _as_text),
        packed("640 MB after the voxels", {}, lambda voxels: voxels + bytes(640 << 20)),
        packed("70 GB promised by some compressed bytes", {"DimSize": "24 20 100000000"}, bytes),
        changed("text", ".mha", lambda content: b"this is no volume\n" * 40),
        changed("a header of a million lines", ".mha", lambda content: b"a = b\n" * 1_000_000),
        changed("a header without an end", ".mha", lambda content: b"a" * (32 << 20)),
        changed("bytes of noise in the header", ".mha", lambda content: re.sub(rb"[A-Z]", b"\xff", content)),
        *(_detached(f"data file {name}", ".mhd", place) for name, place in OUTSIDE.items()),
        _detached("data file cut short", ".mhd", "case.raw", files=lambda voxels: {"case.raw": voxels[:-2]}),
        _detached("data file with no byte", ".mhd", "case.raw", files=lambda voxels: {"case.raw": b""}),
        _detached("data in a list of files", ".mhd", "LIST\n" + "\n".join(LISTED), True, _planes),
        _detached("a listed file outside", ".mhd", "LIST\n" + "\n".join(LISTED_OUTSIDE),
                  files=_planes),
        _detached("data in numbered files", ".mhd", "plane%02d.raw 0 11 1", True, _planes),
        _detached("a numbered file missing", ".mhd", "plane%02d.raw 1 12 1", files=_planes),
        _detached("data beside the header", ".mhd", "case.raw", True),
        _pipe(".mhd"),
    ]  # fmt: skip
