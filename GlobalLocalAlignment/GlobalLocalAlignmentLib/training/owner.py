"""The note of who works in a folder: for people, and in the place of a lock where a file system has none.

A note is stale where its process is gone, where another program has its number by now, or where it is of another
computer and has not been renewed for a while. Nothing in it names a computer: what tells one from another is a digest
that is salted anew for each note. The module needs nothing but the standard library until a process is looked at.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..wholefiles import whole_file

OWNER_NAME = "owner.json"
RENEWED, STALE = 20.0, 120.0
"""Seconds between two renewals of a note, and after which one that is of another computer counts no longer."""

SAME_START = 2.0
"""Seconds by which the start of a process may seem to have moved, where a clock was set."""


@dataclass(frozen=True)
class Owner:
    """Who works in a folder.

    Attributes:
        pid: of the process.
        started: when it took the folder, in seconds since 1970.
        process_started: when the process itself started; 0 where that is not known.
        computer: salt and digest.
    """

    pid: int
    started: float
    process_started: float = 0.0
    computer: str = ""

    @classmethod
    def of_this_process(cls) -> Owner:
        salt = secrets.token_hex(8)
        return cls(os.getpid(), round(time.time(), 3), _start_of(os.getpid()) or 0.0, f"{salt} {_digest(salt)}")

    @classmethod
    def of(cls, folder: Path) -> Owner | None:
        """Who has noted a folder, None where nobody has or the note cannot be read."""
        try:
            content = json.loads((folder / OWNER_NAME).read_text(encoding="utf-8"))
            return cls(
                int(content["pid"]),
                float(content.get("started", 0)),
                float(content.get("process_started", 0)),
                str(content.get("computer", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Leave the note in a folder."""
        with whole_file(folder / OWNER_NAME) as stream:
            stream.write((json.dumps(asdict(self)) + "\n").encode("utf-8"))

    @property
    def here(self) -> bool:
        """Whether it is of this computer."""
        salt, _, digest = self.computer.partition(" ")
        return bool(digest) and digest == _digest(salt)

    def works_in(self, folder: Path) -> bool:
        """Whether its process is still there, as far as that can be told."""
        if not self.here:
            return _age(folder / OWNER_NAME) < STALE
        start = _start_of(self.pid)
        return start is not None and (not self.process_started or abs(start - self.process_started) < SAME_START)

    def __str__(self) -> str:
        return f"pid {self.pid}" + ("" if self.here or not self.computer else " on another computer")


class Renewal:
    """Renews a note in the background, for other computers.

    Args:
        folder: with the note.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._over = folder / OWNER_NAME, threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    def end(self) -> None:
        """Renew no longer."""
        self._over.set()

    def _renew(self) -> None:
        while not self._over.wait(RENEWED):
            with suppress(OSError):
                os.utime(self._path)


def _digest(salt: str) -> str:
    return hashlib.sha256(f"{salt} {platform.node()} {uuid.getnode()}".encode()).hexdigest()[:16]


def _start_of(pid: int) -> float | None:
    """When a process of this computer started, None where it is gone; this process where nobody can tell."""
    try:
        import psutil
    except ImportError:
        return 0.0
    try:
        process = psutil.Process(pid)
        # one that has ended and whose end nobody has taken note of has left its work
        return None if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 3)
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return 0.0


def _age(path: Path) -> float:
    """Seconds since a file was written, by the clock of its disk: that of another computer may be wrong."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:
        now = time.time()
    try:
        return now - path.stat().st_mtime
    except OSError:
        return float("inf")
