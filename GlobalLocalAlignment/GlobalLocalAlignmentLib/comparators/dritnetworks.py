"""Networks of DRIT++; see ``drit`` for their source."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import Plane, Synthesis
from ..networks.synthesis import ReflectConvolution
from .codes import codes_of_call
from .cyclegan import ResidualBlock, by_domain, initialize, normalized
from .multiscale import MultiScaleDiscriminators

ATTRIBUTE = 8
"""Numbers of an attribute."""

SLOPE, ATTRIBUTE_SLOPE = 0.01, 0.2


def content_encoder(width: int, blocks: int) -> nn.Sequential:
    """The part of one domain: slices (N, 1, H, W) in [-1, 1] -> (N, 4 width, H/4, W/4)."""
    layers: list[nn.Module] = [ReflectConvolution(1, width, 7), nn.LeakyReLU(SLOPE)]
    for channels in (width, 2 * width):
        layers += [ReflectConvolution(channels, 2 * channels, 3, stride=2), *normalized(2 * channels)]
    return nn.Sequential(*layers, *(ResidualBlock(4 * width) for _ in range(blocks)))


class HalvingBlock(nn.Module):
    """Pre-activation residual block that halves rows and columns, without norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LeakyReLU(ATTRIBUTE_SLOPE),
            ReflectConvolution(inputs, inputs, 3),
            nn.LeakyReLU(ATTRIBUTE_SLOPE),
            ReflectConvolution(inputs, outputs, 3),
            nn.AvgPool2d(2),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(inputs, outputs, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features) + self.shortcut(features)


def attribute_encoder(width: int) -> nn.Sequential:
    """Slices (N, 1, H, W) in [-1, 1] -> mean and logarithm of the variance of their attributes, (N, 16)."""
    return nn.Sequential(
        ReflectConvolution(1, width, 4, stride=2),
        *(HalvingBlock(level * width, (level + 1) * width) for level in (1, 2, 3)),
        nn.LeakyReLU(ATTRIBUTE_SLOPE),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, 2 * ATTRIBUTE),
    )


class Decoder(nn.Module):
    """The part of one domain: features (N, 4 width, H/4, W/4), attributes (N, 8) -> slices (N, 1, H, W) in [-1, 1].

    Attributes are further channels of what each part takes.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        channels = 4 * width + ATTRIBUTE
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        channels += ATTRIBUTE
        self.first_up, channels = _doubled(channels), channels // 2 + ATTRIBUTE
        self.second_up, channels = _doubled(channels), channels // 2 + ATTRIBUTE
        self.last = nn.Conv2d(channels, 1, 1)

    def forward(self, features: Tensor, attribute: Tensor) -> Tensor:
        for part in (self.blocks, self.first_up, self.second_up):
            features = part(_with_attribute(features, attribute))
        features = _with_attribute(features, attribute)
        # mode seeking takes two slices from each other that hardly differ, which reduced precision would make the same
        with torch.autocast(features.device.type, enabled=False):
            return torch.tanh(self.last(features.float()))


def _doubled(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1),
        nn.GroupNorm(1, channels // 2),
        nn.ReLU(),
    )


def _with_attribute(features: Tensor, attribute: Tensor) -> Tensor:
    planes = attribute.to(features.dtype)[:, :, None, None].expand(-1, -1, *features.shape[2:])
    return torch.cat([features, planes], dim=1)


class DritTranslator(nn.Module):
    """Content encoders and decoders, whose innermost residual block the domains share, and attribute encoders.

    Args:
        width: channels of the first convolution (64 in the paper).
        blocks: residual blocks of each content encoder and decoder, the shared one counted (4 in the paper).
        domains: number of domains.
    """

    def __init__(self, width: int, blocks: int, domains: int = 2) -> None:
        super().__init__()
        self.content_encoders = nn.ModuleList(content_encoder(width, blocks - 1) for _ in range(domains))
        self.shared_encoder = ResidualBlock(4 * width)
        self.attribute_encoders = nn.ModuleList(attribute_encoder(width) for _ in range(domains))
        self.shared_decoder = ResidualBlock(4 * width)
        self.decoders = nn.ModuleList(Decoder(width, blocks - 1) for _ in range(domains))
        self.apply(initialize)

    @classmethod
    def of_settings(cls, settings: Synthesis) -> DritTranslator:
        """Untrained network of the configured size."""
        return cls(settings.width, settings.blocks)

    def forward(self, image: Tensor, domain: Tensor, to_domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) of ``domain`` (N,) in the look of ``to_domain`` (N,), each with its own attribute."""
        return self.decode(self.content(image, domain), codes_of_call(len(image), ATTRIBUTE, image.device), to_domain)

    def content(self, image: Tensor, domain: Tensor) -> Tensor:
        """Content (N, 4 width, H/4, W/4), without noise, of images (N, 1, H, W) of domains (N,)."""
        return self.shared_encoder(by_domain(self.content_encoders, domain, image))

    def attribute(self, image: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, each (N, 8), of the attributes of images (N, 1, H, W) of domains (N,)."""
        mean, log_variance = by_domain(self.attribute_encoders, domain, image).float().chunk(2, dim=1)
        return mean, log_variance

    def decode(self, content: Tensor, attribute: Tensor, domain: Tensor) -> Tensor:
        """Images (N, 1, H, W) of domains (N,) with content (N, 4 width, H/4, W/4) and attributes (N, 8)."""
        return by_domain(self.decoders, domain, self.shared_decoder(content), attribute)


class ContentDiscriminator(nn.Module):
    """Contents (N, channels, h, w) -> the domain they come from: near 0 for source, 1 for target, after a sigmoid.

    Args:
        channels: of the contents.
        width: of its own convolutions.
        size: rows and columns of the contents.
    """

    def __init__(self, channels: int, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(content_halvings(size)):
            layers += [nn.Conv2d(channels, width, 7, stride=2, padding=1, padding_mode="reflect"), nn.LeakyReLU(SLOPE)]
            channels = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels, width, 4), nn.LeakyReLU(SLOPE), nn.Conv2d(width, 1, 1))

    def forward(self, content: Tensor) -> Tensor:
        return self.layers(content)


def content_halvings(size: tuple[int, int]) -> int:
    """3, as in the paper; fewer where less than the 4 rows and columns would be left that the last layers take."""
    count, shortest = 0, (min(size) - 5) // 2 + 1
    while count < 3 and shortest >= 4:
        count, shortest = count + 1, (shortest - 5) // 2 + 1
    return count


class Discriminators(nn.Module):
    """Of slices with an encoded attribute, of slices with a drawn one, and of contents."""

    def __init__(self, settings: Synthesis, plane: Plane) -> None:
        super().__init__()
        width, size = settings.discriminator_width, plane.size
        self.encoded = MultiScaleDiscriminators(width, size, SLOPE)
        self.drawn = MultiScaleDiscriminators(width, size, SLOPE)
        self.content = ContentDiscriminator(4 * settings.width, 4 * width, (size[0] // 4, size[1] // 4))
        self.content.apply(initialize)
