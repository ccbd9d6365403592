"""Intensity rules: the values of a volume to [-1, 1], by limits that are found once for each volume.

Every rule is a linear map of ``low``..``high`` onto [-1, 1], cut at both ends; the rules differ in how they find the
two limits. Only values are read, never labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .config import Intensity

SAMPLE_SIZE = 2_000_000
"""At most about this many voxels are looked at for statistics, evenly spread over the volume."""


@dataclass(frozen=True)
class IntensityLimits:
    """Values that become -1 and 1, in the units of the image."""

    low: float
    high: float

    def scale(self, planes: np.ndarray) -> np.ndarray:
        """Any array -> float32 in [-1, 1]."""
        scaled = planes.astype(np.float32)
        scaled -= np.float32(self.low)
        scaled *= np.float32(2 / (self.high - self.low))
        scaled -= 1
        return np.clip(scaled, -1, 1, out=scaled)


def guess_modality(array: np.ndarray) -> str:
    """``CT`` for values in Hounsfield units or an 8-bit export that uses its full range, otherwise ``MR``."""
    sample = _sample(array)
    return "CT" if is_eight_bit_export(array) or sample.min() < -200 else "MR"


def intensity_limits(array: np.ndarray, intensity: Intensity) -> IntensityLimits:
    """Limits of one volume.

    window: the limits of the rule; an 8-bit export was windowed by the program that wrote it, so its own full range
    is taken instead. percentile_zscore: mean and standard deviation of the values cut at the percentiles.
    robust_maximum: zero to the upper percentile. body_median: zero to a multiple of what most of the body shows, so
    that a bright stomach or a wide empty margin leaves the other organs as bright as in any other volume.

    Args:
        array: (I, J, K) values of the volume.
        intensity: the rule.
    """
    sample = _sample(array).astype(np.float32)
    if intensity.rule == "window":
        limits = (0.0, 255.0) if is_eight_bit_export(array) else (intensity.low, intensity.high)
    elif intensity.rule == "robust_maximum":
        limits = (min(0.0, float(np.percentile(sample, 0.1))), float(np.percentile(sample, intensity.percentiles[1])))
    elif intensity.rule == "body_median":
        limits = (0.0, intensity.high * float(np.median(sample[sample > sample.mean() / 2])))
    else:
        cut = np.clip(sample, *np.percentile(sample, intensity.percentiles))
        mean, deviation = float(cut.mean()), float(cut.std())
        limits = (mean + intensity.low * deviation, mean + intensity.high * deviation)
    low, high = limits
    if not high > low:
        # A few bright voxels on an empty ground: every percentile is the ground, so the full range has to do.
        low, high = float(sample.min()), float(array.max())
    return IntensityLimits(low, high)


def is_eight_bit_export(array: np.ndarray) -> bool:
    """Whether values fill eight bits, as pictures do that a viewing program wrote with a window of its own."""
    return array.dtype == np.uint8 and int(array.max()) >= 250


def _sample(array: np.ndarray) -> np.ndarray:
    step = max(1, round((array.size / SAMPLE_SIZE) ** (1 / 3)))
    return array[::step, ::step, ::step]
