"""Cases of the scene as files for a training."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..background.steps import Beside
from ..scene import results
from ..scene.volumefiles import VolumeFileError, ijkToRas, writeArray, writeVolume
from .scenecases import LABELMAP_CLASS, labelmapValue
from .structures import Found
from .trainingcases import LABELLED, TrainingCase


def writeCases(
    cases: list[TrainingCase], values: dict[str, int], written: dict[int, int], folder: Path
) -> Generator[None, None, None]:
    """Write cases of the scene one by one, with time for the window between the steps.

    Args:
        cases: of the scene.
        values: label value of the model by the key of a structure, see ``StructureMapping.values``.
        written: value to write for it, see ``StructureMapping.fileMapping``.
        folder: gets ``ROLE/images`` and ``ROLE/labels``; files are called ``scene0000.nrrd`` and so on, whatever the
            volumes are called.

    Raises:
        VolumeFileError: a volume was removed meanwhile, or cannot be written.
    """
    import slicer

    for index, case in enumerate(cases):
        yield
        images, labels = folder / case.role / "images", folder / case.role / "labels"
        for place in (images, labels) if case.role in LABELLED else (images,):
            place.mkdir(parents=True, exist_ok=True)
        name = f"{sceneName(index)}.nrrd"
        node = slicer.mrmlScene.GetNodeByID(case.volumeId)
        labelsNode = slicer.mrmlScene.GetNodeByID(case.labelsId) if case.labelsId else None
        if node is None or (case.role in LABELLED and labelsNode is None):
            raise VolumeFileError(_("{name} was removed from the scene").format(name=case.name))
        writeVolume(node, images / name)
        if case.role not in LABELLED:
            continue
        array = yield from labelArray(node, labelsNode, values, written)
        matrix = ijkToRas(node)
        writing = Beside(
            lambda array=array, matrix=matrix, path=labels / name, case=case: writeArray(array, matrix, path, case.name)
        )
        while not writing.done:
            yield
        writing.result()


def sceneName(index: int) -> str:
    """Name of a case of the scene in the run: nothing of the patient's name in it."""
    return f"scene{index:04d}"


def labelArray(
    volumeNode: Any, labelsNode: Any, values: dict[str, int], written: dict[int, int]
) -> Generator[None, None, np.ndarray]:
    """Label values to write on the grid of a volume, (K, J, I) uint8; a segmentation is resampled to it.

    Results that came into a segmentation of the user's are left out. Where segments overlap, the structure that comes
    later in the mapping has the voxel.
    """
    import slicer

    result = np.zeros(slicer.util.arrayFromVolume(volumeNode).shape, np.uint8)
    if labelsNode.IsA(LABELMAP_CLASS):
        array = slicer.util.arrayFromVolume(labelsNode)
        for value in map(int, np.unique(array)):
            yield
            becomes = values.get((labelmapValue(labelsNode, value) if value < 256 else Found("", value)).key, 0)
            if value and becomes:
                result[array == value] = written[becomes]
        return result
    segmentation = labelsNode.GetSegmentation()
    segments = {
        identifier: Found(segmentation.GetSegment(identifier).GetName())
        for identifier in results.usersSegments(labelsNode)
    }
    for identifier, found in sorted(segments.items(), key=lambda entry: values.get(entry[1].key, 0)):
        becomes = values.get(found.key, 0)
        if becomes:
            yield
            inside = slicer.util.arrayFromSegmentBinaryLabelmap(labelsNode, identifier, volumeNode)
            yield
            if inside is not None:
                np.copyto(result, written[becomes], where=inside > 0, casting="unsafe")
    return result
