"""Which structures a training learns, and what the cases call them.

Every case brings names of segments, or values of a label file. Equal names are put together at once; the user then
chooses among them, gives several one name to merge them, and orders them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..scene.terms import Term

COLORS = ((221, 130, 101), (111, 163, 196), (212, 182, 60), (144, 193, 111), (185, 102, 83), (152, 140, 206))
"""For values of label files, which have no colour of their own."""

MOST_STRUCTURES = 254
"""Labels are bytes, 0 is background and 255 is not a label."""


@dataclass(frozen=True)
class Found:
    """A structure as one case has it.

    Attributes:
        name: of the segment; of a value of a label file, what the file calls it, empty where it has no names.
        value: in a label file, None for a segment.
        color: red, green and blue, 0 to 255.
        terminology: Slicer's serialised entry, empty where there is none.
    """

    name: str
    value: int | None = None
    color: tuple[int, int, int] = COLORS[0]
    terminology: str = ""

    @property
    def key(self) -> str:
        """What equal structures of several cases have in common: ``Left_Kidney`` is ``left kidney``."""
        return f"value {self.value}" if self.value is not None else re.sub(r"[\W_]+", " ", self.name).strip().casefold()

    @property
    def suggestion(self) -> tuple[str, tuple[int, int, int]]:
        """Name and colour to begin with; most values of label files have none of their own."""
        if self.value is None or self.name:
            return self.name, self.color
        return f"label {self.value}", COLORS[(self.value - 1) % len(COLORS)]


@dataclass
class StructureRow:
    """One line of the mapping.

    Attributes:
        found: as the first case has it.
        cases: number of cases that have it.
        learntAs: name in the model; rows of one name are one structure.
        color: of the structure in the model.
        terminology: Slicer's serialised entry, empty where there is none.
        suggestion: name and colour that nobody chose; the row keeps them until somebody does.
        used: whether it is learnt; what is not is background.
    """

    found: Found
    cases: int
    learntAs: str
    color: tuple[int, int, int] = COLORS[0]
    terminology: str = ""
    suggestion: tuple[str, tuple[int, int, int]] = ("", COLORS[0])
    used: bool = True

    def take(self, term: Term) -> None:
        """Take a term, or ``NO_TERM``; name and colour of a value of a label file follow while nobody has chosen them.

        A segment has been named and coloured by somebody, so it stays as it is.
        """
        self.terminology = term.text
        if self.found.value is None or self.found.name:
            return
        (name, color), (firstName, firstColor) = self.suggestion, self.found.suggestion
        self.suggestion = term.name or firstName, term.color or firstColor
        if self.learntAs == name:
            self.learntAs = self.suggestion[0]
        if self.color == color:
            self.color = self.suggestion[1]


@dataclass(frozen=True)
class Structure:
    """One structure of the model.

    Attributes:
        value: label value, from 1 in the order of the mapping.
        keys: what the cases call it, see ``Found.key``.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    terminology: str
    keys: tuple[str, ...]

    def setting(self) -> dict[str, Any]:
        """Entry of ``labels`` in the configuration of a run."""
        entry = {"value": self.value, "name": self.name, "color": list(self.color)}
        return entry | ({"terminology": self.terminology} if self.terminology else {})


@dataclass
class StructureMapping:
    """The mapping as the user sees it; rows keep what the user said while cases come and go."""

    rows: list[StructureRow] = field(default_factory=list)

    def update(self, cases: Iterable[Iterable[Found]], complete: bool = True) -> None:
        """Take the structures of all labelled cases: new ones come last, those that no case has are left out.

        Args:
            cases: what each has.
            complete: False while more cases may come to have a structure, so that no row is left out yet.
        """
        counts: dict[str, int] = {}
        first: dict[str, Found] = {}
        for case in cases:
            for key, found in {found.key: found for found in case}.items():
                counts[key] = counts.get(key, 0) + 1
                first.setdefault(key, found)
        kept = [
            replace(row, cases=counts.get(row.found.key, 0))
            for row in self.rows
            if row.found.key in counts or not complete
        ]
        known = {row.found.key for row in kept}
        fresh = sorted((key for key in first if key not in known), key=lambda key: first[key].value or 0)
        for key in fresh:
            found = first[key]
            kept.append(StructureRow(found, counts[key], *found.suggestion, found.terminology, found.suggestion))
        self.rows = kept

    def row(self, key: str) -> StructureRow | None:
        """The row of what cases have under a key, None where no case has it any longer."""
        return next((row for row in self.rows if row.found.key == key), None)

    def add(self, rows: Iterable[StructureRow]) -> bool:
        """Add rows of another time, before their cases are looked at; rows that are there already stay as they are."""
        known = {row.found.key for row in self.rows}
        fresh = [row for row in rows if row.found.key not in known]
        self.rows += fresh
        return bool(fresh)

    def move(self, index: int, steps: int) -> int:
        """Move a row up (negative) or down; returns where it is now."""
        place = min(max(index + steps, 0), len(self.rows) - 1)
        self.rows.insert(place, self.rows.pop(index))
        return place

    def structures(self) -> list[Structure]:
        """What is learnt, in the order of the rows; colour and terminology are those of the first row of a name."""
        groups: dict[str, list[StructureRow]] = {}
        for row in self.rows:
            if row.used and row.learntAs.strip():
                groups.setdefault(row.learntAs.strip(), []).append(row)
        return [
            Structure(
                value,
                name,
                rows[0].color,
                next((row.terminology for row in rows if row.terminology), ""),
                tuple(row.found.key for row in rows),
            )
            for value, (name, rows) in enumerate(groups.items(), start=1)
        ]

    def values(self) -> dict[str, int]:
        """Label value of the model for everything that cases have, by key; 0 where it is not learnt."""
        learnt = {key: structure.value for structure in self.structures() for key in structure.keys}
        return {row.found.key: learnt.get(row.found.key, 0) for row in self.rows}

    def fileMapping(self) -> tuple[dict[int, int], dict[int, int]]:
        """How label values become those of the model when scene and files are trained on together.

        One mapping holds for all label files of a domain, so a label file written from the scene must not use a value
        that files of the user use for something else.

        Returns:
            the mapping of file values to values of the model (0 is background), and the file value to write for each
            value of the model.
        """
        values = self.values()
        mapping = {row.found.value: values[row.found.key] for row in self.rows if row.found.value is not None}
        written: dict[int, int] = {}
        structures = self.structures()
        # beyond the values of the model, so that none is taken from a structure that comes later
        free = (value for value in range(len(structures) + 1, MOST_STRUCTURES + 1) if value not in mapping)
        for structure in structures:
            if mapping.get(structure.value, structure.value) == structure.value:
                written[structure.value] = structure.value
                continue
            same = [value for value, becomes in mapping.items() if becomes == structure.value]
            written[structure.value] = same[0] if same else next(free)
        mapping |= {value: becomes for becomes, value in written.items()}
        return {value: becomes for value, becomes in mapping.items() if value != becomes}, written
