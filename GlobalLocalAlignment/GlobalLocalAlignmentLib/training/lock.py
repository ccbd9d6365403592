"""One process works in a folder at a time: a lock of the operating system on it, and a note of who holds it.

A process that ends, in whichever way, lets go of the lock: files that a killed one leaves behind are harmless. This
module needs nothing but the standard library until a lock is looked at, so Slicer's own process can import it.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_NAME, OWNER_NAME = "lock", "owner.json"
PATIENCE = 1.0
"""Seconds that a training waits for the lock, because ``is_locked`` takes it for a moment to see whether it is free."""


class RunLock:
    """Lock on a run folder. The file stays when it is released: to remove it would race with whoever waits for it.

    Args:
        folder: the run folder; it must exist before ``acquire``.
        doing: what the process does with the folder that has the lock, for the message to another one.
    """

    def __init__(self, folder: Path, doing: str = "trained") -> None:
        self.folder, self.doing = folder, doing
        self._lock: BaseFileLock | None = None

    @property
    def held(self) -> bool:
        """Whether this process has the lock."""
        return self._lock is not None

    def acquire(self) -> None:
        """Take the lock; on a file system without locks nothing happens and ``held`` stays False.

        Raises:
            InputError: another process has it.
        """
        from filelock import Timeout

        try:
            self._lock = _take(self.folder, PATIENCE)
        except Timeout:
            raise InputError(
                self.folder,
                f"is being {self.doing} by another process{_owner(self.folder)}",
                "wait for it or stop it",
            ) from None
        if self.held:
            # the lock is what counts, the note is for people; nothing in it names a computer
            with suppress(OSError):
                note = {"pid": os.getpid(), "started": round(time.time(), 3)}
                (self.folder / OWNER_NAME).write_text(json.dumps(note) + "\n", encoding="utf-8")

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._lock is None:
            return
        # before the release: afterwards the note may be that of the next process
        with suppress(OSError):
            (self.folder / OWNER_NAME).unlink(missing_ok=True)
        self._lock.release()
        self._lock = None


def is_locked(folder: Path) -> bool:
    """Whether a process trains the run; False where that cannot be found out. Nothing is written."""
    if not (folder / LOCK_NAME).is_file():
        return False
    try:
        from filelock import Timeout
    except ImportError:
        return False
    try:
        lock = _take(folder, 0)
    except Timeout:
        return True
    if lock is not None:
        lock.release()
    return False


def _take(folder: Path, patience: float) -> BaseFileLock | None:
    """The lock of a run folder, None where the file system has no locks.

    Raises:
        filelock.Timeout: another process has it, after ``patience`` seconds still.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    lock = FileLock(folder / LOCK_NAME)
    try:
        with warnings.catch_warnings():
            # newer versions warn of their stand-in for a file system without locks, see below
            warnings.simplefilter("ignore")
            lock.acquire(timeout=patience)
    except Timeout:
        # it is an OSError too
        raise
    except (NotImplementedError, OSError):
        return None
    if isinstance(lock, SoftFileLock):
        # the stand-in is a file that a killed process leaves behind, with the name of its computer in it
        lock.release()
        return None
    return lock


def _owner(folder: Path) -> str:
    """`` (pid N)``, empty where the note cannot be read."""
    try:
        return f" (pid {json.loads((folder / OWNER_NAME).read_text(encoding='utf-8'))['pid']:d})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
