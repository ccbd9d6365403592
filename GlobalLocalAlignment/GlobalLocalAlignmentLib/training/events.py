"""What a run says about itself: ``events.jsonl``, ``metrics.csv``, ``log.txt`` and whoever listens.

Schema 1, one JSON object a line: ``schema``, ``time`` (seconds since 1970), ``event``, ``stage``, and, where they make
sense, ``iteration``, ``of`` and ``role`` (source, target or validation). Later versions may add events and fields to
this schema. Events:

================  ==================================================================================
run_started       version, preset, device, precision, threads, resumed
stage_started     of
progress          iteration, of, rate (iterations a second), seconds_left, values {name: number}
case              role, name, message (what is wrong, empty for a case that can be used), values [label values that
                  occur, after mapping], modality (guess from this case alone, empty where it was not read)
row               name, iteration, of: which training of an ablation comes now
estimate          device, precision, seconds (of all iterations), memory_bytes (peak on the device), device_memory_bytes
                  (all that the device or the machine has), kinds {name: {title, iterations, rate, seconds}}
validation        iteration, values {structure: Dice}, mean
preview           iteration, file
checkpoint        iteration, file
displacement      median_mm, moved_share, windows: how far the translation moves edges, see ``displacement``
result            name (of a case of a batch, as its list has it), state, seconds, message, iteration, of
warning           message
stage_finished    seconds
run_finished      model, seconds
stopped           iteration
failed            message
================  ==================================================================================
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..machinefaults import named

SCHEMA = 1
EVENTS_NAME, METRICS_NAME, LOG_NAME = "events.jsonl", "metrics.csv", "log.txt"
STOP_NAME = "stop"
"""File whose existence asks whoever works in a folder to stop cleanly."""

Listener = Callable[[dict[str, Any]], None]


class EventLog:
    """Writes each event to the files of a run folder and passes it to the listeners.

    Args:
        folder: the run folder, None to only pass events on.
        listeners: called with each event, for example to draw a progress bar.
        enabled: False on every process but the first of a distributed run.
    """

    def __init__(self, folder: Path | None, listeners: list[Listener] | None = None, enabled: bool = True) -> None:
        self.folder, self.listeners, self.enabled = folder, listeners or [], enabled

    def emit(self, event: str, stage: str, **fields: Any) -> None:
        """Record one event; numbers that are not finite become null, as JSON wants."""
        if not self.enabled:
            return
        entry = {"schema": SCHEMA, "time": round(time.time(), 3), "event": event, "stage": stage, **_plain(fields)}
        if self.folder is not None:
            _append(self.folder / EVENTS_NAME, json.dumps(entry, allow_nan=False) + "\n")
            self._write_metrics(entry)
            self._write_log(entry)
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
    parts = [f"{clock} {stage}: {event}"]
    if "iteration" in entry:
        parts.append(f"{entry['iteration']}" + (f" of {entry['of']}" if "of" in entry else ""))
    if entry.get("rate"):
        parts.append(f"{entry['rate']:.2f} a second, {duration(entry.get('seconds_left'))} left")
    if entry.get("values") and isinstance(entry["values"], dict):
        parts.append(" ".join(f"{name} {value:.4g}" for name, value in entry["values"].items() if value is not None))
    parts += [str(entry[name]) for name in ("role", "name", "message", "file", "model") if entry.get(name)]
    if "seconds" in entry:
        parts.append(f"after {duration(entry['seconds'])}")
    return ", ".join(parts)


def duration(seconds: float | None) -> str:
    """``1 h 05 min``, ``3 min 20 s`` or ``12 s``."""
    if seconds is None:
        return "unknown time"
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


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
