"""Stage two by its method: ours, and those of ``comparators`` that train all of their networks at once."""

from __future__ import annotations

from ..slicestore import SliceStore
from .engine import RunContext
from .segmentation import SegmentationStage, Validate


def segmentation_stage(
    context: RunContext, source: SliceStore, target: SliceStore, validate: Validate | None = None
) -> SegmentationStage:
    """Training of the segmenter by the configured method.

    Args:
        context: the run.
        source: labelled slices; for ours in the style of the target where style transfer is on.
        target: slices without labels.
        validate: Dice of networks on labelled target cases.
    """
    # a comparator is imported where it is asked for: nobody who only wants ours comes past it
    method = context.configuration.segmentation.method
    if method == "synseg_net":
        from ..comparators.synsegnet import SynSegNetStage

        return SynSegNetStage(context, source, target, validate)
    if method == "sifa":
        from ..comparators.sifa import SifaStage

        return SifaStage(context, source, target, validate)
    return SegmentationStage(context, source, target, validate)
