"""The demo as a scene: phantoms, segmentations, masks and ground truth in place.

``python -m GlobalLocalAlignmentSlicerLib.samples.demoscene FOLDER`` where slicer-core is installed, or in Slicer's own
Python: ``from GlobalLocalAlignmentSlicerLib.samples.demoscene import main; main(["FOLDER"])``. Both write
``FOLDER/scene.mrb``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..models.modelcard import ModelCard, ModelCardError, readModelCard
from ..scene.volumefiles import RAS_TO_LPS, VolumeFileError, readArray
from .plaincore import ensureScene

SCENE_NAME = "scene.mrb"
METHOD = "ours"
ENDING = ".nii.gz"
MASK_OPACITY = 0.5
SLICE_VIEWS = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))


class DemoSceneError(Exception):
    """A folder that holds no finished demo, in one line."""


def main(arguments: list[str]) -> int:
    """Write the scene of a demo; returns the exit code."""
    if len(arguments) != 1:
        print("error: give the folder of a demo", file=sys.stderr)
        return 2
    try:
        print(writeScene(Path(arguments[0])))
    except (DemoSceneError, ModelCardError, VolumeFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def writeScene(folder: Path) -> Path:
    """Bring a finished demo into the scene and write the scene.

    Raises:
        DemoSceneError: the folder holds no finished demo, or cannot be written to; or the scene holds other volumes.
        ModelCardError: its model is damaged.
        VolumeFileError: one of its volumes is damaged.
    """
    # MRML writes to nowhere where a path is relative
    folder = folder.resolve()
    images = sorted((folder / "data" / "test" / "images").glob(f"*{ENDING}"))
    model = folder / "runs" / METHOD / "model.safetensors"
    if not images or not model.is_file():
        raise DemoSceneError(f"{folder} holds no finished demo; let gla demo make one")
    card = readModelCard(model)
    try:
        # in the same place: an earlier scene stays whole if this one fails
        with tempfile.TemporaryDirectory(prefix="scene-", dir=folder, ignore_cleanup_errors=True) as temporary:
            ensureScene(Path(temporary))
            import slicer

            if slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode"):
                raise DemoSceneError("the scene holds volumes, which would be written along; close it first")
            shown = [_addCase(folder, image, card) for image in images]
            _arrangeViews(shown[0])
            written = Path(temporary) / SCENE_NAME
            if not slicer.mrmlScene.WriteToMRB(str(written)):
                raise DemoSceneError(f"{folder / SCENE_NAME} cannot be written; make space there")
            written.replace(folder / SCENE_NAME)
    except OSError as error:
        raise DemoSceneError(f"{folder / SCENE_NAME} cannot be written: {error.strerror}") from error
    return folder / SCENE_NAME


def _addCase(folder: Path, image: Path, card: ModelCard) -> Any:
    """A folder of the subject hierarchy with the volume of a case, its results and its ground truth; the volume."""
    import slicer

    from ..scene import results

    name = image.name.removesuffix(ENDING)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parent = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    volume = _addVolume(image, name)
    _putInto(hierarchy, parent, volume)
    predictions = folder / "predictions" / METHOD
    segmentation = results.showSegmentation(volume, readArray(predictions / f"{name}_segmentation{ENDING}"), card)
    truth = results.showReference(volume, readArray(folder / "data" / "test" / "labels" / image.name), card)
    nodes = [segmentation, truth]
    for word, kind in (("feature_mask", results.FEATURE_MASK), ("synthesized", results.SYNTHESIZED)):
        path = predictions / f"{name}_{word}{ENDING}"
        if path.is_file():
            nodes.append(results.showVolume(volume, readArray(path), kind))
    for node in nodes:
        _putInto(hierarchy, parent, node)
    for node in (segmentation, truth):
        # all cases lie in the same place; outlines leave the mask to be seen
        node.GetDisplayNode().SetVisibility(False)
        node.GetDisplayNode().SetVisibility2DFill(False)
    return volume


def _addVolume(path: Path, name: str) -> Any:
    """The volume of a file, without a trace of where the file lies."""
    import SimpleITK as sitk
    import slicer

    array = readArray(path)
    image = sitk.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = RAS_TO_LPS @ np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    matrix[:3, 3] = RAS_TO_LPS @ image.GetOrigin()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.CreateDefaultDisplayNodes()
    return node


def _putInto(hierarchy: Any, parent: int, node: Any) -> None:
    """Put a node into a folder; Slicer's application makes an item for each node, the core alone does not."""
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, parent)
    else:
        hierarchy.CreateItem(parent, node)


def _arrangeViews(volume: Any) -> None:
    """Show a volume under its mask, with its segmentation: outlines in the three slice views, surfaces in 3D."""

    from ..scene import results, sliceviews

    logics = [_sliceLogic(name, orientation) for name, orientation in SLICE_VIEWS]
    sliceviews.showVolumeAndMask(volume, MASK_OPACITY)
    for logic in logics:
        logic.FitSliceToBackground()
    segmentation = results.findResult(volume, results.SEGMENTATION)
    segmentation.CreateClosedSurfaceRepresentation()
    segmentation.GetDisplayNode().SetVisibility(True)


def _sliceLogic(name: str, orientation: str) -> Any:
    """Logic of a slice view, with the view itself where there is none yet."""
    import slicer

    scene = slicer.mrmlScene
    node = scene.GetSingletonNode(name, "vtkMRMLSliceNode")
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLScene(scene)
    if node is None:
        node = logic.AddSliceNode(name)
    else:
        logic.SetSliceNode(node)
    node.SetOrientation(orientation)
    return logic


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
