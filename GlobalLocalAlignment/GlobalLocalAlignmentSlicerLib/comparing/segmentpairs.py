"""Which segment of a reference segmentation a segment is compared with: that of its term, else that of its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from slicer.i18n import tr as _

from ..scene.terms import codesOf, describeTerm, foundTerm


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
    found, byName = _counterparts(segment, reference)
    if not found:
        return Pair("", note=_("the reference has no segment of this name or term"))
    others = [reference.GetSegment(one) for one in found]
    if len(found) > 1:
        names = "; ".join(other.GetName() for other in others)
        return Pair("", note=_("several segments of the reference go with it: {names}").format(names=names))
    return Pair(found[0], others[0].GetName(), _doubt(segment, others[0]) if byName else "")


@dataclass(frozen=True)
class Structure:
    """A segment, its counterpart, or both.

    Attributes:
        name: of the segment that is compared; of the counterpart where the other side has none.
        segmentId, referenceId: empty where that side has none.
        referenceName: of the counterpart.
        scored: whether the two have scores. A structure that the result lacks has: it was not found.
        note: what there is to know.
    """

    name: str
    segmentId: str = ""
    referenceId: str = ""
    referenceName: str = ""
    scored: bool = True
    note: str = ""


def structuresOf(compared: Any, reference: Any) -> list[Structure]:
    """All structures of two vtkSegmentations: those of the compared one in their order, then what it lacks.

    Hidden segments count as shown ones do.
    """
    structures = []
    for segmentId in compared.GetSegmentIDs():
        segment = compared.GetSegment(segmentId)
        pair = pairOf(segment, reference)
        scored = bool(pair.segmentId)
        structures.append(Structure(segment.GetName(), segmentId, pair.segmentId, pair.name, scored, pair.note))
    taken = [structure.referenceId for structure in structures if structure.scored]
    for referenceId in reference.GetSegmentIDs():
        if referenceId in taken:
            continue
        other = reference.GetSegment(referenceId)
        lacking = not _counterparts(other, compared)[0]
        note = (
            _("the result has no segment of this name or term: not found")
            if lacking
            else _("it cannot be told which segment of the result goes with it")
        )
        structures.append(Structure(other.GetName(), "", referenceId, other.GetName(), lacking, note))
    return _named([_sharing(structure, structures, taken) for structure in structures])


def _sharing(structure: Structure, structures: list[Structure], taken: list[str]) -> Structure:
    """A structure that says which others are compared with its counterpart, too."""
    if not structure.scored or taken.count(structure.referenceId) < 2:
        return structure
    others = [one.name for one in structures if one.referenceId == structure.referenceId and one is not structure]
    note = _("compared with the same segment as {names}").format(names="; ".join(others))
    return replace(structure, note="; ".join(filter(None, [structure.note, note])))


def _named(structures: list[Structure]) -> list[Structure]:
    """Structures with a name of its own each: a segmentation may have two segments of one name."""
    names: list[str] = []
    for structure in structures:
        name, number = structure.name, 2
        while name in names:
            name, number = f"{structure.name} ({number})", number + 1
        names.append(name)
    return [replace(structure, name=name) for structure, name in zip(structures, names, strict=True)]


def _counterparts(segment: Any, reference: Any) -> tuple[list[str], bool]:
    """IDs of the segments that may be meant by a segment, and whether they were found by nothing but the name."""
    candidates = {segmentId: reference.GetSegment(segmentId) for segmentId in reference.GetSegmentIDs()}
    codes, name = _codes(segment), _plain(segment.GetName())
    named = [one for one, other in candidates.items() if _plain(other.GetName()) == name]
    alike = [one for one, other in candidates.items() if codes and _codes(other) == codes]
    both = [one for one in alike if one in named]
    return both or alike or named, not alike


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
