"""Files that are dropped on a widget, and addresses of files where a path is wanted."""

from __future__ import annotations

from collections.abc import Callable

import qt


class FileDrops(qt.QObject):
    """Event filter that takes dropped files; what it does not take goes on to Slicer, which loads it as data.

    Args:
        onFiles: called with the paths that were dropped.
        wants: whether files with these paths are taken.
    """

    def __init__(self, onFiles: Callable[[list[str]], None], wants: Callable[[list[str]], bool]) -> None:
        qt.QObject.__init__(self)
        self.onFiles, self.wants = onFiles, wants

    def eventFilter(self, watched, event) -> bool:
        """Called by Qt for every event of the widget; true where nobody else shall see it."""
        if event.type() not in (qt.QEvent.DragEnter, qt.QEvent.DragMove, qt.QEvent.Drop):
            return False
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths or not self.wants(paths):
            return False
        event.acceptProposedAction()
        if event.type() == qt.QEvent.Drop:
            self.onFiles(paths)
        return True


def localPath(text: str) -> str:
    """A path as it is, and the path of an address such as ``file:///folder/a%20model``, as a dropped text has it."""
    stripped = text.strip()
    return qt.QUrl(stripped).toLocalFile() if stripped.lower().startswith("file:") else text
