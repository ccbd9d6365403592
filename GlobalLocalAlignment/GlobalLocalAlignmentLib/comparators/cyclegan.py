"""CycleGAN: two generators and two discriminators, one for each direction and domain.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017, section 4 and
appendix 7. Layers, losses, initialisation, pool and the decay of the learning rate are those of the paper; widths,
iterations, batch size and augmentation those of the configuration, as for ours. Its rate is that of the configuration
too, whose default is also that of the paper. The identity loss of its section 5.2 is on with the half of the cycle's
weight, which is what the authors' program (github junyanz/pytorch-CycleGAN-and-pix2pix) does unless told otherwise; in
the paper it is on for paintings alone. Nothing else keeps both generators from moving a slice, one there and one back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import Plane, Synthesis
from ..losses import adversarial_loss
from ..networks.discriminators import patch_layers
from ..slicestore import SliceStore
from ..training.batches import frozen
from ..training.engine import RunContext
from ..training.translation import SOURCE, TARGET, ImagePool, TranslatorStage

CYCLE_WEIGHT = 10.0
BETAS = (0.5, 0.999)
POOL_SIZE = 50
LARGE = 256
"""Slices at least this long and wide get 9 residual blocks instead of 6."""


class Generator(nn.Module):
    """Slices (N, 1, H, W) in [-1, 1] -> the same in the look of one domain: c7s1-w, d2w, d4w, R4w ..., u2w, uw, c7s1-1.

    Args:
        width: channels of the first convolution (64 in the paper).
        blocks: residual blocks.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(1, width, 7), *normalized(width)]
        for channels in (width, 2 * width):
            layers += [nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1), *normalized(2 * channels)]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1),
                *normalized(channels // 2),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 1, H, W)."""
        return self.layers(image)


class ResidualBlock(nn.Module):
    """R: two 3x3 convolutions with reflected borders, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            *normalized(channels),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def normalized(channels: int) -> list[nn.Module]:
    """Instance norm and ReLU, which follow every convolution but the last."""
    return [nn.InstanceNorm2d(channels), nn.ReLU()]


def residual_blocks(plane: Plane) -> int:
    """Residual blocks of a generator for slices of a size."""
    return 9 if min(plane.size) >= LARGE else 6


class PatchDiscriminator(nn.Module):
    """70 x 70 PatchGAN: C1w-C2w-C4w-C8w with 4x4 kernels, no norm in the first layer.

    Args:
        width: channels of the first convolution (64 in the paper).
        channels: of what is judged.
        judgements: numbers for each patch.
    """

    def __init__(self, width: int, channels: int = 1, judgements: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(*patch_layers(width, channels), nn.Conv2d(8 * width, judgements, 4, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, judgements, H/8 - 2, W/8 - 2), large for real."""
        return self.layers(image)


def by_domain(networks: Iterable[nn.Module], domain: Tensor, *inputs: Tensor) -> Tensor:
    """Each sample through the network of its own domain.

    Args:
        networks: one for each domain.
        domain: (N,) integer labels.
        inputs: what a network takes, each (N, ...).

    Returns:
        (N, ...), in the order of the inputs.
    """
    parts, places = [], []
    for label, network in enumerate(networks):
        place = torch.nonzero(domain == label)[:, 0]
        if len(place):
            parts.append(network(*(values[place] for values in inputs)))
            places.append(place)
    return torch.cat(parts)[torch.cat(places).argsort()]


class _ByDomain(nn.Module):
    def __init__(self, networks: list[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)


class CycleGanTranslator(_ByDomain):
    """Both generators; the one that is used is that of the wanted domain.

    Args:
        width: channels of the first convolution.
        blocks: residual blocks of each generator.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__([Generator(width, blocks) for _ in (SOURCE, TARGET)])
        self.apply(initialize)

    @classmethod
    def of_settings(cls, settings: Synthesis, plane: Plane) -> CycleGanTranslator:
        """Untrained network of the configured size."""
        return cls(settings.width, residual_blocks(plane))

    def forward(self, image: Tensor, domain: Tensor, to_domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) of any domain in the look of ``to_domain`` (N,)."""
        return by_domain(self.networks, to_domain, image)


class _Discriminators(_ByDomain):
    def __init__(self, width: int) -> None:
        super().__init__([PatchDiscriminator(width) for _ in (SOURCE, TARGET)])
        self.apply(initialize)

    def forward(self, image: Tensor, domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) judged as a member of domain (N,)."""
        return by_domain(self.networks, domain, image)


class CycleGanStage(TranslatorStage):
    """Trains both directions at once.

    Args:
        context: the run.
        source, target: slices of the two domains.
    """

    final_rate_share = 0.0

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        configuration = context.configuration
        settings, seed = configuration.synthesis, configuration.training.seed
        torch.manual_seed(seed)
        network = CycleGanTranslator.of_settings(settings, configuration.plane)
        discriminator = _Discriminators(settings.discriminator_width)
        options = {"lr": settings.learning_rate, "betas": BETAS, "fused": True}
        optimizers = [torch.optim.Adam(part.parameters(), **options) for part in (network, discriminator)]
        # no weight average, as in the paper
        super().__init__(context, source, target, network, discriminator, *optimizers, average_decay=0.0)
        self.pool, self.identity_share = ImagePool(POOL_SIZE, seed), settings.weights.identity

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        return self.train_on(self.draw(iteration)[0], iteration)

    def train_on(
        self, images: Tensor, iteration: int, task: Callable[[Tensor], Tensor] | None = None
    ) -> dict[str, Tensor | float]:
        """One step on slices (2 N, 1, H, W), source ones first.

        Args:
            images: the slices.
            iteration: counted from 0.
            task: further loss of the generators by what they make of the slices, in the same order.
        """
        rate, values = self.learning_rate(iteration), {}
        self.set_rates(rate)
        domain = torch.arange(2, device=images.device).repeat_interleave(len(images) // 2)
        other = 1 - domain

        translated = self.network(images, domain, other)
        cycled = self.network(translated, other, domain)
        cycle = functional.l1_loss(cycled.float(), images)
        with frozen(self.discriminator):
            # the losses of both directions are added, here as means over both
            adversarial = 2 * self._judge(translated, other, 1)
            loss = adversarial + 2 * CYCLE_WEIGHT * cycle
            if self.identity_share:
                kept = functional.l1_loss(self.network(images, domain, domain).float(), images)
                loss = loss + 2 * CYCLE_WEIGHT * self.identity_share * kept
                values["image_reconstruction"] = kept
            if task is not None:
                loss = loss + task(translated)
            self.network_optimizer.zero_grad()
            self.fabric.backward(loss)
        self.network_optimizer.step()

        fakes = self.pool.exchange(translated.detach(), iteration)
        # halved, so that the discriminators learn slower than the generators
        discriminator = self._judge(images, domain, 1) + self._judge(fakes, other, 0)
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(discriminator)
        self.discriminator_optimizer.step()
        self.average.update(self.network.module, iteration)
        values |= {"cycle": cycle, "adversarial": adversarial, "discriminator": discriminator}
        return values | {"learning_rate": rate}

    def _judge(self, images: Tensor, domain: Tensor, label: float) -> Tensor:
        return adversarial_loss(self.discriminator(images, domain), label, "least_squares")


def initialize(module: nn.Module) -> None:
    """Weights of a convolution from N(0, 0.02); for ``apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)
