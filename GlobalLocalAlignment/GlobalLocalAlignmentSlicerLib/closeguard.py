"""Asks before Slicer closes while a training runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

LEAVE, STOP, STAY = "leave", "stop", "stay"


class CloseGuard(qt.QObject):
    """Event filter for the main window.

    Args:
        isTraining: whether there is anything to ask about.
        onStop: called when the user wants the training to stop.
    """

    def __init__(self, isTraining: Callable[[], bool], onStop: Callable[[], None]) -> None:
        qt.QObject.__init__(self)
        self.isTraining, self.onStop = isTraining, onStop
        self._window: Any = None

    def guard(self, window: Any | None) -> None:
        """Guard a window; None where Slicer has no window."""
        if window is not None:
            window.installEventFilter(self)
            self._window = window

    def release(self) -> None:
        """Guard it no longer."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Whether the event ends here: only where the user wants to stay."""
        if event.type() != qt.QEvent.Close or not self.isTraining():
            return False
        answer = askWhatToDo()
        if answer == STOP:
            self.onStop()
        if answer == STAY:
            event.ignore()
        return answer == STAY


def askWhatToDo() -> str:
    """``leave`` the training running, ``stop`` it, or ``stay`` in Slicer."""
    box = qt.QMessageBox(slicer.util.mainWindow())
    box.setIcon(qt.QMessageBox.Question)
    box.windowTitle = _("Training")
    box.text = _(
        "A training is running. It can go on without Slicer; open the run later to watch it. If it stops, it can be"
        " resumed."
    )
    box.setStandardButtons(qt.QMessageBox.Yes | qt.QMessageBox.No | qt.QMessageBox.Cancel)
    box.button(qt.QMessageBox.Yes).text = _("Leave it running")
    box.button(qt.QMessageBox.No).text = _("Stop it")
    answer = box.exec_()
    if answer == qt.QMessageBox.Yes:
        return LEAVE
    return STOP if answer == qt.QMessageBox.No else STAY
