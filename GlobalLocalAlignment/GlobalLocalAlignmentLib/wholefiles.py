"""Files that are there as a whole or not at all: written beside, synced, renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .machinefaults import named

UNFINISHED = ".part"
"""Ending of the name that a file has until it is whole; it begins with a point."""


def is_unfinished(path: Path) -> bool:
    """Whether a file has the name of one that is still written."""
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


def drop_unfinished(folder: Path) -> None:
    """Remove what a process that was killed had not finished in a folder and those within; nobody may write there."""
    for path in folder.rglob(f".*{UNFINISHED}"):
        with suppress(OSError):
            path.unlink()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content becomes the file when the block ends well; its folder is made.

    Where the block, the disk or the machine fails, an earlier file stays as it was and nothing is left beside it.

    Raises:
        OSError: it cannot be written; the error names the file.
    """
    temporary = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def put_in_place(written: Path, path: Path) -> None:
    """Give a file that was written and synced its name, and see to it that the name outlives a loss of power."""
    os.replace(written, path)
    # Windows has no such thing, some network file systems neither
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
