"""Puts the host together: `host = start()`, once in a process."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from SlicerHost import dialogs, modules, mrmlguard, problems, pythonqt, qmrmlplot, scripted, subjecthierarchy
from SlicerHost.application import SlicerApplication
from SlicerHost.core import make_core
from SlicerHost.dialogs import Answers, answers
from SlicerHost.views import Views, write_png

WAKE_MILLISECONDS = 5
"""A test that waits looks so often at what it waits for, and leaves the processor to others meanwhile."""

SETTLE_MILLISECONDS = 50
"""For layouts, before a picture of a widget is taken."""

STAND_INS = Path(__file__).parent / "StandIns"
GENUINE_PYTHON = "Base/Python/slicer"
GENUINE_MODULES = ("Modules/Scripted/SegmentStatistics", "Modules/Scripted/SampleData")
TERMINOLOGY = "SegmentationCategoryTypeModifier-SlicerGeneralAnatomy.json"
GENUINE_TERMINOLOGIES = "Modules/Loadable/Terminologies/Resources"


def source_folder() -> Path | None:
    """The checkout of Slicer's sources that SLICER_SOURCE_DIR names, None if it names none."""
    named = os.environ.get("SLICER_SOURCE_DIR")
    if not named:
        return None
    folder = Path(named)
    if not (folder / GENUINE_PYTHON / "ScriptedLoadableModule.py").is_file():
        raise FileNotFoundError(f"SLICER_SOURCE_DIR={named} is no checkout of Slicer: it has no {GENUINE_PYTHON}")
    return folder


