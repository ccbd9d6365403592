"""The real MRML core: scene, application logic and module logics, put together as Slicer's application does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import slicer
import vtk

LOGICS = {
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}
"""Module name and class of its logic; the volume rendering's needs no GPU until it is used."""


@dataclass
class Core:
    """What one application has once."""

    scene: slicer.vtkMRMLScene
    application_logic: slicer.vtkSlicerApplicationLogic
    layout_logic: slicer.vtkMRMLLayoutLogic
    logics: dict[str, slicer.vtkSlicerModuleLogic]


def make_core(temporary: Path, terminology: Path) -> Core:
    """Build the core with an empty scene, which holds Slicer's default singleton nodes.

    Args:
        temporary: folder for files.
        terminology: file of the only terminology that is known.
    """
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetTemporaryPath(str(temporary))
    # the color logic looks for more tables in the folder of the application; there are none
    application.SetHomeDirectory(str(temporary))
    application.SetShareDirectory("share")
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    slicer.mrmlScene = scene
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(str(temporary / "cache"))
    scene.SetCacheManager(cache)
    add_default_nodes(scene)
    color = application.GetColorLogic()
    color.SetMRMLScene(scene)
    color.AddDefaultColorNodes()
    logics = {name: _register(getattr(slicer, kind)(), name, scene, application) for name, kind in LOGICS.items()}
    logics["Terminologies"] = _terminologies(terminology, application)
    layout = slicer.vtkMRMLLayoutLogic()
    layout.SetMRMLScene(scene)
    layout.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    return Core(scene, application, layout, logics)


def add_default_nodes(scene: slicer.vtkMRMLScene) -> None:
    """The nodes that are there before a module adds one."""
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)


def _terminologies(
    file: Path, application: slicer.vtkSlicerApplicationLogic
) -> slicer.vtkSlicerTerminologiesModuleLogic:
    """Without the scene: with it, the logic looks for files that the wheel does not have."""
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    logic.SetMRMLApplicationLogic(application)
    if not logic.LoadTerminologyFromFile(str(file)):
        raise OSError(f"{file} is no terminology")
    application.SetModuleLogic("Terminologies", logic)
    return logic


def _register(
    logic: slicer.vtkSlicerModuleLogic,
    name: str,
    scene: slicer.vtkMRMLScene,
    application: slicer.vtkSlicerApplicationLogic,
) -> slicer.vtkSlicerModuleLogic:
    logic.SetMRMLApplicationLogic(application)
    logic.SetMRMLScene(scene)
    application.SetModuleLogic(name, logic)
    return logic
