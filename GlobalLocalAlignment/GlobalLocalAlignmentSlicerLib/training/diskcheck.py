"""Cases on disk, found and looked at by the core: their volumes never come into Slicer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..background.corequestion import CoreQuestion
from ..scene.terms import foundTerm
from .structures import Found
from .trainingcases import LABELLED, DiskFolder, TrainingCase


class DiskCheck(CoreQuestion):
    """One look at a folder.

    Args:
        folder: what to look at.
        preset: whose intensity rules the images must be visible under.
        onCase: called with each case as soon as it is known.
        onLookedAt: called once with the reason why the folder cannot be used as a whole, empty where it can.
    """

    def __init__(
        self,
        folder: DiskFolder,
        preset: str,
        onCase: Callable[[TrainingCase], None],
        onLookedAt: Callable[[str], None],
    ) -> None:
        role, images = folder.role, folder.images
        words = ["check", "--preset", preset, f"--{role}-images", str(images)]
        if role in LABELLED:
            words += [f"--{role}-labels", str(folder.labelmaps or images)]
        super().__init__(words, self._take, self._tell)
        self.place, self.onCase, self.onLookedAt = folder, onCase, onLookedAt
        self._count = 0
        self._names: dict[int, tuple[Found, str]] = {}

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] != "case":
            return
        self._count += 1
        values = [value for value in event.get("values") or [] if isinstance(value, int)]
        named = {entry["value"]: entry for entry in event.get("structures") or []}
        case = TrainingCase(self.place.role, str(event.get("name", "")), folder=self.place, checked=True)
        case.problem = str(event.get("message") or "")
        case.found = tuple(_found(value, named.get(value)) for value in values)
        case.doubts = tuple(filter(None, (self._otherName(found, case.name) for found in case.found)))
        self.onCase(case)

    def _otherName(self, found: Found, case: str) -> str:
        """A doubt where an earlier case calls this value something else: all files of a folder are read alike."""
        if not found.name:
            return ""
        first, other = self._names.setdefault(found.value, (found, case))
        if Found(first.name).key == Found(found.name).key:
            return ""
        text = _("its value {value} is {name}, that of {other} is {first}: one of the two is learnt wrongly")
        return text.format(value=found.value, name=found.name, other=other, first=first.name)

    def _tell(self, problem: str) -> None:
        # where there are cases, each says itself what is wrong with it
        if self._count:
            problem = ""
        elif "No module named" in problem:
            problem = _("the core's packages are not installed yet")
        self.onLookedAt(problem)


def _found(value: int, named: dict[str, Any] | None) -> Found:
    """A value of a label file, with what a segmentation of Slicer's calls it."""
    if named is None:
        return Found("", value)
    return Found(str(named["name"]), value, tuple(named["color"]), foundTerm(str(named["terminology"])))
