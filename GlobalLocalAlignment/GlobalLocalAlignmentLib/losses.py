"""Losses of both stages (Section III-B)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

AdversarialKind = Literal["least_squares", "vanilla"]


def adversarial_loss(judgement: Tensor, label: float, kind: AdversarialKind) -> Tensor:
    """Distance of a discriminator's output from the label it should have, averaged over all positions.

    Args:
        judgement: raw output of a discriminator, any shape.
        label: 0 or 1; 0.5 for what is to look like neither.
        kind: ``least_squares`` (LSGAN, the default of the method) or ``vanilla`` (the printed log loss).
    """
    judgement = judgement.float()
    expected = torch.full_like(judgement, label)
    if kind == "least_squares":
        return functional.mse_loss(judgement, expected)
    return functional.binary_cross_entropy_with_logits(judgement, expected)


def dice_loss(logits: Tensor, labels: Tensor, smoothing: float = 1e-5) -> Tensor:
    """One minus the soft Dice, background included, squared denominator, pooled over the batch.

    Pooling over the batch keeps slices in which a class is absent from pulling it to zero everywhere.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) class indices.
        smoothing: keeps an absent class finite.
    """
    probabilities = logits.float().softmax(dim=1)
    truth = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    axes = (0, 2, 3)
    overlap = (probabilities * truth).sum(axes)
    sizes = probabilities.square().sum(axes) + truth.square().sum(axes)
    return 1 - ((2 * overlap + smoothing) / (sizes + smoothing)).mean()


def segmentation_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and Dice of a prediction, to be added one to one.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) class indices.
    """
    return functional.cross_entropy(logits.float(), labels), dice_loss(logits, labels)
