"""What a run folder holds, read for the page; every part may be missing while a run is young."""

from __future__ import annotations

import csv
import math
import zipfile
import zlib
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from ..comparison.methods import METHODS
from ..config import Configuration
from ..datatext import LARGEST_TEXT, read_bounded, read_json
from ..errors import InputError
from ..evaluation import METRICS, MOST_STRUCTURES, ClassScore, read_scores
from ..settingtypes import LARGEST_SLICE
from ..training.events import LONGEST_LINE, read_events

Curves = dict[str, dict[str, list[tuple[int, float]]]]
MOST_PANEL_BYTES = 256 << 20
MOST_ROWS = 64
PANELS = {"translation_": ("source", "translated", "target"), "segmentation_": ("image", "prediction")}
"""Arrays that a panel must have, by the prefix of its name."""

DAMAGED = (OSError, ValueError, KeyError, EOFError, TypeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file that is no archive of arrays."""

MOST_ITERATIONS = 10**12


@dataclass
class RunContent:
    """Everything that the page shows.

    Attributes:
        configuration: as in ``config.json``.
        events: in the order in which they happened.
        curves: by stage and name, (iteration, value).
        scores: by method.
        translations: arrays by direction.
        segmentations: arrays by method.
    """

    configuration: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    curves: Curves = field(default_factory=dict)
    scores: dict[str, list[ClassScore]] = field(default_factory=dict)
    translations: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    segmentations: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)

    @property
    def labels(self) -> list[dict[str, Any]]:
        """Structures with value, name and colour."""
        return self.configuration.get("labels", [])

    @property
    def colors(self) -> list[tuple[int, int, int]]:
        """Colour of class 1, 2, ..."""
        return [tuple(label["color"]) for label in self.labels]

    def last(self, event: str) -> dict[str, Any]:
        """Newest event of a kind, empty where there is none."""
        return next((entry for entry in reversed(self.events) if entry.get("event") == event), {})


def read_run(run: Path) -> RunContent:
    """Read a run folder; a part that cannot be read is left out."""
    return RunContent(
        _configuration(run / "config.json"),
        list(read_events(run / "events.jsonl")),
        _curves(run / "metrics.csv"),
        _scores(run / "scores"),
        read_panels(run / "panels", "translation_"),
        read_panels(run / "panels", "segmentation_"),
    )


def _configuration(path: Path) -> dict[str, Any]:
    try:
        return Configuration.model_validate(read_json(read_bounded(path, LARGEST_TEXT))).dump()
    except (OSError, ValueError, ValidationError):
        return {}


def _put(curve: list[tuple[int, float]], iteration: int, value: float) -> None:
    """Add a value; a run that was killed, or went back, does the iterations since its checkpoint once more."""
    while curve and curve[-1][0] >= iteration:
        curve.pop()
    curve.append((iteration, value))


def _curves(path: Path) -> Curves:
    curves: Curves = defaultdict(lambda: defaultdict(list))
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as stream:
            # by lines of a bounded length: no name in this table holds the end of one
            for row in csv.DictReader(iter(lambda: stream.readline(LONGEST_LINE), "")):
                with suppress(KeyError, TypeError, ValueError):
                    iteration, value = int(row["iteration"]), float(row["value"])
                    if 0 <= iteration <= MOST_ITERATIONS and math.isfinite(value):
                        _put(curves[row["stage"]][row["name"]], iteration, value)
    except (OSError, csv.Error):
        # what was read of a damaged table can be shown
        pass
    return curves


def _scores(folder: Path) -> dict[str, list[ClassScore]]:
    found = {}
    for path in sorted(folder.glob("*.csv"), key=_order):
        try:
            found[path.stem] = read_scores(path)
        except InputError:
            continue
    return {
        method: scores
        for method, scores in found.items()
        if scores and len({score.label for score in scores}) <= MOST_STRUCTURES and not any(map(_infinite, scores))
    }


def _infinite(score: ClassScore) -> bool:
    """Whether a number is infinite: we write none, and no figure can show one."""
    return any(math.isinf(getattr(score, metric)) for metric in METRICS)


def read_panels(folder: Path, prefix: str) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of the panels whose file names begin with a prefix, by the rest of the name; damaged ones are left out.

    Args:
        folder: of the panels.
        prefix: one of ``PANELS``.
    """
    found = {}
    for path in sorted(folder.glob(f"{prefix}*.npz"), key=_order):
        with suppress(*DAMAGED):
            found[path.stem.removeprefix(prefix)] = _panel(path, PANELS[prefix])
    return found


def _panel(path: Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Pictures (n, rows, columns) of one size.

    Raises:
        ValueError, KeyError and others of ``DAMAGED``: the file holds something else, or more than a panel has.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MOST_PANEL_BYTES:
            raise ValueError("it unpacks to more than a panel has")
    with np.load(path, allow_pickle=False) as content:
        arrays = dict(content)
    shape = arrays[wanted[0]].shape
    count, rows, columns = shape
    if not (0 < count <= MOST_ROWS and 0 < rows <= LARGEST_SLICE and 0 < columns <= LARGEST_SLICE):
        raise ValueError(f"it has pictures of {shape}")
    pictures = {name: array for name, array in arrays.items() if array.shape == shape and array.dtype.kind in "iufb"}
    if not set(wanted) <= pictures.keys():
        raise ValueError("its arrays do not belong together")
    return pictures


def _order(path: Path) -> tuple[int, str]:
    method = path.stem.removeprefix("segmentation_")
    known = list(METHODS)
    return (known.index(method) if method in known else len(known), method)
