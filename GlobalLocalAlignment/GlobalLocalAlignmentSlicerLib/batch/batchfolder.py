"""The output folder of a batch, as the core left it: its list of cases, and what the values of its label maps mean."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..models.modelcard import LabelCard, ModelCard
from ..translation import tr as _

LIST_NAME, LABELS_NAME, STOP_NAME = "batch.csv", "labels.json", "stop"
WAITING, DONE, FAILED, PASSED_OVER = "waiting", "done", "failed", "passed over"
COLUMNS = ("file", "state", "seconds", "remark", "results", "model")
"""Those that are read here; the list has more."""

SEGMENTATION_END = "_segmentation"
VOLUME_ENDS = (".seg.nrrd", ".nii.gz", ".nrrd", ".dcm")


class BatchFolderError(Exception):
    """A folder that is not what it should be, in one line for the user."""


@dataclass(frozen=True)
class BatchEntry:
    """One case of a batch.

    Attributes:
        file: path below the input folder; of a series that shares its folder, with ``#`` and its number.
        state: ``WAITING``, ``DONE``, ``FAILED`` or ``PASSED_OVER``.
        seconds: that it took.
        remark: why it failed or is passed over, or what else is to be said.
        results: files below the output folder, the segmentation last.
        model: what stands for the model in ``labels.json``.
    """

    file: str
    state: str = WAITING
    seconds: float = 0.0
    remark: str = ""
    results: tuple[str, ...] = ()
    model: str = ""

    def kinds(self) -> dict[str, str]:
        """The results by kind, ``segmentation``, ``feature_mask``, ``probability_liver`` and so on."""
        names = {name: withoutEnd(name) for name in self.results}
        base = next((name.removesuffix(SEGMENTATION_END) for name in reversed(names.values())), "")
        return {stem.removeprefix(f"{base}_"): name for name, stem in names.items()}


def readEntries(folder: Path) -> list[BatchEntry]:
    """Cases of an output folder in the order of its list; none where it has no list.

    Raises:
        BatchFolderError: the list cannot be read, or is the file of something else.
    """
    path = folder / LIST_NAME
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            return [_entry(row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        text = _("{path} is no list of a batch; choose another output folder")
        raise BatchFolderError(text.format(path=path)) from error


def readCard(folder: Path, model: str) -> ModelCard:
    """What the values in the label maps of a model mean, as a card that knows nothing else.

    Raises:
        BatchFolderError: nothing is known of the model.
    """
    path = folder / LABELS_NAME
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))[model]
        cards = tuple(
            LabelCard(int(label["value"]), str(label["name"]), tuple(map(int, label["color"])), label["terminology"])
            for label in labels
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        text = _("{path} does not say what the labels mean; segment the volume again")
        raise BatchFolderError(text.format(path=path)) from error
    return ModelCard(path, cards, "", "", "", 0.0, (0, 0), ())


def withoutEnd(name: str) -> str:
    """A path without the suffix of a result."""
    return next((name[: -len(end)] for end in VOLUME_ENDS if name.lower().endswith(end)), name)


def nameOf(file: str) -> str:
    """What a case is called in the scene."""
    return withoutEnd(PurePosixPath(file).name)


def _entry(row: dict[str, str]) -> BatchEntry:
    file, state, seconds, remark, results, model = (row[column] for column in COLUMNS)
    return BatchEntry(file, state, float(seconds or 0), remark, tuple(filter(None, results.split("|"))), model)
