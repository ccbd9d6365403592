"""A case of a batch in the scene: its volume as the disk has it, and everything that was made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from slicer.i18n import tr as _

from ..background.steps import Beside
from ..scene import results
from ..scene.volumefiles import VolumeFileError, readArray, refuseOtherGrid
from ..segmenting.scenesegmenter import inOrder
from ..surfaces.segmentsurfaces import hasSurfaces
from .batchfolder import BatchEntry, nameOf, readCard

DICOM_SEGMENTATION_END = ".dcm"
DICOM_PLUGIN = "DICOMSegmentationPlugin"
"""As Slicer registers it from 5.13 on, and before that the extension Quantitative Reporting."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SERIES_UID = "0020|000e"


@dataclass
class ShownCase:
    """A case that came into the scene.

    Attributes:
        volumeNode: its volume.
        segmentations: vtkMRMLSegmentationNode that came with it.
        wasIn3D: one of them took the place of one with surfaces, and has none.
    """

    volumeNode: Any
    segmentations: list[Any] = field(default_factory=list)
    wasIn3D: bool = False


def volumePath(inputs: Path, entry: BatchEntry) -> Path:
    """Where the volume of a case is, a file or the folder of a DICOM series.

    Raises:
        VolumeFileError: it is not there any longer.
    """
    below = entry.file.partition("#")[0]
    for path in (inputs / entry.file, inputs / below, inputs):
        # a folder that is a series itself is called by its own name
        if path.exists() and (path != inputs or inputs.resolve().name == below):
            return path
    text = _("{file} is not in {folder}; choose the input folder of this batch")
    raise VolumeFileError(text.format(file=below, folder=inputs))


def readImage(path: Path, series: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Voxels (K, J, I) of a volume and its matrix (4, 4) from indices to RAS. Touches no node.

    Args:
        path: a volume file or the folder of a DICOM series.
        series: what tells the series from others in its folder, empty where it is alone.

    Raises:
        VolumeFileError: it cannot be read.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(_seriesFiles(path, series) if path.is_dir() else str(path))
    except (RuntimeError, OSError) as error:
        raise VolumeFileError(lambda: _("{name} cannot be read by Slicer").format(name=path.name)) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise VolumeFileError(lambda: _("{name} is no volume with one value a voxel").format(name=path.name))
    array = sitk.GetArrayFromImage(image)
    if array.dtype.itemsize > 4:
        # Slicer refuses whole numbers of 64 bits
        array = array.astype(np.int32 if array.dtype.kind in "iu" else np.float32)
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return array, LPS_TO_RAS @ matrix


def showCase(
    inputs: Path, output: Path, entry: BatchEntry, volumeNode: Any | None = None
) -> Generator[None, None, ShownCase]:
    """Bring a case into the scene, a step at a time; files are read beside it.

    Args:
        inputs: folder with the volumes of the batch.
        output: folder with its results.
        entry: a case that is done.
        volumeNode: its volume, where it is in the scene already.

    Returns:
        what is there now.

    Raises:
        VolumeFileError: the volume or a result cannot be read, or they do not fit each other any longer.
        BatchFolderError: nothing says what the labels mean.
    """
    import slicer

    files = {kind: output / name for kind, name in entry.kinds().items()}
    dicom = files.get(results.SEGMENTATION) if _isDicom(files.get(results.SEGMENTATION)) else None
    if dicom is not None:
        files.pop(results.SEGMENTATION)
        refuseWithoutPlugin()
    card = readCard(output, entry.model)
    path = volumePath(inputs, entry)
    known = volumeNode is not None

    def read() -> tuple:
        image = None if known else readImage(path, entry.file.partition("#")[2])
        return image, {kind: readArray(file) for kind, file in files.items()}

    reading = Beside(read)
    while not reading.done:
        yield
    image, arrays = reading.result()
    if image is not None:
        volumeNode = _newVolume(nameOf(path.name), *image)
        yield
    identifier = volumeNode.GetID()
    case, shown = ShownCase(volumeNode), []
    for kind, array in inOrder(arrays):
        if slicer.mrmlScene.GetNodeByID(identifier) is None:
            raise VolumeFileError(_("{name} was removed from the scene").format(name=entry.file))
        refuseOtherGrid(array, volumeNode)
        if kind == results.SEGMENTATION:
            before = results.findResult(volumeNode, results.SEGMENTATION)
            case.wasIn3D = before is not None and hasSurfaces(before)
            case.segmentations.append(results.showSegmentation(volumeNode, array, card))
        else:
            results.showVolume(volumeNode, array, kind)
        shown.append(kind)
        yield
    results.removeStale(volumeNode, shown)
    if dicom is not None:
        case.segmentations += _loadDicom(dicom, volumeNode)
    return case


def refuseWithoutPlugin() -> None:
    """Raise VolumeFileError where this Slicer reads no DICOM segmentations."""
    import slicer

    if DICOM_PLUGIN not in getattr(slicer.modules, "dicomPlugins", {}):
        raise VolumeFileError(
            _("This Slicer reads no DICOM segmentations: install the extension Quantitative Reporting.")
        )


def _loadDicom(path: Path, volumeNode: Any) -> list[Any]:
    """Load a DICOM segmentation by Slicer's own plugin, which wants it in the database; returns its nodes."""
    import slicer

    # where it is: the database need not copy it
    slicer.dicomDatabase.insert(str(path), False, False)
    plugin = slicer.modules.dicomPlugins[DICOM_PLUGIN]()
    before = {node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
    loadables = plugin.examineFiles([str(path)])
    if not loadables or not plugin.load(loadables[0]):
        raise VolumeFileError(_("{name} cannot be loaded; Slicer's log says why").format(name=path.name))
    loaded = [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node.GetID() not in before]
    for node in loaded:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return loaded


def _newVolume(name: str, array: np.ndarray, matrix: np.ndarray) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    results.showFirst(node, array)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    return node


def _isDicom(path: Path | None) -> bool:
    return path is not None and path.name.lower().endswith(DICOM_SEGMENTATION_END)


def _seriesFiles(folder: Path, series: str) -> tuple[str, ...]:
    """Files of a series in the order of its slices; the core tells it from others by the digest of its UID."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader
    found = [reader.GetGDCMSeriesFileNames(str(folder), name) for name in reader.GetGDCMSeriesIDs(str(folder))]
    wanted = series.rpartition(" ")[2]
    for names in found:
        header = sitk.ImageFileReader()
        header.SetFileName(names[0])
        if not series:
            return names
        header.ReadImageInformation()
        uid = header.GetMetaData(SERIES_UID).strip().strip("\0") if header.HasMetaDataKey(SERIES_UID) else ""
        uid = uid or Path(names[0]).name
        if hashlib.blake2b(uid.encode(), digest_size=3).hexdigest() == wanted:
            return names
    raise OSError(f"{folder} holds no such series")
