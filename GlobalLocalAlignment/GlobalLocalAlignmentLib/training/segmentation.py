"""Stage two: the segmenter with D1, the local feature mask and D2 (Section III-B, second objective)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import Configuration, Segmentation
from ..losses import adversarial_loss, segmentation_loss
from ..networks import DeepLabSegmenter, FeatureDiscriminator, OutputDiscriminator
from ..pictures import save_preview
from ..slicestore import SliceStore
from .batches import DomainBatches, frozen
from .engine import RunContext, Stage, WeightAverage, set_learning_rate
from .selection import BestNetworks
from .slicewise import segment_slices
from .stability import segmentation_symptoms

PREVIEW_BATCHES = 8
"""Batches that give the batch-norm statistics of a preview."""


class SegmentationNetworks(nn.Module):
    """Segmenter, D1 and D2 of a configuration; a discriminator that is switched off is None."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        settings, structures = configuration.segmentation, len(configuration.labels)
        self.segmenter = DeepLabSegmenter.of_settings(settings, structures)
        self.feature_discriminator = (
            FeatureDiscriminator(self.segmenter.feature_channels, settings.feature_discriminator_width)
            if settings.feature_discriminator
            else None
        )
        self.output_discriminator = (
            OutputDiscriminator(structures + 1, settings.discriminator_width) if settings.output_discriminator else None
        )


Validate = Callable[[SegmentationNetworks], dict[str, float]]
"""Dice of each structure that networks reach on labelled target cases."""


