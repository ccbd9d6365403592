"""Which segment of a reference segmentation a segment is compared with: that of its term, else that of its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from .terms import codesOf, describeTerm, foundTerm


@dataclass(frozen=True)
class Pair:
    """What was found for a segment.

    Attributes:
        segmentId: of the segment in the reference; empty where there is none, or more than one.
        name: of that segment.
        note: why there is none, or what is doubtful about the one; empty where nothing is.
    """

    segmentId: str
    name: str = ""
    note: str = ""


def pairOf(segment: Any, reference: Any) -> Pair:
    """Find the counterpart of a segment.

    Segments belong together by their terms where exactly one segment of the reference has the same codes of structure,
    side and region, in whatever words. Else they do by their names, without regard to case and to spaces at the ends.
    Names settle which of several segments with the same codes is meant.

    Args:
        segment: vtkSegment that is compared.
        reference: vtkSegmentation that it is compared with.
    """
    candidates = {segmentId: reference.GetSegment(segmentId) for segmentId in reference.GetSegmentIDs()}
    codes, name = _codes(segment), _plain(segment.GetName())
    named = [one for one, other in candidates.items() if _plain(other.GetName()) == name]
    alike = [one for one, other in candidates.items() if codes and _codes(other) == codes]
    both = [one for one in alike if one in named]
    for found in (both, alike, named):
        if len(found) == 1:
            other = candidates[found[0]]
            return Pair(found[0], other.GetName(), _doubt(segment, other) if found is named else "")
        if found:
            names = "; ".join(candidates[one].GetName() for one in found)
            return Pair("", note=_("several segments of the reference go with it: {names}").format(names=names))
    return Pair("", note=_("the reference has no segment of this name or term"))


def _doubt(segment: Any, other: Any) -> str:
    """What is doubtful about two segments of one name: both say what they are, and not the same."""
    if not _codes(segment) or not _codes(other):
        return ""
    terms = [describeTerm(one.GetTerminology()) for one in (segment, other)]
    return _("the same name with another term: {own} here and {other} in the reference").format(
        own=terms[0], other=terms[1]
    )


def _codes(segment: Any) -> tuple[str, ...]:
    return codesOf(foundTerm(segment.GetTerminology() or ""))


def _plain(name: str) -> str:
    return name.strip().casefold()
