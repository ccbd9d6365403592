"""Batches of one domain, drawn and augmented by seed and iteration alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..config import Augmentation
from ..devices import moved
from ..slicestore import SliceSampler, SliceStore
from .augmentation import RandomAugmentation


class DomainBatches:
    """Draws the slices of an iteration from a store, moves them to the device and augments them there.

    Each process of a distributed run draws slices of its own.

    Args:
        store: slices of the domain.
        batch_size: slices of one process in one iteration.
        augmentation: what is changed at random.
        seed: numbers that no other source of batches shares.
        fabric: the device.
    """

    def __init__(
        self, store: SliceStore, batch_size: int, augmentation: Augmentation, seed: tuple[int, ...], fabric: Fabric
    ) -> None:
        self.store, self.fabric = store, fabric
        self.seed = (*seed, fabric.global_rank)
        self.sampler = SliceSampler(len(store), batch_size, self.seed)
        self.augment = RandomAugmentation(augmentation)

    def draw(self, iteration: int) -> tuple[Tensor, Tensor | None]:
        """Images (N, 1, H, W) float32 in [-1, 1] and class indices (N, H, W), or None without labels."""
        indices = self.sampler.batch(iteration)
        images = torch.from_numpy(self.store.images[indices].astype(np.float32))[:, None]
        labels = self.store.labels
        if labels is not None:
            labels = torch.from_numpy(labels[indices].astype(np.int64))
        generator = torch.Generator().manual_seed(mixed_seed(*self.seed, iteration))
        device = self.fabric.device
        labels = None if labels is None else moved(labels, device)
        return self.augment(moved(images, device), labels, generator)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradient for the network's own weights within; gradients still pass through it to its input."""
    parameters = list(network.parameters())
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def mixed_seed(*numbers: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
