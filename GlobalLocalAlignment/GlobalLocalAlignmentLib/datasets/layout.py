"""The folder that ``gla prepare`` writes: images and labels by modality, what they are, settings for both directions.

::

    ct/images/ct_1001.nii.gz  ct/labels/ct_1001.nii.gz  ct/dataset.json     the same for mr
    validation/ct/images  validation/ct/labels                              where the site has validation cases
    ct_to_mr.yaml  mr_to_ct.yaml                                            for --config of train, check and ablate
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from .. import __version__
from ..errors import InputError
from ..resultfiles import write_text
from .catalog import DataSet, data_set
from .published import PublishedCase

FORMAT = 1
NOTE_NAME = "dataset.json"
MODALITIES = ("CT", "MR")
SUFFIX = ".nii.gz"
REMEDY = "make space there or choose another folder"
READS_LABELS = "labels of every case were read to crop it (paper_protocol): no result on these files is unsupervised"
CROPPED_BY_AUTHORS = "its authors cropped the volumes of both modalities around their labels before they released them"


class PreparedFolder:
    """An output folder and the data set that is written into it.

    Args:
        folder: of the output.
        data: the data set.
        modalities: of the cases that are written.
        paper_protocol: whether they are cropped by their labels.
    """

    def __init__(self, folder: Path, data: DataSet, modalities: set[str], paper_protocol: bool) -> None:
        self.folder, self.data, self.modalities, self.paper_protocol = folder, data, modalities, paper_protocol

    def paths(self, case: PublishedCase) -> tuple[Path, Path]:
        """Files of the image and of the labels of a case."""
        home = self.folder / "validation" if case.validation else self.folder
        home = home / case.modality.lower()
        return home / "images" / (case.name + SUFFIX), home / "labels" / (case.name + SUFFIX)

    def begin(self) -> None:
        """Say of each modality what will be written, before anything else is.

        Raises:
            InputError: the folder holds something else.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(self.folder, "is not a folder", "choose another one")
        for modality in MODALITIES:
            begun, wanted = self._note(modality), self._identity(modality)
            if begun is None:
                if _holds_something(self.folder / modality.lower()):
                    raise InputError(self.folder / modality.lower(), "holds files of something else", "choose another")
                continue
            if modality in self.modalities and any(begun.get(key) != value for key, value in wanted.items()):
                raise InputError(
                    self.folder / modality.lower(),
                    f"holds {begun.get('dataset')} with paper_protocol {str(begun.get('paper_protocol')).lower()}",
                    "choose another folder",
                )
            if modality not in self.modalities and begun.get("dataset") not in self.data.goes_with:
                raise InputError(
                    self.folder,
                    f"holds {begun.get('dataset')}, which {self.data.name} does not go with",
                    "choose another",
                )
        self._write_notes()

    def finish(self) -> list[str]:
        """Write the settings of both directions, where both modalities are there, and return what to type next."""
        self._write_notes()
        notes = {modality: note for modality in MODALITIES if (note := self._note(modality)) and self._cases(modality)}
        if len(notes) < len(MODALITIES):
            missing = next(modality for modality in MODALITIES if modality not in notes)
            return [f"{missing} is still missing: prepare {' or '.join(self.data.goes_with)} into the same folder"]
        directions = [MODALITIES, MODALITIES[::-1]]
        for source, target in directions:
            write_text(self._settings_path(source, target), self._settings(notes, source, target), REMEDY)
        return [self._train_command(*direction) for direction in directions] + self._ablate_commands(directions)

    def tests(self, modality: str) -> list[str]:
        """Published test cases of a modality that are in the folder."""
        note = self._note(modality) or {}
        published = data_set(note["dataset"]).tests.get(modality, ()) if note else ()
        cases = set(self._cases(modality))
        return [name for name in published if name in cases]

    def _cases(self, modality: str) -> list[str]:
        """Names of the cases that are whole; an image is written last."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self._home(modality).glob(f"images/*{SUFFIX}"))

    def _home(self, modality: str) -> Path:
        return self.folder / modality.lower()

    def _identity(self, modality: str) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "dataset": self.data.name,
            "modality": modality,
            "paper_protocol": self.paper_protocol,
        }

    def _note(self, modality: str) -> dict[str, Any] | None:
        path = self._home(modality) / NOTE_NAME
        if not path.is_file():
            return None
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            data_set(note["dataset"])
        except (OSError, ValueError, KeyError, TypeError, InputError) as error:
            raise InputError(path, "is not the note of a prepared data set", "choose another folder") from error
        return note

    def _write_notes(self) -> None:
        for modality in sorted(self.modalities):
            write_text(self._home(modality) / NOTE_NAME, json.dumps(self._new_note(modality), indent=2) + "\n", REMEDY)

    def _new_note(self, modality: str) -> dict[str, Any]:
        tests, cases = self.tests(modality), self._cases(modality)
        return self._identity(modality) | {
            "version": __version__,
            "target_labels_read": self._labels_read(self.data, self.paper_protocol),
            "geometry": self.data.geometry,
            "caution": self.data.cautions.get(modality, ""),
            "splits": {
                "published": {
                    "source": self.data.tests_source,
                    "test": tests,
                    "missing": [name for name in self.data.tests.get(modality, ()) if name not in tests],
                    "training": [name for name in cases if name not in tests],
                }
            },
        }

    @staticmethod
    def _labels_read(data: DataSet, paper_protocol: bool) -> str:
        return READS_LABELS if paper_protocol else CROPPED_BY_AUTHORS if data.cropped_by_authors else "no"

    def _settings(self, notes: dict[str, dict[str, Any]], source: str, target: str) -> str:
        """Text of a ``--config`` file: test cases are left out of both domains."""
        lines = [f"# {source} to {target}, for gla train, gla check and gla ablate with --preset {self.data.preset}."]
        lines += ["# Published test cases are left out of training; gla ablate names them as test cases."]
        for modality in (source, target):
            data = data_set(notes[modality]["dataset"])
            lines.append(f"# {modality}: {data.name}; {data.tests_source}.")
            read = self._labels_read(data, notes[modality]["paper_protocol"])
            lines += [f"# {modality}: {read}."] if read != "no" else []
            lines += [f"# {modality}: {data.cautions[modality]}."] if modality in data.cautions else []
        domains = {"source": self._domain(notes, source), "target": self._domain(notes, target)}
        return "\n".join(lines) + "\n" + yaml.safe_dump(domains, sort_keys=False)

    def _domain(self, notes: dict[str, dict[str, Any]], modality: str) -> dict[str, Any]:
        home = self._home(modality).resolve()
        domain: dict[str, Any] = {
            "modality": modality,
            "images": [str(home / "images")],
            "labelmaps": [str(home / "labels")],
            "exclude": self.tests(modality),
        }
        limits = data_set(notes[modality]["dataset"]).intensities.get(modality)
        if limits:
            domain["intensity"] = {"rule": "window", "low": limits[0], "high": limits[1]}
        return domain

    def _settings_path(self, source: str, target: str) -> Path:
        return self.folder / f"{source}_to_{target}.yaml".lower()

    def _command(self, name: str, source: str, target: str, *words: str) -> str:
        path = self._settings_path(source, target)
        command = ["gla", name, "--preset", self.data.preset, "--config", str(path), *words]
        return shlex.join([*command, "--output", f"{path.stem}_{name}"])

    def _train_command(self, source: str, target: str) -> str:
        return self._command("train", source, target)

    def _ablate_commands(self, directions: list[tuple[str, str]]) -> list[str]:
        """One command for both directions, or for the one whose target has published test cases here."""
        named = {modality: self.tests(modality) for modality in MODALITIES}
        tested = [direction for direction in directions if named[direction[1]]]
        if not tested:
            return ["no published test case is here: name cases of your own for gla ablate, with --target-test"]
        source, target = tested[0]
        words = [
            word
            for role, name in (("source", source), ("target", target))
            for test in named[name]
            for word in (f"--{role}-test", test)
        ]
        one_way = [] if len(tested) == len(directions) else ["--one-direction"]
        return [self._command("ablate", source, target, *words, *one_way)]


def _holds_something(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
