"""Compares segmentations with their references in a process of its own: ``python -m ...segmentcomparison JOB.json``.

Slicer calls it. NumPy and SciPy are all that it needs, so nothing has to be installed in Slicer first. The job is one
JSON object::

    {"cases": [{"compared": PLACED, "reference": PLACED, "structures": [[SEGMENT or null, SEGMENT or null], ...],
                "mask": null or {"file": NAME, "matrix": 4 x 4}}, ...]}

    PLACED    {"layers": [{"file": NAME, "first": [I, J, K], "matrix": 4 x 4, "bend": BEND where there is one}, ...],
               "segments": {SEGMENT: [LAYER or null, VALUE], ...}}
    BEND      {"file": NAME, "low": [I, J, K], "shape": [I, J, K], "step": NUMBER}, see ``bentgrids``

Files are NumPy's .npy beside the job: (I, J, K) label values of a layer, whose segments have a value each. The lines on
standard output are JSON objects: ``structure`` with the scores of one, ``case`` with those of all together, each with
``voxels`` after it, the file of its voxels (see ``voxelbits``), and ``progress``.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExitCode
from ..machinefaults import Refusal, machine_fault
from .bentgrids import Bend, straightened
from .maskgrids import CommonGrid, PlacedMask, on_grid_of, on_one_grid, placed, same_grid, values_on
from .maskscores import mask_scores
from .voxelbits import CORRECT, EXTRA, MISSED

REMEDIES = {
    Refusal.SPACE: "make space in the folder for temporary files",
    Refusal.MEMORY: "free memory or compare fewer structures",
}


def compare(job: Path) -> None:
    """Do a job; see the module.

    Raises:
        OSError: a file of the job cannot be read, or one of the results not be written.
    """
    cases = json.loads(job.read_text(encoding="utf-8"))["cases"]
    of, done = sum(len(case["structures"]) for case in cases), 0
    for number, case in enumerate(cases):
        segments = [_Segments(job.parent, case[side]) for side in ("compared", "reference")]
        volume = _Mask(job.parent, case["mask"]) if case["mask"] is not None else None
        together: _Voxels | None = None
        for place, pair in enumerate(case["structures"]):
            masks = on_one_grid(*(side.mask(name) for side, name in zip(segments, pair, strict=True)))
            voxels = _Voxels.of(masks)
            together = voxels if together is None else together.with_others(voxels)
            file = f"case_{number}_{place}.npy"
            found = mask_scores(masks.compared, masks.reference, masks.spacing) | _mask_means(voxels, volume)
            grid = {"resampled": masks.resampled, "spacing": masks.spacing}
            _say("structure", case=number, structure=place, scores=found, **grid)
            _keep(voxels, job.parent / file, case=number, structure=place)
            done += 1
            _say("progress", iteration=done, of=of)
        if together is not None:
            _say("case", case=number, scores=_mask_means(together, volume))
            _keep(together, job.parent / f"case_{number}_all.npy", case=number, structure=None)


class _Segments:
    """The segments of one side of a case; label values stay in their files until they are asked for."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        self._folder, self._layers, self._segments = folder, description["layers"], description["segments"]
        self._straight: dict[int, np.ndarray] = {}

    def mask(self, name: str | None) -> PlacedMask | None:
        """Voxels of a segment, None where it has none or the other side alone has it."""
        layer, value = self._segments[name] if name is not None else (None, 0)
        if layer is None:
            return None
        described = self._layers[layer]
        bend = described.get("bend")
        labels = self._labels(layer) if bend is None else self._straightened(layer, bend)
        first = np.array(described["first"] if bend is None else bend["low"])
        return placed(labels == value, first, described["matrix"])

    def _labels(self, layer: int) -> np.ndarray:
        return np.load(self._folder / self._layers[layer]["file"], mmap_mode="r")

    def _straightened(self, layer: int, bend: dict[str, Any]) -> np.ndarray:
        if layer not in self._straight:
            sources = np.load(self._folder / bend["file"])
            known = Bend(sources, bend["step"], np.array(bend["low"]), tuple(bend["shape"]))
            first = np.array(self._layers[layer]["first"])
            self._straight[layer] = straightened(self._labels(layer), first, known)
        return self._straight[layer]


