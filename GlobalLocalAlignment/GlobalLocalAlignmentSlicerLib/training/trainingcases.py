"""The cases of a training: volumes of the scene and files on disk, with what is wrong with each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from slicer.i18n import tr as _

from .structures import Found, Structure

SOURCE, TARGET, VALIDATION = "source", "target", "validation"
ROLES = (SOURCE, TARGET, VALIDATION)
LABELLED = (SOURCE, VALIDATION)


@dataclass
class TrainingCase:
    """One row of the table.

    Attributes:
        role: ``source`` (volume with labels), ``target`` (volume without) or ``validation`` (target volume with labels
            that are watched and never learnt from).
        name: of the volume node, or of the case in its folder.
        volumeId: node of the scene, empty for a case on disk.
        labelsId: segmentation or labelmap node, empty where there is none.
        folder: of a case on disk, None for one of the scene.
        checked: whether ``problem``, ``doubts`` and ``found`` say what the case is like.
        problem: why the case cannot be used, empty where it can.
        doubts: what is worth knowing of a case that can be used.
        found: structures of its labels.
        missing: structures that are learnt and that this case does not have.
    """

    role: str
    name: str
    volumeId: str = ""
    labelsId: str = ""
    folder: DiskFolder | None = None
    checked: bool = False
    problem: str = ""
    doubts: tuple[str, ...] = ()
    found: tuple[Found, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the case was checked and can be trained on."""
        return self.checked and not self.problem


@dataclass(frozen=True)
class DiskFolder:
    """Volumes on disk, which never come into the scene.

    Attributes:
        role: of all its cases.
        images: folder with the images.
        labelmaps: folder with the label maps, which may be that of the images, None without labels.
    """

    role: str
    images: Path
    labelmaps: Path | None = None


@dataclass
class CaseTable:
    """All cases, in the order in which they were added."""

    cases: list[TrainingCase] = field(default_factory=list)
    folders: list[DiskFolder] = field(default_factory=list)
    excluded: dict[DiskFolder, list[str]] = field(default_factory=dict)

    def add(self, case: TrainingCase) -> bool:
        """Add a case of the scene; a volume has one place in the table, whatever its role."""
        if any(case.volumeId and case.volumeId == known.volumeId for known in self.cases):
            return False
        self.cases.append(case)
        return True

    def addFolder(self, folder: DiskFolder, cases: Iterable[TrainingCase]) -> None:
        """Add a folder with the cases that were found in it, in the place of an earlier look at the same folder."""
        self.cases = [case for case in self.cases if case.folder != folder]
        if folder not in self.folders:
            self.folders.append(folder)
        left = self.excluded.get(folder, [])
        known = {case.name: case for case in self.ofRole(folder.role) if case.folder is not None}
        for case in cases:
            if case.name in left:
                continue
            if case.name in known:
                where = known[case.name].folder.images
                case.problem = _("has the name of a case of {folder}; rename one or remove it").format(folder=where)
            self.cases.append(case)

    def remove(self, cases: Iterable[TrainingCase]) -> None:
        """Take cases out; a folder that has none left is forgotten, otherwise its case is excluded by name."""
        gone = {id(case) for case in cases}
        for case in self.cases:
            if id(case) in gone and case.folder is not None:
                self.excluded.setdefault(case.folder, []).append(case.name)
        self.cases = [case for case in self.cases if id(case) not in gone]
        self.folders = [folder for folder in self.folders if any(case.folder == folder for case in self.cases)]
        self.excluded = {folder: names for folder, names in self.excluded.items() if folder in self.folders}

    def removeVolume(self, volumeId: str) -> bool:
        """Take out the case of a node that left the scene."""
        gone = [case for case in self.cases if case.volumeId == volumeId]
        self.remove(gone)
        return bool(gone)

    def ofRole(self, role: str) -> list[TrainingCase]:
        """Cases of a role."""
        return [case for case in self.cases if case.role == role]

    def labelled(self) -> list[TrainingCase]:
        """Cases with labels that can be used."""
        return [case for case in self.cases if case.role in LABELLED and case.usable]

    def compareWith(self, structures: Iterable[Structure]) -> None:
        """Note for each labelled case which structures it does not have."""
        learnt = list(structures)
        for case in self.labelled():
            keys = {found.key for found in case.found}
            case.missing = tuple(structure.name for structure in learnt if not keys.intersection(structure.keys))

    def neverSeen(self, structures: Iterable[Structure]) -> list[str]:
        """Structures that no case of the source has, so that nothing can be learnt of them."""
        keys = {found.key for case in self.ofRole(SOURCE) for found in case.found}
        return [structure.name for structure in structures if not keys.intersection(structure.keys)]

    def whyNot(self) -> str:
        """What is missing before a training can start, empty where nothing is."""
        if not self.ofRole(SOURCE):
            return _("Add a volume with labels to the source.")
        if not self.ofRole(TARGET):
            return _("Add a volume of the other modality to the target.")
        bad = [case for case in self.cases if case.checked and case.problem]
        if bad:
            text = _("{name}: {problem}.").format(name=bad[0].name, problem=bad[0].problem)
            more = len(bad) - 1
            return (
                _("{text} {count} more have problems, see the table.").format(text=text, count=more) if more else text
            )
        waiting = sum(not case.checked for case in self.cases)
        return _("{count} cases are still being looked at.").format(count=waiting) if waiting else ""
