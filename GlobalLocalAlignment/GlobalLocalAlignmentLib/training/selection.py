"""Model selection ``paper``: the networks of the iteration that did best on labelled target cases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import nn

from ..errors import InputError
from ..wholefiles import whole_file

SELECTED_STEM = "selected_"
REFERENCES = 3
"""Checkpoints whose best networks are kept: those that are there, and the one that is written now."""


class BestNetworks:
    """Keeps the best networks in files, beside the checkpoints: a run may go back to before the newest of them.

    Args:
        folder: of the checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mean, self.iteration = -math.inf, 0
        self._referred: list[int] = []

    @property
    def path(self) -> Path:
        """File of the best networks so far."""
        return self._path(self.iteration)

    def _path(self, iteration: int) -> Path:
        return self.folder / f"{SELECTED_STEM}{iteration:07d}.safetensors"

    def offer(self, networks: nn.Module, scores: Mapping[str, float], iteration: int) -> None:
        """Keep networks if their mean Dice is above that of all before.

        Raises:
            OSError: no space left; what was kept before is untouched.
        """
        known = [score for score in scores.values() if not math.isnan(score)]
        mean = sum(known) / len(known) if known else -math.inf
        if mean <= self.mean:
            return
        tensors = {name: value.detach().cpu().contiguous() for name, value in networks.state_dict().items()}
        with whole_file(self._path(iteration)) as stream:
            stream.write(save(tensors))
        self.mean, self.iteration = mean, iteration
        wanted = {self._path(number) for number in (iteration, *self._referred)}
        for path in self.folder.glob(f"{SELECTED_STEM}*"):
            if path not in wanted:
                path.unlink()

    def load_into(self, networks: nn.Module) -> None:
        """Give networks the weights that were kept.

        Raises:
            InputError: the file is gone or damaged.
        """
        try:
            networks.load_state_dict(load(self.path.read_bytes()))
        except Exception as error:
            raise InputError(
                self.path, f"cannot be read ({error})", "train again, or choose training.model_selection final"
            ) from error

    def state(self) -> dict[str, Any]:
        """For the checkpoint, which refers to the best networks so far."""
        self._referred = [*self._referred, self.iteration][-REFERENCES:]
        return {"mean": self.mean, "iteration": self.iteration, "referred": list(self._referred)}

    def load(self, state: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        self.mean, self.iteration = float(state["mean"]), int(state["iteration"])
        self._referred = list(state.get("referred", []))
