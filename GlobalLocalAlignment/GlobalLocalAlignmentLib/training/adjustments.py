"""What a run had to change on its way: lower learning rates, batches in parts. Kept in a file, so that resume knows."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..datatext import LARGEST_TEXT, read_bounded, read_json
from ..errors import InputError
from ..wholefiles import whole_file

ADJUSTMENTS_NAME = "adjustments.json"


@dataclass(frozen=True)
class Adjustment:
    """One change, from an iteration on.

    Attributes:
        stage: that it concerns.
        iteration: from which on it counts, done before; the run went back there.
        reason: what had happened.
        learning_rate_share: by which all learning rates are multiplied; the smallest one counts.
        parts: in how many the batches go through the networks.
    """

    stage: str
    iteration: int
    reason: str
    learning_rate_share: float = 1.0
    parts: int = 1


def _adjustment(entry: dict[str, Any]) -> Adjustment:
    """A change as the file has it.

    Raises:
        ValueError, TypeError: it is none.
    """
    found = Adjustment(**entry)
    words = isinstance(found.stage, str) and isinstance(found.reason, str)
    counts = type(found.iteration) is int and type(found.parts) is int and found.iteration >= 0 and found.parts >= 1
    if not (words and counts and 0 < float(found.learning_rate_share) <= 1):
        raise ValueError("a change is not one of ours")
    return found


class Adjustments:
    """All changes of a run, in their order. What counts in an iteration does not depend on when the run was resumed.

    Args:
        path: the file; there is none before the first change.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Adjustment] = []
        if path.is_file():
            try:
                self.entries = [_adjustment(entry) for entry in read_json(read_bounded(path, LARGEST_TEXT))]
            except (OSError, ValueError, TypeError) as error:
                raise InputError(
                    path,
                    f"cannot be read ({error})",
                    "remove it to go on with the settings as they were, or start anew",
                ) from error

    def add(self, entry: Adjustment) -> None:
        """Keep a change.

        Raises:
            OSError: it cannot be written; it does not count then.
        """
        with whole_file(self.path) as stream:
            content = [asdict(known) for known in (*self.entries, entry)]
            stream.write((json.dumps(content, indent=2) + "\n").encode("utf-8"))
        self.entries.append(entry)

    def learning_rate_share(self, stage: str, iteration: int) -> float:
        """By how much the learning rates of an iteration are multiplied."""
        return min((entry.learning_rate_share for entry in self._until(stage, iteration)), default=1.0)

    def lowest_share(self, stage: str) -> float:
        """The smallest that there is for a stage by now."""
        return self.learning_rate_share(stage, sys.maxsize)

    def parts(self, stage: str, iteration: int) -> int:
        """In how many parts the batches of an iteration go."""
        return max((entry.parts for entry in self._until(stage, iteration)), default=1)

    def rollbacks(self, stage: str) -> list[Adjustment]:
        """The changes of a stage that lowered its learning rate."""
        return [entry for entry in self.entries if entry.stage == stage and entry.learning_rate_share < 1]

    def card(self) -> dict[str, Any]:
        """For the model card: empty where nothing was changed."""
        return {"adjustments": [asdict(entry) for entry in self.entries]} if self.entries else {}

    def _until(self, stage: str, iteration: int) -> list[Adjustment]:
        return [entry for entry in self.entries if entry.stage == stage and entry.iteration <= iteration]
