"""What the trainings of all translators of stage one share: batches, rates, the weight average, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ..devices import moved
from ..pictures import save_preview
from ..slicestore import SliceStore
from .batches import DomainBatches
from .engine import RunContext, Stage, WeightAverage, set_learning_rate

SOURCE, TARGET = 0, 1
OUR_RATE = 2e-4
"""Learning rate of our translator in the paper."""


class TranslatorStage(Stage):
    """Trains a network that gives slices of one domain the look of the other, against a discriminator.

    Args:
        context: the run.
        source, target: slices of the two domains.
        network: called with images (N, 1, H, W), their domain (N,) and the wanted one (N,).
        discriminator: its adversary.
        network_optimizer, discriminator_optimizer: of their weights.
        average_decay: of the weight average; the configured one where it is None.
        methods: of the network that are called beside ``forward``.
    """

    name = "synthesis"
    rate_share: float = 1.0
    """The rate of its paper over ``OUR_RATE``, by which the configured rate is multiplied."""
    final_rate_share: float | None = None
    """Share of the rate that is left at the end; the configured one where it is None."""

    def __init__(
        self,
        context: RunContext,
        source: SliceStore,
        target: SliceStore,
        network: nn.Module,
        discriminator: nn.Module,
        network_optimizer: torch.optim.Optimizer,
        discriminator_optimizer: torch.optim.Optimizer,
        average_decay: float | None = None,
        methods: Sequence[str] = (),
    ) -> None:
        settings, seed = context.configuration.synthesis, context.configuration.training.seed
        self.settings, self.fabric, self.iterations = settings, context.fabric, settings.iterations
        self.batch_size = settings.batch_size
        self.network, self.network_optimizer = context.setup(network, network_optimizer, methods)
        self.discriminator, self.discriminator_optimizer = context.setup(discriminator, discriminator_optimizer)
        decay = settings.average_decay if average_decay is None else average_decay
        self.average = WeightAverage(self.network.module, decay)
        self.batches = [
            DomainBatches(store, settings.batch_size, settings.augmentation, (seed, 1, domain), self.fabric)
            for domain, store in enumerate((source, target))
        ]
        self.pool = ImagePool(0, seed)
        self.stores = (source, target)

    def draw(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Slices of both domains (2 N, 1, H, W) and the domain (2 N,) of each: source ones first."""
        images = torch.cat([batches.draw(iteration)[0] for batches in self.batches])
        domain = torch.arange(2, device=images.device).repeat_interleave(self.settings.batch_size)
        return images, domain

    def set_rates(self, rate: float) -> None:
        """Give both optimisers one learning rate."""
        set_learning_rate(self.network_optimizer, rate)
        set_learning_rate(self.discriminator_optimizer, rate)

    def learning_rate(self, iteration: int) -> float:
        """Constant for the first half, then falling in a line to the final share of itself."""
        second_half = max(0.0, 2 * iteration / self.iterations - 1)
        final = self.settings.final_learning_rate_share if self.final_rate_share is None else self.final_rate_share
        return self.settings.learning_rate * self.rate_share * (1 - second_half * (1 - final))

    def state(self) -> dict[str, Any]:
        return {
            "network": self.network.module.state_dict(),
            "discriminator": self.discriminator.module.state_dict(),
            "average": self.average.network.state_dict(),
            "network_optimizer": self.network_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "pool": self.pool.images,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.network.module.load_state_dict(state["network"])
        self.discriminator.module.load_state_dict(state["discriminator"])
        self.average.network.load_state_dict(state["average"])
        self.network_optimizer.load_state_dict(state["network_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        self.pool.images = state["pool"]

    def preview(self, path: Path) -> None:
        pictures = translation_panel(self.average.network, (SOURCE, TARGET), *self.stores, self.fabric, 3)
        save_preview(path, pictures)


@torch.no_grad()
def translation_panel(
    network: nn.Module,
    labels: tuple[int, int],
    source: SliceStore,
    target: SliceStore,
    fabric: Fabric,
    count: int = 6,
) -> dict[str, np.ndarray]:
    """Slices evenly spread over the source store with all that the network makes of them, and target slices.

    Args:
        network: in evaluation mode.
        labels: domain labels of source and target in the network.
        source, target: slices of the two domains.
        fabric: device and precision.
        count: number of slices.
    """
    images, wanted = (
        torch.from_numpy(np.asarray(store.images[_spread(len(store), count)], np.float32))[:, None].to(fabric.device)
        for store in (source, target)
    )
    domain, other = (torch.full((len(images),), label, device=fabric.device) for label in labels)
    with fabric.autocast():
        translated = network(images, domain, other)
        results = {
            "source": images,
            "translated": translated,
            "reconstructed": network(images, domain, domain),
            "cycled": network(translated, other, domain),
            "target": wanted,
        }
    return {name: picture[:, 0].float().cpu().numpy() for name, picture in results.items()}


class ImagePool:
    """Earlier translations that the discriminator sees again in place of half of the new ones; size 0 turns it off."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, iteration: int) -> Tensor:
        """(N, 1, H, W) new translations -> as many, some of them replaced by ones from the pool.

        The pool keeps each place of the batch apart, so that a picture always comes back for its own domain.
        """
        if self.size == 0:
            return images
        chance = np.random.default_rng([self.seed, 2, iteration])
        self.images.append(images.clone())
        if len(self.images) <= max(1, self.size // len(images)):
            return images
        earlier = self.images.pop(int(chance.integers(len(self.images) - 1)))
        choose = moved(torch.from_numpy(chance.random(len(images)) < 0.5), images.device)
        return torch.where(choose[:, None, None, None], moved(earlier, images.device), images)


def _spread(available: int, count: int) -> list[int]:
    return [round((index + 0.5) * available / count - 0.5) for index in range(min(count, available))]
