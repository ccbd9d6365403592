"""What is said of a comparison."""

from __future__ import annotations

import math

import numpy as np
from slicer.i18n import tr as _

from .scenecomparer import Comparison
from .worstslice import WorstSlice

TELLING = 0.05
"""From this difference of means on, of a mask that goes from 0 to 1, its brightness is worth a second look."""


def describeNotes(comparison: Comparison) -> list[str]:
    """A line for each structure of which there is something to know: without counterpart, empty, resampled."""
    lines = []
    for case in comparison.cases:
        noted: dict[str, list[str]] = {}
        for row in case.rows:
            if row.comparison_note:
                noted.setdefault(row.comparison_note, []).append(row.structure)
        for note, names in noted.items():
            text = _("{case}, {structures}: {note}.")
            lines.append(text.format(case=case.name, structures=", ".join(names), note=note))
    return lines


def describeMask(comparison: Comparison) -> str:
    """The local feature mask where results are right and where they are not, and what that means; empty without one."""
    means = [case.maskMeans for case in comparison.cases if not any(map(math.isnan, case.maskMeans))]
    if not means:
        return ""
    right, wrong = np.mean(means, axis=0)
    if wrong - right > TELLING:
        meaning = _("it is higher where the result is wrong, so look twice where it is bright")
    elif wrong > right:
        meaning = _("it is hardly higher where the result is wrong, so it says little about these errors")
    else:
        meaning = _("it is not higher where the result is wrong, so it does not point at these errors")
    text = _("Local feature mask: {right:.3f} on average in correct voxels, {wrong:.3f} in wrong ones; {meaning}.")
    return text.format(right=right, wrong=wrong, meaning=meaning)


def describeWorst(found: dict[str, WorstSlice]) -> str:
    """The slices that the views show now, by the name of the view."""
    if not found:
        return _("No voxel is wrong.")
    text = _("{view}: {wrong} wrong voxels, Dice {dice:.3f}")
    return "; ".join(text.format(view=view, wrong=one.wrong, dice=one.dice) for view, one in found.items())
