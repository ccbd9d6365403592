"""The tables of an ablation as Markdown, CSV and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import one_line
from ..evaluation import AVERAGE, METRICS, known_mean
from ..resultfiles import write_rows, write_text
from .masks import MaskScore
from .methods import method_title
from .results import Results, Statistic, statistics

SHOWN = (
    ("dice", 100.0, 1, "Dice (%)"),
    ("assd_voxel", 1.0, 2, "ASD (voxels, mean of the two directed means)"),
    ("assd_mm", 1.0, 2, "ASD (mm, mean of the two directed means)"),
)
"""Metric, factor, decimals and title of what the Markdown shows; the CSV has all."""

LARGEST = "largest parts"
NOT_FOUND = "structures not found"
LATEX_SIGNS = str.maketrans(
    {sign: f"\\{sign}" for sign in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
MASK_COLUMNS = {
    "area under the curve": "area_under_curve",
    "correlation": "correlation",
    "mask where wrong": "wrong",
    "where right": "right",
}
"""Titles and fields of ``MaskScore`` that the tables show."""


@dataclass(frozen=True)
class Cell:
    """One number of the CSV.

    Attributes:
        direction, method, structure, metric: what it is of; ``largest parts`` after the method says that the largest
            part of each structure alone was kept.
        mean, between_runs, between_volumes, runs, volumes, not_found: see ``Statistic``.
    """

    direction: str
    method: str
    structure: str
    metric: str
    mean: float
    between_runs: float
    between_volumes: float
    runs: int
    volumes: int
    not_found: int


def write_tables(results: Results, folder: Path) -> None:
    """Write ``table.csv``, ``table.md`` and ``table.tex``.

    Args:
        results: what there is so far.
        folder: where they go.

    Raises:
        InputError: a file cannot be written.
    """
    write_rows(_cells(results), Cell, folder / "table.csv")
    remedy = "make space and call again"
    write_text(folder / "table.md", markdown(results), remedy)
    write_text(folder / "table.tex", latex(results), remedy)


def _cells(results: Results) -> Iterable[Cell]:
    for suffix, store in (("", results.scores), (f", {LARGEST}", results.largest)):
        for direction, methods in store.items():
            for method, runs in methods.items():
                for metric in METRICS:
                    for structure, number in statistics(runs, metric).items():
                        yield Cell(direction, method + suffix, structure, metric, **asdict(number))


def markdown(results: Results) -> str:
    """All tables with their notes."""
    parts = ["\n".join(results.notes)]
    for direction, methods in results.scores.items():
        parts.append(f"## {direction}")
        for metric, factor, decimals, title in SHOWN:
            numbers = {method: statistics(runs, metric) for method, runs in methods.items()}
            names = list(next(iter(numbers.values())))
            largest = {method: statistics(results.largest[direction][method], metric) for method in methods}
            rows = [
                [
                    method_title(method),
                    *(cell_text(entries[name], factor, decimals) for name in names),
                    cell_text(largest[method][AVERAGE], factor, decimals),
                    number_text(factor * entries[AVERAGE].between_volumes, decimals),
                    str(entries[AVERAGE].not_found),
                ]
                for method, entries in numbers.items()
            ]
            heads = [title, *names, f"average, {LARGEST}", "deviation between volumes", NOT_FOUND]
            parts.append(markdown_table(heads, rows))
        if results.masks.get(direction):
            parts.append(_mask_table(results.masks[direction]))
    return "\n\n".join(parts) + "\n"


def mask_means(methods: dict[str, dict[int, list[MaskScore]]]) -> Iterable[tuple[str, str, list[float]]]:
    """Method, region and the mean over cases and runs of each of ``MASK_COLUMNS``."""
    for method, runs in methods.items():
        scores = [score for entries in runs.values() for score in entries]
        for region in dict.fromkeys(score.region for score in scores):
            chosen = [score for score in scores if score.region == region]
            yield (
                method,
                region,
                [known_mean(getattr(score, name) for score in chosen) for name in MASK_COLUMNS.values()],
            )


def _mask_table(methods: dict[str, dict[int, list[MaskScore]]]) -> str:
    rows = [
        [method_title(method), region, *(number_text(mean, 2) for mean in means)]
        for method, region, means in mask_means(methods)
    ]
    return markdown_table(["mask against error", "region", *MASK_COLUMNS], rows)


def markdown_table(heads: list[str], rows: list[list[str]]) -> str:
    """A table whose cells cannot break it."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(one_line(cell).replace('|', '/') for cell in line)} |" for line in lines)


def latex(results: Results) -> str:
    """One table for each direction in the manner of the paper's: Dice, then ASD in voxels, of each structure."""
    parts = [f"% {one_line(note)}" for note in results.notes]
    for direction, methods in results.scores.items():
        dice = {method: statistics(runs, "dice") for method, runs in methods.items()}
        distance = {method: statistics(runs, "assd_voxel") for method, runs in methods.items()}
        names = list(next(iter(dice.values())))
        count = len(names)
        parts += [
            rf"\begin{{tabular}}{{l{'c' * 2 * count}}}",
            r"\toprule",
            rf"{_latex(direction)} & \multicolumn{{{count}}}{{c}}{{Dice (\%)}}"
            rf" & \multicolumn{{{count}}}{{c}}{{ASD (voxels)}} \\",
            " & ".join(["", *map(_latex, names), *map(_latex, names)]) + r" \\",
            r"\midrule",
            *(
                " & ".join(
                    [
                        _latex(method_title(method)),
                        *(cell_text(dice[method][name], 100, 1, r"$\pm$") for name in names),
                        *(cell_text(distance[method][name], 1, 2, r"$\pm$") for name in names),
                    ]
                )
                + r" \\"
                for method in methods
            ),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    return "\n".join(parts) + "\n"


def _latex(text: str) -> str:
    """Text that LaTeX sets as it is: no sign of it is a command."""
    return one_line(text).translate(LATEX_SIGNS)


def cell_text(statistic: Statistic, factor: float, decimals: int, between: str = "±") -> str:
    """Mean and, of several runs, their deviation; a dash where there is no number."""
    mean = number_text(factor * statistic.mean, decimals)
    if math.isnan(statistic.between_runs):
        return mean
    return f"{mean} {between} {number_text(factor * statistic.between_runs, decimals)}"


def number_text(value: float, decimals: int) -> str:
    """A number, or a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"
