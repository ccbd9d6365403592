"""Scores of two masks: Dice, average surface distance in both definitions in use, 95 % Hausdorff distance, volumes.

Average surface distance (ASD) is symmetric. ``assd`` is the mean of the two directed means; ``pooled_asd`` is the mean
over the distances of both surfaces together, which a large surface dominates. Both are given in voxels (distance of
indices, as the paper's tables) and in millimetres. The 95 % Hausdorff distance (HD95) is the larger of the two directed
95th percentiles, as MONAI defines it; MedPy takes one percentile of both surfaces together.

NumPy and SciPy are all that this file needs: Slicer's own process scores with it too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SURFACE_SCORES = ("assd_voxel", "pooled_asd_voxel", "assd_mm", "pooled_asd_mm", "hd95_mm")
VOLUME_SCORES = ("volume_difference_mm3", "false_positive_mm3", "false_negative_mm3")


def mask_scores(
    predicted: np.ndarray, true: np.ndarray, spacing: Sequence[float], surfaces: bool = True
) -> dict[str, float]:
    """Every score of two boolean masks by its name, and their voxels; NaN where there is no score.

    Args:
        predicted, true, spacing: as in the functions below.
        surfaces: also the distances, which take longest.
    """
    scores: dict[str, float] = {"dice": dice_score(predicted, true)}
    if surfaces:
        scores |= zip(SURFACE_SCORES, surface_scores(predicted, true, spacing), strict=True)
    scores |= zip(VOLUME_SCORES, volume_errors(predicted, true, spacing), strict=True)
    return scores | {"reference_voxels": int(true.sum()), "predicted_voxels": int(predicted.sum())}


def dice_score(predicted: np.ndarray, true: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two boolean masks; NaN where both are empty."""
    total = int(predicted.sum()) + int(true.sum())
    return 2 * int((predicted & true).sum()) / total if total else math.nan


def surface_scores(predicted: np.ndarray, true: np.ndarray, spacing: Sequence[float]) -> tuple[float, ...]:
    """assd_voxel, pooled_asd_voxel, assd_mm, pooled_asd_mm, hd95_mm of two boolean masks; all NaN where one is empty.

    The surface of a mask is its voxels with a face neighbour outside it; the border of the array counts as outside.
    ``spacing`` is meant as ``spacing_meant`` says.
    """
    if not predicted.any() or not true.any():
        return (math.nan,) * 5
    box = _bounding_box(predicted | true)
    predicted, true = predicted[box], true[box]
    there, back = _directed_distances(predicted, true, (1.0,) * predicted.ndim)
    there_mm, back_mm = _directed_distances(predicted, true, spacing_meant(spacing))
    return (
        float((there.mean() + back.mean()) / 2),
        float(np.concatenate([there, back]).mean()),
        float((there_mm.mean() + back_mm.mean()) / 2),
        float(np.concatenate([there_mm, back_mm]).mean()),
        float(max(np.percentile(there_mm, 95), np.percentile(back_mm, 95))),
    )


def volume_errors(predicted: np.ndarray, true: np.ndarray, spacing: Sequence[float]) -> tuple[float, float, float]:
    """Volume difference, false positive and false negative volume of two boolean masks, mm3.

    The difference is positive where the predicted mask is larger. Voxels are counted before anything is multiplied, so
    that the difference is exactly that of the voxel counts times the volume of a voxel.
    """
    voxel = float(np.prod(spacing_meant(spacing)))
    extra, missed = int((predicted & ~true).sum()), int((true & ~predicted).sum())
    return (extra - missed) * voxel, extra * voxel, missed * voxel


def spacing_meant(spacing: Sequence[float]) -> tuple[float, ...]:
    """The spacing without the rounding of files and programs: the shortest decimals of single precision, mm.

    A grid of 0.7 mm comes back as 0.6999999881 from NIfTI, and with another last digit from each program that takes its
    matrix apart. One grid has one score, whichever way it came.
    """
    return tuple(float(str(np.float32(length))) for length in spacing)


def _directed_distances(
    predicted: np.ndarray, true: np.ndarray, spacing: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    surfaces = [_surface(predicted), _surface(true)]
    fields_ = [ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    return fields_[1][surfaces[0]], fields_[0][surfaces[1]]


def _surface(mask: np.ndarray) -> np.ndarray:
    inner = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(mask.ndim, 1), border_value=0)
    return mask & ~inner


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    return tuple(slice(part.start, part.stop) for part in ndimage.find_objects(mask.astype(np.uint8))[0])
