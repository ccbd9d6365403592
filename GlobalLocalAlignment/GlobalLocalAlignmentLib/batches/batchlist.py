"""The list of a batch in its output folder: what became of each case, and from what it was made.

It holds the paths of the cases below their folder as the user named them, and nothing out of their headers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle import ModelCard
from ..errors import InputError
from ..resultfiles import read_rows, write_rows, write_text

LIST_NAME, LABELS_NAME = "batch.csv", "labels.json"
WAITING, DONE, FAILED, PASSED_OVER = "waiting", "done", "failed", "passed over"
BETWEEN = "|"
"""Between the names of results; no file has it in its name on Windows, and few elsewhere."""


@dataclass
class BatchRow:
    """One case.

    Attributes:
        file: path below the folder that was named; of a series that shares its folder, with ``#`` and its number.
        state: ``waiting``, ``done``, ``failed`` or ``passed over``.
        seconds: that it took, 0 while it waits.
        remark: why it failed or is passed over, or what else is to be said.
        results: files below the output folder, the segmentation last, separated by ``|``.
        input: changes with the files of the case.
        model: changes with the model.
        options: what was asked for.
    """

    file: str
    state: str = WAITING
    seconds: float = 0.0
    remark: str = ""
    results: str = ""
    input: str = ""
    model: str = ""
    options: str = ""

    @property
    def files(self) -> list[str]:
        """The results."""
        return self.results.split(BETWEEN) if self.results else []


class BatchList:
    """The rows of an output folder, each change written at once and as a whole.

    Args:
        folder: the output folder; a list that is there is read.

    Raises:
        InputError: there is a file of that name that is no list.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LIST_NAME
        rows = []
        if self.path.exists():
            rows = read_rows(BatchRow, self.path, "list of a batch", "move it away or choose another --output")
        self.rows = {row.file: row for row in rows}

    def put(self, rows: list[BatchRow]) -> None:
        """Take in rows, first those of today in their order, and write the list.

        Raises:
            InputError: it cannot be written.
        """
        new = {row.file: row for row in rows}
        self.rows = new | {name: row for name, row in self.rows.items() if name not in new}
        self.write()

    def write(self) -> None:
        """Write the list.

        Raises:
            InputError: it cannot be written; the one before is still there.
        """
        write_rows(self.rows.values(), BatchRow, self.path)


def note_labels(folder: Path, model: str, card: ModelCard) -> None:
    """Write down what the values in the label maps of a model mean, beside what is known of other models.

    ``labels.json`` has for each model of the list its labels: ``value``, ``name``, ``color`` (0 to 255) and
    ``terminology`` as Slicer writes it.

    Raises:
        InputError: the file cannot be written.
    """
    path = folder / LABELS_NAME
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    labels = [label.model_dump(mode="json") for label in card.labels]
    if not isinstance(known, dict) or known.get(model) != labels:
        known = (known if isinstance(known, dict) else {}) | {model: labels}
        write_text(path, json.dumps(known, indent=1, ensure_ascii=False) + "\n", "choose another --output")


def problem_of(error: InputError, file: Path) -> str:
    """An error without the folders of this computer, for the list."""
    other = Path(error.subject).name if Path(error.subject) != file else ""
    text = f"{error.problem}; {error.remedy}"
    return " ".join((f"{other}: {text}" if other else text).replace(str(file.parent), "its folder").split())
