"""A disk without space, told by what is left of it and by errors of writing to it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from ..translation import tr as _

NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
FULL_BYTES = 64 << 10
"""So little is as good as nothing: not even the messages of the core are sure to find their place."""


def fullFolder(*folders: Path | None) -> Path | None:
    """The first folder on a disk without space, None where all have some or nobody can tell."""
    for folder in folders:
        try:
            if folder is not None and shutil.disk_usage(folder).free < FULL_BYTES:
                return folder
        except OSError:
            continue
    return None


def noSpaceIn(folder: Path) -> str:
    """What is said of it, in one line for the user."""
    return _("{folder}: no space is left; make space there and start again").format(folder=folder)


def describe(error: OSError, folder: Path) -> str:
    """An error of writing into a folder, or of starting what writes there, in one line for the user."""
    return noSpaceIn(folder) if error.errno in NO_SPACE else str(error)
