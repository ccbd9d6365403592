"""slicer.app.coreIOManager(): what slicer.util's load and save functions ask for, done by the real logics."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
import vtk

from SlicerHost.core import Core

FILE_TYPES = {
    (".mrml", ".mrb"): "SceneFile",
    (".seg.nrrd", ".seg.nii.gz", ".seg.nii", ".seg.nhdr"): "SegmentationFile",
    (".csv", ".tsv"): "TableFile",
}
"""Types by the end of a name; all else is taken for a volume."""
LABELMAP, SINGLE_FILE = 1, 8
"""Options of the volumes logic."""


class IOManager:
    """Reads and writes scenes, volumes, segmentations and tables."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._readers: dict[str, Callable[[str, dict[str, Any]], vtk.vtkObject | None]] = {
            "VolumeFile": self._read_volume,
            "SegmentationFile": self._read_segmentation,
            "TableFile": self._read_table,
        }

    def fileType(self, filename: str) -> str:
        return next((kind for ends, kind in FILE_TYPES.items() if str(filename).lower().endswith(ends)), "VolumeFile")

    def fileWriterFileType(self, node: slicer.vtkMRMLNode) -> str:
        return "NodeFile"

    def loadNodes(
        self,
        filetype: str,
        properties: dict[str, Any],
        loaded: vtk.vtkCollection,
        messages: slicer.vtkMRMLMessageCollection | None = None,
    ) -> bool:
        filename = properties["fileName"]
        if not Path(filename).is_file():
            return self._complain(messages, f"{filename} does not exist")
        if filetype == "SceneFile":
            return self._read_scene(filename, bool(properties.get("clear", False)))
        if filetype not in self._readers:
            return self._complain(messages, f"the host reads no {filetype}")
        node = self._readers[filetype](filename, properties)
        if node is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, filetype: str, properties: dict[str, Any], messages: slicer.vtkMRMLMessageCollection) -> bool:
        filename = str(properties["fileName"])
        if filetype == "SceneFile":
            return self._write_scene(filename)
        node = self._core.scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode(filename)
        storage = node.GetStorageNode()
        storage.SetFileName(filename)
        storage.SetUseCompression(properties.get("useCompression", True))
        return bool(storage.WriteData(node))

    def _complain(self, messages: slicer.vtkMRMLMessageCollection | None, text: str) -> bool:
        if messages is not None:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
        return False

    def _name(self, filename: str, properties: dict[str, Any]) -> str:
        return properties.get("name") or Path(filename).name.partition(".")[0]

    def _read_volume(self, filename: str, properties: dict[str, Any]) -> slicer.vtkMRMLVolumeNode | None:
        options = LABELMAP * bool(properties.get("labelmap")) + SINGLE_FILE * bool(properties.get("singleFile"))
        return self._core.logics["Volumes"].AddArchetypeVolume(filename, self._name(filename, properties), options)

    def _read_segmentation(self, filename: str, properties: dict[str, Any]) -> slicer.vtkMRMLSegmentationNode | None:
        logic = self._core.logics["Segmentations"]
        return logic.LoadSegmentationFromFile(filename, False, self._name(filename, properties))

    def _read_table(self, filename: str, properties: dict[str, Any]) -> slicer.vtkMRMLTableNode | None:
        return self._core.logics["Tables"].AddTable(filename, self._name(filename, properties))

    def _read_scene(self, filename: str, clear: bool) -> bool:
        scene = self._core.scene
        if filename.lower().endswith(".mrb"):
            # a folder for each: what was unpacked earlier would be found in its place
            folder = tempfile.mkdtemp(dir=slicer.app.temporaryPath)
            filename = self._core.application_logic.UnpackSlicerDataBundle(filename, folder)
        scene.SetURL(filename)
        return bool(scene.Connect() if clear else scene.Import())

    def _write_scene(self, filename: str) -> bool:
        scene = self._core.scene
        if filename.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(filename))
        if filename.lower().endswith(".mrml"):
            scene.SetURL(filename)
            return bool(scene.Commit())
        Path(filename).mkdir(parents=True, exist_ok=True)
        return bool(self._core.application_logic.SaveSceneToSlicerDataBundleDirectory(filename, None))
