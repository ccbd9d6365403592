"""Trainings that are killed at a chosen moment, which is the same on every machine: no clock decides, but ticks.

A tick is a convolution, or a step of writing a file: its beginning, the middle and the end of each piece, its sync, its
renaming, the removal of an older one. Each training is a process of its own, forked from one that has loaded everything
and computed nothing, so that it starts at once.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from GlobalLocalAlignmentLib import slicestore, wholefiles
from GlobalLocalAlignmentLib.training import events

CONVOLUTION = "convolution"
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Tick:
    """A moment of a training.

    Attributes:
        number: counted from 1.
        place: the stage that spoke last.
        what: a convolution, or what was done to which file.
    """

    number: int
    place: str
    what: str

    @property
    def in_checkpoint(self) -> bool:
        """Whether a checkpoint was being written, renamed or removed."""
        return ".pt" in self.what


class Ticks:
    """Counts the ticks of this process.

    Args:
        kill_at: number of the tick at which the process kills itself, None to live.
        note: file in which all ticks are noted, None for none.
    """

    def __init__(self, kill_at: int | None = None, note: Path | None = None) -> None:
        self.kill_at, self.note, self.place, self.number = kill_at, note, "prepare", 0
        self.noted: list[tuple[str, str]] = []

    def __call__(self, what: str) -> None:
        """One tick."""
        self.number += 1
        if self.note is not None:
            self.noted.append((self.place, what))
        if self.number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def listen(self, entry: dict[str, Any]) -> None:
        """Listener of the training."""
        self.place = entry["stage"]

    def save(self) -> None:
        """Write what was noted, and which modules the process has loaded."""
        if self.note is not None:
            self.note.write_text(json.dumps({"ticks": self.noted, "modules": list(sys.modules)}))

    def install(self) -> None:
        """Tick from now on, for as long as the process lives."""
        convolve = torch.nn.Conv2d.forward

        def convolution(layer: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
            self(CONVOLUTION)
            return convolve(layer, images)

        torch.nn.Conv2d.forward = convolution
        for module in (wholefiles, slicestore, events):
            module.open = self._open
        for name in ("fsync", "replace", "unlink", "truncate"):
            setattr(os, name, self._around(name, getattr(os, name)))

    def _around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def ticking(subject: Any, *words: Any, **options: Any) -> Any:
            what = f"{name} {_name(subject)}"
            self(what)
            result = function(subject, *words, **options)
            self(f"after {what}")
            return result

        return ticking

    def _open(self, path: Path, mode: str = "r", *words: Any, **options: Any) -> Any:
        stream = builtins.open(path, mode, *words, **options)
        return stream if mode.startswith("r") else _Stream(stream, self, Path(path).name)


class _Stream:
    """A file that is written in halves of pieces, each of which has reached it before the tick after it."""

    def __init__(self, stream: Any, tick: Ticks, name: str) -> None:
        self._stream, self._tick, self._name = stream, tick, name

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, content: Any) -> int:
        content = bytes(content)
        middle = len(content) // 2
        self._tick(f"write {self._name}")
        self._stream.write(content[:middle])
        self._stream.flush()
        self._tick(f"half {self._name}")
        self._stream.write(content[middle:])
        self._stream.flush()
        return len(content)


def _name(subject: Any) -> str:
    """A file, by its path or its number, as its name alone."""
    return Path(os.readlink(f"/proc/self/fd/{subject}") if isinstance(subject, int) else subject).name


def load_modules(note: Path) -> None:
    """Load what a training has loaded on its way, so that no other one has to."""
    for name in json.loads(note.read_text())["modules"]:
        with suppress(Exception):
            importlib.import_module(name)


def in_a_process(work: Callable[[], None]) -> int:
    """Exit code of a forked process that does some work: 0, 1 with a traceback, or that of a signal as a negative."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
