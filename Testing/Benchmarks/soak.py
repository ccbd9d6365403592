"""A day of training in the panel, by a fast clock: memory and time for each simulated hour must not grow.

    python Testing/Benchmarks/soak.py [--hours 24] [--every 10]

Writes what a training writes of itself (events, metrics and log, pictures, notes of checkpoints), without training, and
lets the panel of the training module follow it in the host for tests: the watcher of the run, the text, the log, the
picture and the charts of the scene. Says for each hour the memory of the process, the objects that Python knows, the
points of curves that are kept, the lines of the log, and the time that a report takes to be shown.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
from environment import ROOT, describe

sys.path.insert(0, str(ROOT / "Testing"))

from GlobalLocalAlignmentLib.pictures import save_preview
from GlobalLocalAlignmentLib.training import events as event_module
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.lock import RunLock
from SlicerHost.host import start

MODULE = "GlobalLocalAlignmentTraining"
ITERATIONS_A_REPORT, REPORTS_A_PICTURE = 10, 50
NAMES = (
    *("cross_entropy", "dice", "feature_adversarial", "output_adversarial", "mask_mean", "mask_deviation"),
    *("feature_discriminator", "feature_discriminator_source", "feature_discriminator_target"),
    *("output_discriminator", "output_discriminator_source", "output_discriminator_target", "learning_rate"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--every", type=float, default=10.0, help="simulated seconds between two reports")
    options = parser.parse_args()
    print(describe())
    host = start()
    host.load_module(ROOT / MODULE / f"{MODULE}.py")
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        run.mkdir()
        (run / "config.json").write_text("{}")
        lock = RunLock(run)
        lock.acquire()
        panel = host.open_module(MODULE)
        training = _Training(run, options)
        panel.logic.open(run)
        print("hour   memory  objects  points  log lines  ms a report")
        memories, times = [], []
        for hour in range(1, options.hours + 1):
            took = [_shown(host, panel, training) for _ in range(training.reports_an_hour)]
            gc.collect()
            memories.append(psutil.Process().memory_info().rss / 2**20)
            times.append(1000 * sum(took) / len(took))
            points = sum(len(curve) for curves in panel.logic.run.state.curves.values() for curve in curves.values())
            lines = panel.ui.logText.blockCount
            print(
                f"{hour:4} {memories[-1]:5.0f} MiB {len(gc.get_objects()):8} {points:7} {lines:10} {times[-1]:12.1f}",
                flush=True,
            )
        panel.logic.closeRun()
        lock.release()
    # until then curves fill up
    full = min(len(memories) - 1, len(memories) // 3)
    print(
        f"from hour {full + 1} to {len(memories)}: memory {memories[-1] - memories[full]:+.1f} MiB, "
        f"time a report x {times[-1] / times[full]:.2f}"
    )


class _Training:
    """Writes a run as a training does, one report after the other.

    Args:
        run: the run folder.
        options: of the command.
    """

    def __init__(self, run: Path, options: argparse.Namespace) -> None:
        self.run, self.every = run, options.every
        self.reports_an_hour = round(3600 / options.every)
        self.of = options.hours * self.reports_an_hour * ITERATIONS_A_REPORT
        self.now, self.reports = 0.0, 0
        # the log asks for the time here alone
        event_module.time = SimpleNamespace(
            time=lambda: self.now, strftime=time.strftime, localtime=time.localtime, monotonic=time.monotonic
        )
        self.log = EventLog(run)
        (run / "previews").mkdir()
        images = np.random.default_rng(0).uniform(-1, 1, (4, 128, 128)).astype(np.float32)
        save_preview(run / "picture.png", {"image": images})
        self.picture = (run / "picture.png").read_bytes()
        self.log.emit("run_started", "prepare", device="cpu, simulated")
        self.log.emit("stage_started", "segmentation", iteration=0, of=self.of)

    def report(self) -> None:
        """The next report, with what goes with it."""
        self.reports += 1
        self.now += self.every
        done = self.reports * ITERATIONS_A_REPORT
        values = {name: 0.5 + 0.3 * math.sin(self.reports / (7 + place)) for place, name in enumerate(NAMES)}
        rate = ITERATIONS_A_REPORT / self.every
        left = (self.of - done) / rate
        self.log.emit(
            "progress", "segmentation", iteration=done, of=self.of, rate=rate, seconds_left=left, values=values
        )
        if self.reports % REPORTS_A_PICTURE == 0:
            name = f"previews/segmentation_{done:07d}.png"
            # drawing is the work of the process that trains, and would be measured here
            (self.run / name).write_bytes(self.picture)
            self.log.emit("preview", "segmentation", iteration=done, file=name)
            self.log.emit("checkpoint", "segmentation", iteration=done, file=f"checkpoints/segmentation_{done:07d}.pt")
            self.log.emit("validation", "segmentation", iteration=done, values={"liver": 0.8, "spleen": 0.7}, mean=0.75)
            self.log.emit("warning", "segmentation", message=f"something that is said once, at iteration {done}")


def _shown(host, panel, training: _Training) -> float:
    """Seconds in which the panel takes up one report."""
    training.report()
    began = time.perf_counter()
    panel.logic.run.poll()
    host.process_events()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