class SegmentationStage(Stage):
    """Trains the segmenter on labelled source slices, aligned with target slices by two discriminators.

    Args:
        context: the run.
        source: labelled slices, in the style of the target where style transfer is on.
        target: slices without labels.
        validate: Dice of a segmenter and its D1 on labelled target cases, for information alone.
    """

    name = "segmentation"

    def __init__(
        self,
        context: RunContext,
        source: SliceStore,
        target: SliceStore,
        validate: Validate | None = None,
    ) -> None:
        settings, seed = context.configuration.segmentation, context.configuration.training.seed
        self.settings, self.fabric, self.iterations = settings, context.fabric, settings.iterations
        self.batch_size = settings.batch_size
        self.source, self.target = source, target
        self.colors = [label.color for label in context.configuration.labels]
        self.validator = validate
        torch.manual_seed(seed)
        networks = SegmentationNetworks(context.configuration)
        # convolutions of the segmenter are memory-bound: channels last is faster on processors and on GPUs
        networks.segmenter.to(memory_format=torch.channels_last)
        self.average = WeightAverage(networks, settings.average_decay)
        self.average.network.to(self.fabric.device)
        segmenter = self.trained(networks.segmenter)
        self.networks = networks
        self.segmenter, self.segmenter_optimizer = context.setup(segmenter, segmenter_optimizer(segmenter, settings))
        self.feature_discriminator, self.feature_optimizer = self._adversary(networks.feature_discriminator, context)
        self.output_discriminator, self.output_optimizer = self._adversary(networks.output_discriminator, context)
        self.source_batches, self.target_batches = (
            DomainBatches(store, settings.batch_size, settings.augmentation, (seed, 2, domain), self.fabric)
            for domain, store in enumerate((source, target))
        )
        # D1 gives 1 where the gap is large: on target features, unless the printed polarity is asked for
        self.target_label = 1.0 if settings.mask_target == "target" else 0.0
        self.source_label = 1.0 - self.target_label
        self.aligned = False
        self.symptoms = segmentation_symptoms(settings)
        by_scores = context.configuration.training.model_selection == "paper"
        self.best = BestNetworks(context.checkpoints) if by_scores else None

    def trained(self, segmenter: DeepLabSegmenter) -> nn.Module:
        """What the optimiser of the segmenter trains: the segmenter alone, but for comparators that add to it."""
        return segmenter

    def _adversary(
        self, network: nn.Module | None, context: RunContext
    ) -> tuple[nn.Module | None, torch.optim.Optimizer | None]:
        if network is None:
            return None, None
        rate, betas = self.settings.discriminator_learning_rate, self.settings.discriminator_betas
        optimizer = torch.optim.Adam(network.parameters(), rate, betas, fused=True)
        return context.setup(network, optimizer)

    @property
    def adversarial(self) -> bool:
        """Whether any discriminator is on, so that target slices are needed."""
        return self.settings.feature_discriminator or self.settings.output_discriminator

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        settings = self.settings
        decay = self.decay(iteration)
        strength = self._alignment_strength(iteration)
        self.aligned = aligned = self.adversarial and iteration >= settings.warm_up
        values: dict[str, Tensor | float] = {"learning_rate": settings.learning_rate * decay}

        set_learning_rate(self.segmenter_optimizer, settings.learning_rate * decay)
        images, labels = self.source_batches.draw(iteration)
        with self.running_statistics(kept=aligned and settings.target_statistics):
            source = self.segmenter(images.contiguous(memory_format=torch.channels_last))
        cross_entropy, dice = segmentation_loss(source.logits, labels)
        values |= {"cross_entropy": cross_entropy, "dice": dice}
        loss = cross_entropy + dice
        if aligned:
            target = self._target_path(iteration, strength)
            loss = loss + strength * self._alignment_loss(target, values)
        self.segmenter_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.segmenter_optimizer.step()
        if aligned:
            values |= self._train_discriminators(source, target, decay)
        self.average.update(self.networks, iteration)
        return values

    def decay(self, iteration: int) -> float:
        """Share of the learning rates in an iteration, polynomial."""
        return (1 - iteration / self.iterations) ** self.settings.decay_power

    def _alignment_strength(self, iteration: int) -> float:
        """0 while warming up, then rising in a line to 1."""
        since = iteration + 1 - self.settings.warm_up
        return float(np.clip(since / max(1, self.settings.ramp), 0, 1)) if since > 0 else 0.0

    def _target_path(self, iteration: int, strength: float) -> Any:
        images, _ = self.target_batches.draw(iteration)
        images = images.contiguous(memory_format=torch.channels_last)
        if self.feature_discriminator is None:
            return self.segmenter(images)
        with frozen(self.feature_discriminator):
            applied = strength if self.settings.local_feature_mask else 0.0
            return self.segmenter(images, self.feature_discriminator, applied, self.settings.detach_mask)

    def _alignment_loss(self, target: Any, values: dict[str, Tensor | float]) -> Tensor:
        """How far target features and predictions are from being taken for source ones, weighted."""
        settings, loss = self.settings, torch.zeros((), device=self.fabric.device)
        if self.feature_discriminator is not None:
            feature = adversarial_loss(target.judgement, self.source_label, settings.adversarial)
            values["feature_adversarial"] = feature
            if settings.local_feature_mask:
                mask = target.mask.float()
                values |= {"mask_mean": mask.mean(), "mask_deviation": mask.std()}
            loss = loss + settings.feature_weight * feature
        if self.output_discriminator is not None:
            with frozen(self.output_discriminator):
                judgement = self.output_discriminator(target.logits.softmax(dim=1))
            output = adversarial_loss(judgement, self.source_label, settings.adversarial)
            values["output_adversarial"] = output
            loss = loss + settings.output_weight * output
        return loss

    def _train_discriminators(self, source: Any, target: Any, decay: float) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        for name, network, optimizer, inputs in (
            ("feature", self.feature_discriminator, self.feature_optimizer, (source.features, target.features)),
            (
                "output",
                self.output_discriminator,
                self.output_optimizer,
                (source.logits.softmax(dim=1), target.logits.softmax(dim=1)),
            ),
        ):
            if network is None:
                continue
            set_learning_rate(optimizer, self.settings.discriminator_learning_rate * decay)
            judgements = [network(part.detach()) for part in inputs]
            loss = sum(
                adversarial_loss(judgement, label, self.settings.adversarial)
                for judgement, label in zip(judgements, (self.source_label, self.target_label), strict=True)
            )
            optimizer.zero_grad()
            self.fabric.backward(loss)
            optimizer.step()
            values[f"{name}_discriminator"] = loss
            values[f"{name}_discriminator_source"] = judgements[0].float().mean()
            values[f"{name}_discriminator_target"] = judgements[1].float().mean()
        return values

    @contextmanager
    def running_statistics(self, kept: bool) -> Iterator[None]:
        """Batch norm within normalises by the batch; with ``kept`` it leaves its running statistics as they are.

        Prediction always takes the target path, so its statistics are the ones worth having.
        """
        layers = [module for module in self.segmenter.modules() if isinstance(module, nn.BatchNorm2d)] if kept else []
        for layer in layers:
            layer.track_running_stats = False
        try:
            yield
        finally:
            for layer in layers:
                layer.track_running_stats = True

    def _so_far(self) -> SegmentationNetworks:
        """Networks to look at while the training runs; while it warms up D1 is untrained and its mask says nothing."""
        networks = self.averaged(PREVIEW_BATCHES, self.aligned)
        if not self.aligned:
            networks.feature_discriminator = None
        return networks

    @torch.no_grad()
    def averaged(self, batches: int | None = None, with_mask: bool = True) -> SegmentationNetworks:
        """The networks with averaged weights and with batch-norm statistics that belong to them.

        The mean of running statistics is not the statistics of the mean of weights: they are taken anew over slices
        without augmentation, of the domain that the running statistics are of.

        Args:
            batches: how many are looked at, all of them where it is not given.
            with_mask: whether target slices are looked at through the mask.
        """
        networks = copy.deepcopy(self.average.network)
        if not self.settings.local_feature_mask:
            # D1 was there for the training alone
            networks.feature_discriminator = None
        if self.settings.average_decay == 0:
            return networks
        discriminator = networks.feature_discriminator if self._statistics_of_target and with_mask else None
        layers = [module for module in networks.segmenter.modules() if isinstance(module, nn.BatchNorm2d)]
        for layer in layers:
            layer.reset_running_stats()
            # the plain mean over batches instead of a moving one
            layer.momentum = None
            layer.train()
        for images in self.statistics_slices(batches):
            with self.fabric.autocast():
                networks.segmenter(images, discriminator)
        return networks.eval()

    @property
    def _statistics_of_target(self) -> bool:
        return self.adversarial and self.settings.target_statistics

    def statistics_slices(self, batches: int | None) -> Iterator[Tensor]:
        """Batches (N, 1, H, W) of what the running statistics are of, without augmentation; all where not limited."""
        return self.plain_slices(self.target if self._statistics_of_target else self.source, batches)

    def plain_slices(self, store: SliceStore, batches: int | None) -> Iterator[Tensor]:
        """Batches (N, 1, H, W) of a store without augmentation, each slice once at most."""
        order = np.random.default_rng(0).permutation(len(store))
        size = min(2 * self.settings.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size)[:batches]:
            images = store.images[np.sort(order[start : start + size])].astype(np.float32)
            yield torch.from_numpy(images)[:, None].to(self.fabric.device)

    def selected(self) -> SegmentationNetworks:
        """The networks that the training ends with: the last ones, or the best ones where scores select the model."""
        networks = self.averaged()
        if self.best is not None and self.best.iteration:
            self.best.load_into(networks)
        return networks

    def state(self) -> dict[str, Any]:
        parts = {
            "networks": self.networks.state_dict(),
            "average": self.average.network.state_dict(),
            "segmenter_optimizer": self.segmenter_optimizer.state_dict(),
        }
        for name in ("feature_optimizer", "output_optimizer"):
            optimizer = getattr(self, name)
            if optimizer is not None:
                parts[name] = optimizer.state_dict()
        if self.best is not None:
            parts["best"] = self.best.state()
        return parts

    def load(self, state: dict[str, Any]) -> None:
        self.networks.load_state_dict(state["networks"])
        self.average.network.load_state_dict(state["average"])
        self.segmenter_optimizer.load_state_dict(state["segmenter_optimizer"])
        for name in ("feature_optimizer", "output_optimizer"):
            if name in state:
                getattr(self, name).load_state_dict(state[name])
        if self.best is not None:
            self.best.load(state["best"])

    def validate(self, iteration: int) -> dict[str, float]:
        if self.validator is None:
            return {}
        networks = self._so_far()
        scores = self.validator(networks)
        # while the alignment warms up there is no mask, and a model without it is not what was asked for
        if self.best is not None and (self.aligned or not self.adversarial):
            self.best.offer(networks, scores, iteration)
        return scores

    def preview(self, path: Path) -> None:
        save_preview(path, self.pictures(), colors=self.colors)

    def pictures(self) -> dict[str, np.ndarray]:
        """Columns of a preview, each (n, rows, columns)."""
        images = shown_slices(self.target)
        classes, mask = segment_slices(self._so_far(), images, self.fabric)
        return {"image": images, **({} if mask is None else {"mask": mask}), "prediction": classes}


def shown_slices(store: SliceStore, count: int = 4) -> np.ndarray:
    """Slices (count, rows, columns) evenly spread over a store."""
    indices = [round((index + 0.5) * len(store) / count - 0.5) for index in range(count)]
    return store.images[indices].astype(np.float32)


def segmenter_optimizer(segmenter: nn.Module, settings: Segmentation) -> torch.optim.Optimizer:
    """Optimiser of a segmenter, as configured."""
    options = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(segmenter.parameters(), **options)
    return torch.optim.SGD(segmenter.parameters(), momentum=settings.momentum, **options)
