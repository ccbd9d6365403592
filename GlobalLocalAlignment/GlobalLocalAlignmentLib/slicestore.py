"""Slices of a whole cohort on disk, memory-mapped: memory does not grow with the number of volumes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .datatext import read_json
from .machinefaults import named
from .wholefiles import whole_file

INDEX_NAME = "index.json"
IMAGES_NAME = "images.f16"
LABELS_NAME = "labels.u8"


@dataclass(frozen=True)
class CaseSlices:
    """Slices of one case on their way into a store.

    Attributes:
        case: name of the case.
        images: (n, rows, columns) float in [-1, 1].
        labels: (n, rows, columns) class indices or None.
        positions: (n,) index of each slice in its volume.
    """

    case: str
    images: np.ndarray
    labels: np.ndarray | None
    positions: list[int]


class SliceStore:
    """Read-only view of a folder that ``SliceStore.build`` wrote.

    Attributes:
        images: (N, rows, columns) float16 in [-1, 1], memory-mapped.
        labels: (N, rows, columns) uint8 class indices, memory-mapped, or None.
        cases: name of the case of each slice.
        positions: index of each slice in its volume.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
        shape = (len(index["cases"]), *index["size"])
        self.folder = folder
        self.cases: list[str] = index["cases"]
        self.positions: list[int] = index["positions"]
        self.images = np.memmap(folder / IMAGES_NAME, np.float16, "r", shape=shape)
        self.labels = np.memmap(folder / LABELS_NAME, np.uint8, "r", shape=shape) if index["labelled"] else None

    def __len__(self) -> int:
        return len(self.cases)

    @classmethod
    def build(cls, folder: Path, cases: Iterable[CaseSlices], size: tuple[int, int], labelled: bool) -> SliceStore:
        """Write the slices of all cases, one case in memory at a time, and open the result.

        The index is written last, so a folder without one is an unfinished store and is written anew.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX_NAME).unlink(missing_ok=True)
        names: list[str] = []
        positions: list[int] = []
        # what cannot be written is tried once more when a file is closed, and then fails outside of _write
        with (
            named(folder / IMAGES_NAME),
            open(folder / IMAGES_NAME, "wb") as images,
            named(folder / LABELS_NAME),
            open(folder / LABELS_NAME, "wb") as labels,
        ):
            for part in cases:
                _write(images, part.images.astype(np.float16))
                if part.labels is not None:
                    _write(labels, part.labels.astype(np.uint8))
                names += [part.case] * len(part.images)
                positions += part.positions
            for stream in (images, labels):
                # the index, which says that they are whole, must not reach the disk before them
                with named(Path(stream.name)):
                    os.fsync(stream.fileno())
        if not labelled:
            (folder / LABELS_NAME).unlink()
        index = {"size": list(size), "labelled": labelled, "cases": names, "positions": positions}
        with whole_file(folder / INDEX_NAME) as stream:
            stream.write(json.dumps(index).encode("utf-8"))
        return cls(folder)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a finished store is in the folder, all of it: what is not whole is written anew."""
        try:
            index = read_json((folder / INDEX_NAME).read_bytes())
            count = len(index["cases"]) * math.prod(index["size"])
            names = {IMAGES_NAME: 2, LABELS_NAME: 1} if index["labelled"] else {IMAGES_NAME: 2}
            whole = len(index["positions"]) == len(index["cases"]) and count > 0
            return whole and all((folder / name).stat().st_size == size * count for name, size in names.items())
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def by_case(self) -> Iterator[tuple[str, slice]]:
        """Each case with the range of its slices."""
        start = 0
        for stop in range(1, len(self.cases) + 1):
            if stop == len(self.cases) or self.cases[stop] != self.cases[start]:
                yield self.cases[start], slice(start, stop)
                start = stop


def _write(stream: BinaryIO, array: np.ndarray) -> None:
    # not by tofile: where the disk is full it may leave a file cut short and report nothing
    with named(Path(stream.name)):
        stream.write(np.ascontiguousarray(array).data)
        stream.flush()


class SliceSampler:
    """Which slices make the batch of an iteration: every slice once before any comes again.

    The answer depends on seed and iteration alone, so that a resumed run draws what the run would have drawn.
    """

    def __init__(self, count: int, batch_size: int, seed: tuple[int, ...]) -> None:
        self.count, self.batch_size, self.seed = count, batch_size, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def batch(self, iteration: int) -> np.ndarray:
        """(batch_size,) indices of the slices of an iteration, counted from 0."""
        numbers = np.arange(iteration * self.batch_size, (iteration + 1) * self.batch_size)
        return np.array([self._entry(number) for number in numbers])

    def _entry(self, number: int) -> int:
        epoch, position = divmod(int(number), self.count)
        if epoch != self._epoch:
            self._order = np.random.default_rng([*self.seed, epoch]).permutation(self.count)
            self._epoch = epoch
        return int(self._order[position])
