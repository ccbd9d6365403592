"""MUNIT: an autoencoder for each domain, of a content that the domains share and a style of each slice.

Huang et al., "Multimodal Unsupervised Image-to-Image Translation", ECCV 2018, sections 3 and 5, and the authors'
program (github NVlabs/MUNIT). Layers, losses and their weights (configuration ``edges2handbags_folder``, equation 5),
initialisation and optimiser are theirs; width, residual blocks, hidden width, iterations, batch size and augmentation
those of the configuration, as for ours, and the rate of the paper is changed by what the configuration changes our rate
by. The paper halves it every 100,000 iterations, which are more than a schedule here; it falls as ours does. Off, as
they are there for most data, are the style-augmented cycle consistency and the perceptual loss.

A slice is translated with its own content and a style from the prior N(0, 1), as the paper's results are: each slice of
a call has a style of its own, and every call the same ones. So the pass over the source slices can be repeated.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import Synthesis
from ..networks.synthesis import CodePerceptron, ReflectConvolution, Style, initialize_kaiming
from ..networks.synthesis import ResidualBlock as AdaptiveResidualBlock
from ..slicestore import SliceStore
from ..training.batches import frozen, mixed_seed
from ..training.engine import RunContext
from ..training.translation import OUR_RATE, TranslatorStage
from .codes import codes_of_call, normal_codes
from .cyclegan import ResidualBlock, by_domain, normalized
from .multiscale import MultiScaleDiscriminators, multi_scale_loss

STYLE = 8
"""Numbers of a style."""

IMAGE_WEIGHT, CONTENT_WEIGHT, STYLE_WEIGHT = 10.0, 1.0, 1.0
RATE, BETAS, WEIGHT_DECAY = 1e-4, (0.5, 0.999), 1e-4
SLOPE = 0.2


def content_encoder(width: int, blocks: int) -> nn.Sequential:
    """Slices (N, 1, H, W) in [-1, 1] -> content (N, 4 width, H/4, W/4)."""
    layers: list[nn.Module] = [ReflectConvolution(1, width, 7), *normalized(width)]
    for channels in (width, 2 * width):
        layers += [ReflectConvolution(channels, 2 * channels, 4, stride=2), *normalized(2 * channels)]
    return nn.Sequential(*layers, *(ResidualBlock(4 * width) for _ in range(blocks)))


def style_encoder(width: int) -> nn.Sequential:
    """Slices (N, 1, H, W) in [-1, 1] -> styles (N, 8). No norm: it would take away what a style is made of."""
    layers: list[nn.Module] = [ReflectConvolution(1, width, 7), nn.ReLU()]
    widths = [width, 2 * width, 4 * width, 4 * width, 4 * width]
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        layers += [ReflectConvolution(inputs, outputs, 4, stride=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, STYLE))


class Decoder(nn.Module):
    """Content (N, 4 width, H/4, W/4) and styles (N, 8) -> slices (N, 1, H, W) in [-1, 1].

    The style scales and shifts the residual blocks. What follows is normalised over all channels at once, as instance
    norm would take away again what the style has done to them.

    Args:
        width: channels before the last convolution.
        blocks: residual blocks.
        hidden: width of the perceptron.
    """

    def __init__(self, width: int, blocks: int, hidden: int) -> None:
        super().__init__()
        self.perceptron = CodePerceptron(STYLE, hidden, 2 * blocks * [4 * width])
        self.blocks = nn.ModuleList(AdaptiveResidualBlock(4 * width) for _ in range(blocks))
        layers: list[nn.Module] = []
        for channels in (4 * width, 2 * width):
            norm = nn.GroupNorm(1, channels // 2)
            nn.init.uniform_(norm.weight)
            layers += [nn.Upsample(scale_factor=2), ReflectConvolution(channels, channels // 2, 5), norm, nn.ReLU()]
        self.layers = nn.Sequential(*layers, ReflectConvolution(width, 1, 7), nn.Tanh())

    def forward(self, content: Tensor, code: Tensor) -> Tensor:
        style = self._style(code)
        for block in self.blocks:
            content = block(content, style)
        return self.layers(content)

    def _style(self, code: Tensor) -> Style:
        # the perceptron of the paper gives the scale itself, ours what it is more than one
        return ((scale.float() - 1, shift) for scale, shift in self.perceptron(code))


class MunitTranslator(nn.Module):
    """Content encoder, style encoder and decoder of each domain.

    Args:
        width: channels of the first convolution (64 in the paper).
        blocks: residual blocks of each content encoder and decoder (4 in the paper).
        hidden: width of the perceptrons (256 in the paper).
        domains: number of domains.
    """

    def __init__(self, width: int, blocks: int, hidden: int, domains: int = 2) -> None:
        super().__init__()
        self.content_encoders = nn.ModuleList(content_encoder(width, blocks) for _ in range(domains))
        self.style_encoders = nn.ModuleList(style_encoder(width) for _ in range(domains))
        self.decoders = nn.ModuleList(Decoder(width, blocks, hidden) for _ in range(domains))
        self.apply(initialize_kaiming)

    @classmethod
    def of_settings(cls, settings: Synthesis) -> MunitTranslator:
        """Untrained network of the configured size."""
        return cls(settings.width, settings.blocks, settings.hidden)

    def forward(self, image: Tensor, domain: Tensor, to_domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) of ``domain`` (N,) in the look of ``to_domain`` (N,), each in a style of its own."""
        return self.decode(self.content(image, domain), codes_of_call(len(image), STYLE, image.device), to_domain)

    def content(self, image: Tensor, domain: Tensor) -> Tensor:
        """Content (N, 4 width, H/4, W/4) of images (N, 1, H, W) of domains (N,)."""
        return by_domain(self.content_encoders, domain, image)

    def style(self, image: Tensor, domain: Tensor) -> Tensor:
        """Styles (N, 8) of images (N, 1, H, W) of domains (N,)."""
        return by_domain(self.style_encoders, domain, image)

    def decode(self, content: Tensor, style: Tensor, domain: Tensor) -> Tensor:
        """Images (N, 1, H, W) in [-1, 1] of domains (N,) with content (N, 4 width, H/4, W/4) and styles (N, 8)."""
        return by_domain(self.decoders, domain, content, style)


