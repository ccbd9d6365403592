"""What a run folder holds, read for the page; every part may be missing while a run is young."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison.methods import METHODS
from ..errors import InputError
from ..evaluation import ClassScore, read_scores

Curves = dict[str, dict[str, list[tuple[int, float]]]]


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
        _events(run / "events.jsonl"),
        _curves(run / "metrics.csv"),
        _scores(run / "scores"),
        read_panels(run / "panels", "translation_"),
        read_panels(run / "panels", "segmentation_"),
    )


def _configuration(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _events(path: Path) -> list[dict[str, Any]]:
    events = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                # a run that was killed may have left half a line
                continue
            if isinstance(entry, dict):
                events.append(entry)
    return events


def _curves(path: Path) -> Curves:
    curves: Curves = defaultdict(lambda: defaultdict(list))
    if path.is_file():
        with open(path, encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                try:
                    curve = curves[row["stage"]][row["name"]]
                    iteration, value = int(row["iteration"]), float(row["value"])
                except (KeyError, TypeError, ValueError):
                    continue
                # a run that was killed, or went back, does the iterations since its checkpoint once more
                while curve and curve[-1][0] >= iteration:
                    curve.pop()
                curve.append((iteration, value))
    return curves


def _scores(folder: Path) -> dict[str, list[ClassScore]]:
    found = {}
    for path in sorted(folder.glob("*.csv"), key=_order):
        try:
            found[path.stem] = read_scores(path)
        except InputError:
            continue
    return {method: scores for method, scores in found.items() if scores}


def read_panels(folder: Path, prefix: str) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of the panels whose file names begin with a prefix, by the rest of the name; damaged ones are left out."""
    found = {}
    for path in sorted(folder.glob(f"{prefix}*.npz"), key=_order):
        try:
            with np.load(path, allow_pickle=False) as content:
                found[path.stem.removeprefix(prefix)] = dict(content)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
            continue
    return found


def _order(path: Path) -> tuple[int, str]:
    method = path.stem.removeprefix("segmentation_")
    known = list(METHODS)
    return (known.index(method) if method in known else len(known), method)
