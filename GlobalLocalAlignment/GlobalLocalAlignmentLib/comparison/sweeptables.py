"""What a sweep has found, as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..evaluation import METRICS, summarize
from ..resultfiles import write_rows, write_text
from .sweep import Candidate, best
from .tables import markdown_table, number_text

CAUTION = (
    "These cases chose the settings, and their labels were read for it: the figures are no test. Score the chosen "
    "settings on other cases."
)


@dataclass(frozen=True)
class Cell:
    """One number of the CSV.

    Attributes:
        settings: what was varied, as ``--set`` takes it.
        structure, metric: what the number is of.
        mean, deviation: over the validation cases.
        not_found: predictions that are empty where the structure is there.
    """

    settings: str
    structure: str
    metric: str
    mean: float
    deviation: float
    not_found: int


def heads_and_rows(candidates: Sequence[Candidate]) -> tuple[list[str], list[list[str]]]:
    """Values of what is varied, then Dice (%) of each structure and on average; what is not trained yet is left out."""
    scored = [candidate for candidate in candidates if candidate.scores]
    if not scored:
        return ["Dice (%)"], []
    summaries = [summarize(candidate.scores) for candidate in scored]
    heads = [*scored[0].values, *(entry.name for entry in summaries[0]), "structures not found"]
    rows = [
        [
            *map(str, candidate.values.values()),
            *(number_text(100 * entry.mean["dice"], 1) for entry in entries),
            str(entries[-1].empty),
        ]
        for candidate, entries in zip(scored, summaries, strict=True)
    ]
    return heads, rows


def verdict(candidates: Sequence[Candidate]) -> str:
    """Which settings won, as options of a training; empty where nothing was scored."""
    winner = best(candidates)
    if winner is None:
        return ""
    options = " ".join(f"--set {name}={value}" for name, value in winner.values.items())
    count = sum(bool(candidate.scores) for candidate in candidates)
    return f"Best of {count}, with an average Dice of {100 * winner.dice:.1f} %: {options}"


def write_sweep_tables(candidates: Sequence[Candidate], folder: Path) -> None:
    """Write ``table.csv`` and ``table.md``.

    Raises:
        InputError: a file cannot be written.
    """
    write_rows(_cells(candidates), Cell, folder / "table.csv")
    text = "\n\n".join([verdict(candidates), CAUTION, "Dice (%)", markdown_table(*heads_and_rows(candidates))])
    write_text(folder / "table.md", text + "\n", "make space and call again")


def _cells(candidates: Sequence[Candidate]) -> Iterable[Cell]:
    for candidate in candidates:
        for entry in summarize(candidate.scores) if candidate.scores else ():
            for metric in METRICS:
                yield Cell(
                    candidate.title, entry.name, metric, entry.mean[metric], entry.deviation[metric], entry.empty
                )
