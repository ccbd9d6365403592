"""Does the local feature mask point at where the segmenter is wrong? (the claim of Fig. 6)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

BODY, NEAR = "body", "near structures"
NEAR_MM = 15.0
"""Around the structures, true and predicted, lies what is hard; far from them hardly any voxel is wrong."""


@dataclass(frozen=True)
class MaskScore:
    """The mask against the error map of one case.

    Attributes:
        case: name of the case.
        region: ``body``, where the image is brighter than air, which nobody takes for an organ; or
            ``near structures``, within 15 mm of a true or predicted one.
        correlation: Pearson's, of the mask and of being wrong.
        area_under_curve: how often a wrong voxel has a larger mask than a right one; 0.5 is chance.
        wrong, right: mean of the mask in wrong and in right voxels.
        wrong_voxels: their number.
    """

    case: str
    region: str
    correlation: float
    area_under_curve: float
    wrong: float
    right: float
    wrong_voxels: int


def score_mask(
    case: str,
    mask: np.ndarray,
    prediction: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    body: np.ndarray,
) -> list[MaskScore]:
    """The mask of a case in each region.

    Args:
        case: its name.
        mask: local feature mask, floating point.
        prediction, truth: label values on the same (I, J, K) grid.
        spacing: millimetres along I, J and K.
        body: where there is body, boolean.
    """
    wrong, structures = prediction != truth, (prediction != 0) | (truth != 0)
    near = np.zeros_like(structures)
    if structures.any():
        near = ndimage.distance_transform_edt(~structures, sampling=tuple(spacing)) <= NEAR_MM
    return [_score(case, region, mask[inside], wrong[inside]) for region, inside in ((BODY, body), (NEAR, near))]


def _score(case: str, region: str, mask: np.ndarray, wrong: np.ndarray) -> MaskScore:
    mask = mask.astype(np.float64)
    count, bad = len(wrong), int(wrong.sum())
    if bad in (0, count):
        mean = float(mask.mean()) if count else math.nan
        return MaskScore(case, region, math.nan, math.nan, *((math.nan, mean) if bad == 0 else (mean, math.nan)), bad)
    area = stats.mannwhitneyu(mask[wrong], mask[~wrong]).statistic / (bad * (count - bad))
    correlation = float(np.corrcoef(mask, wrong)[0, 1]) if np.ptp(mask) > 0 else math.nan
    return MaskScore(case, region, correlation, float(area), float(mask[wrong].mean()), float(mask[~wrong].mean()), bad)
