"""What a comparison leaves in the scene: a table of scores and a segmentation of the errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..scene import results
from ..scene.ownnodes import ERRORS, SCORES, ownNode
from .comparisonrows import NUMBERS, TEXTS, ComparisonRow
from .measurements import measurements
from .segmentlayers import worldMatrix

MISSED_COLOR, EXTRA_COLOR = (0.0, 0.45, 0.70), (0.90, 0.62, 0.0)
"""Blue and orange of Okabe and Ito (Color Universal Design, 2008): two colours that nobody confuses."""

COLUMNS = (
    *("case", "structure", "dice", "assd_mm", "hd95_mm", "volume_difference_mm3", "mask_correct", "mask_wrong"),
    *("pooled_asd_mm", "assd_voxel", "pooled_asd_voxel", "false_positive_mm3", "false_negative_mm3"),
    *("reference_voxels", "predicted_voxels", "reference_segment", "comparison_note"),
)
"""Of the table: what is looked at first comes first."""


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


def errorMasks(bits: np.ndarray, first: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Voxels that are missed, and those that are extra: (K, J, I) bytes and the index of the first. On any thread.

    Args:
        bits: (I, J, K), see ``voxelbits`` of the core.
        first: (3,) index of the first voxel.
    """
    from GlobalLocalAlignmentLib.masks.voxelbits import EXTRA, MISSED

    masks = []
    for bit in (MISSED, EXTRA):
        inside = (bits & bit) > 0
        filled = [np.flatnonzero(inside.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        if filled[0].size:
            box = [slice(int(part[0]), int(part[-1]) + 1) for part in filled]
        else:
            box = [slice(0, 1)] * 3
        start = np.asarray(first) + [part.start for part in box]
        masks.append((np.ascontiguousarray(inside[tuple(box)].T.astype(np.uint8)), start))
    return masks


def showErrors(referenceNode: Any, inputNode: Any | None, name: str, masks: list[tuple], matrix: np.ndarray) -> Any:
    """The segmentation of the voxels that are missed and of those that are extra, beside the input.

    Args:
        referenceNode: the ground truth; the errors get its geometry and move with it.
        inputNode: the volume that was segmented, None where nobody knows it.
        name: of the node.
        masks: of ``errorMasks``.
        matrix: (4, 4) from indices to RAS millimetres of the world.
    """
    import slicer

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
    kinds = ((_("missed voxels"), MISSED_COLOR), (_("extra voxels"), EXTRA_COLOR))
    for (inside, first), (title, color) in zip(masks, kinds, strict=True):
        segment = slicer.vtkSegment()
        segment.SetName(title)
        segment.SetColor(*color)
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
    """An oriented image of voxels (K, J, I)."""
    import slicer
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    last = np.asarray(first) + inside.shape[::-1] - 1
    image.SetExtent(*(int(end) for pair in zip(first, last, strict=True) for end in pair))
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(matrix))
    scalars = numpy_to_vtk(inside.ravel(), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image
