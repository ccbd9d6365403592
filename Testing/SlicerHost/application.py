"""slicer.app: a real Qt application with what modules ask Slicer's for."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from SlicerHost.core import Core
from SlicerHost.dialogs import Question, answers
from SlicerHost.iomanager import IOManager
from SlicerHost.layoutmanager import LayoutManager
from SlicerHost.scripted import ModuleManager
from SlicerHost.views import Views

DOCUMENTATION = "https://slicer.readthedocs.io/en/latest/"


class CommandOptions:
    """What the command line of Slicer said."""

    __slots__ = ("noLayoutManager", "noMainWindow", "runPythonAndExit", "testingEnabled")

    def __init__(self) -> None:
        self.noMainWindow = True
        # only here: a test sets it to see a module without any views
        self.noLayoutManager = False
        self.runPythonAndExit = False
        self.testingEnabled = False


class ExtensionsManagerModel:
    """Knows no extension but those that a test names; installing one asks the test."""

    def __init__(self) -> None:
        self._installed: set[str] = set()

    def isExtensionInstalled(self, name: str) -> bool:
        return name in self._installed

    def installExtensionFromServer(self, name: str, restart: bool = True, update: bool = True) -> bool:
        if answers.ask(Question("installExtensionFromServer", name, "")):
            self._installed.add(name)
            return True
        return False


class SlicerApplication(QtWidgets.QApplication):
    """Made once, by the host."""

    startupCompleted = QtCore.Signal()

    def __init__(self, temporary: Path) -> None:
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, str(temporary / "settings"))
        super().__init__(["Slicer"])
        self.setApplicationName("Slicer")
        self.setOrganizationName("NA-MIC")
        # the wheel's own version starts as that of the Slicer it was made from
        self.setApplicationVersion(".".join(version("slicer-core").split(".")[:3]))
        self.setQuitOnLastWindowClosed(False)
        self._temporary = str(temporary / "tmp")
        Path(self._temporary).mkdir(parents=True, exist_ok=True)
        self._module_manager = ModuleManager()
        self._options = CommandOptions()
        self._extensions = ExtensionsManagerModel()
        self._core, self._layout_manager, self._io_manager = None, None, None
        self._paused = 0

    def _take(self, core: Core, views: Views) -> None:
        """Serve this core; it can only be made when there is an application."""
        self._core = core
        self._layout_manager = LayoutManager(core, views)
        self._io_manager = IOManager(core)

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return self._core.scene

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._core.application_logic

    def moduleLogic(self, name: str) -> slicer.vtkSlicerModuleLogic | None:
        return self._core.logics.get(name)

    def layoutManager(self) -> LayoutManager | None:
        return None if self._options.noLayoutManager else self._layout_manager

    def coreIOManager(self) -> IOManager:
        return self._io_manager

    def ioManager(self) -> IOManager:
        return self._io_manager

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def moduleManager(self) -> ModuleManager:
        return self._module_manager

    def extensionsManagerModel(self) -> ExtensionsManagerModel:
        return self._extensions

    def commandOptions(self) -> CommandOptions:
        return self._options

    def testingEnabled(self) -> bool:
        return self._options.testingEnabled

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    def userSettings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    def revisionUserSettings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{DOCUMENTATION}user_guide/modules/{name.lower()}.html"

    def pauseRender(self) -> None:
        self._paused += 1

    def resumeRender(self) -> None:
        if not self._paused:
            raise RuntimeError("resumeRender without pauseRender")
        self._paused -= 1

    def restart(self) -> None:
        """Slicer would be gone: a test must expect it."""
        answers.ask(Question("restart", "", ""))

    def exit(self, status: int = 0) -> None:
        """Slicer would be gone: a test must expect it."""
        answers.ask(Question("exit", "", str(status)))

    def _version_part(index: int) -> QtCore.Property:  # noqa: N805 - it makes the properties below
        return QtCore.Property(int, lambda self: int(self.applicationVersion.split(".")[index]))

    majorVersion = _version_part(0)
    minorVersion = _version_part(1)
    del _version_part
    temporaryPath = QtCore.Property(str, lambda self: self._temporary)
    cachePath = QtCore.Property(str, lambda self: self._core.scene.GetCacheManager().GetRemoteCacheDirectory())
    slicerHome = QtCore.Property(str, lambda self: self._temporary)
    documentationBaseUrl = QtCore.Property(str, lambda self: DOCUMENTATION)
