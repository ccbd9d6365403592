"""Makes the phantoms in a process of its own, while Slicer's event loop runs and the user may cancel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ..background.backgroundprocess import BackgroundProcess, reasonOf, startQtTimer
from ..background.diskspace import describe
from ..translation import tr as _

MODULE = "GlobalLocalAlignmentLib.phantoms.phantomfiles"
CANCELLED = "cancelled"
SHOW_MILLISECONDS = 100


class PhantomMaker:
    """One call of the core for the phantoms of a cohort.

    Args:
        folder: for the files; it is made, and files that are there stay.
        cohort: its name.
        count: number of its patients.
    """

    def __init__(self, folder: Path, cohort: str, count: int) -> None:
        self.folder, self.cohort, self.count = folder, cohort, count
        self._done, self._said, self._code = 0, "", None
        self._loop: Any = None
        self._dialog: Any = None

    def make(self, title: str) -> str:
        """Make what is missing, behind a dialog that shows how far it is.

        Args:
            title: of the dialog.

        Returns:
            why it was not made, in one line for the user; empty where it was, ``CANCELLED`` where the user did.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="gla-", ignore_cleanup_errors=True) as temporary:
                return self._make(title, Path(temporary))
        except OSError as error:
            return describe(error, Path(tempfile.gettempdir()))

    def _make(self, title: str, temporary: Path) -> str:
        import qt
        import slicer

        process = BackgroundProcess(
            [str(self.folder), self.cohort],
            temporary / "output.txt",
            self._take,
            self._hear,
            self._finish,
            module=MODULE,
        )
        process.start()
        self._loop = qt.QEventLoop()
        self._dialog = slicer.util.createProgressDialog(
            maximum=self.count,
            windowTitle=title,
            labelText=_("Making the phantoms on this computer, once ..."),
            autoClose=False,
            autoReset=False,
            modal=True,
        )
        self._dialog.connect("canceled()", process.stop)
        # not where the process is heard: the dialog handles events itself when its value changes
        stopShowing = startQtTimer(self._show, SHOW_MILLISECONDS)
        try:
            self._loop.exec_()
        finally:
            stopShowing()
            if process.running:
                # Slicer quits: nothing is waited for
                process.end()
                process.leave()
            self._dialog.close()
            self._dialog.deleteLater()
        if process.stopAsked or self._code is None:
            return CANCELLED
        return "" if self._code == 0 else self._said or reasonOf(self._code, self.folder, temporary, lower=None)

    def _take(self, event: dict[str, Any]) -> None:
        self._done = int(event.get("iteration") or 0)

    def _hear(self, line: str) -> None:
        # the last line of what a process says that fails is the reason
        self._said = line.removeprefix("error: ")

    def _finish(self, code: int) -> None:
        self._code = code
        self._loop.quit()

    def _show(self) -> None:
        if not self._dialog.wasCanceled:
            self._dialog.value = self._done
