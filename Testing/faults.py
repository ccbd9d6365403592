"""Real faults for processes of the core: disks that are full, and networks at which the machine gives up.

Nothing in the core knows of them: a process that is started loads a file of the test before everything else.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

GPU_GONE = 'raise RuntimeError("CUDA error: unspecified launch failure\\nCUDA kernel errors might be reported later")'
GPU_MEMORY = 'raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")'
NO_MEMORY = "torch.empty(1 << 50, dtype=torch.uint8)"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
FILLER_NAME = "filler"

DEVICE_WITHOUT_SPACE = Path("/dev/full")
needs_device_without_space = pytest.mark.skipif(
    not DEVICE_WITHOUT_SPACE.exists(), reason="this system has no /dev/full, whose every write finds no space"
)

BROKEN = """
import contextlib, os, signal
import torch

convolve, calls = torch.nn.Conv2d.forward, 0

def broken(self, images):
    global calls
    calls += 1
    if calls > {after}:
        {statement}
    return convolve(self, images)

torch.nn.Conv2d.forward = broken
"""


def break_processes(monkeypatch: pytest.MonkeyPatch, folder: Path, statement: str, after: int) -> None:
    """Python processes that are started from now on do a statement instead of convolutions, after so many good ones."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BROKEN.format(statement=statement, after=after))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def mend_processes(folder: Path) -> None:
    """Processes that are started from now on are well again."""
    (folder / "sitecustomize.py").write_text("")


def full(disk: Path) -> str:
    """Statement that fills a disk of a test, once."""
    filler = str(disk / FILLER_NAME)
    return f"with contextlib.suppress(FileExistsError): open({filler!r}, 'xb', 0).write(bytes(1 << 28))"


def fill(disk: Path, left: int = 0) -> Path:
    """Fill a disk but for some bytes; returns the file that does it."""
    filler = disk / FILLER_NAME
    with open(filler, "wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            stream.truncate(max(0, stream.tell() - left))
    return filler
