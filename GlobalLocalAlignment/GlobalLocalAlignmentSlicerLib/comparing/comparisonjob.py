"""One call of the core that compares segmentations: files for it, its progress, and what it found.

Pure bookkeeping; which nodes the cases come from is the business of ``scenecomparer``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..background.backgroundjob import BackgroundJob
from ..background.backgroundprocess import BackgroundProcess, StartTimer, reasonOf

MODULE = "GlobalLocalAlignmentLib.masks.segmentcomparison"
INPUT = "input"


@dataclass(frozen=True)
class VoxelFile:
    """Which voxels of a structure are missed, extra or correct.

    Attributes:
        path: .npy file of bits (I, J, K), see ``voxelbits`` of the core; there until the job is discarded.
        first: (3,) index of the first voxel.
        matrix: (4, 4) from indices to RAS millimetres of the world.
    """

    path: Path
    first: np.ndarray
    matrix: np.ndarray

    def bits(self) -> np.ndarray:
        """Read the file, on any thread.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        return np.load(self.path)


@dataclass
class Found:
    """What the core found in one structure of a case; ``None`` stands for all structures together.

    Attributes:
        scores: by the names of ``ComparisonRow``.
        resampled, spacing: as ``CommonGrid`` of the core has them.
        voxels: None until they are written.
    """

    scores: dict[str, float]
    resampled: str = ""
    spacing: tuple[float, ...] = ()
    voxels: VoxelFile | None = None


@dataclass
class JobOutcome:
    """What became of a job.

    Attributes:
        found: by number of the case and of the structure in it.
        problem: what went wrong, empty where nothing did.
        stopped: the user ended it.
    """

    found: dict[tuple[int, int | None], Found] = field(default_factory=dict)
    problem: str = ""
    stopped: bool = False


class ComparisonJob(BackgroundJob):
    """Compares in the background.

    Args:
        onProgress: called with the share that is done.
        onFinished: called once with the outcome; its files are there until ``discard``.
        startTimer, python: see ``BackgroundProcess``.
    """

    def __init__(
        self,
        onProgress: Callable[[float], None],
        onFinished: Callable[[JobOutcome], None],
        startTimer: StartTimer | None = None,
        python: str | None = None,
    ) -> None:
        super().__init__(startTimer, python)
        self.onProgress, self.onFinished = onProgress, onFinished
        self._outcome = JobOutcome()
        self._lastLine = ""
        self._written = 0

    def nextFile(self) -> str:
        """A name for an array that the core is to read."""
        self._written += 1
        return f"{INPUT}_{self._written}.npy"

    def write(self, arrays: dict[str, np.ndarray]) -> None:
        """Write arrays under such names, on any thread.

        Raises:
            OSError: the folder cannot be written.
        """
        for name, array in arrays.items():
            if not self.stopAsked:
                np.save(self.folder / name, array)
        if self.stopAsked:
            # nobody else may have removed what was being written
            self.discard()

    def start(self, cases: list[dict[str, Any]]) -> None:
        """Start the core.

        Args:
            cases: as ``segmentcomparison`` of the core describes them.

        Raises:
            OSError: the process cannot be started.
        """
        job = self.folder / "job.json"
        job.write_text(json.dumps({"cases": cases}), encoding="utf-8")
        self._process = BackgroundProcess(
            [str(job)],
            self.folder / "output.txt",
            self._take,
            self._hear,
            self._finish,
            startTimer=self._startTimer,
            python=self._python,
            module=MODULE,
        )
        self._process.start()

    def _silence(self) -> None:
        self.onProgress, self.onFinished = lambda share: None, lambda outcome: self.discard()

    def _take(self, event: dict[str, Any]) -> None:
        kind, place = event["event"], (event.get("case", -1), event.get("structure"))
        if kind == "progress":
            self.onProgress(event["iteration"] / event["of"])
        elif kind == "structure":
            self._outcome.found[place] = Found(event["scores"], event["resampled"], tuple(event["spacing"]))
        elif kind == "case":
            self._outcome.found[place] = Found(event["scores"])
        elif kind == "voxels":
            matrix, first = np.array(event["matrix"], float), np.array(event["first"])
            self._outcome.found[place].voxels = VoxelFile(self.folder / event["file"], first, matrix)

    def _hear(self, line: str) -> None:
        # the last line of what a process says that fails is the reason
        self._lastLine = line.removeprefix("error: ") or self._lastLine

    def _finish(self, code: int) -> None:
        for path in self.folder.glob(f"{INPUT}_*.npy"):
            path.unlink(missing_ok=True)
        self._outcome.stopped = self.stopAsked
        if code != 0 and not self.stopAsked:
            self._outcome.problem = self._lastLine or reasonOf(code, self.folder)
        self.onFinished(self._outcome)
