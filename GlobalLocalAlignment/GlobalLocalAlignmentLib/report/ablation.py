"""The page of an ablation: every direction with its tables, panels, masks and translations."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ..comparison.methods import METHODS, NO_ADAPTATION, OURS, SUPERVISED, method_title
from ..comparison.results import Results, statistics
from ..comparison.tables import MASK_COLUMNS, NOT_FOUND, SHOWN, cell_text, mask_means, number_text
from ..evaluation import AVERAGE, ClassScore
from ..resultfiles import write_text
from .content import read_panels
from .figures import average_figure, error_figure, segmentation_figure, translators_figure
from .frame import frame, picture

TITLE = "Ablation"
TRANSLATORS = {
    "ours": "ours",
    "cyclegan": "CycleGAN",
    "cycada": "CyCADA",
    "stargan_v2": "StarGAN v2",
    "munit": "MUNIT",
    "drit": "DRIT++",
}
"""Titles of the translators of stage one, by their names in the settings."""


def write_ablation_report(results: Results, folder: Path) -> Path:
    """Write ``folder/report.html``.

    Args:
        results: what there is so far.
        folder: of the ablation.

    Raises:
        InputError: the page cannot be written.
    """
    sections = [f"<h1>{TITLE}</h1>" + "".join(f"<p>{escape(note)}</p>" for note in results.notes)]
    for direction in results.scores:
        sections += [f"<h2>{escape(direction)}</h2>", *_direction(results, direction)]
    path = folder / "report.html"
    write_text(path, frame(TITLE, sections), "make space and call again")
    return path


def _direction(results: Results, direction: str) -> list[str]:
    methods, folders = results.scores[direction], results.folders[direction]
    home = folders[min(folders)]
    panels = read_panels(home / "panels", "segmentation_")
    parts = [
        picture(_averages(methods), "Average Dice of each method; a point for each run, dotted lines for the bounds.")
    ]
    parts += [_table(methods, *shown) for shown in SHOWN]
    if panels:
        caption = f"One slice of each of the first test cases, seed {min(folders)}."
        parts.append(picture(segmentation_figure(panels, results.labels), caption))
    for method, arrays in panels.items():
        if "mask" in arrays and method in (OURS, "ours_printed_polarity"):
            caption = f"{method_title(method)}: the mask beside the pixels that are wrong."
            parts.append(picture(error_figure(arrays, results.labels, reversed_mask=method != OURS), caption))
    if results.masks.get(direction):
        parts.append(_masks(results, direction))
    translations = _translations(home)
    if translations:
        parts.append(picture(translators_figure(translations), "Source slices in the style of the target."))
    return parts


def _averages(methods: dict[str, dict[int, list[ClassScore]]]) -> bytes:
    runs = {
        method: [statistics({seed: scores}, "dice")[AVERAGE].mean for seed, scores in found.items()]
        for method, found in methods.items()
    }
    means = {method: sum(values) / len(values) for method, values in runs.items()}
    both = NO_ADAPTATION in means and SUPERVISED in means
    return average_figure(
        {method_title(method): (values, method == OURS) for method, values in runs.items()},
        (means[NO_ADAPTATION], means[SUPERVISED]) if both else None,
    )


def _table(
    methods: dict[str, dict[int, list[ClassScore]]], metric: str, factor: float, decimals: int, title: str
) -> str:
    numbers = {method: statistics(runs, metric) for method, runs in methods.items()}
    names = list(next(iter(numbers.values())))
    rows = [
        (method, [*(cell_text(entries[name], factor, decimals) for name in names), str(entries[AVERAGE].not_found)])
        for method, entries in numbers.items()
    ]
    caption = f"{title}: mean over runs of the mean over volumes, ± deviation between runs"
    return _html_table(caption, [*names, NOT_FOUND], rows)


def _masks(results: Results, direction: str) -> str:
    rows = [
        (method, [region, *(number_text(mean, 2) for mean in means)])
        for method, region, means in mask_means(results.masks[direction])
    ]
    caption = "The mask against the errors: 0.5 under the curve is chance, 1 would point at every wrong voxel"
    return _html_table(caption, ["region", *MASK_COLUMNS], rows)


def _html_table(caption: str, heads: list[str], rows: list[tuple[str, list[str]]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(
        f'<tr class="{"ours" if method == OURS else ""}"><th>{escape(method_title(method))}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for method, cells in rows
    )
    return f'<div class="wide"><table><caption>{escape(caption)}</caption><tr><th></th>{head}</tr>{body}</table></div>'


def _translations(home: Path) -> dict[str, dict]:
    """Panels of each translator, from the first run that used it."""
    found: dict[str, dict] = {}
    for method in METHODS.values():
        title = TRANSLATORS[method.changes.get("synthesis", {}).get("translator", "ours")]
        if title not in found:
            for arrays in read_panels(home / "runs" / method.name / "panels", "translation_").values():
                found[title] = arrays
    return found