class _Codes(NamedTuple):
    content: Tensor
    style: Tensor


class MunitStage(TranslatorStage):
    """Trains both directions at once.

    Args:
        context: the run.
        source, target: slices of the two domains.
    """

    rate_share = RATE / OUR_RATE

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        context.refuse_several_processes("synthesis.translator munit")
        configuration = context.configuration
        settings, self.seed = configuration.synthesis, configuration.training.seed
        torch.manual_seed(self.seed)
        network = MunitTranslator.of_settings(settings)
        discriminator = MultiScaleDiscriminators(settings.discriminator_width, configuration.plane.size, SLOPE)
        options = {"lr": RATE, "betas": BETAS, "weight_decay": WEIGHT_DECAY, "fused": True}
        optimizers = [torch.optim.Adam(part.parameters(), **options) for part in (network, discriminator)]
        # no weight average, as in the paper
        options = {"average_decay": 0.0, "methods": ("content", "style", "decode")}
        super().__init__(context, source, target, network, discriminator, *optimizers, **options)

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        rate = self.learning_rate(iteration)
        self.set_rates(rate)
        images, domain = self.draw(iteration)
        other = 1 - domain
        codes = normal_codes(2 * len(images), STYLE, mixed_seed(self.seed, 3, iteration), self.fabric.device)
        first, second = codes.chunk(2)
        discriminator = self._train_discriminator(images, domain, other, first)
        with frozen(self.discriminator):
            terms = self._train_network(images, domain, other, second)
        self.average.update(self.network.module, iteration)
        return {**terms, "discriminator": discriminator, "learning_rate": rate}

    def _train_discriminator(self, images: Tensor, domain: Tensor, other: Tensor, style: Tensor) -> Tensor:
        with torch.no_grad(), self.fabric.autocast():
            fake = self.network.decode(self.network.content(images, domain), style, other)
        # the losses of both domains are added, here as means over both
        loss = 2 * (self._judge(images, domain, 1) + self._judge(fake, other, 0))
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.discriminator_optimizer.step()
        return loss.detach()

    def _train_network(self, images: Tensor, domain: Tensor, other: Tensor, style: Tensor) -> dict[str, Tensor]:
        # named methods of a wrapped network do not enter the reduced precision by themselves
        with self.fabric.autocast():
            own = self._encode(images, domain)
            reconstructed = self.network.decode(own.content, own.style, domain)
            translated = self.network.decode(own.content, style, other)
            again = self._encode(translated, other)
        terms = {
            "image_reconstruction": functional.l1_loss(reconstructed.float(), images),
            "content_reconstruction": functional.l1_loss(again.content.float(), own.content.float()),
            "style_reconstruction": functional.l1_loss(again.style.float(), style),
            "adversarial": self._judge(translated, other, 1),
        }
        weights = (IMAGE_WEIGHT, CONTENT_WEIGHT, STYLE_WEIGHT, 1.0)
        loss = 2 * sum(weight * term for weight, term in zip(weights, terms.values(), strict=True))
        self.network_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.network_optimizer.step()
        return {name: term.detach() for name, term in terms.items()}

    def _encode(self, images: Tensor, domain: Tensor) -> _Codes:
        return _Codes(self.network.content(images, domain), self.network.style(images, domain))

    def _judge(self, images: Tensor, domain: Tensor, label: float) -> Tensor:
        return multi_scale_loss(self.discriminator(images, domain), label, "least_squares")
