"""What a file of the corpus is, and the good volume that it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from GlobalLocalAlignmentLib.volumes import Volume, write_volume

SHAPE = (24, 20, 12)
AFFINE = np.array([[-2.0, 0, 0, 20], [0, -2.5, 0, 30], [0, 0, 4.0, -40], [0, 0, 0, 1]])

Make = Callable[[Path, np.ndarray], Path]


@dataclass(frozen=True)
class BadFile:
    """One file or folder of the corpus.

    Attributes:
        name: says what is wrong with it.
        make: writes it into an empty folder, from values (I, J, K) int16 that lie where ``AFFINE`` says; returns what
            a user would name.
        readable: whether it is to be read, and then right; otherwise it is to be refused. None where both will do.
    """

    name: str
    make: Make
    readable: bool | None = False


def truth(labels: bool = False) -> np.ndarray:
    """Values of the good volume: an image with a body, or its labels 0 to 2."""
    i, j, k = np.indices(SHAPE)
    body = ((i - 12) / 9) ** 2 + ((j - 10) / 7) ** 2 < 1
    organ = body & (k > 3) & (k < 9) & (i > 8)
    if labels:
        return (body.astype(np.int16) + organ).astype(np.int16)
    noise = np.random.default_rng(7).integers(-40, 40, SHAPE)
    return (np.where(body, 40, -900) + 150 * organ + noise).astype(np.int16)


def good(path: Path, array: np.ndarray) -> Path:
    """The volume as a good file."""
    write_volume(Volume(array, AFFINE), path)
    return path


def changed(name: str, suffix: str, change: Callable[[bytes], bytes], readable: bool | None = False) -> BadFile:
    """A good file whose bytes were changed."""

    def make(folder: Path, array: np.ndarray) -> Path:
        path = good(folder / f"case{suffix}", array)
        path.write_bytes(change(path.read_bytes()))
        return path

    return BadFile(f"{suffix[1:]}: {name}", make, readable)


def truncated(suffix: str) -> list[BadFile]:
    """Good files cut short at several places."""
    places: dict[str, Callable[[int], int]] = {
        "no byte": lambda size: 0,
        "one byte": lambda size: 1,
        "within the header": lambda size: min(100, size // 3),
        "one fifth": lambda size: size // 5,
        "half": lambda size: size // 2,
        "all but one byte": lambda size: size - 1,
    }
    return [
        changed(f"cut to {name}", suffix, lambda content, place=place: content[: place(len(content))])
        for name, place in places.items()
    ]


def flipped(suffix: str) -> list[BadFile]:
    """Compressed files with one bit changed: their checksum tells it, but where the same voxels come out."""

    def flip(content: bytes, share: float) -> bytes:
        place = int(share * len(content))
        return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]

    return [
        changed(
            f"a bit changed at {share:.0%}", suffix, lambda content, share=share: flip(content, share), readable=None
        )
        for share in (0.4, 0.7, 0.9)
    ]
