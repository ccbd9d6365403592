"""Results of the core as nodes of the scene, beside the volume they belong to.

A result is found again by its reference to the volume and by its kind, so that segmenting once more replaces it. Nodes
that the user made carry neither and are never touched, unless the user chooses one for the result.
"""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..models.modelcard import ModelCard
from ..surfaces.segmentsurfaces import removeSurfaces
from .colortables import perceptualColors, structureColors
from .terms import foundTerm
from .volumefiles import ORTHOGONAL_TOLERANCE, VolumeFileError, ijkToRas

INPUT_ROLE = "GlobalLocalAlignment.Input"
KIND_ATTRIBUTE = "GlobalLocalAlignment.Kind"
SEGMENT_TAG = "GlobalLocalAlignment.LabelValue"
SEGMENTATION, FEATURE_MASK, SYNTHESIZED = "segmentation", "feature mask", "source style"
WINDOW_PERCENTILES = (0.1, 99.9)
"""Of the values of a style-transferred volume, from black to white: those of Slicer's own automatic window."""


def probabilityKind(name: str) -> str:
    """Kind of the probability map of a structure."""
    return f"probability of {name}"


def isResult(node: Any) -> bool:
    """Whether a node was made here from a volume."""
    return bool(node.GetAttribute(KIND_ATTRIBUTE))


def findResult(volumeNode: Any, kind: str) -> Any | None:
    """The result of this kind that belongs to a volume, None where there is none."""
    import slicer

    className = "vtkMRMLSegmentationNode" if kind == SEGMENTATION else "vtkMRMLScalarVolumeNode"
    for node in slicer.util.getNodesByClass(className):
        if node.GetAttribute(KIND_ATTRIBUTE) == kind and node.GetNodeReferenceID(INPUT_ROLE) == volumeNode.GetID():
            return node
    return None


def findSegmentation(volumeNode: Any, chosen: Any | None = None) -> Any | None:
    """The segmentation that holds results of a volume: the chosen one if it does, else any, our own first."""
    import slicer

    own = findResult(volumeNode, SEGMENTATION)
    nodes = [chosen, own, *slicer.util.getNodesByClass("vtkMRMLSegmentationNode")]
    return next(
        (node for node in nodes if node is not None and node.GetNodeReferenceID(INPUT_ROLE) == volumeNode.GetID()), None
    )


def whyNotInto(segmentationNode: Any, volumeNode: Any) -> str:
    """Why the results of a volume cannot come into a segmentation that the user made; empty where they can."""
    import slicer

    if not usersSegments(segmentationNode):
        return ""
    name = segmentationNode.GetName()
    labelmap = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentationNode.GetSegmentation().GetSourceRepresentationName() != labelmap:
        return _("{name} consists of surfaces: choose another segmentation.").format(name=name)
    if _gridIn(segmentationNode, volumeNode) is None:
        return _(
            "{name} and {volume} are under transforms that do not go together: choose another segmentation."
        ).format(name=name, volume=volumeNode.GetName())
    return ""


def showSegmentation(volumeNode: Any, labels: np.ndarray, card: ModelCard, segmentationNode: Any | None = None) -> Any:
    """Bring a label map into the scene as a segmentation with the names, colours and terminology of the card.

    Args:
        volumeNode: the volume that was segmented.
        labels: (K, J, I) label values of the card, 0 for background.
        card: the model's.
        segmentationNode: node that the user chose. Segments of an earlier result in it are replaced; all others keep
            their voxels, their grid and their place.

    Returns:
        the segmentation node, without surfaces.

    Raises:
        VolumeFileError: ``whyNotInto`` has a reason.
    """
    import slicer

    node = segmentationNode or findResult(volumeNode, SEGMENTATION) or _newResult(volumeNode, SEGMENTATION)
    reason = whyNotInto(node, volumeNode)
    if reason:
        raise VolumeFileError(reason)
    node.CreateDefaultDisplayNodes()
    node.SetNodeReferenceID(INPUT_ROLE, volumeNode.GetID())
    segmentation = node.GetSegmentation()
    removeSurfaces(node)
    for segmentId in list(segmentation.GetSegmentIDs()):
        if _tag(segmentation.GetSegment(segmentId)):
            segmentation.RemoveSegment(segmentId)
    if not segmentation.GetNumberOfSegments():
        # nothing in it can be moved or change its grid by this
        segmentation.SetSourceRepresentationName(
            slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
        )
        node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    _fill(node, _gridIn(node, volumeNode), _inOrder(labels, card), _addSegments(segmentation, card))
    return node


