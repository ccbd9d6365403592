"""The Python modules `qt` and `ctk`, and the names that the C++ side of Slicer adds to `slicer`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost import ctkwidgets, qmrmlwidgets, terminologywidget
from SlicerHost.uiloader import QUiLoader

WHOLE = (QtCore, QtGui, QtWidgets)
ALIASES = {
    "vtkSegmentationCorePython": "slicer_core.vtkSegmentationCore",
    "vtkSlicerSegmentationsModuleLogicPython": "slicer_core.vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerSegmentationsModuleMRMLPython": "slicer_core.vtkSlicerSegmentationsModuleMRML",
    "vtkITK": "slicer_core.vtkITK",
}
"""Names under which Slicer's own Python finds modules of the wheel."""


class QtModule(ModuleType):
    """All Q names of PySide6 in one module. Signal, Slot and Property are left out: PythonQt crashes with them."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("Q"):
            for module in WHOLE:
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module 'qt' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted(name for module in WHOLE for name in dir(module) if name.startswith("Q"))


def public_classes(module: ModuleType, prefixes: tuple[str, ...]) -> dict[str, type]:
    """Classes of a module of ours that Slicer knows under the same name."""
    return {
        name: value for name, value in vars(module).items() if name.startswith(prefixes) and isinstance(value, type)
    }


def install() -> None:
    """Make `import qt`, `import ctk` and `slicer.qMRML...` work."""
    qt = QtModule("qt")
    qt.QUiLoader = QUiLoader
    ctk = ModuleType("ctk")
    widgets = public_classes(ctkwidgets, ("ctk",))
    ctk.__dict__.update(widgets)
    sys.modules.update({"qt": qt, "ctk": ctk})
    mrml_widgets = public_classes(qmrmlwidgets, ("qMRML", "qSlicer")) | public_classes(terminologywidget, ("qSlicer",))
    for name, value in mrml_widgets.items():
        setattr(slicer, name, value)
    QUiLoader.custom_classes.update(widgets | mrml_widgets)
    for alias, name in ALIASES.items():
        sys.modules[alias] = __import__(name, fromlist=["x"])
    slicer.vtk = vtk
