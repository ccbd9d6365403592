"""Stage one: the synthesis subnet against the image discriminator (Section III-B, first objective)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from ..config import Configuration
from ..losses import adversarial_loss
from ..networks import ImageDiscriminator, SynthesisNetwork
from ..pictures import save_preview
from ..slicestore import SliceStore
from .batches import DomainBatches, frozen
from .engine import RunContext, Stage, WeightAverage, set_learning_rate

SOURCE, TARGET = 0, 1


def build_synthesis(configuration: Configuration) -> SynthesisNetwork:
    """Untrained synthesis network of the configured size."""
    settings = configuration.synthesis
    return SynthesisNetwork(settings.width, settings.blocks, settings.hidden)


class SynthesisStage(Stage):
    """Trains encoder, decoder, style perceptrons and the image discriminator, both directions at once.

    Args:
        context: the run.
        source, target: slices of the two domains.
    """

    name = "synthesis"

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        settings, seed = context.configuration.synthesis, context.configuration.training.seed
        self.settings, self.fabric, self.iterations = settings, context.fabric, settings.iterations
        torch.manual_seed(seed)
        network = build_synthesis(context.configuration)
        discriminator = ImageDiscriminator(settings.discriminator_width)
        options = {"lr": settings.learning_rate, "betas": settings.betas, "weight_decay": settings.weight_decay}
        self.network, self.network_optimizer = self.fabric.setup(
            network, torch.optim.Adam(network.parameters(), **options)
        )
        self.network.mark_forward_method("encode")
        self.network.mark_forward_method("decode")
        self.discriminator, self.discriminator_optimizer = self.fabric.setup(
            discriminator, torch.optim.Adam(discriminator.parameters(), **options)
        )
        self.average = WeightAverage(self.network.module, settings.average_decay)
        self.batches = [
            DomainBatches(store, settings.batch_size, settings.augmentation, (seed, 1, domain), self.fabric)
            for domain, store in enumerate((source, target))
        ]
        self.pool = ImagePool(settings.image_pool, seed)
        self.stores = (source, target)

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        settings, rate = self.settings, self._learning_rate(iteration)
        set_learning_rate(self.network_optimizer, rate)
        set_learning_rate(self.discriminator_optimizer, rate)
        source, target = (batches.draw(iteration)[0] for batches in self.batches)
        images = torch.cat([source, target])
        domain = torch.arange(2, device=images.device).repeat_interleave(settings.batch_size)
        other = 1 - domain

        # named methods of a wrapped network do not enter the reduced precision by themselves
        with self.fabric.autocast():
            content = self.network.encode(images, domain)
            reconstructed = self.network.decode(content, domain)
            translated = self.network.decode(content, other)
            content_again = self.network.encode(translated, other)
            cycled = self.network.decode(content_again, domain)

        fakes = self.pool.exchange(translated.detach(), iteration)
        discriminator = self._judge(images, domain, 1) + self._judge(fakes, other, 0)
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(discriminator)
        self.discriminator_optimizer.step()

        content_goal = content.detach() if settings.stop_content_gradient else content
        terms = {
            "image_reconstruction": functional.l1_loss(reconstructed.float(), images),
            "content_reconstruction": functional.l1_loss(content_again.float(), content_goal.float()),
            "cycle": functional.l1_loss(cycled.float(), images),
        }
        with frozen(self.discriminator):
            terms["adversarial"] = self._judge(translated, other, 1)
            loss = sum(getattr(settings.weights, name) * term for name, term in terms.items())
            self.network_optimizer.zero_grad()
            self.fabric.backward(loss)
        self.network_optimizer.step()
        self.average.update(self.network.module, iteration)
        return {**terms, "discriminator": discriminator, "learning_rate": rate}

    def _judge(self, images: Tensor, domain: Tensor, label: float) -> Tensor:
        return adversarial_loss(self.discriminator(images, domain), label, self.settings.adversarial)

    def _learning_rate(self, iteration: int) -> float:
        """Constant for the first half, then falling in a line to ``final_learning_rate_share`` of itself."""
        second_half = max(0.0, 2 * iteration / self.iterations - 1)
        return self.settings.learning_rate * (1 - second_half * (1 - self.settings.final_learning_rate_share))

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
        pictures.pop("cases")
        save_preview(path, pictures)


@torch.no_grad()
def translation_panel(
    network: SynthesisNetwork,
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
        content = network.encode(images, domain)
        translated = network.decode(content, other)
        results = {
            "source": images,
            "translated": translated,
            "reconstructed": network.decode(content, domain),
            "cycled": network(translated, other, domain),
            "target": wanted,
        }
    arrays = {name: picture[:, 0].float().cpu().numpy() for name, picture in results.items()}
    return {**arrays, "cases": np.array([source.cases[index] for index in _spread(len(source), count)])}


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
        choose = torch.from_numpy(chance.random(len(images)) < 0.5).to(images.device)
        return torch.where(choose[:, None, None, None], earlier.to(images.device), images)


def _spread(available: int, count: int) -> list[int]:
    return [round((index + 0.5) * available / count - 0.5) for index in range(min(count, available))]