class Host:
    """The running host, for tests."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-host-")
        self.sources = source_folder()
        self.answers: Answers = answers
        self.run_pip: Callable[[list[str]], None] | None = None
        """What stands in for pip: it gets pip's arguments. None refuses to install anything."""
        self.selected = ""
        """Name of the module whose panel is shown."""
        problems.listen_to_qt_and_vtk()
        pythonqt.install()
        dialogs.install()
        mrmlguard.install()
        modules.install()
        scripted.make_namespaces()
        slicer.qMRMLPlotView = qmrmlplot.qMRMLPlotView
        modules.QUiLoader.custom_classes["qMRMLPlotView"] = qmrmlplot.qMRMLPlotView
        for kind in (scripted.qSlicerScriptedLoadableModule, scripted.qSlicerScriptedLoadableModuleWidget):
            setattr(slicer, kind.__name__, kind)
        self._use_python_of_slicer()
        folder = Path(self._folder.name)
        (folder / "share" / "ColorFiles").mkdir(parents=True)
        self.app = slicer.app = SlicerApplication(folder)
        self.core = make_core(folder, self._terminology())
        mrmlguard.watch(self.core.scene)
        subjecthierarchy.watch(self.core.scene)
        self.views = Views(self.core)
        self.app._take(self.core, self.views)
        for name, logic in self.core.logics.items():
            self.app.moduleManager()._add(scripted.CoreModule(name, logic))
        slicer.util.executePythonModule = self._execute_python_module
        slicer.util.selectModule = self._select_module
        slicer.util.selectedModule = lambda: self.selected
        started = problems.take()
        if started:
            raise RuntimeError("the host does not start cleanly:\n" + "\n".join(started))

    def _use_python_of_slicer(self) -> None:
        """Let `slicer.ScriptedLoadableModule` and the like come from Slicer's sources, or from the stand-ins."""
        if self.sources is None:
            slicer.__path__.append(str(STAND_INS / "slicer"))
        else:
            slicer.__path__.append(str(self.sources / GENUINE_PYTHON))
            sys.path += [str(self.sources / folder) for folder in GENUINE_MODULES]
        # last: what an extension brings is a stand-in either way
        sys.path.append(str(STAND_INS))

    def _terminology(self) -> Path:
        return (STAND_INS if self.sources is None else self.sources / GENUINE_TERMINOLOGIES) / TERMINOLOGY

    def _execute_python_module(self, module: str, args: list[str], *rest: object, **named: object) -> None:
        if self.run_pip is None:
            raise problems.HostError(f"a test wanted to run {module} {' '.join(args)}")
        self.run_pip(args)

    @property
    def genuine(self) -> bool:
        """True if Slicer's own Python is used."""
        return self.sources is not None

    def load_module(self, path: Path) -> scripted.qSlicerScriptedLoadableModule:
        """Load the scripted module of a file X.py."""
        return self.app.moduleManager()._load(Path(path))

    def _select_module(self, module: str | scripted.qSlicerScriptedLoadableModule) -> None:
        """slicer.util.selectModule, which in Slicer needs the main window: leave one module and enter another."""
        name = module if isinstance(module, str) else module.name
        panel = slicer.util.getModule(name).widgetRepresentation()
        if self.selected:
            slicer.util.getModule(self.selected).widgetRepresentation().exit()
        self.selected = name
        panel.enter()

    def open_module(self, name: str) -> object:
        """Make the panel of a module, as a user does who chooses it, enter it, and return the object of XWidget."""
        self._select_module(name)
        return slicer.util.getModule(name).widgetRepresentation().self()

    def unload_module(self, name: str) -> None:
        if self.selected == name:
            self.selected = ""
        self.app.moduleManager()._unload(name)

    def quit(self) -> None:
        """What modules see when Slicer ends; the host itself goes on."""
        self.app.aboutToQuit.emit()
        for name in self.app.moduleManager()._scripted():
            self.unload_module(name)

    def process_events(self, milliseconds: int = 0) -> None:
        """Let timers and events run, at least once and then for a time."""
        until = QtCore.QDeadlineTimer(milliseconds)
        self.app.processEvents()
        # Qt waits for events only where no time is given with it; the timer is an event, so it does not wait for ever
        timer, loop = QtCore.QTimer(), QtCore.QEventLoop()
        timer.start(WAKE_MILLISECONDS)
        while not until.hasExpired():
            loop.processEvents(QtCore.QEventLoop.AllEvents | QtCore.QEventLoop.WaitForMoreEvents)
        timer.stop()

    def wait_until(self, condition: Callable[[], bool], milliseconds: int = 10000) -> None:
        """Let events run until a condition holds; TimeoutError if it does not in time."""
        until = QtCore.QDeadlineTimer(milliseconds)
        while not condition():
            if until.hasExpired():
                raise TimeoutError(f"still waiting after {milliseconds} ms")
            self.process_events(10)

    def grab(self, widget: QtWidgets.QWidget, path: Path, width: int = 0) -> None:
        """Write a picture of a widget; a panel of another width than the one it likes, if width is given."""
        widget.ensurePolished()
        widget.show()
        self.process_events()
        height = -1
        # a panel with a new picture or text in it knows its height only after its parts know theirs
        while height != widget.height:
            height = widget.height
            wide = width or widget.sizeHint.width()
            # labels of several lines need more where a panel is narrow
            widget.resize(wide, max(widget.sizeHint.height(), widget.heightForWidth(wide)))
            self.process_events(SETTLE_MILLISECONDS)
        if not widget.grab().save(str(path)):
            raise OSError(f"cannot write {path}")

    def four_up(self, path: Path, size: tuple[int, int] = (1200, 900)) -> None:
        """Write a picture of the slice views and the 3D view; size is (width, height)."""
        write_png(self.views.four_up(size), path)

    def reset(self) -> None:
        """Forget what a test did: modules, widgets, nodes, settings, answers."""
        problems.listen_to_python()
        for name in self.app.moduleManager()._scripted():
            self.unload_module(name)
        slicer.selfTests.clear()
        for name in ("sampleDataSources", "sampleDataSourceCategories", "sampleDataUrlRewriteRules"):
            vars(slicer.modules).pop(name, None)
        for widget in self.app.topLevelWidgets():
            widget.deleteLater()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        self.process_events()
        self.core.scene.Clear(False)
        self.core.scene.GetCacheManager().SetRemoteCacheDirectory(str(Path(self._folder.name) / "cache"))
        self.core.layout_logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self.views.threed.hide_box()
        self.app.settings().clear()
        self.app.commandOptions().testingEnabled = self.app.commandOptions().noLayoutManager = False
        self.answers.clear()
        self.run_pip = None
        gc.collect()

    def verdict(self) -> list[str]:
        """What is wrong after a test: problems kept since the last call, and answers that nobody asked for."""
        found = problems.take()
        if self.answers.unused():
            found.append(f"{self.answers.unused()} answers to dialogs were not asked for")
        return found


@cache
def start() -> Host:
    """The host of this process, started at the first call."""
    return Host()
