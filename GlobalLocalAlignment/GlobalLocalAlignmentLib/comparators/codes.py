"""Style codes from a normal distribution, for translators that give every slice a style of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from ..devices import moved

CALL_SEED = 0


def normal_codes(count: int, length: int, seed: int, device: torch.device) -> Tensor:
    """Codes (count, length) from N(0, 1), the same on every device."""
    return moved(torch.randn(count, length, generator=torch.Generator().manual_seed(seed)), device)


def codes_of_call(count: int, length: int, device: torch.device) -> Tensor:
    """Codes (count, length) of the slices of a translation: each slice has its own, every call the same ones."""
    return normal_codes(count, length, CALL_SEED, device)
