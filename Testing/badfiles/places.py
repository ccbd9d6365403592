"""Files that are none: loops of links, pipes, devices, folders, and names that no screen shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .case import BadFile, good


def _named(name: str, file: bytes, readable: bool = True) -> BadFile:
    """A good volume under another name, which may be no text."""

    def make(folder: Path, array: np.ndarray) -> Path:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + file))
        good(folder / "x.nii.gz", array).rename(path)
        return path

    return BadFile(f"place: {name}", make, readable)


def _place(name: str, make: Callable[[Path], None], readable: bool = False) -> BadFile:
    """Something else where ``case.nii.gz`` should be."""

    def build(folder: Path, array: np.ndarray) -> Path:
        good(folder / "good.nii.gz", array)
        make(folder / "case.nii.gz")
        return folder / "case.nii.gz"

    return BadFile(f"place: {name}", build, readable)


def place_cases() -> list[BadFile]:
    """All of them."""

    def loop(path: Path) -> None:
        path.symlink_to(path.with_name("other.nii.gz"))
        path.with_name("other.nii.gz").symlink_to(path)

    def loop_of_folders(path: Path) -> None:
        path.mkdir()
        (path / "again").symlink_to(path)

    return [
        _place("a loop of links", loop),
        _place("a link to itself", lambda path: path.symlink_to(path)),
        _place("a link to nothing", lambda path: path.symlink_to(path.with_name("nothing"))),
        _place("a link to a good file", lambda path: path.symlink_to(path.with_name("good.nii.gz")), readable=True),
        _place("a pipe that nobody writes", os.mkfifo),
        _place("a link to a device without an end", lambda path: path.symlink_to("/dev/zero")),
        _place("a link to a device of nothing", lambda path: path.symlink_to("/dev/null")),
        _place("an empty folder", Path.mkdir),
        _place("a folder that holds itself", loop_of_folders),
        _place("nothing at all", lambda path: None),
        _named("a name in an old code page", b"M\xfcller.nii.gz", readable=False),
        _named("a name that steers a terminal", b"\x1b[31mred\x1b]0;title\x07.nii.gz"),
        _named("a name of two lines", b"two\nlines.nii.gz"),
        _named("a name that is a formula", b"=1+1.nii.gz"),
        _named("a name that is an option", b"--output=x.nii.gz"),
        _named("a name that turns the writing", "a\u202ezg.iin.nii.gz".encode()),
        _named("a name of 230 bytes", b"n" * 230 + b".nii.gz"),
    ]
