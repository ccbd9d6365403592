"""StarGAN v2: one generator for all domains, styles from noise or from a picture.

Choi et al., "StarGAN v2: Diverse Image Synthesis for Multiple Domains", CVPR 2020, section 3 and appendix. Layers,
losses and their weights, initialisation and the slow mapping network are those of the paper for pictures without
landmarks; width, iterations, batch size and augmentation those of the configuration, as for ours, and the rates of the
paper are changed by what the configuration changes our rate by. Slices need not be square: where the paper reads the
4 x 4 features at the end of an encoder by one 4 x 4 convolution, the places that a longer side leaves are averaged.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import Plane, Synthesis
from ..slicestore import SliceStore
from ..training.batches import frozen, mixed_seed
from ..training.engine import RunContext
from ..training.parts import as_a_whole
from ..training.translation import OUR_RATE, TranslatorStage
from .codes import codes_of_call, normal_codes

LATENT, STYLE, HIDDEN = 16, 64, 512
WIDEST = 8
"""Channels grow from the width up to eight times the width."""

REGULARIZATION, STYLE_WEIGHT, DIVERSITY_WEIGHT, CYCLE_WEIGHT = 1.0, 1.0, 2.0, 1.0
RATE, MAPPING_RATE_SHARE = 1e-4, 0.01
BETAS, WEIGHT_DECAY, AVERAGE_DECAY = (0.0, 0.99), 1e-4, 0.999
SLOPE = 0.2


class ResidualBlock(nn.Module):
    """Pre-activation residual block, halved in both directions where it is asked for; unit variance is kept.

    Args:
        inputs, outputs: channels.
        normalize: instance norm before each convolution.
        down: whether it halves rows and columns.
    """

    def __init__(self, inputs: int, outputs: int, normalize: bool = False, down: bool = False) -> None:
        super().__init__()
        self.down = down
        self.first_norm = nn.InstanceNorm2d(inputs, affine=True) if normalize else nn.Identity()
        self.second_norm = nn.InstanceNorm2d(inputs, affine=True) if normalize else nn.Identity()
        self.first = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.second = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        shortcut = self._halved(self.shortcut(features))
        hidden = self._halved(self.first(functional.leaky_relu(self.first_norm(features), SLOPE)))
        hidden = self.second(functional.leaky_relu(self.second_norm(hidden), SLOPE))
        return (shortcut + hidden) / math.sqrt(2)

    def _halved(self, features: Tensor) -> Tensor:
        return functional.avg_pool2d(features, 2) if self.down else features


class AdaptiveNorm(nn.Module):
    """Instance norm whose scale and shift a linear layer takes from the style."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.parameters_of_style = nn.Linear(STYLE, 2 * channels)

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.parameters_of_style(style)[:, :, None, None].chunk(2, dim=1)
        return (1 + scale) * self.norm(features) + shift


class StyledResidualBlock(nn.Module):
    """Residual block with adaptive norms, doubled in both directions where it is asked for."""

    def __init__(self, inputs: int, outputs: int, up: bool = False) -> None:
        super().__init__()
        self.up = up
        self.first_norm, self.second_norm = AdaptiveNorm(inputs), AdaptiveNorm(outputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        shortcut = self.shortcut(self._doubled(features))
        hidden = self.first(self._doubled(functional.leaky_relu(self.first_norm(features, style), SLOPE)))
        hidden = self.second(functional.leaky_relu(self.second_norm(hidden, style), SLOPE))
        return (shortcut + hidden) / math.sqrt(2)

    def _doubled(self, features: Tensor) -> Tensor:
        return functional.interpolate(features, scale_factor=2.0, mode="nearest") if self.up else features


class Generator(nn.Module):
    """Slices (N, 1, H, W) and styles (N, 64) -> slices (N, 1, H, W), not bounded, as in the paper."""

    def __init__(self, width: int, halvings: int) -> None:
        super().__init__()
        widths = [min(2**level, WIDEST) * width for level in range(halvings + 1)]
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.start = nn.Conv2d(1, width, 3, padding=1)
        self.encoder = nn.Sequential(
            *(ResidualBlock(*step, normalize=True, down=True) for step in steps),
            *(ResidualBlock(widths[-1], widths[-1], normalize=True) for _ in range(2)),
        )
        self.decoder = nn.ModuleList(
            [
                *(StyledResidualBlock(widths[-1], widths[-1]) for _ in range(2)),
                *(StyledResidualBlock(outputs, inputs, up=True) for inputs, outputs in reversed(steps)),
            ]
        )
        self.end = nn.Sequential(nn.InstanceNorm2d(width, affine=True), nn.LeakyReLU(SLOPE), nn.Conv2d(width, 1, 1))

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        features = self.encoder(self.start(image))
        for block in self.decoder:
            features = block(features, style)
        return self.end(features)


class MappingNetwork(nn.Module):
    """Latent codes (N, 16) and domains (N,) -> styles (N, 64); the last four layers are those of the domain."""

    def __init__(self, domains: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), *_linear_layers(3))
        self.own = nn.ModuleList(nn.Sequential(*_linear_layers(3), nn.Linear(HIDDEN, STYLE)) for _ in range(domains))

    def forward(self, latent: Tensor, domain: Tensor) -> Tensor:
        return _chosen(self.own, self.shared(latent), domain)


