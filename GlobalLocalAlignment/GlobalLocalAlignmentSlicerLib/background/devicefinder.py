"""The GPUs of this computer, looked for without importing PyTorch, which would hold up Slicer's window for seconds."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .backgroundprocess import StartTimer, startQtTimer

QUERY = ("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
POLL_MILLISECONDS = 100
PATIENCE_SECONDS = 10.0
"""A driver in trouble lets its tool wait for ever."""

FRESH_SECONDS = 30.0
"""So long what was found is taken as it is; other programs take memory and give it back."""

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """One GPU of NVIDIA; memory in bytes, None where the driver does not say."""

    name: str
    totalBytes: int | None
    freeBytes: int | None


@dataclass(frozen=True)
class Devices:
    """What there is besides the processor.

    Attributes:
        cuda: GPUs of NVIDIA, in the order of the driver.
        mps: this is a Mac with a GPU that PyTorch uses.
        torchBuild: what the installed PyTorch was built for, ``cuda``, ``cpu`` or ``rocm``; empty without PyTorch.
    """

    cuda: tuple[Gpu, ...] = ()
    mps: bool = False
    torchBuild: str = ""


class DeviceFinder:
    """Asks the driver's own tool, ``nvidia-smi``, in the background.

    Args:
        startTimer: the timer of Qt where it is not given.
        command: the tool with its words; looked for where it is not given.
    """

    def __init__(self, startTimer: StartTimer | None = None, command: list[str] | None = None) -> None:
        self._startTimer = startTimer or startQtTimer
        self._command = command
        self._process: subprocess.Popen | None = None
        self._stopTimer: Callable[[], None] = lambda: None
        self._waiting: list[Callable[[Devices], None]] = []
        self._giveUpAt = self._foundAt = 0.0
        self._found: Devices | None = None

    def find(self, onFound: Callable[[Devices], None]) -> None:
        """Call a function with the devices: at once where they are known or no tool has to be asked, or soon."""
        if self._process is None and self._found is not None and time.monotonic() - self._foundAt < FRESH_SECONDS:
            onFound(self._found)
            return
        self._waiting.append(onFound)
        if self._process is not None:
            return
        command = self._command or findTool()
        try:
            self._process = _start(command) if command else None
        except OSError:
            self._process = None
        if self._process is None:
            self._tell(())
            return
        self._giveUpAt = time.monotonic() + PATIENCE_SECONDS
        self._stopTimer = self._startTimer(self.poll, POLL_MILLISECONDS)

    def poll(self) -> None:
        """What the timer calls."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            if time.monotonic() < self._giveUpAt:
                return
            process.kill()
        self._end()
        output = process.communicate()[0]
        self._tell(parseGpus(output.decode("utf-8", errors="replace")) if process.returncode == 0 else ())

    def close(self) -> None:
        """Ask no longer; nobody is called any more."""
        self._waiting.clear()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._end()

    def _end(self) -> None:
        self._process = None
        self._stopTimer()
        self._stopTimer = lambda: None

    def _tell(self, gpus: tuple[Gpu, ...]) -> None:
        self._found = Devices(visible(gpus, os.environ), hasMps(), torchBuild())
        self._foundAt = time.monotonic()
        waiting, self._waiting = self._waiting, []
        for onFound in waiting:
            onFound(self._found)


def findTool() -> list[str]:
    """The driver's tool with its words, an empty list where there is none."""
    # older drivers for Windows put it where nothing looks for it; the subsystem for Linux likewise
    places = [
        shutil.which("nvidia-smi"),
        os.path.join(os.environ.get("PROGRAMFILES", ""), "NVIDIA Corporation", "NVSMI", "nvidia-smi.exe"),
        "/usr/lib/wsl/lib/nvidia-smi",
    ]
    return next(([place, *QUERY] for place in places if place and os.path.isfile(place)), [])


def parseGpus(text: str) -> tuple[Gpu, ...]:
    """GPUs in the tool's words, one a line: name, MiB in all, MiB free. Other lines are passed over."""
    gpus = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.rsplit(",", 2)]
        if len(parts) == 3 and parts[0]:
            total, free = (int(part) * MEBIBYTE if part.isdigit() else None for part in parts[1:])
            gpus.append(Gpu(parts[0], total, free))
    return tuple(gpus)


def visible(gpus: tuple[Gpu, ...], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Those that the user leaves to CUDA; the core gets the same environment."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return gpus
    words = [word.strip() for word in named.split(",") if word.strip()]
    if any(not re.fullmatch(r"-?\d+", word) for word in words):
        # named by identifiers that were not asked for
        return gpus
    chosen = []
    for word in words:
        if not 0 <= int(word) < len(gpus):
            # CUDA ignores what comes after a number that is none
            break
        chosen.append(gpus[int(word)])
    return tuple(chosen)


def hasMps() -> bool:
    """Whether this is a Mac with a processor of Apple, whose GPU PyTorch uses."""
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def torchBuild() -> str:
    """What the installed PyTorch was built for, from its file of versions; empty where it is not known."""
    specification = importlib.util.find_spec("torch")
    if specification is None or not specification.origin:
        return ""
    try:
        text = Path(specification.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    built = dict(re.findall(r"^(cuda|hip)\b[^=\n]*=\s*(\S+)", text, re.MULTILINE))
    if "cuda" not in built:
        return ""
    return "cuda" if built["cuda"] != "None" else "rocm" if built.get("hip", "None") != "None" else "cpu"


def _start(command: list[str]) -> subprocess.Popen:
    flags = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **flags
    )
