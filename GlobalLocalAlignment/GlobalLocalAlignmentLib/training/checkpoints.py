"""Checkpoints of a run: written beside, synced and renamed; the last two are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..machinefaults import disk_error, named

KEPT = 2


def save_checkpoint(folder: Path, stage: str, iteration: int, state: Mapping[str, Any]) -> Path:
    """Write ``folder/<stage>_<iteration>.pt`` and drop all but the last two of the stage.

    Raises:
        OSError: no space left or a read-only folder; older checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stage}_{iteration:07d}.pt"
    temporary = path.with_suffix(".part")
    try:
        with named(path):
            _write(temporary, {"stage": stage, "iteration": iteration, "state": dict(state)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    for older in _checkpoints(folder, stage)[:-KEPT]:
        older.unlink(missing_ok=True)
    return path


def load_latest(folder: Path, stage: str, warn: Callable[[str], None]) -> tuple[int, dict[str, Any]] | None:
    """Iteration and state of the newest readable checkpoint of a stage, None where there is none.

    A damaged checkpoint is passed over, with a warning, for the one before it. Only tensors and plain values
    are read, never code.
    """
    for path in reversed(_checkpoints(folder, stage)):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            return int(content["iteration"]), content["state"]
        except Exception as error:  # noqa: BLE001 - whatever a damaged file raises, the one before it is wanted
            warn(f"checkpoint {path.name} is damaged ({type(error).__name__}), the one before it is used")
    return None


def _write(path: Path, content: dict[str, Any]) -> None:
    with open(path, "wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:
            # of a full disk PyTorch's writer says nothing but that it is at an unexpected place
            raise disk_error(error) or error from None
        stream.flush()
        os.fsync(stream.fileno())


def _checkpoints(folder: Path, stage: str) -> list[Path]:
    return sorted(folder.glob(f"{stage}_*.pt"))