def showReference(volumeNode: Any, labels: np.ndarray, card: ModelCard) -> Any:
    """Bring a label map that people drew into the scene, with the names and colours of the card.

    It is no result: it stays where the volume is segmented again.

    Args:
        volumeNode: the volume that was labelled.
        labels: (K, J, I) label values of the card, 0 for background.
        card: of a model with these labels.
    """
    import slicer

    name = slicer.mrmlScene.GenerateUniqueName(f"{volumeNode.GetName()} ground truth")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    showSegmentation(volumeNode, labels, card, node)
    node.SetNodeReferenceID(INPUT_ROLE, None)
    segmentation = node.GetSegmentation()
    for segmentId in segmentation.GetSegmentIDs():
        segmentation.GetSegment(segmentId).RemoveTag(SEGMENT_TAG)
    besideOf(node, volumeNode)
    return node


def showVolume(volumeNode: Any, array: np.ndarray, kind: str) -> Any:
    """Bring a volume that the core made into the scene; one that is there keeps the window and colours it has.

    Args:
        volumeNode: the volume that it was made from.
        array: (K, J, I) values.
        kind: ``FEATURE_MASK``, ``SYNTHESIZED`` or a ``probabilityKind``.
    """
    import slicer

    node = findResult(volumeNode, kind)
    if node is None:
        node = _newResult(volumeNode, kind)
        showFirst(node, array, kind)
    elif kind == SYNTHESIZED and _hasWindowOf(node, slicer.util.arrayFromVolume(node)):
        # nobody has changed it, and other voxels want another one
        node.GetDisplayNode().SetWindowLevelMinMax(*_windowOf(array))
    slicer.util.updateVolumeFromArray(node, array)
    _placeLike(node, volumeNode)
    return node


def removeStale(volumeNode: Any, kinds: Collection[str]) -> None:
    """Take volumes of an earlier segmentation out of the scene: its mask says nothing of the segmentation of today.

    Args:
        volumeNode: the volume that was segmented.
        kinds: of the results that have just come in, which stay.
    """
    import slicer

    for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if isResult(node) and node.GetAttribute(KIND_ATTRIBUTE) not in kinds:
            if node.GetNodeReferenceID(INPUT_ROLE) == volumeNode.GetID():
                slicer.mrmlScene.RemoveNode(node)


def exportLabelmap(volumeNode: Any, segmentationNode: Any) -> Generator[None, None, Any]:
    """A labelmap volume with the label values of the model, on the grid of the volume and beside it.

    Its colour table has the names, colours and terms of the segments. Segments that the user added have no label value
    of the model and are left out. Each ``yield`` gives the window time; the node is what the generator returns.

    Raises:
        VolumeFileError: one of the two nodes was removed meanwhile.
    """
    import slicer

    _refuseRemoved(volumeNode, segmentationNode)
    labels = np.zeros(slicer.util.arrayFromVolume(volumeNode).shape, np.uint8)
    structures = {}
    segmentation = segmentationNode.GetSegmentation()
    for segmentId in list(segmentation.GetSegmentIDs()):
        yield
        _refuseRemoved(volumeNode, segmentationNode)
        segment = segmentation.GetSegment(segmentId)
        value = int(_tag(segment) or 0) if segment is not None else 0
        if value:
            inside = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentId, volumeNode)
            labels[inside > 0] = value
            term = foundTerm(segment.GetTerminology() or "")
            structures[value] = (segment.GetName(), segment.GetColor(), term)
    name = slicer.mrmlScene.GenerateUniqueName(f"{volumeNode.GetName()} labels")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, labels)
    _placeLike(node, volumeNode)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID(structureColors(name, structures).GetID())
    besideOf(node, volumeNode)
    return node


def _refuseRemoved(*nodes: Any) -> None:
    gone = [node.GetName() for node in nodes if node.GetScene() is None]
    if gone:
        raise VolumeFileError(_("{name} was removed from the scene").format(name=gone[0]))


def showFirst(node: Any, array: np.ndarray, kind: str = SYNTHESIZED) -> None:
    """Window and colours of a new volume, whose voxels come after them."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    # before the voxels are there: Slicer's own look for a window counts all of them, on the main thread
    display.AutoWindowLevelOff()
    if kind == SYNTHESIZED:
        display.SetWindowLevelMinMax(*_windowOf(array))
    else:
        # both are shares between 0 and 1: the same colour means the same in every volume
        display.SetWindowLevelMinMax(0.0, 1.0)
        display.SetAndObserveColorNodeID(perceptualColors().GetID())


def _hasWindowOf(node: Any, array: np.ndarray) -> bool:
    display = node.GetDisplayNode()
    return display is not None and np.allclose(
        (display.GetWindowLevelMin(), display.GetWindowLevelMax()), _windowOf(array)
    )


def _windowOf(array: np.ndarray) -> tuple[float, float]:
    """Darkest and brightest value that a window shows: nearly all voxels, judged by every fourth along each axis."""
    low, high = np.percentile(array[::4, ::4, ::4], WINDOW_PERCENTILES)
    return float(low), float(high if high > low else low + 1)


def _newResult(volumeNode: Any, kind: str) -> Any:
    import slicer

    className = "vtkMRMLSegmentationNode" if kind == SEGMENTATION else "vtkMRMLScalarVolumeNode"
    name = slicer.mrmlScene.GenerateUniqueName(f"{volumeNode.GetName()} {kind}")
    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    node.SetAttribute(KIND_ATTRIBUTE, kind)
    node.SetNodeReferenceID(INPUT_ROLE, volumeNode.GetID())
    besideOf(node, volumeNode)
    return node


def besideOf(node: Any, volumeNode: Any) -> None:
    """Put a node into the folder of a volume; the core alone, without Slicer's application, has no items."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, volumeItem = (hierarchy.GetItemByDataNode(one) for one in (node, volumeNode))
    if item and volumeItem:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(volumeItem))


