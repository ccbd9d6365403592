"""Checkpoints of a run: written beside, synced and renamed; the last two are kept."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..machinefaults import file_error
from ..wholefiles import whole_file

KEPT = 2


def save_checkpoint(folder: Path, stage: str, iteration: int, state: Mapping[str, Any]) -> Path:
    """Write ``folder/<stage>_<iteration>.pt`` and drop all but the last two of the stage until then.

    Raises:
        OSError: no space left or a read-only folder; older checkpoints are untouched.
    """
    path = folder / f"{stage}_{iteration:07d}.pt"
    with whole_file(path) as stream:
        try:
            torch.save({"stage": stage, "iteration": iteration, "state": dict(state)}, stream)
        except RuntimeError as error:
            # of what the disk refuses PyTorch's writer says nothing but that it is at an unexpected place
            raise file_error(error) or error from None
    # newer ones are damaged, or of what the run has gone back from
    drop_newer(folder, stage, iteration)
    for older in _checkpoints(folder, stage)[:-KEPT]:
        older.unlink(missing_ok=True)
    return path


def load_latest(folder: Path, stage: str, warn: Callable[[str], None]) -> tuple[int, dict[str, Any]] | None:
    """Iteration and state of the newest readable checkpoint of a stage, None where there is none.

    A damaged checkpoint is passed over, with a warning, for the one before it. Only tensors and plain values
    are read, never code.
    """
    found = _checkpoints(folder, stage)
    while found:
        path = found.pop()
        try:
            _refuse_packed(path)
            # PyTorch does not look at the checksums that it wrote
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
            content = torch.load(path, map_location="cpu", weights_only=True)
            return int(content["iteration"]), content["state"]
        except Exception as error:  # noqa: BLE001 - whatever a damaged file raises, the one before it is wanted
            instead = f"{found[-1].name} is used" if found else "there is none before it, so the stage begins anew"
            warn(f"checkpoint {path.name} is damaged ({type(error).__name__}): {instead}")
    return None


def _refuse_packed(path: Path) -> None:
    """Raise ValueError for an archive with compressed parts: we write none, and a few bytes may unpack to any size."""
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed")


def iterations_kept(folder: Path, stage: str) -> list[int]:
    """Iterations of a stage that there are checkpoints of, the newest last."""
    return [int(path.stem.rpartition("_")[2]) for path in _checkpoints(folder, stage)]


def drop_newer(folder: Path, stage: str, iteration: int) -> None:
    """Remove the checkpoints of a stage after an iteration."""
    for path, kept in zip(_checkpoints(folder, stage), iterations_kept(folder, stage), strict=True):
        if kept > iteration:
            path.unlink()


def _checkpoints(folder: Path, stage: str) -> list[Path]:
    return sorted(folder.glob(f"{stage}_*.pt"))
