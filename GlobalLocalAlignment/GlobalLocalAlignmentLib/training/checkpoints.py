"""Checkpoints of a run: written beside, synced and renamed; the last two are kept."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..machinefaults import disk_error
from ..wholefiles import whole_file

KEPT = 2


def save_checkpoint(folder: Path, stage: str, iteration: int, state: Mapping[str, Any]) -> Path:
    """Write ``folder/<stage>_<iteration>.pt`` and drop all but the last two of the stage.

    Raises:
        OSError: no space left or a read-only folder; older checkpoints are untouched.
    """
    path = folder / f"{stage}_{iteration:07d}.pt"
    with whole_file(path) as stream:
        try:
            torch.save({"stage": stage, "iteration": iteration, "state": dict(state)}, stream)
        except RuntimeError as error:
            # of a full disk PyTorch's writer says nothing but that it is at an unexpected place
            raise disk_error(error) or error from None
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
            _refuse_packed(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
            return int(content["iteration"]), content["state"]
        except Exception as error:  # noqa: BLE001 - whatever a damaged file raises, the one before it is wanted
            warn(f"checkpoint {path.name} is damaged ({type(error).__name__}), the one before it is used")
    return None


def _refuse_packed(path: Path) -> None:
    """Raise ValueError for an archive with compressed parts: we write none, and a few bytes may unpack to any size."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed")


def _checkpoints(folder: Path, stage: str) -> list[Path]:
    return sorted(folder.glob(f"{stage}_*.pt"))
