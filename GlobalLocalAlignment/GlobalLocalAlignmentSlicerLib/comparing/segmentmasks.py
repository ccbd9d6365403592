"""Two segments, of whatever segmentations, as masks on one grid in world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slicer.i18n import tr as _

from ..background.steps import runOut
from .segmentlayers import SegmentLayers


def masksOf(segmentationNode: Any, segmentId: str, referenceNode: Any, referenceId: str) -> Any:
    """Bring a segment and its counterpart onto one grid: a ``CommonGrid`` of the core, see there.

    Both are taken where they are in the world, under their transforms.

    Raises:
        SegmentMaskError: one of them has no binary labelmap.
    """
    # not before it is needed: Slicer starts without SciPy
    from GlobalLocalAlignmentLib.masks.maskgrids import on_one_grid

    return on_one_grid(_mask(segmentationNode, segmentId), _mask(referenceNode, referenceId))


def resamplingNote(resampled: str, spacing: Sequence[float]) -> str:
    """Which of two segments was resampled, and to what; empty where neither was.

    Args:
        resampled: as ``CommonGrid`` of the core says it.
        spacing: of the grid that both are on now, mm.
    """
    texts = {
        "compared": _("resampled to the grid of the reference: {grid} mm"),
        "reference": _("the reference was resampled to the finer grid of this one: {grid} mm"),
    }
    return texts[resampled].format(grid=" x ".join(f"{length:.4g}" for length in spacing)) if resampled else ""


def emptinessNote(compared: bool, reference: bool) -> str:
    """Which of two segments has no voxel; empty where both have some.

    Args:
        compared, reference: whether it has any.
    """
    if not compared:
        return _("this segment is empty") if reference else _("both segments are empty")
    return "" if reference else _("the segment of the reference is empty")


def _mask(node: Any, segmentId: str) -> Any | None:
    from GlobalLocalAlignmentLib.masks.bentgrids import straightened
    from GlobalLocalAlignmentLib.masks.maskgrids import placed

    # Segment Statistics gives the window no time anyway
    layer, value = runOut(SegmentLayers(node).of(segmentId))
    if layer is None:
        return None
    values, first = layer.values, layer.first
    if layer.bend is not None:
        values, first = straightened(values, first, layer.bend), layer.bend.low
    return placed(values == value, first, layer.matrix)
