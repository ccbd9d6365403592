"""What the readers of all formats look at before they take memory, and how they say what is wrong."""

from __future__ import annotations

import bz2
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from ..errors import InputError

AGAIN = "copy or export it again"
CHUNK = 1 << 20

SMALLEST_SPACING, LARGEST_SPACING = 0.001, 1000.0
"""Millimetres: from a micrometre to a metre. What lies beyond is a broken header, not a patient."""

FARTHEST = 1e6
"""Millimetres of the first voxel from the origin; farther away 32 bits cannot tell a voxel from its neighbour."""

STANDARD_ERROR = 2
MOST_PACKED = 1100
"""Bytes that one byte of a deflated file can stand for at most, and some more."""


def check_spacing(path: Path, spacing: np.ndarray) -> None:
    """Raise InputError for a spacing (mm) that no volume has."""
    spacing = np.asarray(spacing, np.float64)
    known = np.isfinite(spacing).all()
    if not known or (spacing < SMALLEST_SPACING).any() or (spacing > LARGEST_SPACING).any():
        values = "x".join(f"{value:g}" for value in spacing)
        raise InputError(path, f"has a voxel spacing of {values} mm", "export it again with its true spacing")


def refuse_too_large(path: Path, wanted: int) -> None:
    """Raise InputError for a volume whose bytes do not fit into the memory that is free."""
    free = psutil.virtual_memory().available
    if wanted > free:
        raise InputError(
            path,
            f"takes {wanted / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free",
            "free memory, or crop it or export it with fewer voxels",
        )


def refuse_cut_short(path: Path, held: int, wanted: int) -> None:
    """Raise InputError where a file holds fewer bytes than its header says."""
    if held < wanted:
        raise InputError(path, f"cannot be read, it is damaged or cut short (it holds {held} of {wanted} bytes)", AGAIN)


def inflated_bytes(path: Path, start: int, length: int, most: int) -> int:
    """Size of deflated data when unpacked; 0 where they are damaged or end early, some number above ``most`` for more.

    No more than a mebibyte of it is in memory at a time.

    Raises:
        InputError: no memory could take ``most`` bytes, so that it makes no sense to count them.
    """
    if most > MOST_PACKED * length + CHUNK:
        return 0
    refuse_too_large(path, most)
    size, inflate = 0, zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        for packed in _pieces(path, start, length):
            while packed and not inflate.eof and size <= most:
                size += len(inflate.decompress(packed, CHUNK))
                packed = inflate.unconsumed_tail
            if inflate.eof or size > most:
                return size
    except zlib.error:
        pass
    return 0


def unpacked_bzip2_bytes(path: Path, start: int, most: int) -> int:
    """The same of data that bzip2 packed, to the end of the file."""
    refuse_too_large(path, most)
    size, unpack = 0, bz2.BZ2Decompressor()
    try:
        for packed in _pieces(path, start, path.stat().st_size):
            size += len(unpack.decompress(packed, CHUNK))
            while not (unpack.needs_input or unpack.eof) and size <= most:
                size += len(unpack.decompress(b"", CHUNK))
            if unpack.eof or size > most:
                return size
    except OSError:
        pass
    return 0


def _pieces(path: Path, start: int, length: int) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        stream.seek(start)
        while length > 0 and (piece := stream.read(min(CHUNK, length))):
            length -= len(piece)
            yield piece


@contextmanager
def unheard() -> Iterator[None]:
    """Nothing that a library prints to standard error is seen: of a broken file it may print a line for each byte."""
    try:
        sys.stderr.flush()
        kept = os.dup(STANDARD_ERROR)
    except (OSError, ValueError, AttributeError):
        # a program without a window has none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, STANDARD_ERROR)
        os.close(kept)


def reason(error: BaseException) -> str:
    """The line of a library's message that says most, without addresses in memory."""
    lines = [line.strip() for line in str(getattr(error, "strerror", None) or error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("- could the file")] or [type(error).__name__]
    text = re.sub(r"^(sitk::|itk::|ITK )ERROR: |^Reason: |\(0x[0-9a-f]+\)", "", lines[-1])
    return text if len(text) < 160 else text[:157] + "..."
