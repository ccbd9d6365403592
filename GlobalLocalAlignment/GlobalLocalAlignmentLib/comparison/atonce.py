"""Several rows of an ablation at once, each in a process of its own on the same device, or on several in turn.

A small network leaves most of a GPU idle: the program that starts its operations is what takes the time. Processes are
told to stop, and tell what they do, through a pipe each; one that is killed closes its own alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from ..devices import resolve_device
from ..errors import InputError, InputErrors, StopRequested
from ..training.events import Listener
from .rows import Row, predecessors

START = "spawn"
"""How processes are begun: CUDA does not work in one that was forked from a process that uses it."""

INTERVAL = 0.2
"""Seconds after which it is looked again whether the user asked to stop."""

EVENT, DONE, STOPPED, REFUSED, FAILED = "event", "done", "stopped", "refused", "failed"
AGAIN = "see its log, and call again, with a smaller --at-once where memory was short"


def run_at_once(
    output: Path,
    rows: Sequence[Row],
    at_once: int,
    listeners: Sequence[Listener],
    stop_asked: Callable[[], bool],
    on_start: Callable[[Row], None],
    on_done: Callable[[Row], None],
) -> None:
    """Train and score rows, some at once; a row waits for those that it takes something over from, and no longer.

    Where a row fails no further one is begun, the others are stopped cleanly, and then the failure is raised.

    Args:
        output: folder of the ablation.
        rows: all of them, in the order in which they are begun.
        at_once: the most that are under way.
        listeners: called with each event of every row, which ``training`` names the row in.
        stop_asked: asked now and then.
        on_start, on_done: called with a row when it is begun and when it was scored.

    Raises:
        InputError: of a row, or its process was killed.
        StopRequested: stopped cleanly; the same call goes on.
        RuntimeError: a fault of ours in a row, with its trace.
    """
    _Pool(output, rows, at_once, listeners, on_start, on_done).run(stop_asked)


@dataclass
class _Worker:
    row: int
    place: int
    process: BaseProcess
    connection: Connection


class _Pool:
    """The rows that wait, those under way, and how they ended."""

    def __init__(
        self,
        output: Path,
        rows: Sequence[Row],
        at_once: int,
        listeners: Sequence[Listener],
        on_start: Callable[[Row], None],
        on_done: Callable[[Row], None],
    ) -> None:
        self.output, self.rows, self.at_once, self.listeners = output, rows, at_once, listeners
        self.on_start, self.on_done = on_start, on_done
        self.needed = predecessors(rows, output)
        self.waiting = list(range(len(rows)))
        self.finished: set[int] = set()
        self.through_stage_one: set[int] = set()
        self.workers: list[_Worker] = []
        self.stopping = self.stopped = False
        self.failure: Exception | None = None

    def run(self, stop_asked: Callable[[], bool]) -> None:
        try:
            while True:
                if stop_asked():
                    self._stop()
                if not self.stopping:
                    self._begin_what_can_be()
                if not self.workers:
                    break
                for connection in wait([worker.connection for worker in self.workers], INTERVAL):
                    self._hear(next(worker for worker in self.workers if worker.connection is connection))
        finally:
            # left at once: what is under way is in its last checkpoints
            for worker in self.workers:
                worker.process.kill()
                worker.process.join()
        if self.failure is not None:
            raise self.failure
        if self.stopping:
            raise StopRequested

    def _begin_what_can_be(self) -> None:
        for index in list(self.waiting):
            if len(self.workers) == self.at_once:
                return
            needs = self.needed[index]
            if needs.finished <= self.finished and needs.stage_one <= self.finished | self.through_stage_one:
                self.waiting.remove(index)
                self._begin(index)

    def _begin(self, index: int) -> None:
        row = self.rows[index]
        place = min(set(range(self.at_once)) - {worker.place for worker in self.workers})
        context = multiprocessing.get_context(START)
        ours, theirs = context.Pipe()
        words = (theirs, self.output, row.on(_device(row, place)), max(1, (os.cpu_count() or 1) // self.at_once))
        process = context.Process(target=_work, args=words, name=row.title)
        self.on_start(row)
        process.start()
        # theirs alone is left in that process, so that its end closes the pipe
        theirs.close()
        self.workers.append(_Worker(index, place, process, ours))

    def _hear(self, worker: _Worker) -> None:
        """One word of a process, or its end."""
        row = self.rows[worker.row]
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            kind, content = REFUSED, [(row.title, "its process was killed", AGAIN)]
        if kind == EVENT:
            if content.get("stage") in ("translation", "segmentation"):
                # what stage one made is written by now
                self.through_stage_one.add(worker.row)
            for listener in self.listeners:
                listener(content | {"training": row.title})
            return
        worker.process.join()
        worker.connection.close()
        self.workers.remove(worker)
        if kind == DONE:
            self.finished.add(worker.row)
            self.on_done(row)
            return
        if kind in (REFUSED, FAILED) and self.failure is None:
            self.failure = _failure(row, kind, content)
        self._stop()

    def _stop(self) -> None:
        """Ask all that are under way to end cleanly; nothing is begun any more."""
        if not self.stopping:
            self.stopping = True
            for worker in self.workers:
                with suppress(OSError):
                    worker.connection.send(None)


def _failure(row: Row, kind: str, content: Any) -> Exception:
    if kind == FAILED:
        return RuntimeError(f"{row.title}: {content}")
    errors = [InputError(*words) for words in content]
    return errors[0] if len(errors) == 1 else InputErrors(errors)


def _device(row: Row, place: int) -> str:
    """Device of the row that takes a place: where there are several GPUs and none is chosen, one after the other."""
    name = row.direction.configuration.training.device
    device = resolve_device(name)
    if device.type != "cuda" or device.index is not None:
        return name
    return f"cuda:{place % torch.cuda.device_count()}"


def _work(connection: Connection, output: Path, row: Row, threads: int) -> None:
    """What a process does: the row, from where an earlier call left it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # a terminal and a cluster send them to all processes; the one that began this one says what is to be done
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(threads)

    def tell(kind: str, content: Any = None) -> None:
        with suppress(OSError):
            connection.send((kind, content))

    def stop_asked() -> bool:
        try:
            # also true where the other end is gone
            return connection.poll()
        except OSError:
            return True

    try:
        row.run(output, [lambda entry: tell(EVENT, entry)], stop_asked)
    except StopRequested:
        tell(STOPPED)
    except InputError as error:
        errors = error.errors if isinstance(error, InputErrors) else [error]
        tell(REFUSED, [(one.subject, one.problem, one.remedy) for one in errors])
    except Exception:
        tell(FAILED, traceback.format_exc())
    else:
        tell(DONE)
