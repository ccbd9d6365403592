"""How long the event loop was held, and by what: what a user feels as a frozen window."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6 import QtCore

INTERVAL = 5
"""Milliseconds between two looks at the clock."""
SAMPLING = 0.002
"""Seconds between two looks at what the main thread is doing."""

MODULES, LIBRARY = "GlobalLocalAlignment", "GlobalLocalAlignmentSlicerLib"
"""Beginning of the names of module files, and the folder of what they share."""


class Watch:
    """The longest time between two turns of the event loop, beyond the interval that was asked for.

    Attributes:
        longest_ms: that time.
        longest_busy_ms: the most processor time that the main thread took between two turns. Other work on the machine
            does not count in it, waiting for a disk or another process neither.
        culprits: where the main thread was during it, as calls of the modules from the outermost to the innermost,
            the place where it was seen most often first.
    """

    def __init__(self) -> None:
        self.longest_ms = self.longest_busy_ms = 0.0
        self.culprits: list[str] = []
        self._last, self._last_busy = time.perf_counter(), time.thread_time()
        self._seen: Counter[str] = Counter()
        self._main = threading.get_ident()

    def tick(self) -> None:
        now = time.perf_counter()
        held, seen = (now - self._last) * 1000 - INTERVAL, self._seen
        self._seen = Counter()
        if held > self.longest_ms:
            self.longest_ms, self.culprits = held, [place for place, _ in seen.most_common(3)]
        self._last = now
        busy = time.thread_time()
        self.longest_busy_ms = max(self.longest_busy_ms, (busy - self._last_busy) * 1000)
        self._last_busy = busy

    def sample(self, ended: threading.Event) -> None:
        """Note where the main thread is, again and again, for as long as it is late."""
        while not ended.wait(SAMPLING):
            if time.perf_counter() - self._last > 2 * INTERVAL / 1000:
                self._seen[_place(self._main)] += 1


def _place(thread: int) -> str:
    """Calls of a thread that are in a module of the extension, the outermost first."""
    frame, calls = sys._current_frames().get(thread), []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.stem.startswith(MODULES) or LIBRARY in path.parts:
            calls.append(f"{path.stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " > ".join(reversed(calls)) or "outside the modules"


@contextmanager
def event_loop_watch() -> Iterator[Watch]:
    """Measure in this block, in which the event loop must run: Host.wait_until does that."""
    watch, timer, ended = Watch(), QtCore.QTimer(), threading.Event()
    sampler = threading.Thread(target=watch.sample, args=(ended,), daemon=True)
    timer.setTimerType(QtCore.Qt.PreciseTimer)
    timer.timeout.connect(watch.tick)
    timer.start(INTERVAL)
    sampler.start()
    try:
        yield watch
        watch.tick()
    finally:
        timer.stop()
        ended.set()
        sampler.join()
