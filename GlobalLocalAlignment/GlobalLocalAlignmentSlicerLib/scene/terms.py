"""Terms of a terminology, the codes by which other programs know a structure; Slicer keeps each as one text.

``context~category~type~modifier~region context~region~region modifier``, of which all but the contexts are
``scheme^code^meaning``.
"""

from __future__ import annotations

from dataclasses import dataclass

PARTS = 7
TISSUE = ("SCT^85756007", "SRT^T-D0050")
"""Category and type of every segment of which nobody has said what it is, in the codes of Slicer since 2020 and before
(constructor of ``vtkSegment``)."""


@dataclass(frozen=True)
class Term:
    """A term as the user chose it.

    Attributes:
        text: Slicer's serialised entry, empty for no term.
        name: for a structure that has none of its own, empty where there is no term.
        color: that the terminology recommends, None where it recommends none.
    """

    text: str
    name: str = ""
    color: tuple[int, int, int] | None = None


NO_TERM = Term("")


def partsOf(text: str) -> list[str]:
    """Parts of a serialised entry, empty where it is none. Colour tables of Slicer end theirs with one ``~`` more."""
    parts = text.split("~")
    if len(parts) == PARTS + 1 and not parts[-1]:
        parts.pop()
    return parts if len(parts) == PARTS else []


def describeTerm(text: str) -> str:
    """What a serialised entry calls the structure, with its side and region; empty where there is no entry."""
    parts = partsOf(text)
    meanings = [part.rpartition("^")[2] for part in (*parts[2:4], *parts[5:7])]
    return ", ".join(filter(None, meanings))


def foundTerm(text: str) -> str:
    """The serialised entry of a segment; empty where it says nothing about the structure, as Slicer's default does."""
    parts = partsOf(text)
    if not parts:
        return ""
    category, kind, modifier, region = (parts[place].rpartition("^")[0] for place in (1, 2, 3, 5))
    unsaid = kind.strip("^") == "" or (category in TISSUE and kind in TISSUE)
    return "" if unsaid and not modifier.strip("^") and not region.strip("^") else "~".join(parts)


def codesOf(text: str) -> tuple[str, ...]:
    """Codes of structure, modifier, region and its modifier in a serialised entry, without their words and category.

    Empty where the entry is empty.
    """
    parts = partsOf(text)
    return tuple(parts[place].rpartition("^")[0].strip("^") for place in (2, 3, 5, 6)) if parts else ()
