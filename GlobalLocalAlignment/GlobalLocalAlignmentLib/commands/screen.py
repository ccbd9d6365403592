"""What commands show: progress for people or for programs, tables, and a clean stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from rich.console import Console

from ..console import Display, JsonLines, score_table

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

watched_by_program = False
"""Whether progress goes out as JSON lines; ``--events`` sets it."""


def progress_display() -> Display | JsonLines:
    """What shows the events of a command while it runs."""
    return JsonLines() if watched_by_program else Display(console)


def events_of(display: Display | JsonLines):
    """Events that a display shows and nothing keeps."""
    from ..training.events import EventLog

    return EventLog(None, [display])


def case_progress(display: Display | JsonLines) -> Callable[[int, int], None]:
    """Function that shows how many of the cases are evaluated; called with their number so far and in all."""
    import time

    events, started = events_of(display), time.monotonic()
    events.emit("stage_started", "evaluation")

    def report(done: int, of: int) -> None:
        rate = done / max(time.monotonic() - started, 1e-9)
        events.emit(
            "progress", "evaluation", iteration=done, of=of, rate=rate, seconds_left=(of - done) / rate, values={}
        )

    return report


def print_scores(scores: dict[str, list], summarize: Callable) -> None:
    """Tables of Dice and ASD: a row for each method, a column for each structure."""
    summaries = {method: summarize(entries) for method, entries in scores.items()}
    columns = [summary.name for summary in next(iter(summaries.values()))]
    for title, key, factor in (("Dice (%)", "dice", 100.0), ("ASD (mm, mean of both directions)", "assd_mm", 1.0)):
        rows = {
            method.replace("_", " "): {summary.name: factor * summary.mean[key] for summary in entries}
            for method, entries in summaries.items()
        }
        console.print(score_table(title, rows, columns))
    for method, entries in summaries.items():
        if entries[-1].empty:
            name = f"{method.replace('_', ' ')}: " if method else ""
            console.print(f"{name}{entries[-1].empty} structures were not found at all (Dice 0, no distance)")


class CleanStop:
    """Turns the first interrupt or termination signal into a request to stop; the second one ends the process.

    Args:
        when: what is said of the moment at which the command will stop.
    """

    def __init__(self, when: str = "stopping after this iteration") -> None:
        self.asked, self.when = False, when
        self.earlier: dict[int, Any] = {}

    def __enter__(self) -> CleanStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.earlier[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.earlier.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.asked

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(number, self.earlier[number])
        errors.print(f"{self.when}; once more to stop at once", markup=False)
