"""What a prediction makes finer than one pass of the segmenter over a slice: several passes, neighbouring slices.

Features have one position for some pixels of a slice, so a border is found at its distance from the nearest ones. Where
the slice is moved by a part of that, the positions lie elsewhere, and the mean of both is finer than either. (The paper
segments each slice once; the averaging is ours, and is no part of a training.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .networks import DeepLabSegmenter, FeatureDiscriminator
from .settings import Refinement

BEYOND = -1.0
"""Value of what lies beyond the slice, as where a slice is cut out beyond the volume."""


@dataclass
class Segmented:
    """Slices that went through the segmenter.

    Attributes:
        probabilities: of the classes (n, C, H, W), float32.
        mask: local feature mask (n, 1, H, W) in [0, 1), float32; None without D1.
    """

    probabilities: Tensor
    mask: Tensor | None


def segment(
    segmenter: DeepLabSegmenter, discriminator: FeatureDiscriminator | None, images: Tensor, shifts: int = 1
) -> Segmented:
    """Segment slices in several passes, and average what each gives.

    Args:
        segmenter, discriminator: the networks of a model; the target path is taken where there is D1.
        images: (n, 1, H, W) in [-1, 1].
        shifts: passes along each axis, which the stride of the features is divided by.
    """
    step, (rows, columns) = segmenter.stride // shifts, images.shape[-2:]
    places = [(down, right) for down in range(0, step * shifts, step) for right in range(0, step * shifts, step)]
    found = _one_pass(segmenter, discriminator, images)
    if shifts == 1:
        return found
    passes = images.new_ones(rows, columns, dtype=torch.float32)
    for down, right in places[1:]:
        moved = functional.pad(images, (right, 0, down, 0), value=BEYOND)[..., :rows, :columns]
        more = _one_pass(segmenter, discriminator, moved)
        # what was moved out of the slice at its lower and right border has a pass less
        within = (..., slice(rows - down), slice(columns - right))
        passes[within] += 1
        found.probabilities[within] += more.probabilities[..., down:, right:]
        if found.mask is not None:
            found.mask[within] += more.mask[..., down:, right:]
    return Segmented(found.probabilities / passes, None if found.mask is None else found.mask / passes)


def _one_pass(segmenter: DeepLabSegmenter, discriminator: FeatureDiscriminator | None, images: Tensor) -> Segmented:
    output = segmenter(images, discriminator)
    mask = None
    if output.mask is not None:
        mask = functional.interpolate(output.mask.float(), images.shape[-2:], mode="bilinear")
    return Segmented(output.logits.float().softmax(dim=1), mask)


class SliceSmoothing:
    """Mixes the probabilities of a slice with those of the two beside it; the outermost ones count as their own.

    Slices come in batches, one after the other. One is done once the next is known, so results lag by a slice.

    Args:
        weight: of each of the two neighbours.
        count: slices of the volume.
    """

    def __init__(self, weight: float, count: int) -> None:
        self.weight, self.count = weight, count
        self.seen = self.done = 0
        self._last: Tensor | None = None

    def put(self, probabilities: Tensor) -> tuple[slice, Tensor]:
        """Take the next slices (n, ...).

        Returns:
            which slices are done with them, none where there are none yet, and their probabilities.
        """
        if self.weight == 0:
            return self._finished(probabilities)
        known = torch.cat([probabilities[:1] if self._last is None else self._last, probabilities])
        self.seen += len(probabilities)
        if self.seen == self.count:
            known = torch.cat([known, known[-1:]])
        # a copy, or the whole batch would stay in memory
        self._last = known[-2:].clone()
        return self._finished(known[1:-1] * (1 - 2 * self.weight) + (known[:-2] + known[2:]) * self.weight)

    def _finished(self, slices: Tensor) -> tuple[slice, Tensor]:
        part = slice(self.done, self.done + len(slices))
        self.done = part.stop
        return part, slices


def in_words(refinement: Refinement) -> str:
    """``in 4 passes, neighbouring slices weighing 0.2`` and the like."""
    passes = "in one pass" if refinement.shifts == 1 else f"in {refinement.shifts**2} passes"
    smoothed = f", neighbouring slices weighing {refinement.slice_smoothing:g}" if refinement.slice_smoothing else ""
    return passes + smoothed
