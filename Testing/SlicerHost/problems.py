"""What went wrong where no caller could see it: in slots, observers, timers, threads, and inside Qt and VTK.

Slicer prints such a problem and goes on. Here it is kept, and the test during which it came up fails.
"""

from __future__ import annotations

import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import vtk
from PySide6 import QtCore


class HostError(Exception):
    """A rule of the host was broken; it is kept as a problem too, so that catching it does not hide it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        record(f"{type(self).__name__}: {message}")


class WrongThreadError(HostError):
    """Qt or MRML was used off the main thread."""


class DeletedNodeError(HostError):
    """A node was used after it had left the scene."""


class WrongSignatureError(HostError):
    """A signal or slot was named that the object does not have."""


class UnansweredDialogError(HostError):
    """A dialog would have waited for a person for ever: the test gave no answer to it."""


HARMLESS_MESSAGES = (
    re.compile(r"This plugin does not support \w+"),
    # font look-up of the offscreen platform, on machines with few fonts
    re.compile(r"qt\.qpa\.fonts|Populating font family aliases|QFontDatabase"),
)
_problems: list[str] = []
_lock = threading.Lock()


def record(text: str) -> None:
    """Keep a problem for the test that is running; safe on every thread."""
    with _lock:
        _problems.append(text)


def record_exception(where: str, error: BaseException) -> None:
    """Keep an exception with its traceback. Our own errors were kept when they were made."""
    if isinstance(error, HostError):
        return
    record(f"exception in {where}\n{''.join(traceback.format_exception(error)).rstrip()}")


def take() -> list[str]:
    """All problems since the last call; the list is empty afterwards."""
    with _lock:
        found = list(_problems)
        _problems.clear()
    return found


@contextmanager
def expected(pattern: str) -> Iterator[None]:
    """Exactly the problems that match are wanted in this block; none, or another one, is a failure."""
    before = take()
    yield
    found = take()
    for problem in before:
        record(problem)
    strange = [problem for problem in found if not re.search(pattern, problem)]
    if strange or not found:
        raise AssertionError(f"expected problems like {pattern!r}, got {strange or 'none'}")


def _on_qt_message(kind: QtCore.QtMsgType, context: QtCore.QMessageLogContext, text: str) -> None:
    if kind == QtCore.QtMsgType.QtDebugMsg or kind == QtCore.QtMsgType.QtInfoMsg:
        return
    if not any(pattern.search(text) for pattern in HARMLESS_MESSAGES):
        record(f"Qt: {text}")


def _on_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    record_exception("a slot, observer or virtual method", error)
    # a script that uses the host ends here too, and should say why
    sys.__excepthook__(kind, error, trace)


def listen_to_python() -> None:
    """Keep what Python would print; again before each test, because pytest sets hooks of its own."""
    # PySide and VTK hand exceptions of virtual methods, timers and observers to sys.excepthook
    sys.excepthook = _on_exception
    threading.excepthook = lambda args: record_exception(f"thread {args.thread.name}", args.exc_value)
    sys.unraisablehook = lambda args: record_exception(f"{args.object!r}", args.exc_value)


def listen_to_qt_and_vtk() -> None:
    """Keep warnings of Qt and errors of VTK."""
    QtCore.qInstallMessageHandler(_on_qt_message)
    # VTK would write each message twice, once through its logger
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    output = vtk.vtkOutputWindow()
    output.SetDisplayModeToAlwaysStdErr()
    vtk.vtkOutputWindow.SetInstance(output)

    @vtk.calldata_type(vtk.VTK_STRING)
    def on_vtk_error(caller: object, event: str, text: str) -> None:
        record(f"VTK: {text.strip()}")

    output.AddObserver(vtk.vtkCommand.ErrorEvent, on_vtk_error)
