"""CyCADA: CycleGAN that keeps what a segmenter of the source sees, then a segmenter with aligned features.

Hoffman et al., "CyCADA: Cycle-Consistent Adversarial Domain Adaptation", ICML 2018, section 3. Here are its pretrained
source model f_S and the image-level part of its equation 5: the losses of CycleGAN plus the semantic consistency of
equation 4, weighing 1, for which f_S, fixed by then, must see the same in a translated slice as in the slice. Its
feature-level part is our stage two with D1 alone and without the mask, as the row ``cycada`` of the tables has it.
CycleGAN is that of ``cyclegan``, with its identity loss, f_S our segmenter with its optimiser, batches and
augmentation. f_S learns during the first half of the iterations, beside the generators, and its consistency counts
during the second one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..losses import segmentation_loss
from ..networks import DeepLabSegmenter
from ..slicestore import SliceStore
from ..training.batches import DomainBatches, frozen
from ..training.engine import RunContext, set_learning_rate
from ..training.segmentation import segmenter_optimizer
from .cyclegan import CycleGanStage


class CycadaStage(CycleGanStage):
    """Trains f_S, then both directions at once so that f_S sees the same before and after.

    Args:
        context: the run.
        source: labelled slices.
        target: slices without labels.
    """

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        context.refuse_several_processes("synthesis.translator cycada")
        super().__init__(context, source, target)
        configuration = context.configuration
        settings, seed = configuration.segmentation, configuration.training.seed
        self.source_settings, self.pretraining = settings, self.iterations // 2
        segmenter = DeepLabSegmenter.of_settings(settings, len(configuration.labels))
        self.segmenter, self.segmenter_optimizer = context.setup(segmenter, segmenter_optimizer(segmenter, settings))
        self.labelled_batches = DomainBatches(
            source, settings.batch_size, settings.augmentation, (seed, 4), self.fabric
        )

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        images, _ = self.draw(iteration)
        if iteration < self.pretraining:
            return {**self.train_on(images, iteration), "source_segmentation": self._train_segmenter(iteration)}
        values: dict[str, Tensor | float] = {}
        self.segmenter.eval()
        with torch.no_grad():
            seen = self.segmenter(images).logits.argmax(dim=1)

        def consistency(translated: Tensor) -> Tensor:
            values["semantic"] = functional.cross_entropy(self.segmenter(translated).logits.float(), seen)
            # the losses of both directions are added, here as a mean over both
            return 2 * values["semantic"]

        with frozen(self.segmenter):
            return self.train_on(images, iteration, consistency) | values

    def _train_segmenter(self, iteration: int) -> Tensor:
        settings = self.source_settings
        decay = (1 - iteration / self.pretraining) ** settings.decay_power
        set_learning_rate(self.segmenter_optimizer, settings.learning_rate * decay)
        self.segmenter.train()
        images, labels = self.labelled_batches.draw(iteration)
        loss = sum(segmentation_loss(self.segmenter(images).logits, labels))
        self.segmenter_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.segmenter_optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "segmenter": self.segmenter.module.state_dict(),
            "segmenter_optimizer": self.segmenter_optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.segmenter.module.load_state_dict(state["segmenter"])
        self.segmenter_optimizer.load_state_dict(state["segmenter_optimizer"])
