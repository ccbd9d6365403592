"""What a run says about itself: ``events.jsonl``, ``metrics.csv``, ``log.txt`` and whoever listens.

Schema 1, one JSON object a line, with the fields of ``COMMON_FIELDS`` and those that ``EVENTS`` names. Later versions
may add events and fields to this schema.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..datatext import read_json
from ..errors import one_line
from ..machinefaults import named
from ..privacy import HiddenFolders

SCHEMA = 1
COMMON_FIELDS = {
    "schema": "1",
    "time": "seconds since 1970",
    "event": "kind of the event",
    "stage": "`prepare`, `synthesis`, `translation`, `segmentation` in a training; `check`, `prepare`, `estimate`, "
    "`prediction`, `evaluation`, `ablation`, `sweep` in other commands",
    "training": "which one, where `gla ablate` trains several at once",
}
"""Fields of every event, and what they are."""

EVENTS: dict[str, tuple[str, dict[str, str]]] = {
    "run_started": (
        "A training begins or goes on.",
        {
            "version": "of this program",
            "preset": "its name",
            "device": "its name and memory",
            "precision": "`32` or `bf16`",
            "threads": "of the processor",
            "resumed": "whether an earlier process began the run",
        },
    ),
    "stage_started": (
        "A stage begins.",
        {
            "of": "iterations, cases or slices to do, where it is known",
            "iteration": "those that an earlier process has done",
            "role": "`source`, `target` or `validation`, of `check`",
        },
    ),
    "progress": (
        "So much is done.",
        {
            "iteration": "done",
            "of": "to do",
            "rate": "iterations a second",
            "seconds_left": "of the stage",
            "values": "name: mean since the last report, see [the curves](failing.md#the-curves)",
        },
    ),
    "case": (
        "A case was checked.",
        {
            "role": "of the case",
            "name": "of the case",
            "message": "what is wrong, empty for a case that can be used",
            "values": "label values that occur, after mapping",
            "structures": "value, name, color and terminology of each, where the labels are a segmentation of Slicer's",
            "modality": "guess from this case alone, empty where it was not read",
        },
    ),
    "row": (
        "A training of `gla ablate` or `gla sweep` comes now.",
        {"name": "of the training", "iteration": "its number", "of": "all of them"},
    ),
    "estimate": (
        "Result of `gla estimate`.",
        {
            "device": "its name and memory",
            "precision": "`32` or `bf16`",
            "seconds": "of all iterations",
            "memory_bytes": "peak on the device",
            "device_memory_bytes": "all that the device or the machine has",
            "kinds": "name: `title`, `iterations`, `rate`, `seconds`",
        },
    ),
    "validation": (
        "The watched cases were segmented.",
        {"iteration": "done", "values": "structure: Dice, 0 to 1", "mean": "of them"},
    ),
    "preview": ("A picture was written.", {"iteration": "done", "file": "in the run folder"}),
    "checkpoint": ("A checkpoint was written.", {"iteration": "done", "file": "in the run folder"}),
    "displacement": (
        "How far the translation moves edges.",
        {
            "median_mm": "median distance at which edges fit best, mm",
            "moved_share": "share of places moved by more than 1.5 pixels",
            "windows": "places that were compared",
        },
    ),
    "adjusted": (
        "Numbers ran away, or memory ran out: the stage goes back and on with other settings.",
        {
            "iteration": "that it goes back to",
            "of": "to do",
            "message": "what had happened, and what is changed",
            "learning_rate_share": "by which the learning rates are multiplied from there on",
            "parts": "in how many the batches go through the networks from there on",
        },
    ),
    "result": (
        "A case of a batch is through.",
        {
            "name": "as the list of the batch has it",
            "state": "`done` or `failed`",
            "seconds": "that it took",
            "message": "why it failed, or what else is to be said",
            "iteration": "cases that are through",
            "of": "cases to do",
        },
    ),
    "warning": ("Something should be looked at; the work goes on.", {"message": "what, and what to change"}),
    "stage_finished": ("A stage is done.", {"seconds": "that it took", "role": "as in `stage_started`"}),
    "run_finished": ("The model is there.", {"model": "its file in the run folder", "seconds": "since this start"}),
    "stopped": ("Stopped on request; it can be resumed.", {"iteration": "done", "of": "to do"}),
    "failed": (
        "A run cannot go on, or one case of several cannot be used.",
        {
            "message": "file, what is wrong, what to do",
            "problem": "the last two, empty where they may hold the name of a file",
            "role": "as in `stage_started`",
        },
    ),
}
"""Events: what each says, and the fields that it may have. ``docs/write_tables.py`` writes them into a page."""

EVENTS_NAME, METRICS_NAME, LOG_NAME = "events.jsonl", "metrics.csv", "log.txt"
STOP_NAME = "stop"
"""File whose existence asks whoever works in a folder to stop cleanly."""

Listener = Callable[[dict[str, Any]], None]

LONGEST_LINE = 1 << 20
"""Bytes of an event; the longest one has some thousand."""

LATEST_TIME = 1e11
"""Seconds since 1970 of the year 5138, which every system can still say as a date."""


class EventLog:
    """Writes each event to the files of a run folder and passes it to the listeners.

    Args:
        folder: the run folder, None to only pass events on.
        listeners: called with each event, for example to draw a progress bar.
        enabled: False on every process but the first of a distributed run.
        hidden: takes folders of this computer out of what is written; the listeners are told them.
    """

    def __init__(
        self,
        folder: Path | None,
        listeners: list[Listener] | None = None,
        enabled: bool = True,
        hidden: Callable[[str], str] | None = None,
    ) -> None:
        self.folder, self.listeners, self.enabled = folder, listeners or [], enabled
        self._hidden = hidden or (HiddenFolders([folder]) if folder is not None else str)
        if enabled and folder is not None:
            for name in (EVENTS_NAME, METRICS_NAME, LOG_NAME):
                _end_line(folder / name)

    def emit(self, event: str, stage: str, **fields: Any) -> None:
        """Record one event; numbers that are not finite become null, as JSON wants."""
        if not self.enabled:
            return
        entry = {"schema": SCHEMA, "time": round(time.time(), 3), "event": event, "stage": stage, **_plain(fields)}
        if self.folder is not None:
            kept = entry | {"message": self._hidden(entry["message"])} if "message" in entry else entry
            _append(self.folder / EVENTS_NAME, json.dumps(kept, allow_nan=False) + "\n")
            self._write_metrics(kept)
            self._write_log(kept)
        for listener in self.listeners:
            listener(entry)

    def _write_metrics(self, entry: dict[str, Any]) -> None:
        if entry["event"] not in ("progress", "validation"):
            return
        path, rows = self.folder / METRICS_NAME, io.StringIO(newline="")
        writer = csv.writer(rows)
        if not path.exists() or not path.stat().st_size:
            writer.writerow(["time", "stage", "iteration", "name", "value"])
        prefix = "validation " if entry["event"] == "validation" else ""
        for name, value in entry["values"].items():
            if value is not None:
                writer.writerow([entry["time"], entry["stage"], entry["iteration"], prefix + name, value])
        _append(path, rows.getvalue())

    def _write_log(self, entry: dict[str, Any]) -> None:
        _append(self.folder / LOG_NAME, describe(entry) + "\n")


def describe(entry: dict[str, Any]) -> str:
    """One line of text for a person."""
    clock = time.strftime("%H:%M:%S", time.localtime(entry["time"]))
    stage, event = entry["stage"], entry["event"].replace("_", " ")
    training = f"{entry['training']}, " if entry.get("training") else ""
    parts = [f"{clock} {training}{stage}: {event}"]
    if "iteration" in entry:
        parts.append(f"{entry['iteration']}" + (f" of {entry['of']}" if "of" in entry else ""))
    if entry.get("rate"):
        parts.append(f"{entry['rate']:.2f} a second, {duration(entry.get('seconds_left'))} left")
    if entry.get("values") and isinstance(entry["values"], dict):
        parts.append(" ".join(f"{name} {value:.4g}" for name, value in entry["values"].items() if value is not None))
    parts += [str(entry[name]) for name in ("role", "name", "message", "file", "model") if entry.get(name)]
    if "seconds" in entry:
        parts.append(f"after {duration(entry['seconds'])}")
    return one_line(", ".join(parts))


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events of a file of which a run that was killed, another version or anybody else may have written parts.

    Lines that are none are passed over: no JSON, no name of an event, a time that is no date, longer than
    ``LONGEST_LINE``. One line is in memory at a time.
    """
    try:
        with open(path, "rb") as stream:
            while line := stream.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    _pass_over_line(stream)
                elif (entry := parse_event(line)) is not None:
                    yield entry
    except OSError:
        return


