"""The slices in which a segmentation is worst, in whatever orientation a slice view has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class WorstSlice:
    """A slice.

    Attributes:
        place: (3,) RAS millimetres of a point in it, in the middle of what is wrong there.
        wrong: number of voxels in it that are missed or extra.
        dice: of the slice alone.
    """

    place: np.ndarray
    wrong: int
    dice: float


def worstSlice(
    bits: np.ndarray, first: np.ndarray, matrix: np.ndarray, normal: np.ndarray, byDice: bool
) -> WorstSlice | None:
    """The worst of all slices with a normal; None where no voxel is wrong. May run on any thread.

    Slices are as thick as the voxels along the axis that is closest to the normal; of an oblique grid a slice holds the
    voxels whose centres lie in it.

    Args:
        bits: (I, J, K), see ``voxelbits`` of the core.
        first: (3,) index of the first voxel.
        matrix: (4, 4) from indices to RAS millimetres.
        normal: (3,) unit vector, RAS.
        byDice: the slice with the lowest Dice, and among equals with the most wrong voxels; else that with the most.
    """
    from GlobalLocalAlignmentLib.masks.voxelbits import CORRECT, EXTRA, MISSED

    steps = normal @ matrix[:3, :3]
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    thickness = float(spacing[np.argmax(np.abs(steps) / spacing)])
    lengths = [step * np.arange(count) / thickness for step, count in zip(steps, bits.shape, strict=True)]
    low = sum(part.min() for part in lengths)
    count = int(np.rint(sum(part.max() for part in lengths) - low)) + 1
    plane = lengths[0][:, None] + lengths[1][None, :] - low
    tallies = {bit: np.zeros(count, int) for bit in (MISSED, EXTRA, CORRECT)}
    wrong = np.zeros(count, int)
    for k, along in enumerate(lengths[2]):
        layer = bits[:, :, k]
        if not layer.any():
            continue
        places = np.rint(plane + along).astype(int)
        for bit, tally in tallies.items():
            tally += np.bincount(places[(layer & bit) > 0], minlength=count)
        wrong += np.bincount(places[(layer & (MISSED | EXTRA)) > 0], minlength=count)
    if not wrong.any():
        return None
    missed, extra, correct = (tallies[bit] for bit in (MISSED, EXTRA, CORRECT))
    dice = np.divide(2 * correct, 2 * correct + missed + extra, out=np.ones(count), where=wrong > 0)
    order = (-wrong, dice) if byDice else (dice, -wrong)
    worst = int(np.lexsort(order)[0])
    distance = normal @ (matrix[:3, :3] @ first + matrix[:3, 3]) + (worst + low) * thickness
    middle = _middle((bits & (MISSED | EXTRA)) > 0, lengths, low, worst)
    center = matrix[:3, :3] @ (first + middle) + matrix[:3, 3]
    return WorstSlice(center + (distance - normal @ center) * normal, int(wrong[worst]), float(dice[worst]))


def _middle(wrong: np.ndarray, lengths: list[np.ndarray], low: float, worst: int) -> np.ndarray:
    """Index of the middle of the wrong voxels of a slice."""
    total, count = np.zeros(3), 0
    plane = lengths[0][:, None] + lengths[1][None, :] - low
    for k, along in enumerate(lengths[2]):
        found = np.argwhere(wrong[:, :, k] & (np.rint(plane + along) == worst))
        total += np.append(found.sum(axis=0), k * len(found))
        count += len(found)
    return total / count


def jumpTo(sliceNode: Any, place: np.ndarray) -> None:
    """Let a slice view show the slice that a point lies in; its orientation and what it is centred on stay."""
    sliceNode.JumpSliceByOffsetting(*map(float, place))


def normalOf(sliceNode: Any) -> np.ndarray:
    """Normal of what a slice view shows, a unit vector in RAS."""
    import slicer

    normal = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())[:3, 2]
    return normal / np.linalg.norm(normal)
