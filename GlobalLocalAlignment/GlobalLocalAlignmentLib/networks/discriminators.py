"""The three discriminators: images in stage one (Table VII), features and outputs in stage two (Section III-A.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOPE = 0.2
"""Negative slope of every leaky ReLU."""


def patch_layers(width: int, channels: int = 1) -> list[nn.Module]:
    """Four 4x4 convolutions from ``channels`` to ``8 width``, the first three of stride two: what PatchGANs begin with.

    The first one has no normalisation.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    for inputs, outputs, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
        layers += [
            nn.Conv2d(inputs * width, outputs * width, 4, stride=stride, padding=1),
            nn.InstanceNorm2d(outputs * width),
            nn.LeakyReLU(SLOPE),
        ]
    return layers


class ImageDiscriminator(nn.Module):
    """D of stage one: a shared body and one output branch for each domain (Table VII).

    The two output branches are the channels of one last convolution, chosen by the domain label. Two stride-one 4x4
    convolutions with padding 1 each lose a pixel, so the output is (H/8 - 2, W/8 - 2).

    Args:
        width: channels of the first convolution (64 in the paper).
        domains: number of output branches.
    """

    def __init__(self, width: int = 64, domains: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(*patch_layers(width))
        self.branches = nn.Conv2d(8 * width, domains, 4, padding=1)
        self.apply(_initialize_normal)

    def forward(self, image: Tensor, domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) judged as a member of domain (N,) -> (N, 1, H/8 - 2, W/8 - 2), large for real."""
        judgements = self.branches(self.body(image))
        return judgements[torch.arange(len(judgements), device=judgements.device), domain].unsqueeze(1)


class FeatureDiscriminator(nn.Module):
    """D1: pixel-wise domain of the features, the source of the local feature mask.

    Trained to 0 on source features and 1 on target features, so that its size says how far a feature is from the
    source.

    Args:
        channels: channels of the features S_E gives (2048 at full width).
        width: channels after the first convolution, halved by each that follows; half of ``channels`` in the paper.
    """

    def __init__(self, channels: int = 2048, width: int | None = None) -> None:
        super().__init__()
        width = width or channels // 2
        widths = [channels, width, width // 2, width // 4]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(SLOPE)]
        layers.append(nn.Conv2d(widths[-1], 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(_initialize_kaiming)
        _start_undecided(layers[-1])

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, C, h, w) -> (N, 1, h, w)."""
        return self.layers(features)


class OutputDiscriminator(nn.Module):
    """D2: domain of the softmax prediction, five 4x4 stride-two convolutions.

    Args:
        classes: channels of the prediction, background included.
        width: channels of the first convolution (64 in the paper).
    """

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        widths = [classes, width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        layers.append(nn.Conv2d(widths[-1], 1, 4, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)
        self.apply(_initialize_kaiming)
        _start_undecided(layers[-1])

    def forward(self, probabilities: Tensor) -> Tensor:
        """Class probabilities (N, classes, H, W) -> (N, 1, H/32, W/32), rounded down."""
        return self.layers(probabilities)


def _initialize_normal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)


def _initialize_kaiming(module: nn.Module) -> None:
    """Keeps the size of the signal through the layers."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, SLOPE)
        nn.init.zeros_(module.bias)


def _start_undecided(last: nn.Conv2d) -> None:
    """First judgement half way between the two labels, whatever is judged.

    A random last layer judges at random and far from the labels, and the first steps that undo this undo the layers
    before it: D1 then stays blind for longer than a short training lasts.
    """
    nn.init.normal_(last.weight, 0.0, 0.001)
    nn.init.constant_(last.bias, 0.5)
