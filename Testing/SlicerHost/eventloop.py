"""How long the event loop was held: what a user feels as a frozen window."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from PySide6 import QtCore

INTERVAL = 5
"""Milliseconds between two looks at the clock."""


class Watch:
    """The longest time between two turns of the event loop, beyond the interval that was asked for."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._last = time.perf_counter()

    def tick(self) -> None:
        now = time.perf_counter()
        self.longest_ms = max(self.longest_ms, (now - self._last) * 1000 - INTERVAL)
        self._last = now


@contextmanager
def event_loop_watch() -> Iterator[Watch]:
    """Measure in this block, in which the event loop must run: Host.wait_until does that."""
    watch, timer = Watch(), QtCore.QTimer()
    timer.setTimerType(QtCore.Qt.PreciseTimer)
    timer.timeout.connect(watch.tick)
    timer.start(INTERVAL)
    try:
        yield watch
        watch.tick()
    finally:
        timer.stop()
