"""Discriminators at several scales, as MUNIT and DRIT++ share them.

Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018, section 3.2,
with the layers of the programs of MUNIT and DRIT++.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from ..losses import AdversarialKind, adversarial_loss
from ..networks.synthesis import ReflectConvolution
from .cyclegan import by_domain, initialize

SCALES = 3
SHORTEST = 16
"""Rows and columns that the layers of one scale take at least."""


class MultiScaleDiscriminators(nn.Module):
    """For each domain and scale four 4x4 convolutions of stride two and one number for each place, without norm.

    Each further scale has half of the rows and columns. Slices shorter than 64 have fewer scales than the papers.

    Args:
        width: channels of the first convolution (64 in the papers), doubled by each that follows.
        size: rows and columns of the slices.
        slope: negative slope of the leaky ReLU.
        domains: number of domains.
    """

    def __init__(self, width: int, size: tuple[int, int], slope: float, domains: int = 2) -> None:
        super().__init__()
        fitting = [scale for scale in range(SCALES) if min(size) >= SHORTEST * 2**scale]
        self.scales = nn.ModuleList(nn.ModuleList(_one_scale(width, slope) for _ in range(domains)) for _ in fitting)
        self.apply(initialize)

    def forward(self, image: Tensor, domain: Tensor) -> list[Tensor]:
        """Image (N, 1, H, W) judged as a member of domain (N,) -> (N, 1, H / 16, W / 16) and so on, large for real."""
        judgements = []
        for networks in self.scales:
            judgements.append(by_domain(networks, domain, image))
            image = functional.avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
        return judgements


def _one_scale(width: int, slope: float) -> nn.Module:
    widths = [1, width, 2 * width, 4 * width, 8 * width]
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        layers += [ReflectConvolution(inputs, outputs, 4, stride=2), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 1))


def multi_scale_loss(judgements: list[Tensor], label: float, kind: AdversarialKind) -> Tensor:
    """Sum over the scales of the distance from the label."""
    return sum(adversarial_loss(judgement, label, kind) for judgement in judgements)
