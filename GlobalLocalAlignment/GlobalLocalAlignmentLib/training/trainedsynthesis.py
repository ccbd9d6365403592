"""The synthesis network of a run, trained there or lent by an earlier model: one network serves both directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..bundle import load_synthesis
from ..errors import InputError
from .runcohorts import SAME_MODALITY


@dataclass
class TrainedSynthesis:
    """A synthesis network with the meaning of its domain labels.

    Attributes:
        network: in evaluation mode.
        modalities: of the run's source and target.
        labels: domain labels of the run's source and target in the network.
    """

    network: nn.Module
    modalities: tuple[str, str]
    labels: tuple[int, int]

    @property
    def card_domains(self) -> tuple[str, str]:
        """Modality of domain label 0 and of 1."""
        return self.modalities if self.labels == (0, 1) else (self.modalities[1], self.modalities[0])

    @torch.inference_mode()
    def translate(self, images: np.ndarray, device: torch.device, batch_size: int = 16) -> np.ndarray:
        """Source slices (n, rows, columns) in [-1, 1] -> the same slices in the style of the target."""
        parts = []
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(images[start : start + batch_size].astype(np.float32))[:, None].to(device)
            domain, other = (torch.full((len(batch),), label, device=device) for label in self.labels)
            parts.append(self.network(batch, domain, other)[:, 0].float().cpu().numpy())
        return np.concatenate(parts)


def borrow_synthesis(path: Path, modalities: tuple[str, str]) -> TrainedSynthesis:
    """Synthesis network of an earlier model for a run's source and target, in either direction.

    Raises:
        InputError: the file cannot be used, or its network translates between other modalities.
    """
    card, network = load_synthesis(path)
    known = card.synthesis_domains
    if network is None or known is None:
        raise InputError(path, "holds no synthesis network", "name a model that was trained with style transfer")
    if set(known) != set(modalities):
        raise InputError(
            path,
            f"translates between {' and '.join(known)}, not {' and '.join(modalities)}",
            "train a new one, leave synthesis.model out",
        )
    if any(name.endswith(SAME_MODALITY) for name in known):
        raise InputError(
            path,
            f"translates between two domains of one modality ({known[0]}), which cannot be told apart by their name",
            "give source.modality and target.modality names of their own in both runs, with an intensity rule for each",
        )
    return TrainedSynthesis(network, modalities, (known.index(modalities[0]), known.index(modalities[1])))