class _Mask:
    """The local feature mask of a case."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        self._values = np.load(folder / description["file"], mmap_mode="r")
        self._matrix = np.array(description["matrix"], float)

    def on(self, voxels: _Voxels) -> np.ndarray:
        return values_on(self._values, self._matrix, voxels.first, voxels.matrix, voxels.bits.shape)


class _Voxels:
    """Bits of each voxel (I, J, K) and their place, see ``PlacedMask``."""

    def __init__(self, bits: np.ndarray, first: np.ndarray, matrix: np.ndarray) -> None:
        self.bits, self.first, self.matrix = bits, np.asarray(first), np.asarray(matrix, float)

    @classmethod
    def of(cls, masks: CommonGrid) -> _Voxels:
        bits = np.where(masks.compared, EXTRA, 0) | np.where(masks.reference, MISSED, 0)
        bits[masks.compared & masks.reference] = CORRECT
        return cls(bits.astype(np.uint8), masks.first, masks.matrix)

    def with_others(self, other: _Voxels) -> _Voxels:
        """Those of two structures together, on the grid of this one: a voxel may be right for one of them alone."""
        if not other.bits.any():
            return self
        if not self.bits.any():
            return other
        first, parts = self.first, []
        for bit in (MISSED, EXTRA, CORRECT):
            part = placed((other.bits & bit) > 0, other.first, other.matrix)
            if part is not None and not same_grid(part, PlacedMask(self.bits, self.first, self.matrix)):
                part = on_grid_of(part, self.matrix)
            if part is not None:
                # an index of this grid in the place of one of its own
                there = np.linalg.solve(self.matrix, part.matrix @ np.append(part.first, 1))[:3]
                parts.append((bit, np.rint(there).astype(int), part.array))
        low = np.min([first, *(start for _, start, _ in parts)], axis=0)
        ends = [first + self.bits.shape, *(start + array.shape for _, start, array in parts)]
        bits = np.zeros(np.max(ends, axis=0) - low, np.uint8)
        for bit, start, array in ((None, first, self.bits), *parts):
            within = tuple(slice(begin, begin + size) for begin, size in zip(start - low, array.shape, strict=True))
            bits[within] |= array if bit is None else np.where(array, bit, 0).astype(np.uint8)
        return _Voxels(bits, low, self.matrix)


def _mask_means(voxels: _Voxels, mask: _Mask | None) -> dict[str, float]:
    """Mean of the local feature mask in correct and in wrong voxels; NaN where there are none of them."""
    if mask is None:
        return {"mask_correct": math.nan, "mask_wrong": math.nan}
    values = mask.on(voxels)
    wrong = (voxels.bits & (MISSED | EXTRA)) > 0
    inside = {"mask_correct": (voxels.bits & CORRECT > 0) & ~wrong, "mask_wrong": wrong}
    chosen = {name: values[place] for name, place in inside.items()}
    known = {name: numbers[~np.isnan(numbers)] for name, numbers in chosen.items()}
    return {name: float(numbers.mean(dtype=float)) if numbers.size else math.nan for name, numbers in known.items()}


def _keep(voxels: _Voxels, path: Path, **whose: int | None) -> None:
    np.save(path, voxels.bits)
    _say("voxels", file=path.name, first=voxels.first.tolist(), matrix=voxels.matrix.tolist(), **whose)


def _say(event: str, **entries: Any) -> None:
    # NaN as Python reads it: both ends are Python
    print(json.dumps({"event": event, **entries}), flush=True)


def main(words: list[str]) -> int:
    """Do the job in the file that is named; the exit code is one of ``gla``."""
    job = Path(words[0])
    try:
        compare(job)
    except (OSError, MemoryError) as error:
        known = machine_fault(error, "the comparison", REMEDIES)
        if known is None:
            raise
        print(f"error: {known}", flush=True)
        return ExitCode.INPUT_ERROR
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
