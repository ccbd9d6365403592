"""Segmenting volumes of the scene: handed to the core in steps, results taken into the scene in steps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import numpy as np
import slicer
from slicer.i18n import tr as _

from ..background.diskspace import describe
from ..background.steps import Beside, Steps
from ..models.modelcard import ModelCard
from ..scene import results
from ..scene.volumefiles import VolumeFileError, readArray, refuseOtherGrid, writeVolume
from ..surfaces.segmentsurfaces import hasSurfaces
from ..surfaces.surfacemaker import SurfaceMaker
from .segmentationjob import FAILED, SegmentationJob, SegmentationOptions, SegmentationOutcome


class SceneSegmenter:
    """Segments volumes of the scene in the background; one segmentation at a time.

    Attributes:
        surfaces: makes the surfaces of what was segmented, while the next segmentation may be running already.
    """

    def __init__(self) -> None:
        self.surfaces = SurfaceMaker()
        self._job: SegmentationJob | None = None
        self._steps: Steps | None = None

    @property
    def running(self) -> bool:
        """Whether a segmentation is on its way."""
        return self._job is not None

    def segment(
        self,
        volumeNodes: list,
        card: ModelCard,
        options: SegmentationOptions,
        segmentationNode=None,
        onProgress: Callable[[float, float | None], None] = lambda share, secondsLeft: None,
        onText: Callable[[str], None] = lambda line: None,
        onFinished: Callable[[list, list[str]], None] = lambda done, messages: None,
        onSurfaces: Callable[[list[str]], None] = lambda messages: None,
    ) -> None:
        """Start segmenting volumes.

        Args:
            volumeNodes: volumes of the target modality.
            card: of the model.
            options: what is wanted.
            segmentationNode: for the result of a single volume, None for one of its own.
            onProgress: share that is done and seconds left.
            onText: lines for the log.
            onFinished: the volumes with new results, and a line for each problem.
            onSurfaces: after ``onFinished``, once surfaces that were wanted are in the scene; a line for each problem.

        Raises:
            OSError: there is no place for temporary files.
        """
        if self.running:
            raise RuntimeError(_("A segmentation is running already."))
        names = {node.GetID(): node.GetName() for node in volumeNodes}

        def finishWith(done: list, messages: list[str], segmentations: list) -> None:
            onFinished(done, messages)
            if segmentations:
                self.surfaces.make(segmentations, onText, onSurfaces)

        def finish(outcome: SegmentationOutcome) -> None:
            steps = self._takeResults(job, outcome, card, segmentationNode, names, problems, finishWith)
            self._steps = Steps(self._guarded(steps, job, onFinished))

        job = SegmentationJob(options, onProgress, onText, finish)
        job.prepare()
        problems: list[str] = []
        self._job = job
        steps = self._handOver(job, list(names), names, problems, onFinished)
        self._steps = Steps(self._guarded(steps, job, onFinished))

    def stop(self) -> None:
        """End the segmentation; results that are there come into the scene."""
        if self._job is not None:
            self._job.stop()

    def close(self) -> None:
        """End the segmentation and take nothing of it: the scene or Slicer goes away."""
        self.surfaces.stop()
        job, self._job = self._job, None
        if self._steps is not None:
            self._steps.cancel()
        if job is not None:
            job.abandon()

    def _guarded(self, steps: Generator[None, None, None], job: SegmentationJob, onFinished):
        """The steps; a fault of ours ends the job too, instead of leaving a panel that waits for ever."""
        try:
            yield from steps
        except Exception as error:
            self._job = None
            job.discard()
            onFinished([], [str(error)])
            raise

    def _handOver(
        self, job: SegmentationJob, identifiers: list[str], names: dict[str, str], problems: list[str], onFinished
    ) -> Generator[None, None, None]:
        """Write the volumes, one a step, and start the core."""
        written = 0
        for identifier in identifiers:
            yield
            node = slicer.mrmlScene.GetNodeByID(identifier)
            if job.stopAsked:
                break
            if node is None:
                problems.append(removed(names[identifier]))
                continue
            try:
                writeVolume(node, job.imagePath(identifier, names[identifier]))
                written += 1
            except VolumeFileError as error:
                job.forget(identifier)
                problems.append(str(error))
        try:
            if written and not job.stopAsked:
                job.start()
                return
        except OSError as error:
            problems.append(_("The core cannot be started: {reason}").format(reason=describe(error, job.folder)))
        self._job = None
        job.discard()
        stopped = [_("{name}: stopped").format(name=names[key]) for key in identifiers] if job.stopAsked else []
        onFinished([], [*problems, *stopped])

    def _takeResults(
        self,
        job: SegmentationJob,
        outcome: SegmentationOutcome,
        card: ModelCard,
        segmentationNode,
        names: dict[str, str],
        problems: list[str],
        finishWith: Callable[[list, list[str], list], None],
    ) -> Generator[None, None, None]:
        """Bring the results into the scene, one a step; files are read beside it."""
        done, in3D = [], []
        messages = [*problems, *describeProblems(outcome, names)]
        for identifier, files in outcome.files.items():
            reading = Beside(lambda files=files: {kind: readArray(path) for kind, path in files.items()})
            while not reading.done:
                yield
            try:
                kinds = []
                for kind, array in inOrder(reading.result()):
                    node = slicer.mrmlScene.GetNodeByID(identifier)
                    if node is None:
                        raise VolumeFileError(removed(names[identifier]))
                    refuseOtherGrid(array, node)
                    if kind == results.SEGMENTATION:
                        segmentation, wasIn3D = self._showSegmentation(node, array, card, segmentationNode)
                        if wasIn3D or job.options.surfaces:
                            in3D.append(segmentation)
                    else:
                        results.showVolume(node, array, kind)
                    kinds.append(kind)
                    yield
                if slicer.mrmlScene.GetNodeByID(identifier) is None:
                    raise VolumeFileError(removed(names[identifier]))
                results.removeStale(node, kinds)
                done.append(node)
            except VolumeFileError as error:
                messages.append(str(error))
        self._job = None
        job.discard()
        finishWith(done, messages, in3D)

    def _showSegmentation(self, node, array: np.ndarray, card: ModelCard, segmentationNode) -> tuple:
        """The segmentation with the result, and whether it was shown in 3D before."""
        there = segmentationNode is not None and slicer.mrmlScene.GetNodeByID(segmentationNode.GetID()) is not None
        chosen = segmentationNode if there else None
        before = chosen or results.findResult(node, results.SEGMENTATION)
        wasIn3D = before is not None and hasSurfaces(before)
        return results.showSegmentation(node, array, card, chosen), wasIn3D


def inOrder(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Kind and voxels of each result of a volume, the segmentation first.

    Args:
        arrays: by the kind as the core calls it; each is dropped once it was given.
    """
    kinds = {"feature_mask": results.FEATURE_MASK, "synthesized": results.SYNTHESIZED}
    for name in sorted(arrays, key=lambda name: name != results.SEGMENTATION):
        structure = name.removeprefix("probability_").replace("_", " ")
        known = name if name == results.SEGMENTATION else kinds.get(name)
        yield known or results.probabilityKind(structure), arrays.pop(name)


def describeProblems(outcome: SegmentationOutcome, names: dict[str, str]) -> list[str]:
    """A line for what went wrong as a whole, with the volumes that it left out, and one for each other volume.

    Args:
        outcome: of the core.
        names: of the volumes by identifier.
    """
    lines = []
    left = [names[key] for key, message in outcome.messages.items() if message == FAILED]
    if outcome.problem:
        lines.append(_("{problem} (not segmented: {names})").format(problem=outcome.problem, names=", ".join(left)))
    for key, message in outcome.messages.items():
        if message != FAILED or not outcome.problem:
            # the core names the file first, which stands for the volume
            text = message.removeprefix(f"{names[key]}: ")
            lines.append(_("{name}: {message}").format(name=names[key], message=text))
    return lines


def removed(name: str) -> str:
    """What is said of a volume that has left the scene."""
    return _("{name} was removed while it was segmented.").format(name=name)
