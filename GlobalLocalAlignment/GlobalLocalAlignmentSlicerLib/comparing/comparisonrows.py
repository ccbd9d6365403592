"""Scores of one structure of one case as a row, and rows as a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class ComparisonRow:
    """Scores of a structure in a case; the names are those of ``gla evaluate`` where that has them.

    Attributes:
        case: name of the case.
        structure: name of the segment.
        reference_segment: name of its counterpart in the ground truth, empty where it has none.
        dice: 0 to 1; 0 for a structure that was not found, NaN where nothing could be compared.
        assd_voxel, pooled_asd_voxel: voxels; NaN where a side is empty.
        assd_mm, pooled_asd_mm, hd95_mm: millimetres; NaN where a side is empty.
        volume_difference_mm3, false_positive_mm3, false_negative_mm3: volumes.
        reference_voxels, predicted_voxels: on the grid that both were compared on.
        mask_correct, mask_wrong: mean of the local feature mask in voxels that are right and in those that are not.
        comparison_note: what there is to know.
    """

    case: str
    structure: str
    reference_segment: str
    dice: float = math.nan
    assd_voxel: float = math.nan
    pooled_asd_voxel: float = math.nan
    assd_mm: float = math.nan
    pooled_asd_mm: float = math.nan
    hd95_mm: float = math.nan
    volume_difference_mm3: float = math.nan
    false_positive_mm3: float = math.nan
    false_negative_mm3: float = math.nan
    reference_voxels: float = math.nan
    predicted_voxels: float = math.nan
    mask_correct: float = math.nan
    mask_wrong: float = math.nan
    comparison_note: str = ""


TEXTS = tuple(field.name for field in fields(ComparisonRow) if field.type == "str")
NUMBERS = tuple(field.name for field in fields(ComparisonRow) if field.type == "float")


def writeComparison(rows: list[ComparisonRow], path: Path) -> str:
    """Write rows as CSV with all their digits, as a whole; returns why that cannot be, empty where it could."""
    from GlobalLocalAlignmentLib.errors import InputError
    from GlobalLocalAlignmentLib.resultfiles import write_rows

    try:
        write_rows(rows, ComparisonRow, path, "choose another file")
    except InputError as error:
        return str(error)
    return ""
