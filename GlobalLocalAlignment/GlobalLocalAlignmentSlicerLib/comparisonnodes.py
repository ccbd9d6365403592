"""What a comparison leaves in the scene: a table of scores and a segmentation of the errors.

Each kind of node is there once and is found again by its attribute, so that comparing once more replaces it. Nodes
that the user made carry no such attribute and are never touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer.i18n import tr as _

from . import results
from .comparisonrows import NUMBERS, TEXTS, ComparisonRow
from .measurements import measurements
from .segmentlayers import worldMatrix

KIND_ATTRIBUTE = "GlobalLocalAlignment.Comparison"
SCORES, ERRORS = "scores", "errors"
MISSED_COLOR, EXTRA_COLOR = (0.0, 0.45, 0.70), (0.90, 0.62, 0.0)
"""Blue and orange of Okabe and Ito (Color Universal Design, 2008): two colours that nobody confuses."""

COLUMNS = tuple(name for name in ComparisonRow.__dataclass_fields__)


def ownNodes(className: str, kind: str = "") -> list[Any]:
    """Nodes of comparisons, of one kind where it is given."""
    import slicer

    nodes = ((node, node.GetAttribute(KIND_ATTRIBUTE)) for node in slicer.util.getNodesByClass(className))
    return [node for node, own in nodes if own and kind in ("", own)]


def ownNode(className: str, kind: str, name: str) -> Any:
    """The node of a kind, made where it is not there."""
    import slicer

    found = ownNodes(className, kind)
    if found:
        return found[0]
    node = slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(KIND_ATTRIBUTE, kind)
    return node


def isErrors(node: Any) -> bool:
    """Whether a segmentation shows errors, and is nothing to compare or to learn from."""
    return node.GetAttribute(KIND_ATTRIBUTE) == ERRORS


def showScores(rows: list[ComparisonRow]) -> Any:
    """The table node with a row for each structure of each case; columns that no row fills are left out."""
    import slicer
    import vtk

    node = ownNode("vtkMRMLTableNode", SCORES, _("Comparison with ground truth"))
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for name in COLUMNS:
            values = [getattr(row, name) for row in rows]
            if name in NUMBERS and all(value != value for value in values):
                continue
            column = vtk.vtkStringArray() if name in TEXTS else vtk.vtkDoubleArray()
            title, description, units = columnText(name)
            column.SetName(title)
            for value in values:
                column.InsertNextValue(value)
            node.AddColumn(column)
            node.SetColumnDescription(title, description)
            node.SetColumnUnitLabel(title, units)
    return node


def columnText(name: str) -> tuple[str, str, str]:
    """Name, description and units of a column; one name for each, so that a file of the table can be read."""
    own = {
        "case": (_("Case"), _("Volume that was segmented, or the segmentation."), ""),
        "structure": (_("Structure"), _("Name of the segment."), ""),
        "reference_voxels": (_("Reference voxels"), _("Voxels of the ground truth."), _("voxels")),
        "predicted_voxels": (_("Result voxels"), _("Voxels of the result."), _("voxels")),
        "mask_correct": (
            _("Mask where right"),
            _("Mean of the local feature mask in the voxels that both have."),
            "",
        ),
        "mask_wrong": (
            _("Mask where wrong"),
            _("Mean of the local feature mask in the voxels that one of both has alone."),
            "",
        ),
    }
    if name in own:
        return own[name]
    title, _unused, description, units, _codes = measurements()[name]
    return title, description, units


def showErrors(referenceNode: Any, inputNode: Any | None, name: str, bits: np.ndarray, first, matrix) -> Any:
    """The segmentation of the voxels that are missed and of those that are extra, beside the input.

    Args:
        referenceNode: the ground truth; the errors get its geometry and move with it.
        inputNode: the volume that was segmented, None where nobody knows it.
        name: of the node.
        bits: (I, J, K), see ``voxelbits`` of the core.
        first: (3,) index of the first voxel.
        matrix: (4, 4) from indices to RAS millimetres of the world.
    """
    import slicer
    from GlobalLocalAlignmentLib.voxelbits import EXTRA, MISSED

    node = ownNode("vtkMRMLSegmentationNode", ERRORS, name)
    node.SetName(name)
    segmentation = node.GetSegmentation()
    segmentation.RemoveAllSegments()
    labelmap = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation.SetSourceRepresentationName(labelmap)
    parent = referenceNode.GetParentTransformNode()
    local = _under(parent, matrix)
    node.SetAndObserveTransformNodeID(parent.GetID() if parent is not None and local is not None else None)
    _copyGeometry(referenceNode, node)
    for bit, title, color in (
        (MISSED, _("missed voxels"), MISSED_COLOR),
        (EXTRA, _("extra voxels"), EXTRA_COLOR),
    ):
        segment = slicer.vtkSegment()
        segment.SetName(title)
        segment.SetColor(*color)
        inside = ((bits & bit) > 0).astype(np.uint8)
        segment.AddRepresentation(labelmap, _image(inside, first, matrix if local is None else local))
        segmentation.AddSegment(segment)
    node.CreateDefaultDisplayNodes()
    results.besideOf(node, inputNode if inputNode is not None else referenceNode)
    return node


def _under(transformNode: Any | None, matrix: np.ndarray) -> np.ndarray | None:
    """Matrix of a grid in the coordinates of a transform; None where the transform would bend it."""
    import slicer
    import vtk

    if transformNode is None:
        return matrix
    if worldMatrix(transformNode, np.eye(4)) is None:
        return None
    fromWorld = vtk.vtkMatrix4x4()
    transformNode.GetMatrixTransformFromWorld(fromWorld)
    return slicer.util.arrayFromVTKMatrix(fromWorld) @ matrix


def _copyGeometry(source: Any, target: Any) -> None:
    import slicer

    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    target.GetSegmentation().SetConversionParameter(name, source.GetSegmentation().GetConversionParameter(name))
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    target.SetNodeReferenceID(role, source.GetNodeReferenceID(role))


def _image(inside: np.ndarray, first: np.ndarray, matrix: np.ndarray) -> Any:
    """An oriented image of voxels (I, J, K)."""
    import slicer
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    last = np.asarray(first) + inside.shape - 1
    image.SetExtent(*(int(end) for pair in zip(first, last, strict=True) for end in pair))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix))
    scalars = numpy_to_vtk(np.ascontiguousarray(inside.T).ravel(), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image
