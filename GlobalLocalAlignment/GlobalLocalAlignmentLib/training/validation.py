"""Dice on labelled target cases while a training runs: to watch it, never to choose the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric

from ..evaluation import dice_score
from ..slicestore import SliceStore
from .segmentation import SegmentationNetworks


def slice_validation(
    store: SliceStore, names: Sequence[str], fabric: Fabric, batch_size: int
) -> Callable[[SegmentationNetworks], dict[str, float]]:
    """A function that gives the mean Dice over cases, 0 to 1, of each structure.

    The slices are compared as they were cut for the networks, which is coarser than what ``gla evaluate`` compares.

    Args:
        store: labelled slices of target cases.
        names: structures in the order of their class indices.
        fabric: device and precision.
        batch_size: slices at once.
    """

    @torch.no_grad()
    def validate(networks: SegmentationNetworks) -> dict[str, float]:
        scores: dict[str, list[float]] = defaultdict(list)
        for _, part in store.by_case():
            predicted = np.concatenate(
                [
                    _segment(networks, store.images[part][start : start + batch_size], fabric)
                    for start in range(0, part.stop - part.start, batch_size)
                ]
            )
            for index, name in enumerate(names, start=1):
                scores[name].append(dice_score(predicted == index, store.labels[part] == index))
        return {name: float(np.nanmean(values)) for name, values in scores.items() if not np.isnan(values).all()}

    return validate


def _segment(networks: SegmentationNetworks, images: np.ndarray, fabric: Fabric) -> np.ndarray:
    batch = torch.from_numpy(images.astype(np.float32))[:, None].to(fabric.device)
    with fabric.autocast():
        output = networks.segmenter(batch, networks.feature_discriminator)
    return output.logits.argmax(dim=1).cpu().numpy()
