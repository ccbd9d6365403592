"""Texts without the folders of this computer: their names say who works here, and on whom.

Names of files stay. They are the user's choice, and without them nobody knows which file a line speaks of.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ANY_FOLDER = re.compile(r"""(?<![\w.:/\\])(?:[A-Za-z]:)?[\\/]{1,2}(?:[^\s\\/:;,()'"<>]+[\\/])+""")
"""What is left of a path that begins at the root, up to its last part; folders with spaces are only known by name."""


class HiddenFolders:
    """Takes folders out of texts; called with a text, gives it back without them.

    Args:
        paths: files and folders that texts may speak of.
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        known = [Path(path) for path in (*paths, *sys.path, sys.prefix, tempfile.gettempdir()) if str(path)]
        known += [Path.home(), Path.cwd(), Path(__file__).parents[1]]
        folders = {folder for path in known for way in _ways(path) for folder in (way, way.parent)}
        folders = {folder for folder in folders if folder != folder.parent and folder.is_absolute()}
        # the longest first, so that nothing of a path is left when one above it is known too
        self._prefixes = [str(folder) for folder in sorted(folders, key=lambda folder: -len(str(folder)))]

    def __call__(self, text: str) -> str:
        """The text with the last parts of paths alone."""
        for prefix in self._prefixes:
            if prefix in text:
                found = r"(?<![\w./\\-])" + re.escape(prefix)
                text = re.sub(found + r"[\\/]", "", text)
                text = re.sub(found + r"(?![\w.-])", lambda match, name=Path(prefix).name: name, text)
        return ANY_FOLDER.sub("", text)


def _ways(path: Path) -> set[Path]:
    """A path as it was given, from the root, and where its links lead."""
    try:
        return {path, path.absolute(), path.resolve()}
    except (OSError, RuntimeError, ValueError):
        return {path}
