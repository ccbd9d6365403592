"""SynSeg-Net: CycleGAN and a segmenter of what it makes of source slices, trained end to end.

Huo et al., "SynSeg-Net: Synthetic Segmentation Without Target Modality Ground Truth", IEEE TMI 2019. The loss is that
of CycleGAN, cycles weighing 10, plus the weighted cross-entropy of the segmented translations, weighing 1, which moves
the generator too. CycleGAN is that of ``cyclegan``, with its identity loss. The segmenter, a residual network there,
is that of all methods here, and so are its optimiser and the schedule. The authors' class weights of 1 and 10 were
chosen by hand for their organs; here they are one less the share of the class in the batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..slicestore import SliceStore
from ..training.engine import RunContext, set_learning_rate
from ..training.segmentation import Validate
from .cyclegan import CycleGanStage
from .joint import JointStage, weighted_segmentation_loss


class SynSegNetStage(JointStage):
    """Trains both generators with the segmenter, then both image discriminators.

    For the arguments see ``JointStage``.
    """

    def __init__(
        self, context: RunContext, source: SliceStore, target: SliceStore, validate: Validate | None = None
    ) -> None:
        super().__init__(context, source, target, validate)
        schedule = {"iterations": self.iterations, "batch_size": self.settings.batch_size}
        settings = context.configuration.synthesis.model_copy(update=schedule)
        configuration = context.configuration.model_copy(update={"synthesis": settings})
        self.translation = CycleGanStage(replace(context, configuration=configuration), source, target)

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        rate = self.settings.learning_rate * self.decay(iteration)
        set_learning_rate(self.segmenter_optimizer, rate)
        source, labels = self.source_batches.draw(iteration)
        target, _ = self.target_batches.draw(iteration)
        values: dict[str, Tensor | float] = {}

        def segmentation(translated: Tensor) -> Tensor:
            images = translated[: len(source)].contiguous(memory_format=torch.channels_last)
            values["cross_entropy"], _ = weighted_segmentation_loss(self.segmenter(images).logits, labels)
            return values["cross_entropy"]

        self.segmenter_optimizer.zero_grad()
        values |= self.translation.train_on(torch.cat([source, target]), iteration, segmentation)
        self.segmenter_optimizer.step()
        self.average.update(self.networks, iteration)
        return {**values, "learning_rate": rate}

    @torch.no_grad()
    def translate(self, images: Tensor) -> Tensor:
        domain = torch.zeros(len(images), dtype=torch.long, device=images.device)
        return self.translation.network(images, domain, 1 - domain)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "translation": self.translation.state()}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.translation.load(state["translation"])
