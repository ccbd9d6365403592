"""The folder of a comparison: one process at a time works in it, on the cases that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..resultfiles import write_text
from ..training.lock import RunLock


@contextmanager
def output_folder(output: Path, note_name: str, cases: dict[str, Any], what: str) -> Iterator[None]:
    """Note the cases of a new comparison and keep the folder locked meanwhile.

    Args:
        output: the folder; it is made.
        note_name: file in it that holds the cases, as JSON.
        cases: names of the cases, in parts; parts that an earlier call noted may be left out, and new ones added.
        what: what such a folder is of, with its article.

    Raises:
        InputError: the folder holds something else, or the same parts with other cases, or another process works in it.
    """
    note = output / note_name
    try:
        begun = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
        if not begun and output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise InputError(output, f"is not the folder of {what}", "choose another --output")
        if any(cases[name] != begun[name] for name in cases.keys() & begun.keys()):
            raise InputError(output, f"holds {what} of other cases", "choose another --output")
    except (OSError, ValueError) as error:
        raise InputError(output, f"cannot be used ({error})", "choose another --output") from error
    write_text(note, json.dumps(begun | cases, indent=2), "make space or choose another --output")
    lock = RunLock(output, "worked on")
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
