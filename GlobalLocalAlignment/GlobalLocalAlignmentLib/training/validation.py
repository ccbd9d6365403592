"""Dice on labelled target cases while a training runs: to watch it, never to choose the model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from lightning_fabric import Fabric

from ..masks.maskscores import dice_score
from ..slicestore import SliceStore
from .segmentation import SegmentationNetworks
from .slicewise import segment_slices


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

    def validate(networks: SegmentationNetworks) -> dict[str, float]:
        scores: dict[str, list[float]] = defaultdict(list)
        for _, part in store.by_case():
            predicted, _ = segment_slices(networks, store.images[part], fabric, batch_size)
            for index, name in enumerate(names, start=1):
                scores[name].append(dice_score(predicted == index, store.labels[part] == index))
        return {name: float(np.nanmean(values)) for name, values in scores.items() if not np.isnan(values).all()}

    return validate