def _linear_layers(count: int) -> list[nn.Module]:
    return [layer for _ in range(count) for layer in (nn.Linear(HIDDEN, HIDDEN), nn.ReLU())]


class PictureEncoder(nn.Module):
    """Body of the style encoder and of the discriminator: slices (N, 1, H, W) -> (N, channels)."""

    def __init__(self, width: int, halvings: int) -> None:
        super().__init__()
        widths = [min(2**level, WIDEST) * width for level in range(halvings + 1)]
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            *(ResidualBlock(*step, down=True) for step in zip(widths[:-1], widths[1:], strict=True)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(widths[-1], widths[-1], 4),
            nn.LeakyReLU(SLOPE),
        )
        self.channels = widths[-1]

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image).mean(dim=(2, 3))


class StyleEncoder(nn.Module):
    """Slices (N, 1, H, W) and their domains (N,) -> styles (N, 64)."""

    def __init__(self, width: int, halvings: int, domains: int) -> None:
        super().__init__()
        self.body = PictureEncoder(width, halvings)
        self.heads = nn.ModuleList(nn.Linear(self.body.channels, STYLE) for _ in range(domains))

    def forward(self, image: Tensor, domain: Tensor) -> Tensor:
        return _chosen(self.heads, self.body(image), domain)


class Discriminator(nn.Module):
    """Slices (N, 1, H, W) judged as members of their domains (N,): one number each, large for real.

    In full precision everywhere: its gradient is itself trained on, and second derivatives suffer from rounding.
    """

    def __init__(self, width: int, halvings: int, domains: int) -> None:
        super().__init__()
        self.body = PictureEncoder(width, halvings)
        self.head = nn.Linear(self.body.channels, domains)
        self.apply(_initialize)

    def forward(self, image: Tensor, domain: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            judgements = self.head(self.body(image.float()))
        return judgements.gather(1, domain[:, None])[:, 0]


def _chosen(heads: nn.ModuleList, features: Tensor, domain: Tensor) -> Tensor:
    """What the head of each sample's own domain makes of it."""
    outputs = torch.stack([head(features) for head in heads], dim=1)
    return outputs[torch.arange(len(domain), device=domain.device), domain]


class StarGanV2Translator(nn.Module):
    """Generator, mapping network and style encoder.

    Args:
        width: channels of the first convolution (64 in the paper, at 256 x 256).
        size: rows and columns of the slices.
        domains: number of domains.
    """

    def __init__(self, width: int, size: tuple[int, int], domains: int = 2) -> None:
        super().__init__()
        self.generator = Generator(width, generator_halvings(size))
        self.mapping = MappingNetwork(domains)
        self.style_encoder = StyleEncoder(width, encoder_halvings(size), domains)
        self.apply(_initialize)

    @classmethod
    def of_settings(cls, settings: Synthesis, plane: Plane) -> StarGanV2Translator:
        """Untrained network of the configured size."""
        return cls(settings.width, plane.size)

    def forward(self, image: Tensor, domain: Tensor, to_domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) of any domain in the look of ``to_domain`` (N,), each with a style of its own."""
        latent = codes_of_call(len(image), LATENT, image.device)
        return self.generator(image, self.mapping(latent, to_domain)).clamp(-1, 1)

    def translate(self, image: Tensor, style: Tensor) -> Tensor:
        """Image (N, 1, H, W) in a style (N, 64), not bounded."""
        return self.generator(image, style)

    def style_of_latent(self, latent: Tensor, domain: Tensor) -> Tensor:
        """Style (N, 64) of latent codes (N, 16) in domains (N,)."""
        return self.mapping(latent, domain)

    def style_of_image(self, image: Tensor, domain: Tensor) -> Tensor:
        """Style (N, 64) of pictures (N, 1, H, W) of domains (N,)."""
        return self.style_encoder(image, domain)


def generator_halvings(size: tuple[int, int]) -> int:
    """4 at 256, 5 at 512, as in the paper; fewer where rows and columns cannot be halved as often."""
    wanted = max(1, int(math.log2(min(size))) - 4)
    return max(count for count in range(wanted + 1) if all(extent % 2**count == 0 for extent in size))


def encoder_halvings(size: tuple[int, int]) -> int:
    """As often as leaves at least 4 rows and columns."""
    return int(math.log2(min(size))) - 2


class StarGanV2Stage(TranslatorStage):
    """Trains all directions at once.

    Args:
        context: the run.
        source, target: slices of the two domains.
    """

    rate_share = RATE / OUR_RATE

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        configuration = context.configuration
        settings, seed = configuration.synthesis, configuration.training.seed
        context.refuse_several_processes("synthesis.translator stargan_v2")
        torch.manual_seed(seed)
        size = configuration.plane.size
        network = StarGanV2Translator.of_settings(settings, configuration.plane)
        discriminator = Discriminator(settings.discriminator_width, encoder_halvings(size), 2)
        options = {"lr": RATE, "betas": BETAS, "weight_decay": WEIGHT_DECAY, "fused": True}
        own = [*network.generator.parameters(), *network.style_encoder.parameters()]
        slow = {"params": list(network.mapping.parameters()), "rate_share": MAPPING_RATE_SHARE}
        super().__init__(
            context,
            source,
            target,
            network,
            discriminator,
            torch.optim.Adam([{"params": own}, slow], **options),
            torch.optim.Adam(discriminator.parameters(), **options),
            AVERAGE_DECAY,
            ("translate", "style_of_latent", "style_of_image"),
        )
        # without the wrapper, which lowers the precision and does not let a gradient be taken outside of its backward
        self.judge = self.discriminator.module
        # its gradient is itself trained on, and of what goes through once more there is no second derivative
        as_a_whole(self.judge)
        self.seed = seed

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        rate = self.learning_rate(iteration)
        self.set_rates(rate)
        images, domain = self.draw(iteration)
        other = 1 - domain
        # pictures of the other domain to take a style from: those of this batch, and in another order
        half = len(images) // 2
        references = torch.cat([images[half:], images[:half]])
        second_references = torch.cat([images[half:].roll(1, 0), images[:half].roll(1, 0)])
        latents = self._latents(iteration, len(images))

        discriminator = self._train_discriminator(images, domain, other, latents=latents[0])
        discriminator = discriminator + self._train_discriminator(images, domain, other, references=references)
        with frozen(self.discriminator):
            terms = self._train_network(iteration, images, domain, other, latents=latents)
            with frozen(self.network.module.mapping), frozen(self.network.module.style_encoder):
                pair = (references, second_references)
                again = self._train_network(iteration, images, domain, other, references=pair)
        self.average.update(self.network.module, iteration)
        values = {name: (term + again[name]) / 2 for name, term in terms.items()}
        return {**values, "discriminator": discriminator / 2, "learning_rate": rate}

    def _train_discriminator(
        self,
        images: Tensor,
        domain: Tensor,
        other: Tensor,
        latents: Tensor | None = None,
        references: Tensor | None = None,
    ) -> Tensor:
        real = images.detach().requires_grad_()
        judgement = self.judge(real, domain)
        (slope,) = torch.autograd.grad(judgement.sum(), real, create_graph=True)
        penalty = slope.square().sum(dim=(1, 2, 3)).mean() / 2
        with torch.no_grad(), self.fabric.autocast():
            fake = self.network.translate(images, self._style(other, latents, references))
        judged = self.judge(fake.float(), other)
        loss = functional.softplus(-judgement).mean() + functional.softplus(judged).mean()
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(loss + REGULARIZATION * penalty)
        self.discriminator_optimizer.step()
        return loss.detach()

    def _train_network(
        self,
        iteration: int,
        images: Tensor,
        domain: Tensor,
        other: Tensor,
        latents: tuple[Tensor, Tensor] | None = None,
        references: tuple[Tensor, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        first, second = zip(latents or (None, None), references or (None, None), strict=True)
        with self.fabric.autocast():
            style = self._style(other, *first)
            fake = self.network.translate(images, style)
            style_again = self.network.style_of_image(fake, other)
            with torch.no_grad():
                second_fake = self.network.translate(images, self._style(other, *second))
            cycled = self.network.translate(fake, self.network.style_of_image(images, domain))
        terms = {
            "adversarial": functional.softplus(-self.judge(fake.float(), other)).mean(),
            "style_reconstruction": functional.l1_loss(style_again.float(), style.float()),
            "diversity": functional.l1_loss(fake.float(), second_fake.float()),
            "cycle": functional.l1_loss(cycled.float(), images),
        }
        # styles are to differ at first; the longer the training, the less
        spread = DIVERSITY_WEIGHT * (1 - iteration / self.iterations)
        loss = terms["adversarial"] + STYLE_WEIGHT * terms["style_reconstruction"] + CYCLE_WEIGHT * terms["cycle"]
        self.network_optimizer.zero_grad()
        self.fabric.backward(loss - spread * terms["diversity"])
        self.network_optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def _style(self, domain: Tensor, latents: Tensor | None, references: Tensor | None) -> Tensor:
        if latents is not None:
            return self.network.style_of_latent(latents, domain)
        return self.network.style_of_image(references, domain)

    def _latents(self, iteration: int, count: int) -> tuple[Tensor, Tensor]:
        seed = mixed_seed(self.seed, 3, iteration, self.fabric.global_rank)
        first, second = normal_codes(2 * count, LATENT, seed, self.fabric.device).chunk(2)
        return first, second


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
