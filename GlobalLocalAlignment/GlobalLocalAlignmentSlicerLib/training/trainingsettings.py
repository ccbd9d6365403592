"""What the panel of the training says as the configuration of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..background.backgroundprocess import CORE_FOLDER
from .structures import StructureMapping
from .trainingcases import LABELLED, ROLES, CaseTable

PRESETS = CORE_FOLDER / "GlobalLocalAlignmentLib" / "presets"


@dataclass(frozen=True)
class TrainingOptions:
    """What the user chose beside the cases.

    Attributes:
        preset: its name.
        run: folder of the run; it is made.
        device: as the core names it.
        precision: as the core names it.
        seed: of all random numbers.
        modalities: of source and target, ``automatic`` to let the core guess from the values.
        changes: more settings, each ``section.key=value``.
    """

    preset: str
    run: Path
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    modalities: tuple[str, str] = ("automatic", "automatic")
    changes: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """The part of a command line that is the same for training and for estimating."""
        return [word for change in self.changes for word in ("--set", change)]


def presets() -> dict[str, str]:
    """Presets of the core with the sentence that each begins with."""
    found = {}
    for path in sorted(PRESETS.glob("*.yaml")):
        with open(path, encoding="utf-8") as stream:
            first = stream.readline()
        found[path.stem] = first.removeprefix("#").strip()
    return found


def changesOf(text: str) -> tuple[str, ...]:
    """Settings of a text with one in a line; blank lines and those that begin with # say nothing."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def configuration(
    options: TrainingOptions, cases: CaseTable, mapping: StructureMapping, inputs: Path
) -> dict[str, Any]:
    """Settings for ``gla train --config``.

    Args:
        options: what the user chose.
        cases: all that are trained on.
        mapping: of the structures.
        inputs: folder that ``writeCases`` fills with the cases of the scene.
    """
    fileMapping, _ = mapping.fileMapping()
    settings: dict[str, Any] = {
        "preset": options.preset,
        "labels": [structure.setting() for structure in mapping.structures()],
        "training": {"device": options.device, "precision": options.precision, "seed": options.seed},
    }
    for role in ROLES:
        domain = _domain(role, cases, inputs)
        if not domain:
            continue
        if role in LABELLED and fileMapping:
            domain["label_mapping"] = {str(value): becomes for value, becomes in fileMapping.items()}
        settings[role] = domain
    for role, modality in zip(("source", "target"), options.modalities, strict=True):
        if role in settings:
            settings[role]["modality"] = modality
    return settings


def _domain(role: str, cases: CaseTable, inputs: Path) -> dict[str, Any]:
    folders = [folder for folder in cases.folders if folder.role == role]
    images = [str(folder.images) for folder in folders]
    labelmaps = [str(folder.labelmaps) for folder in folders if folder.labelmaps is not None]
    if any(case.folder is None for case in cases.ofRole(role)):
        images.append(str(inputs / role / "images"))
        labelmaps.append(str(inputs / role / "labels"))
    if not images:
        return {}
    domain: dict[str, Any] = {"images": images}
    if role in LABELLED:
        domain["labelmaps"] = labelmaps
    excluded = [name for folder in folders for name in cases.excluded.get(folder, [])]
    return domain | ({"exclude": excluded} if excluded else {})


def writeConfiguration(settings: dict[str, Any], path: Path) -> None:
    """Write settings as the file that the core reads.

    Raises:
        OSError: it cannot be written.
    """
    path.write_text(json.dumps(settings, indent=2), encoding="utf-8")
