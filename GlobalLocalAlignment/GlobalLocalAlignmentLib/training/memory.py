"""How much memory some work takes at its peak, on the device it runs on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psutil
import torch

INTERVAL = 0.02
"""Seconds between two looks at the memory of the process: a peak within an iteration lasts longer."""


class PeakMemory:
    """Context manager; afterwards ``peak`` is the most memory that the work within took, in bytes.

    On a CUDA device it is what PyTorch reserved there. Elsewhere it is what the process grew by, without the libraries
    that were loaded before; a thread looks at it.

    Args:
        device: where the work runs.
        read: memory in use now, in bytes, where it has to be looked at; found out from the device if not given.
    """

    def __init__(self, device: torch.device, read: Callable[[], int] | None = None) -> None:
        self.device, self.peak = device, 0
        self._read = read or (torch.mps.driver_allocated_memory if device.type == "mps" else _resident)
        self._before = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._before = self._read()
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self.peak = torch.cuda.max_memory_reserved(self.device)
        else:
            self._done.set()
            self._thread.join()
            self._look()

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        self.peak = max(self.peak, self._read() - self._before)


def total_memory(device: torch.device) -> int:
    """Memory of a CUDA device, or else of the machine, in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total


def _resident() -> int:
    return psutil.Process().memory_info().rss
