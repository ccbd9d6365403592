"""The folder of a run: begun once, taken up again, and never trained over."""

from __future__ import annotations

import json
from pathlib import Path

from ..config import Configuration, read_configuration
from ..errors import InputError
from ..wholefiles import is_unfinished, whole_file
from .lock import LOCK_NAME, RunLock
from .owner import OWNER_NAME

CONFIGURATION_NAME = "config.json"
MODEL_NAME = "model.safetensors"
SYNTHESIS_NAME = "synthesis.safetensors"
"""What stage one made, for other trainings, which need not wait for stage two; it is in the model too."""

SLICES_NAME = "slices"
"""Folder of the slices of all cases, while the run trains."""


def start_run(folder: Path, configuration: Configuration, lock: RunLock) -> None:
    """Make the folder of a new run, lock it and write its configuration.

    Raises:
        InputError: the folder cannot be written, or another process has started a run in it by now.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        # to read all cases took a while, in which another process may have come to its end here
        refuse_used_folder(folder)
        _write_json(folder / CONFIGURATION_NAME, configuration.dump())
    except OSError as error:
        raise InputError(
            folder, f"cannot be written ({error.strerror})", "make space or choose another --output"
        ) from error


def refuse_used_folder(folder: Path) -> None:
    """Raise InputError if the folder holds another run or other files; what a killed process leaves does not count."""
    if folder.exists() and (
        not folder.is_dir()
        or any(entry.name not in (LOCK_NAME, OWNER_NAME) and not is_unfinished(entry) for entry in folder.iterdir())
    ):
        what = "holds another run" if (folder / CONFIGURATION_NAME).exists() else "is not an empty folder"
        raise InputError(folder, what, "choose another --output, or --resume to go on with a run")


def resumed_configuration(folder: Path) -> Configuration:
    """Configuration of an earlier run.

    Raises:
        InputError: there is no run in the folder.
    """
    if not (folder / CONFIGURATION_NAME).is_file():
        raise InputError(folder, "holds no run to resume", "leave out --resume to start one")
    return read_configuration(folder)


def _write_json(path: Path, content: object) -> None:
    with whole_file(path) as stream:
        stream.write((json.dumps(content, indent=2) + "\n").encode("utf-8"))
