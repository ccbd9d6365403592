"""Segmentation subnet S: DeepLab v2 on ResNet-50, split into feature extractor S_E and label predictor S_P.

The local feature mask (Section III-A.2) stands between the two, on the target path alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import Segmentation

ATROUS_RATES = (6, 12, 18, 24)
EXPANSION = 4
"""Channels that a bottleneck gives, as a multiple of its inner width."""


def local_feature_mask(judgement: Tensor) -> Tensor:
    """tanh(abs(D1(f))), in [0, 1): how far each position of the features is from the source domain.

    Args:
        judgement: D1's distance from the source (N, 1, h, w), 0 where a feature looks like one of the source.
    """
    return torch.tanh(judgement.abs())


@dataclass
class SegmenterOutput:
    """What one pass through the segmenter gives.

    Attributes:
        features: f (N, C, h, w), before the mask.
        judgement: D1's output (N, 1, h, w), None on the source path.
        mask: local feature mask (N, 1, h, w) in [0, 1), None on the source path.
        logits: (N, classes, H, W) at the size of the image.
    """

    features: Tensor
    judgement: Tensor | None
    mask: Tensor | None
    logits: Tensor


class Bottleneck(nn.Module):
    """ResNet bottleneck: 1x1, dilated 3x3, 1x1, each with batch norm, added to the (projected) input."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.reduce = _convolution(inputs, width, 1)
        self.spatial = _convolution(width, width, 3, stride, dilation)
        self.expand = _convolution(width, outputs, 1)
        self.project = _convolution(inputs, outputs, 1, stride) if stride != 1 or inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        hidden = functional.relu(self.reduce(features))
        hidden = functional.relu(self.spatial(hidden))
        return functional.relu(self.expand(hidden) + self.project(features))


class AtrousPyramid(nn.Module):
    """Sum of four dilated 3x3 convolutions to class logits (DeepLab v2).

    A dilated convolution with a handful of outputs leaves a device idle, above all in its gradient. Here one 1x1
    convolution multiplies the features with the weights of all taps of all branches, and the products are added up
    where each tap puts them: the same sums, several times as fast.
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, classes, 3, padding=rate, dilation=rate) for rate in ATROUS_RATES
        )

    def forward(self, features: Tensor) -> Tensor:
        # a product at q counts for the output at q - tap, so each kernel is turned by half a turn
        taps = [branch.weight.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2) for branch in self.branches]
        products = functional.conv2d(features, torch.cat(taps)[:, :, None, None]).float().flatten(2)
        bias = torch.stack([branch.bias for branch in self.branches]).sum(dim=0)
        logits = bias[:, None, None]
        for rate, branch in zip(ATROUS_RATES, products.chunk(len(ATROUS_RATES), dim=1), strict=True):
            logits = logits + functional.fold(branch, features.shape[-2:], 3, dilation=rate, padding=rate)
        return logits


class DeepLabSegmenter(nn.Module):
    """S = S_P after S_E, with the local feature mask between them on the target path.

    Args:
        classes: number of classes, background included.
        width: channels of the stem (64 for ResNet-50).
        blocks: bottlenecks of the four stages ((3, 4, 6, 3) for ResNet-50).
        stem_pooling: max pooling after the stem; without it the features have stride 4 instead of 8, which small
            images need.
        log_odds: D1 was trained with the vanilla loss and gives log odds, whose probability is the distance.

    Attributes:
        stride: pixels of a slice from one position of the features to the next.
    """

    def __init__(
        self,
        classes: int,
        width: int = 64,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        stem_pooling: bool = True,
        log_odds: bool = False,
    ) -> None:
        super().__init__()
        self.log_odds = log_odds
        self.stride = 8 if stem_pooling else 4
        stem: list[nn.Module] = [_convolution(1, width, 7, stride=2), nn.ReLU()]
        if stem_pooling:
            stem.append(nn.MaxPool2d(3, stride=2, padding=1))
        stages, channels = [], width
        for index, (count, stride, dilation) in enumerate(zip(blocks, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
            inner = width * 2**index
            for position in range(count):
                stages.append(Bottleneck(channels, inner, stride if position == 0 else 1, dilation))
                channels = EXPANSION * inner
        self.feature_channels = channels
        self.extractor = nn.Sequential(*stem, *stages[:-1])
        self.predictor = nn.Sequential(stages[-1], AtrousPyramid(channels, classes))
        self.apply(_initialize_residual)

    @classmethod
    def of_settings(cls, settings: Segmentation, structures: int) -> DeepLabSegmenter:
        """Segmenter of a configuration or a model card for a number of structures and the background."""
        vanilla = settings.adversarial == "vanilla"
        return cls(structures + 1, settings.width, settings.blocks, settings.stem_pooling, vanilla)

    def forward(
        self,
        image: Tensor,
        feature_discriminator: nn.Module | None = None,
        mask_strength: float = 1.0,
        detach_mask: bool = False,
    ) -> SegmenterOutput:
        """Segment slices.

        Args:
            image: (N, 1, H, W) in [-1, 1].
            feature_discriminator: D1; given, the target path with the mask is taken, otherwise the source path.
            mask_strength: share of the mask that is applied, below 1 only while a training ramps it up.
            detach_mask: stop the gradient that would flow through the mask into S_E.

        Returns:
            features, mask and logits.
        """
        features = self.extractor(image)
        judgement, mask, calibrated = None, None, features
        if feature_discriminator is not None:
            judgement = feature_discriminator(features)
            mask = local_feature_mask(judgement.sigmoid() if self.log_odds else judgement)
            calibrated = features + features * mask_strength * (mask.detach() if detach_mask else mask)
        logits = self.predictor(calibrated)
        logits = functional.interpolate(logits.float(), image.shape[-2:], mode="bilinear", align_corners=False)
        return SegmenterOutput(features, judgement, mask, logits)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False), nn.BatchNorm2d(outputs)
    )


def _initialize_residual(module: nn.Module) -> None:
    if isinstance(module, AtrousPyramid):
        for branch in module.branches:
            nn.init.normal_(branch.weight, 0.0, 0.01)
            nn.init.zeros_(branch.bias)
    elif isinstance(module, Bottleneck):
        # each bottleneck starts as its shortcut, so that features do not grow from block to block
        nn.init.zeros_(module.expand[1].weight)
    elif isinstance(module, nn.Conv2d) and module.bias is None:
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
