"""Loads scripted modules as Slicer's module manager does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.qmrmlwidgets import qMRMLWidget


class CoreModule:
    """A module that is C++ in Slicer, of which only the logic is here."""

    def __init__(self, name: str, logic: slicer.vtkSlicerModuleLogic) -> None:
        self._name, self._logic = name, logic

    @property
    def name(self) -> str:
        return self._name

    def logic(self) -> slicer.vtkSlicerModuleLogic:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


class qSlicerScriptedLoadableModule:
    """The `parent` of a module's class. An attribute that Slicer's does not have raises."""

    __slots__ = (
        *("title", "categories", "dependencies", "contributors", "helpText", "acknowledgementText", "hidden", "icon"),
        *("associatedNodeTypes", "path", "name", "widgetRepresentationCreationEnabled", "_widget", "index"),
    )

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.icon = str(path), path.stem, QtGui.QIcon()
        self.title = self.helpText = self.acknowledgementText = ""
        self.categories, self.dependencies, self.contributors, self.associatedNodeTypes = [], [], [], []
        self.hidden, self.widgetRepresentationCreationEnabled, self.index = False, True, -1
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None

    @property
    def defaultDocumentationLink(self) -> str:
        url = slicer.app.moduleDocumentationUrl(self.name)
        return f'<p>For more information, see the <a href="{url}">online documentation</a>.</p>'

    def widgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        """The panel of the module; made, with setup(), at the first call."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> qSlicerScriptedLoadableModuleWidget:
        widget = qSlicerScriptedLoadableModuleWidget(self)
        widget.reload()
        return widget


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The `parent` of a module's widget class."""

    def __init__(self, module: qSlicerScriptedLoadableModule) -> None:
        super().__init__()
        self._module, self._python, self._entered = module, None, False
        self.setObjectName(f"{module.name}ModuleWidget")
        self.setLayout(QtWidgets.QVBoxLayout())
        self.setMRMLScene(slicer.mrmlScene)

    def self(self) -> Any:
        """The object of the module's own widget class."""
        return self._python

    def reload(self) -> None:
        """Make that object anew and let it build its panel."""
        kind = getattr(sys.modules[self._module.name], f"{self._module.name}Widget")
        self._python = kind(self)
        setattr(slicer.modules, f"{self._module.name}Widget", self._python)
        self._python.setup()

    def enter(self) -> None:
        """The user comes to this module."""
        self._entered = True
        getattr(self._python, "enter", lambda: None)()

    def exit(self) -> None:
        """The user goes to another module."""
        self._entered = False
        getattr(self._python, "exit", lambda: None)()

    isEntered = QtCore.Property(bool, lambda self: self._entered)


class ModuleManager(QtCore.QObject):
    """slicer.app.moduleManager()"""

    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)
    CPP_SIGNALS = {
        "moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded(QString)",
        "moduleLoaded(QString)": "moduleLoaded(QString)",
    }

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, CoreModule | qSlicerScriptedLoadableModule] = {}
        self._folders: dict[str, str] = {}

    def module(self, name: str) -> CoreModule | qSlicerScriptedLoadableModule | None:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._modules

    def _add(self, module: CoreModule | qSlicerScriptedLoadableModule) -> None:
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)
        self.moduleLoaded.emit(module.name)

    def _load(self, path: Path) -> qSlicerScriptedLoadableModule:
        """Import a module's file and make its module object; its folder can be imported from, as in Slicer."""
        name = path.stem
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
            self._folders[name] = str(path.parent)
        spec = importlib.util.spec_from_file_location(name, path)
        python = importlib.util.module_from_spec(spec)
        sys.modules[name] = python
        spec.loader.exec_module(python)
        module = qSlicerScriptedLoadableModule(path)
        instance = getattr(python, name)(module)
        setattr(slicer.modules, f"{name}Instance", instance)
        self._add(module)
        # a module may set up more than its panel
        getattr(instance, "setup", lambda: None)()
        return module

    def _unload(self, name: str) -> None:
        """Take a scripted module away again: its widget hears of it first and cleans up."""
        self.moduleAboutToBeUnloaded.emit(name)
        module = self._modules.pop(name)
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            vars(slicer.modules).pop(attribute, None)
        vars(slicer.moduleNames).pop(name, None)
        if module._widget is not None:
            module._widget.deleteLater()
        sys.modules.pop(name, None)
        # a folder that was on the path before is the host's own
        added = self._folders.pop(name, None)
        sys.path[:] = [folder for folder in sys.path if folder != added]

    def _scripted(self) -> list[str]:
        return [name for name, module in self._modules.items() if isinstance(module, qSlicerScriptedLoadableModule)]


def make_namespaces() -> None:
    """`slicer.modules`, `slicer.moduleNames` and `slicer.selfTests`, empty."""
    for name in ("modules", "moduleNames"):
        module = ModuleType(f"slicer.{name}")
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    slicer.selfTests = {}
