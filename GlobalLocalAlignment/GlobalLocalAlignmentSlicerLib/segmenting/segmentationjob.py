"""Segmenting volumes of the scene: files for the core, its call in the background, its results per volume.

Pure bookkeeping: which node becomes which file, and which file or message belongs to which node. The nodes themselves
are read and written by ``volumefiles`` and ``results``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..background.backgroundjob import BackgroundJob
from ..background.backgroundprocess import StartTimer, callCore, reasonOf

STOPPED, FAILED = "stopped", "failed"
AS_THE_MODEL_SAYS = "as the model says"
SHIFTS = (AS_THE_MODEL_SAYS, "1", "2", "4")
"""What there is to choose for the passes along each axis of a slice."""


@dataclass(frozen=True)
class SegmentationOptions:
    """What the user chose for a segmentation.

    Attributes:
        model: the model file.
        featureMask: also the local feature mask.
        synthesized: also the volume in the style of the source.
        probabilities: also a probability map of each structure.
        largestComponent: keep the largest part of each structure alone.
        batchSize: slices at once.
        device: as the core names it.
        precision: as the core names it.
        surfaces: also the surfaces of the segmentation, which are made after the core has ended.
        shifts: passes along each axis of a slice, one of ``SHIFTS``.
    """

    model: Path
    featureMask: bool = False
    synthesized: bool = False
    probabilities: bool = False
    largestComponent: bool = False
    batchSize: int = 16
    device: str = "auto"
    precision: str = "auto"
    surfaces: bool = False
    shifts: str = AS_THE_MODEL_SAYS

    def arguments(self, images: Path, output: Path) -> list[str]:
        """Words of the core's command."""
        words = ["predict", "--model", str(self.model), "--input", str(images), "--output", str(output)]
        words += ["--device", self.device, "--precision", self.precision, "--batch-size", str(self.batchSize)]
        if self.shifts != AS_THE_MODEL_SAYS:
            words += ["--shifts", self.shifts]
        switches = {
            "--feature-mask": self.featureMask,
            "--synthesized": self.synthesized,
            "--probabilities": self.probabilities,
            "--largest-component": self.largestComponent,
        }
        return words + [name for name, on in switches.items() if on]


@dataclass
class SegmentationOutcome:
    """What became of the volumes.

    Attributes:
        files: by volume and kind of result (``segmentation``, ``feature_mask``, ...), only of whole cases.
        messages: by volume, why there is no result; ``FAILED`` where ``problem`` says it.
        problem: what went wrong as a whole, empty where nothing did.
        stopped: the user ended it.
    """

    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    stopped: bool = False


class SegmentationJob(BackgroundJob):
    """One call of the core for one or more volumes.

    Args:
        options: what the user chose.
        onProgress: called with the share that is done, 0 to 1, and the seconds left, None while unknown.
        onText: called with each line for the log.
        onFinished: called once with the outcome; its files are there until ``discard`` is called.
        startTimer, python: see ``BackgroundProcess``.
    """

    def __init__(
        self,
        options: SegmentationOptions,
        onProgress: Callable[[float, float | None], None],
        onText: Callable[[str], None],
        onFinished: Callable[[SegmentationOutcome], None],
        startTimer: StartTimer | None = None,
        python: str | None = None,
    ) -> None:
        super().__init__(startTimer, python)
        self.options, self.onProgress, self.onText, self.onFinished = options, onProgress, onText, onFinished
        self._volumes: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._count = 0
        self._errors: list[str] = []

    def prepare(self) -> None:
        """Make the temporary folder; ``imagePath`` names files in it."""
        super().prepare()
        (self.folder / "images").mkdir()

    def imagePath(self, identifier: str, called: str) -> Path:
        """Where the image of a volume goes: a short name of plain letters, whatever the volume is called.

        Args:
            identifier: what stands for the volume in the outcome, for example the ID of its node.
            called: what the user calls it, for messages and the log.
        """
        name = f"case{self._count:04d}"
        self._count += 1
        self._volumes[name], self._names[name] = identifier, called
        return self.folder / "images" / f"{name}.nrrd"

    def forget(self, identifier: str) -> None:
        """Take back a volume whose image could not be written."""
        self._volumes = {name: known for name, known in self._volumes.items() if known != identifier}

    def start(self) -> None:
        """Start the core on all images that were written.

        Raises:
            OSError: the process cannot be started; nothing is left behind.
        """
        words = self.options.arguments(self.folder / "images", self.folder / "results")
        try:
            self._process = callCore(
                words,
                self.folder,
                self._take,
                self._hear,
                self._finish,
                startTimer=self._startTimer,
                python=self._python,
            )
        except OSError:
            self.discard()
            raise

    def _silence(self) -> None:
        self.onProgress, self.onText = lambda share, seconds: None, lambda line: None
        self.onFinished = lambda outcome: self.discard()

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event.get("of"):
            self.onProgress(float(event["iteration"]) / float(event["of"]), event.get("seconds_left"))
        elif event["event"] == "failed":
            self._errors.append(str(event.get("message", "")))
        elif event["event"] == "warning":
            self.onText(self._named(str(event.get("message", ""))))

    def _hear(self, line: str) -> None:
        if line.startswith("error: "):
            self._errors.append(line.removeprefix("error: "))
        self.onText(self._named(line))

    def _finish(self, code: int) -> None:
        stopped = self.stopAsked
        outcome = SegmentationOutcome(stopped=stopped)
        for name, identifier in self._volumes.items():
            files = self._results(name)
            if "segmentation" in files:
                outcome.files[identifier] = files
                continue
            own = [error for error in self._errors if name in error]
            outcome.messages[identifier] = self._named(own[0]) if own else (STOPPED if stopped else FAILED)
        general = [error for error in self._errors if not any(name in error for name in self._volumes)]
        if code != 0 and FAILED in outcome.messages.values():
            outcome.problem = general[0] if general else reasonOf(code, self.folder)
        self.onFinished(outcome)

    def _results(self, name: str) -> dict[str, Path]:
        """Files of a case by kind; the core writes the segmentation last, so with it the case is whole."""
        found = (self.folder / "results").glob(f"{name}_*.nii.gz")
        return {path.name.removeprefix(f"{name}_").removesuffix(".nii.gz"): path for path in found}

    def _named(self, text: str) -> str:
        """Text with the names of the volumes in the place of the files that only the core knows."""
        # the folder as a literal, for it may hold spaces; the core may have resolved links in it
        folders = {str(self.folder), str(self.folder.resolve())}
        within = "|".join(map(re.escape, sorted(folders, key=len, reverse=True)))
        pattern = rf"(?:(?:{within})[\\/](?:images|results)[\\/])?(case\d{{4}})(?:_\w+)?\.(?:nrrd|nii\.gz)"
        return re.sub(pattern, lambda match: self._names.get(match[1], match[0]), text)
