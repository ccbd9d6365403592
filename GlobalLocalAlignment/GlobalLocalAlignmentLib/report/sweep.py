"""The page of a sweep: which values of which settings did best on the validation cases."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ..comparison.sweep import Candidate, best
from ..comparison.sweeptables import CAUTION, heads_and_rows, verdict
from ..resultfiles import write_text
from .figures import average_figure
from .frame import frame, picture

TITLE = "Sweep"


def write_sweep_report(candidates: Sequence[Candidate], folder: Path) -> Path:
    """Write ``folder/report.html``.

    Args:
        candidates: what there is so far.
        folder: of the sweep.

    Raises:
        InputError: the page cannot be written.
    """
    winner, scored = best(candidates), [candidate for candidate in candidates if candidate.scores]
    sections = [f"<h1>{TITLE}</h1><p>{escape(verdict(candidates))}</p><p>{escape(CAUTION)}</p>"]
    if scored:
        bars = {candidate.title: ([candidate.dice], candidate is winner) for candidate in scored}
        sections += [picture(average_figure(bars, None), "Average Dice on the validation cases."), _table(candidates)]
    path = folder / "report.html"
    write_text(path, frame(TITLE, sections), "make space and call again")
    return path


def _table(candidates: Sequence[Candidate]) -> str:
    heads, rows = heads_and_rows(candidates)
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><caption>Dice (%)</caption><tr>{head}</tr>{body}</table></div>'