def parse_event(line: bytes) -> dict[str, Any] | None:
    """The event in a line, None where there is none."""
    try:
        entry = read_json(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        return None
    moment = entry.get("time", 0)
    dated = isinstance(moment, int | float) and not isinstance(moment, bool) and 0 <= moment <= LATEST_TIME
    return entry if dated else None


def _pass_over_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass


def duration(seconds: float | None) -> str:
    """``1 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    if seconds is None:
        return "unknown time"
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def _end_line(path: Path) -> None:
    """Cut off half a line that a process left which was killed, or a computer that went down."""
    with suppress(FileNotFoundError), named(path), open(path, "r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end and _byte_before(stream, end) != b"\n":
            end -= 1
        stream.truncate(end)


def _byte_before(stream: BinaryIO, place: int) -> bytes:
    stream.seek(place - 1)
    return stream.read(1)


def _append(path: Path, text: str) -> None:
    """Add lines to a file, all of them or none: half a line would run into the one that a resumed run writes next.

    Raises:
        OSError: they cannot be written; it names the file.
    """
    before = path.stat().st_size if path.exists() else 0
    try:
        with named(path), open(path, "ab") as stream:
            stream.write(text.encode("utf-8"))
    except OSError:
        with suppress(OSError):
            os.truncate(path, before)
        raise


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
