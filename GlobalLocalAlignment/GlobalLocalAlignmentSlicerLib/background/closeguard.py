"""Asks before Slicer closes while a training runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

LEAVE, STOP, STAY = "leave", "stop", "stay"
LOOK_MILLISECONDS = 500
"""How often it is looked whether Slicer closes, after the user has answered."""


class CloseGuard(qt.QObject):
    """Event filter for the main window, which asks once each time that somebody wants to close it.

    After this question Slicer asks whether to save the scene, and there the user may still stay. So a training that is
    to stop does so when Slicer quits, not before; and the answer is kept until then, because some systems send the
    event twice.

    Args:
        isTraining: whether there is anything to ask about.
        canBeLeft: whether the training could go on without Slicer.
        onStop: called at the end of Slicer if the user wants the training to stop.
    """

    def __init__(
        self, isTraining: Callable[[], bool], canBeLeft: Callable[[], bool], onStop: Callable[[], None]
    ) -> None:
        qt.QObject.__init__(self)
        self.isTraining, self.canBeLeft, self.onStop = isTraining, canBeLeft, onStop
        self._window: Any = None
        self._answer = ""
        self._asking = False

    def guard(self, window: Any | None) -> None:
        """Guard a window; None where Slicer has no window."""
        if window is not None:
            window.installEventFilter(self)
            self._window = window
            slicer.app.connect("aboutToQuit()", self.onQuit)

    def release(self) -> None:
        """Guard it no longer."""
        if self._window is not None:
            self._window.removeEventFilter(self)
            self._window = None
            slicer.app.disconnect("aboutToQuit()", self.onQuit)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Whether the event ends here: only where the user wants to stay, or has not answered yet."""
        if event.type() != qt.QEvent.Close:
            return False
        if not self._asking and not self._answer and self.isTraining():
            self._asking = True
            try:
                self._answer = askWhatToDo(self.canBeLeft())
            finally:
                self._asking = False
            qt.QTimer.singleShot(LOOK_MILLISECONDS, self._look)
        stays = self._asking or self._answer == STAY
        if stays:
            event.ignore()
            self._answer = ""
        return stays

    def onQuit(self) -> None:
        """Slicer quits."""
        if self._answer == STOP and self.isTraining():
            self.onStop()

    def _look(self) -> None:
        """Forget the answer if Slicer is there and asks nothing more: the user has stayed after all."""
        if self._window is None or not self._answer:
            return
        if qt.QApplication.activeModalWidget() is None and self._window.visible:
            self._answer = ""
        else:
            qt.QTimer.singleShot(LOOK_MILLISECONDS, self._look)


def askWhatToDo(canBeLeft: bool) -> str:
    """``leave`` the training running where it can be left, ``stop`` it, or ``stay`` in Slicer."""
    box = qt.QMessageBox(slicer.util.mainWindow())
    box.setIcon(qt.QMessageBox.Question)
    box.windowTitle = _("Training")
    if canBeLeft:
        box.text = _(
            "A training is running. It can go on without Slicer; open the run later to watch it. If it stops, it can"
            " be resumed."
        )
        box.setStandardButtons(qt.QMessageBox.Yes | qt.QMessageBox.No | qt.QMessageBox.Cancel)
        box.button(qt.QMessageBox.Yes).text = _("Leave it running")
    else:
        box.text = _(
            "A training is being started: its cases are still written, and it cannot go on without Slicer before they"
            " are. If Slicer closes now, nothing of it is left."
        )
        box.setStandardButtons(qt.QMessageBox.No | qt.QMessageBox.Cancel)
    box.button(qt.QMessageBox.No).text = _("Stop it")
    answer = box.exec_()
    if answer == qt.QMessageBox.Yes:
        return LEAVE
    return STOP if answer == qt.QMessageBox.No else STAY
