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

SELECTED_NAME = "selected.safetensors"


class BestNetworks:
    """Keeps the best networks in a file, beside the checkpoints.

    Args:
        folder: of the checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / SELECTED_NAME
        self.mean, self.iteration = -math.inf, 0

    def offer(self, networks: nn.Module, scores: Mapping[str, float], iteration: int) -> None:
        """Keep networks if their mean Dice is above that of all before.

        Raises:
            OSError: no space left; the networks that were kept before are untouched.
        """
        known = [score for score in scores.values() if not math.isnan(score)]
        mean = sum(known) / len(known) if known else -math.inf
        if mean <= self.mean:
            return
        tensors = {name: value.detach().cpu().contiguous() for name, value in networks.state_dict().items()}
        with whole_file(self.path) as stream:
            stream.write(save(tensors))
        self.mean, self.iteration = mean, iteration

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
        """For the checkpoint."""
        return {"mean": self.mean, "iteration": self.iteration}

    def load(self, state: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        self.mean, self.iteration = float(state["mean"]), int(state["iteration"])
