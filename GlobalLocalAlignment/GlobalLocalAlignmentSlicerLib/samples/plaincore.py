"""The MRML core of the wheel slicer-core, put together where no application of Slicer did it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

SCENE_VERSION = "Slicer 5.12.0 0"
"""Slicer warns of a scene of another program, which the wheel says it is, or of a newer version than its own."""

LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


def ensureScene(temporary: Path) -> None:
    """Make ``slicer.mrmlScene`` and what the import of results uses; inside Slicer both are there already.

    Args:
        temporary: folder for what the core puts away while it works.

    Raises:
        ImportError: neither Slicer nor slicer-core is there.
    """
    import slicer
    import slicer.util

    if getattr(slicer, "mrmlScene", None) is not None:
        return
    translations = ModuleType("slicer.i18n")
    translations.tr = lambda text: text
    sys.modules.setdefault("slicer.i18n", translations)
    scene = slicer.vtkMRMLScene()
    scene.SetVersion(SCENE_VERSION)
    application = slicer.vtkSlicerApplicationLogic()
    application.SetTemporaryPath(str(temporary))
    # tables of colours of an installed Slicer are looked for there; none are found, but the folder has to be
    (temporary / "share" / "ColorFiles").mkdir(parents=True, exist_ok=True)
    application.SetHomeDirectory(str(temporary))
    application.SetShareDirectory("share")
    application.SetMRMLScene(scene)
    slicer.mrmlScene = scene
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    logics = {}
    for name, kind in LOGICS.items():
        logics[name] = getattr(slicer, kind)()
        logics[name].SetMRMLApplicationLogic(application)
        logics[name].SetMRMLScene(scene)
        application.SetModuleLogic(name, logics[name])
    slicer.modules = SimpleNamespace(
        **{name.lower(): SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    )
    # kept, or it is gone with this function
    slicer.plainApplicationLogic = application
