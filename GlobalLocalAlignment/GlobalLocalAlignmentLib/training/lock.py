"""One process works in a folder at a time: a lock of the operating system on it, and a note of who holds it.

A process that ends, in whichever way, lets go of the lock: files that a killed one leaves behind are harmless. Where
the file system has no locks the note stands in for one, see ``owner``. This
module needs nothing but the standard library until a lock is looked at, so Slicer's own process can import it.
"""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .owner import OWNER_NAME, Owner, Renewal

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_NAME = "lock"
SETTLED = 0.3
"""Seconds after which, of two processes that left a note at the same time, one alone finds its own."""

PATIENCE = 1.0
"""Seconds that a training waits for the lock, because ``is_locked`` takes it for a moment to see whether it is free."""


class RunLock:
    """Lock on a folder. The file stays when it is released: to remove it would race with whoever waits for it.

    Args:
        folder: it must exist before ``acquire``.
        work: what is done with the folder by whoever has the lock.
    """

    def __init__(self, folder: Path, work: str = "trained") -> None:
        self.folder, self.work = folder, work
        self._lock: BaseFileLock | None = None
        self._note: Owner | None = None
        self._renewal: Renewal | None = None

    @property
    def held(self) -> bool:
        """Whether this process has the lock of the operating system."""
        return self._lock is not None

    def acquire(self) -> None:
        """Take the lock; on a file system without locks a note takes its place and ``held`` stays False.

        Raises:
            InputError: another process works in the folder.
        """
        from filelock import Timeout

        owner = Owner.of(self.folder)
        try:
            self._lock = _take(self.folder, PATIENCE)
        except Timeout:
            raise self._busy(Owner.of(self.folder)) from None
        if not self.held and owner is not None and owner.works_in(self.folder):
            raise self._busy(owner)
        # where there is a lock it is what counts, and the note is for people
        with suppress(OSError):
            note = Owner.of_this_process()
            note.write(self.folder)
            self._note = note
        if not self.held and self._note is not None:
            time.sleep(SETTLED)
            owner = Owner.of(self.folder)
            if owner != self._note:
                self._note = None
                raise self._busy(owner)
            self._renewal = Renewal(self.folder)

    def release(self) -> None:
        """Let go of the lock, if it is held."""
        if self._renewal is not None:
            self._renewal.end()
        # before the release: afterwards the note may be that of the next process
        if self._note is not None:
            with suppress(OSError):
                (self.folder / OWNER_NAME).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
        self._lock = self._note = self._renewal = None

    def _busy(self, owner: Owner | None) -> InputError:
        who = "" if owner is None else f" ({owner})"
        # the note of a process that was killed elsewhere is told from that of one that works by waiting
        away = owner is not None and bool(owner.computer) and not owner.here
        remedy = f"wait for it or stop it; once it is gone, remove {OWNER_NAME}" if away else "wait for it or stop it"
        return InputError(self.folder, f"is being {self.work} by another process{who}", remedy)


def is_locked(folder: Path) -> bool:
    """Whether a process works in a folder; False where that cannot be found out. Nothing is written that stays."""
    if (folder / LOCK_NAME).is_file():
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
    owner = Owner.of(folder)
    return owner is not None and owner.works_in(folder)


def _take(folder: Path, patience: float) -> BaseFileLock | None:
    """The lock of a folder, None where the file system has no locks.

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
