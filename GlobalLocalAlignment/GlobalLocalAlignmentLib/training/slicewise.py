"""Apply the networks of a training to the slices of a store: pictures for the report, Dice to watch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from ..slicestore import SliceStore


@torch.no_grad()
def segment_slices(
    networks: Any, images: np.ndarray, fabric: Fabric, batch_size: int = 16
) -> tuple[np.ndarray, np.ndarray | None]:
    """Segment slices through the target path.

    Args:
        networks: ``SegmentationNetworks`` in evaluation mode.
        images: (n, rows, columns) in [-1, 1].
        fabric: device and precision.
        batch_size: slices at once.

    Returns:
        (n, rows, columns) uint8 class indices, and the local feature mask (n, rows, columns) in [0, 1), None without
        D1.
    """
    classes, masks = [], []
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(images[start : start + batch_size].astype(np.float32))[:, None].to(fabric.device)
        with fabric.autocast():
            output = networks.segmenter(batch, networks.feature_discriminator)
        classes.append(output.logits.argmax(dim=1).to(torch.uint8).cpu().numpy())
        if output.mask is not None:
            mask = torch.nn.functional.interpolate(output.mask.float(), images.shape[-2:], mode="bilinear")
            masks.append(mask[:, 0].cpu().numpy())
    return np.concatenate(classes), np.concatenate(masks) if masks else None


def segmentation_panel(networks: Any, store: SliceStore, fabric: Fabric, count: int = 6) -> dict[str, np.ndarray]:
    """One slice of each of the first cases: image, prediction, mask where there is D1, truth where there are labels.

    It is the slice that shows most structures, and of these the one that shows most of them.
    """
    rows = []
    for _, part in list(store.by_case())[:count]:
        classes, masks = segment_slices(networks, store.images[part], fabric)
        truth = None if store.labels is None else store.labels[part]
        shown = classes if truth is None else truth
        structures = [len(np.unique(labels)) for labels in shown]
        best = int(np.lexsort(((shown > 0).sum(axis=(1, 2)), structures))[-1])
        row = {"image": store.images[part][best], "prediction": classes[best]}
        row |= {} if masks is None else {"mask": masks[best]}
        row |= {} if truth is None else {"truth": truth[best]}
        rows.append(row)
    return {key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0]}
