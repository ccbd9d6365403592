"""What a person sees in the terminal: a progress bar with rate and time left, or plain lines without a terminal."""

from __future__ import annotations

import json
import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from .machinefaults import Refusal, refusal_of
from .training.events import describe, duration

PLAIN_INTERVAL = 15.0
"""Seconds between two progress lines where there is no terminal."""

QUIET_SECONDS = 2.0
"""Work that is done sooner shows no bar."""


class JsonLines:
    """Listener that prints each event as a line of JSON, for programs that watch; used as ``Display`` is."""

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, entry: dict[str, Any]) -> None:
        """Print one event at once.

        Where the output is a file on a full disk the line is lost and the work goes on: the run folder has it too.
        """
        try:
            print(json.dumps(entry), flush=True)
        except OSError as error:
            if refusal_of(error) is not Refusal.SPACE:
                raise


class Display:
    """Listener for events; use it as a context manager around the work.

    What is under way has a bar, each training its own where several are trained at once.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress: Progress | None = None
        # by training, with no name where there is one alone
        self.tasks: dict[str, TaskID] = {}
        self.began: dict[str, float] = {}
        self.said: dict[str, float] = {}

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def __call__(self, entry: dict[str, Any]) -> None:
        """Show one event."""
        kind, training = entry["event"], entry.get("training", "")
        if kind == "progress":
            self._show_progress(entry, training)
        elif kind in ("stage_started", "stage_finished"):
            self._close(training)
            self.began[training] = self.said[training] = time.monotonic()
            if not self.console.is_terminal or (kind == "stage_finished" and entry["seconds"] >= QUIET_SECONDS):
                self.console.print(describe(entry), highlight=False, markup=False)
        elif kind in ("warning", "adjusted", "failed", "stopped", "validation", "run_started", "row"):
            self.console.print(
                describe(entry),
                highlight=False,
                markup=False,
                style="yellow" if kind in ("warning", "adjusted") else None,
            )

    def _show_progress(self, entry: dict[str, Any], training: str) -> None:
        now = time.monotonic()
        if self.console.is_terminal:
            if training not in self.tasks and now - self.began.get(training, 0.0) > QUIET_SECONDS / 2:
                self._open(entry, training)
            if training in self.tasks:
                self.progress.update(self.tasks[training], completed=entry["iteration"], note=_note(entry))
        elif now - self.said.get(training, 0.0) >= PLAIN_INTERVAL or entry["iteration"] == entry["of"]:
            self.said[training] = now
            self.console.print(describe(entry), highlight=False, markup=False)

    def _open(self, entry: dict[str, Any], training: str) -> None:
        if self.progress is None:
            self.progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(None),
                TextColumn("{task.completed:g}/{task.total}"),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                console=self.console,
                expand=True,
            )
            self.progress.start()
        title = f"{training}, {entry['stage']}" if training else entry["stage"]
        self.tasks[training] = self.progress.add_task(title, total=entry["of"], note="")

    def _close(self, training: str) -> None:
        if training not in self.tasks:
            return
        if len(self.tasks) == 1:
            self._stop()
        else:
            self.progress.remove_task(self.tasks.pop(training))

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
            self.tasks.clear()


def _note(entry: dict[str, Any]) -> str:
    rate = entry["rate"]
    speed = f"{rate:.2f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
    return f"{speed}, {duration(entry['seconds_left'])} left"


def text_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    """Table of words, a row for each tuple."""
    table = Table(*map(escape, columns))
    for row in rows:
        # what a user named may look like markup
        table.add_row(*map(escape, row))
    return table


def score_table(title: str, rows: dict[str, dict[str, float]], columns: list[str]) -> Table:
    """Table with a row for each name and a number for each column, one decimal; NaN as a dash."""
    table = Table(title=escape(title))
    table.add_column("")
    for column in columns:
        table.add_column(escape(column), justify="right")
    for name, values in rows.items():
        cells = [values.get(column, float("nan")) for column in columns]
        table.add_row(escape(name), *("-" if value != value else f"{value:.1f}" for value in cells))
    return table
