"""Comparing segmentations of the scene: handed to the core in steps, scored in the background."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..background.diskspace import describe
from ..background.steps import Beside, Steps
from ..scene import results
from ..scene.volumefiles import ijkToRas
from .comparisonjob import ComparisonJob, Found, JobOutcome, VoxelFile
from .comparisonrows import ComparisonRow
from .segmentlayers import SegmentLayers, SegmentMaskError, worldMatrix
from .segmentmasks import emptinessNote, resamplingNote
from .segmentpairs import Structure, structuresOf


@dataclass(frozen=True)
class ComparedPair:
    """IDs of a segmentation and of the one that is taken as the truth."""

    resultId: str
    referenceId: str


@dataclass
class ComparedCase:
    """A case that was compared.

    Attributes:
        name: of the case, another one for each.
        pair: what was compared.
        inputId: ID of the volume that was segmented; empty where nothing says which.
        rows: one for each structure.
        voxels: by name of the structure, of those that have scores; None stands for all together.
        maskMeans: of the local feature mask in correct and in wrong voxels of all structures; NaN where there is none.
    """

    name: str
    pair: ComparedPair
    inputId: str
    rows: list[ComparisonRow] = field(default_factory=list)
    voxels: dict[str | None, VoxelFile] = field(default_factory=dict)
    maskMeans: tuple[float, float] = (float("nan"), float("nan"))


@dataclass
class Comparison:
    """What came out: whole cases, and a line for each problem."""

    cases: list[ComparedCase] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[ComparisonRow]:
        """Those of all cases."""
        return [row for case in self.cases for row in case.rows]


@dataclass
class _Handed:
    """A case that the core works on."""

    name: str
    pair: ComparedPair
    inputId: str
    structures: list[Structure]
    scored: list[Structure]
    notes: list[str]


class SceneComparer:
    """Compares segmentations in the background; one comparison at a time."""

    def __init__(self) -> None:
        self._job: ComparisonJob | None = None
        self._kept: ComparisonJob | None = None
        self._steps: Steps | None = None

    @property
    def running(self) -> bool:
        """Whether a comparison is on its way."""
        return self._job is not None

    def compare(
        self,
        pairs: list[ComparedPair],
        onProgress: Callable[[float], None],
        onFinished: Callable[[Comparison], None],
    ) -> None:
        """Start comparing; the files of voxels of the comparison before are gone with it.

        Raises:
            OSError: there is no place for temporary files.
        """
        if self.running:
            raise RuntimeError(_("A comparison is running already."))
        handed: list[_Handed] = []
        comparison = Comparison()
        names = {pair: _names(pair) for pair in pairs}

        def finish(outcome: JobOutcome) -> None:
            self._job = None
            takeOutcome(outcome, handed, comparison)
            # the files of the comparison that is shown stay until another one takes its place
            gone = self._kept if comparison.cases else job
            if comparison.cases:
                self._kept = job
            if gone is not None:
                gone.discard()
            onFinished(comparison)

        job = ComparisonJob(onProgress, finish)
        job.prepare()
        self._job = job
        steps = self._handOver(job, names, handed, comparison, onFinished)
        self._steps = Steps(self._guarded(steps, job, onFinished))

    def stop(self) -> None:
        """End the comparison; cases that are done count."""
        if self._job is not None:
            self._job.stop()

    def close(self) -> None:
        """End the comparison and leave no file: the scene or Slicer goes away."""
        job, self._job = self._job, None
        if self._steps is not None:
            self._steps.cancel()
        for one in (job, self._kept):
            if one is not None:
                one.abandon()
        self._kept = None

    def _guarded(self, steps: Generator[None, None, None], job: ComparisonJob, onFinished):
        """The steps; a fault of ours ends the job too, instead of leaving a panel that waits for ever."""
        try:
            yield from steps
        except Exception as error:
            self._job = None
            job.discard()
            onFinished(Comparison(messages=[str(error)]))
            raise

    def _handOver(
        self,
        job: ComparisonJob,
        names: dict[ComparedPair, tuple[str, str]],
        handed: list[_Handed],
        comparison: Comparison,
        onFinished: Callable[[Comparison], None],
    ) -> Generator[None, None, None]:
        """Write the voxels of all pairs, beside the window, and start the core."""
        cases = []
        try:
            for pair, both in names.items():
                yield
                if job.stopAsked:
                    break
                try:
                    taken = [one.name for one in handed]
                    case, description, arrays = yield from _described(pair, both, job, taken)
                except SegmentMaskError as error:
                    comparison.messages.append(str(error))
                    continue
                writing = Beside(lambda arrays=arrays: job.write(arrays))
                while not writing.done:
                    yield
                writing.result()
                cases.append(description)
                handed.append(case)
            if cases and not job.stopAsked:
                job.start(cases)
                return
        except OSError as error:
            text = _("The voxels cannot be handed to the core: {reason}")
            comparison.messages.append(text.format(reason=describe(error, job.folder)))
        self._job = None
        job.discard()
        if job.stopAsked:
            comparison.messages.append(_("Stopped."))
        onFinished(comparison)


def _described(
    pair: ComparedPair, names: tuple[str, str], job: ComparisonJob, taken: list[str]
) -> Generator[None, None, tuple[_Handed, dict[str, Any], dict[str, Any]]]:
    """A case, its description for the core, and the arrays that go with it.

    Raises:
        SegmentMaskError: it cannot be compared.
    """
    nodes = [slicer.mrmlScene.GetNodeByID(identifier) for identifier in (pair.resultId, pair.referenceId)]
    for node, name in zip(nodes, names, strict=True):
        if node is None:
            raise SegmentMaskError(_("{name} was removed from the scene.").format(name=name))
    structures = structuresOf(*(node.GetSegmentation() for node in nodes))
    if not structures:
        text = _("{result} and {reference} hold no segment.")
        raise SegmentMaskError(text.format(result=names[0], reference=names[1]))
    scored = [structure for structure in structures if structure.scored]
    arrays: dict[str, Any] = {}
    sides = []
    for node, side in zip(nodes, ("segmentId", "referenceId"), strict=True):
        described = yield from _side(node, [getattr(one, side) for one in scored], job, arrays)
        sides.append(described)
    for node, name in zip(nodes, names, strict=True):
        if node.GetScene() is None:
            raise SegmentMaskError(_("{name} was removed from the scene.").format(name=name))
    bent = _("{name} is under a transform that bends it: compared on its own grid, straight again.")
    notes = [
        bent.format(name=name)
        for name, side in zip(names, sides, strict=True)
        if any("bend" in layer for layer in side["layers"])
    ]
    volume = inputOf(*nodes)
    mask = results.findResult(volume, results.FEATURE_MASK) if volume is not None else None
    matrix = worldMatrix(mask.GetParentTransformNode(), ijkToRas(mask)) if mask is not None else None
    described = None
    if matrix is not None and mask.GetImageData() is not None:
        file = job.nextFile()
        arrays[file] = slicer.util.arrayFromVolume(mask).T
        described = {"file": file, "matrix": matrix.tolist()}
    description = {
        "compared": sides[0],
        "reference": sides[1],
        "structures": [[structure.segmentId or None, structure.referenceId] for structure in scored],
        "mask": described,
    }
    name = volume.GetName() if volume is not None else nodes[0].GetName()
    if name in taken:
        name = f"{name} ({nodes[0].GetName()})"
    number = 2
    while name in taken:
        name, number = f"{name.removesuffix(f' {number - 1}')} {number}", number + 1
    case = _Handed(name, pair, volume.GetID() if volume is not None else "", structures, scored, notes)
    return case, description, arrays


def _side(
    node: Any, segmentIds: list[str], job: ComparisonJob, arrays: dict[str, Any]
) -> Generator[None, None, dict[str, Any]]:
    """One side of a case as the core wants it described."""
    layers, segments, described = SegmentLayers(node), {}, []
    known: list[Any] = []
    for segmentId in filter(None, segmentIds):
        layer, value = yield from layers.of(segmentId)
        if layer is None:
            segments[segmentId] = [None, 0]
            continue
        place = next((index for index, other in enumerate(known) if other is layer), len(known))
        if place == len(known):
            known.append(layer)
            file = job.nextFile()
            arrays[file] = layer.values
            described.append({"file": file, "first": layer.first.tolist(), "matrix": layer.matrix.tolist()})
            if layer.bend is not None:
                bent = job.nextFile()
                arrays[bent] = layer.bend.sources
                box = {"low": layer.bend.low.tolist(), "shape": list(layer.bend.shape), "step": layer.bend.step}
                described[-1]["bend"] = {"file": bent, **box}
        segments[segmentId] = [place, value]
    return {"layers": described, "segments": segments}


def inputOf(resultNode: Any, referenceNode: Any | None = None) -> Any | None:
    """The volume that a segmentation was made from, or else its ground truth; None where nothing says it."""
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    found = [resultNode.GetNodeReference(results.INPUT_ROLE), resultNode.GetNodeReference(role)]
    if referenceNode is not None:
        found.append(referenceNode.GetNodeReference(role))
    return next((node for node in found if node is not None), None)


def takeOutcome(outcome: JobOutcome, handed: list[_Handed], comparison: Comparison) -> None:
    """Put the cases that the core has finished into a comparison, and a line for what is wrong."""
    for number, case in enumerate(handed):
        together = outcome.found.get((number, None))
        if case.scored and (together is None or together.voxels is None):
            continue
        done = ComparedCase(case.name, case.pair, case.inputId)
        places = {id(structure): place for place, structure in enumerate(case.scored)}
        for structure in case.structures:
            found = outcome.found.get((number, places.get(id(structure), -1)))
            done.rows.append(_row(case.name, structure, found))
            if found is not None and found.voxels is not None:
                done.voxels[structure.name] = found.voxels
        if together is not None:
            done.voxels[None] = together.voxels
            done.maskMeans = (together.scores["mask_correct"], together.scores["mask_wrong"])
        comparison.cases.append(done)
        comparison.messages += case.notes
    if outcome.problem:
        comparison.messages.append(outcome.problem)
    if outcome.stopped:
        comparison.messages.append(_("Stopped."))


def _row(case: str, structure: Structure, found: Found | None) -> ComparisonRow:
    if found is None:
        return ComparisonRow(case, structure.name, structure.referenceName, comparison_note=structure.note)
    notes = [structure.note, resamplingNote(found.resampled, found.spacing)]
    if structure.segmentId:
        counts = (found.scores[name] > 0 for name in ("predicted_voxels", "reference_voxels"))
        notes.append(emptinessNote(*counts))
    note = "; ".join(filter(None, notes))
    return ComparisonRow(case, structure.name, structure.referenceName, **found.scores, comparison_note=note)


def _names(pair: ComparedPair) -> tuple[str, str]:
    """Names of both, as long as they are there."""
    nodes = (slicer.mrmlScene.GetNodeByID(identifier) for identifier in (pair.resultId, pair.referenceId))
    return tuple(node.GetName() if node is not None else _("A segmentation") for node in nodes)