def _placeLike(node: Any, volumeNode: Any) -> None:
    """Give a volume node the very grid and the transform of another one."""
    import slicer

    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRas(volumeNode)))
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())


def _inOrder(labels: np.ndarray, card: ModelCard) -> np.ndarray:
    """Label values as positions in the card from 1: Slicer gives value 1 to the first segment, 2 to the second."""
    values = [label.value for label in card.labels]
    if labels.dtype == np.uint8 and values == list(range(1, len(values) + 1)) and labels.max(initial=0) <= len(values):
        # as they are; to look up millions of voxels would hold the window
        return labels
    positions = np.zeros(256, np.uint8)
    positions[values] = np.arange(1, len(values) + 1)
    return positions[labels]


def usersSegments(segmentationNode: Any) -> list[str]:
    """IDs of the segments of a segmentation that did not come from here."""
    segmentation = segmentationNode.GetSegmentation()
    return [name for name in segmentation.GetSegmentIDs() if not _tag(segmentation.GetSegment(name))]


def _addSegments(segmentation: Any, card: ModelCard) -> list[str]:
    """Add an empty segment for each structure of the card; their IDs."""
    identifiers = []
    for label in card.labels:
        identifier = segmentation.AddEmptySegment(
            segmentation.GenerateUniqueSegmentID(label.name), label.name, [part / 255 for part in label.color]
        )
        segment = segmentation.GetSegment(identifier)
        segment.SetTag(SEGMENT_TAG, str(label.value))
        if label.terminology:
            segment.SetTerminology(label.terminology)
        identifiers.append(identifier)
    return identifiers


def _gridIn(segmentationNode: Any, volumeNode: Any) -> np.ndarray | None:
    """Matrix (4, 4) from the voxels of a volume to the coordinates of a segmentation, where segments can have it.

    None where a transform that is not linear, or shears, lies between the two.
    """
    import slicer
    import vtk

    parents = [node.GetParentTransformNode() for node in (volumeNode, segmentationNode)]
    between = vtk.vtkMatrix4x4()
    if parents[0] is not parents[1]:
        if not all(parent is None or parent.IsTransformToWorldLinear() for parent in parents):
            return None
        slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, between)
    matrix = slicer.util.arrayFromVTKMatrix(between) @ ijkToRas(volumeNode)
    directions = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    straight = np.abs(directions.T @ directions - np.eye(3)).max() <= ORTHOGONAL_TOLERANCE
    return matrix if straight else None


def _fill(node: Any, grid: np.ndarray, labels: np.ndarray, identifiers: list[str]) -> None:
    """Put the voxels of the values 1, 2, ... into the segments in their order; a layer of their own holds them."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    names = vtk.vtkStringArray()
    for identifier in identifiers:
        names.InsertNextValue(identifier)
    # Slicer looks at every voxel for each segment: at those of the box alone that holds them all
    box = _boxOf(labels)
    image = vtk.vtkImageData()
    image.SetExtent(*(end for part in reversed(box) for end in (part.start, part.stop - 1)))
    image.GetPointData().SetScalars(numpy_to_vtk(labels[box].ravel(), deep=True))
    labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        labelmap.SetHideFromEditors(True)
        labelmap.SetAndObserveImageData(image)
        labelmap.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(grid))
        # under the same transform Slicer takes the voxels as they are
        labelmap.SetAndObserveTransformNodeID(node.GetTransformNodeID())
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, node, names)
    finally:
        slicer.mrmlScene.RemoveNode(labelmap)


def _boxOf(labels: np.ndarray) -> tuple[slice, ...]:
    """The smallest box (K, J, I) that holds all labels; everything where there is none: VTK wants two voxels a side."""
    box: list[slice] = []
    for axis in range(labels.ndim):
        # what lies outside of the box of an axis before is looked at no more
        filled = np.flatnonzero(labels[tuple(box)].any(axis=tuple({0, 1, 2} - {axis})))
        if not filled.size:
            return tuple(slice(0, count) for count in labels.shape)
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return tuple(box)


def _tag(segment: Any) -> str:
    import vtk

    value = vtk.reference("")
    return str(value) if segment.GetTag(SEGMENT_TAG, value) else ""
