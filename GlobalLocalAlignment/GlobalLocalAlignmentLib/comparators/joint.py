"""What comparators share that train translation and segmenter at once, in the place of both of our stages.

They have the schedule of stage two: its iterations, batches, augmentation, the optimiser and the weight average of the
segmenter. Translation has the widths and the learning rate of stage one. The segmenter is ours, so that their models
are read, applied and scored as all others; it is applied without a mask.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..losses import dice_loss
from ..slicestore import SliceStore
from ..training.engine import RunContext
from ..training.segmentation import SegmentationStage, Validate, shown_slices


class JointStage(SegmentationStage):
    """Trains a segmenter on translated source slices while the translation is trained.

    Args:
        context: the run.
        source: labelled slices as they are.
        target: slices without labels.
        validate: Dice of a segmenter on labelled target cases.
    """

    def __init__(
        self, context: RunContext, source: SliceStore, target: SliceStore, validate: Validate | None = None
    ) -> None:
        context.refuse_several_processes(f"segmentation.method {context.configuration.segmentation.method}")
        super().__init__(context, source, target, validate)

    @abstractmethod
    def translate(self, images: Tensor) -> Tensor:
        """Source slices (N, 1, H, W) in the look of the target, as the translation is by now."""

    def statistics_slices(self, batches: int | None) -> Iterator[Tensor]:
        for images in self.plain_slices(self.source, batches):
            yield self.translate(images).float()

    @torch.no_grad()
    def pictures(self) -> dict[str, np.ndarray]:
        source = shown_slices(self.source)
        translated = self.translate(torch.from_numpy(source)[:, None].to(self.fabric.device))
        return {"source": source, "translated": translated[:, 0].float().cpu().numpy(), **super().pictures()}


def weighted_segmentation_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted cross-entropy and Dice of a prediction.

    The weight of a class is one less its share of the batch: near one for a structure, small for the background.

    Args:
        logits: (N, classes, H, W).
        labels: (N, H, W) class indices.
    """
    shares = torch.bincount(labels.flatten(), minlength=logits.shape[1]) / labels.numel()
    cross_entropy = functional.cross_entropy(logits.float(), labels, 1 - shares, reduction="none").mean()
    return cross_entropy, dice_loss(logits, labels)
