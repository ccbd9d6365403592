"""Volumes of the scene as cases of a training: which labels belong to a volume, and what is wrong with it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..background.steps import Beside
from ..scene import results
from ..scene.labelchoice import LABELMAP_CLASS, sameGrid
from ..scene.terms import foundTerm
from .structures import COLORS, Found
from .trainingcases import LABELLED, CaseTable, TrainingCase


@dataclass(frozen=True)
class Voxels:
    """What the voxels of a case say.

    Attributes:
        low: smallest value of the image, not a number where any is none.
        high: largest value.
        structures: of the labels, each with whether any voxel has it.
    """

    low: float
    high: float
    structures: list[tuple[Found, bool]]


def lookSteps(table: CaseTable, onChanged: Callable[[], None]) -> Generator[None, None, None]:
    """Look at all cases of the scene that nobody has looked at yet, one after the other; voxels are read beside it.

    A case that cannot be looked at, for want of memory perhaps, says so, and the next one is looked at.

    Args:
        table: more cases may come into it meanwhile.
        onChanged: called after each case.
    """
    while waiting := [case for case in table.cases if not case.checked and case.folder is None]:
        case = waiting[0]
        labelsId = case.labelsId
        try:
            read = startCheck(case)
            if read is not None:
                reading = Beside(read)
                while not reading.done:
                    yield
                finishCheck(case, reading.result())
        except Exception as error:
            logging.exception("%s cannot be looked at", case.name)
            case.problem = _("cannot be looked at: {reason}").format(reason=str(error) or type(error).__name__)
        # other labels may have been chosen meanwhile
        case.checked = case.labelsId == labelsId
        onChanged()
        yield


def startCheck(case: TrainingCase) -> Callable[[], Voxels] | None:
    """Look at everything of a case that takes no time, and note what is wrong.

    Returns:
        a function that reads the voxels, for ``finishCheck``; it touches neither nodes nor Slicer and may run on
        another thread. None where the case cannot be used whatever its voxels say.
    """
    import slicer

    volumeNode = slicer.mrmlScene.GetNodeByID(case.volumeId)
    labelsNode = slicer.mrmlScene.GetNodeByID(case.labelsId) if case.labelsId else None
    problem = _imageProblem(volumeNode)
    if not problem and case.role in LABELLED:
        problem = _labelsProblem(volumeNode, labelsNode)
    case.problem, case.doubts, case.found = problem, (), ()
    if problem:
        return None
    array = slicer.util.arrayFromVolume(volumeNode)
    structures = _structuresOf(labelsNode) if case.role in LABELLED else lambda: []
    return lambda: Voxels(float(array.min()), float(array.max()), structures())


def finishCheck(case: TrainingCase, voxels: Voxels) -> None:
    """Note what the voxels of a case say."""
    case.found = tuple(found for found, there in voxels.structures if there)
    empty = [found.name for found, there in voxels.structures if not there]
    case.doubts = (_("empty: {names}").format(names=", ".join(empty)),) if empty else ()
    if not (math.isfinite(voxels.low) and math.isfinite(voxels.high)):
        case.problem = _("holds values that are not numbers; replace them first")
    elif voxels.low == voxels.high:
        case.problem = _("has the same value everywhere")
    elif case.role in LABELLED and not case.found:
        case.problem = _("its labels hold no structure")


def _imageProblem(node: Any) -> str:
    if node is None:
        return _("was removed from the scene")
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        return _("holds no image")
    if image.GetNumberOfScalarComponents() != 1:
        return _("has several values in a voxel; choose a volume with one")
    if min(image.GetDimensions()) < 2:
        return _("is a single slice, not a volume")
    return ""


def _labelsProblem(volumeNode: Any, labelsNode: Any) -> str:
    if labelsNode is None:
        return _("has no segmentation and no labelmap; choose one or remove the row")
    name = labelsNode.GetName()
    if labelsNode.GetTransformNodeID() != volumeNode.GetTransformNodeID():
        return _("{labels} is under another transform than the volume; harden it").format(labels=name)
    if labelsNode.IsA(LABELMAP_CLASS):
        if labelsNode.GetImageData() is None:
            return _("{labels} is empty").format(labels=name)
        return (
            ""
            if sameGrid(labelsNode, volumeNode)
            else _("{labels} has another geometry than the volume; resample it to the volume").format(labels=name)
        )
    bounds, other = [0.0] * 6, [0.0] * 6
    volumeNode.GetRASBounds(bounds)
    labelsNode.GetRASBounds(other)
    apart = any(bounds[2 * axis + 1] < other[2 * axis] or other[2 * axis + 1] < bounds[2 * axis] for axis in range(3))
    if labelsNode.GetSegmentation().GetNumberOfSegments() and apart:
        return _("{labels} lies outside the volume").format(labels=name)
    return ""


def _structuresOf(labelsNode: Any) -> Callable[[], list[tuple[Found, bool]]]:
    """A function that says which structures a segmentation or labelmap has, and whether each has any voxel."""
    if labelsNode.IsA(LABELMAP_CLASS):
        return _valuesOf(labelsNode)
    segmentation = labelsNode.GetSegmentation()
    candidates = []
    for segmentId in results.usersSegments(labelsNode):
        segment = segmentation.GetSegment(segmentId)
        color = tuple(round(255 * part) for part in segment.GetColor())
        found = Found(segment.GetName(), None, color, foundTerm(segment.GetTerminology() or ""))
        candidates.append((found, *_voxels(segment, segmentation.GetSourceRepresentationName())))

    def structures() -> list[tuple[Found, bool]]:
        return [
            (found, array is not None and bool((array == value).any() if value is not None else array.size))
            for found, array, value in candidates
        ]

    return structures


def _voxels(segment: Any, representationName: str) -> tuple[np.ndarray | None, int | None]:
    """Values of a segment's labelmap and its own among them; points of a surface, and None."""
    from vtk.util.numpy_support import vtk_to_numpy

    representation = segment.GetRepresentation(representationName)
    if representation is None:
        return None, None
    if representation.IsA("vtkImageData"):
        scalars = representation.GetPointData().GetScalars()
        return (None if scalars is None else vtk_to_numpy(scalars)), segment.GetLabelValue()
    points = representation.GetPoints()
    return (None if points is None else vtk_to_numpy(points.GetData())), None


def _valuesOf(labelmapNode: Any) -> Callable[[], list[tuple[Found, bool]]]:
    """Values of a labelmap, by the names of its colour table where it has one."""
    import slicer

    array = slicer.util.arrayFromVolume(labelmapNode)
    named = {value: labelmapValue(labelmapNode, value) for value in range(1, 256)}

    def structures() -> list[tuple[Found, bool]]:
        values = [value for value in map(int, np.unique(array)) if value != 0]
        return [(named.get(value) or Found("", value), True) for value in values]

    return structures


def labelmapValue(labelmapNode: Any, value: int) -> Found:
    """What a value of a labelmap stands for."""
    table = labelmapNode.GetDisplayNode().GetColorNode() if labelmapNode.GetDisplayNode() is not None else None
    name, color, term = "", COLORS[(value - 1) % len(COLORS)], ""
    if table is not None and value < table.GetNumberOfColors():
        parts = [0.0] * 4
        if table.GetColor(value, parts):
            name, color = table.GetColorName(value) or "", tuple(round(255 * part) for part in parts[:3])
            term = foundTerm(table.GetTerminologyAsString(value))
    # tables that only number their colours name nothing
    return Found("", value) if not name or name == str(value) else Found(name, None, color, term)
