"""Iterations a second, and memory, of both stages of a preset on this machine's device.

    python Testing/Benchmarks/pace.py [--preset cardiac ...] [--device auto] [--seconds 3] [--profile]
        [--set synthesis.width=24 ...]

A stage makes its steps on random slices one after the other and is waited for at the end alone, as in a training
between two reports. The time that the program itself takes for a step is told apart from the whole of it: where both
are the same, the device waits for the program, and several trainings at once cost little more than one. ``gla
estimate`` says what a whole training takes; it waits for the device after each iteration.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from environment import describe
from GlobalLocalAlignmentLib.commands.options import gather
from GlobalLocalAlignmentLib.config import Configuration
from GlobalLocalAlignmentLib.devices import device_description, make_fabric, resolve_device, resolve_precision
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.engine import RunContext, Stage
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.methods import segmentation_stage
from GlobalLocalAlignmentLib.training.runaway import OptimizerWatch
from GlobalLocalAlignmentLib.translators import translator_stage

STAGES = {"one": translator_stage, "two": segmentation_stage}
ALIGNED = ["segmentation.warm_up=0", "segmentation.ramp=0"]
"""Over everything else: a step of stage two with D1, D2 and mask, whatever a schedule has before it."""
BEFORE, LEAST = 4, 3
"""Steps that make ready what the others use, and the least that are measured."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", default=["abdomen-cpu", "cardiac", "abdomen"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=3, help="of measured steps of each stage, about")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as in gla train")
    parser.add_argument("--profile", action="store_true", help="also what the device spends its time on")
    options = parser.parse_args()
    try:
        wanted = {preset: gather(preset, None, {}, options.set + ALIGNED) for preset in options.preset}
    except InputError as error:
        parser.error(str(error))
    device = resolve_device(options.device)
    print(f"{describe()}; {device_description(device)}")
    print("| preset | stage | precision | iterations a second | ms a step | the program's own | GiB on the device |")
    print("|---|---|---|---|---|---|---|")
    for preset, settings in wanted.items():
        precision = resolve_precision(settings.training.precision, device)
        fabric = make_fabric(device, precision)
        fabric.launch()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            stores = [_store(folder / role, settings, role == "source") for role in ("source", "target")]
            for which, make in STAGES.items():
                stage = make(RunContext(folder, settings, fabric, EventLog(None)), *stores)
                print(f"| {preset} | {which} | {precision} | {_measured(stage, device, options.seconds)} |", flush=True)
                if options.profile:
                    print(_profile(stage, device))
                del stage


def _store(folder: Path, settings: Configuration, labelled: bool) -> SliceStore:
    """Random slices, two batches of them."""
    chance, size = np.random.default_rng(0), settings.plane.size
    shape = (2 * max(settings.synthesis.batch_size, settings.segmentation.batch_size), *size)
    labels = chance.integers(0, len(settings.labels) + 1, shape, np.uint8) if labelled else None
    images = chance.uniform(-1, 1, shape).astype(np.float32)
    return SliceStore.build(folder, [CaseSlices("random", images, labels, list(range(len(images))))], size, labelled)


def _measured(stage: Stage, device: torch.device, seconds: float) -> str:
    """Cells of the table."""
    cuda = device.type == "cuda"
    wait: Callable[[], None] = torch.cuda.synchronize if cuda else lambda: None
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    with OptimizerWatch().watching() as watch:

        def steps(first: int, count: int) -> tuple[float, float]:
            """Seconds until all were begun, and until all were done."""
            wait()
            started = time.perf_counter()
            for iteration in range(first, first + count):
                stage.step(iteration)
                watch.largest_gradient()
            begun = time.perf_counter()
            wait()
            return begun - started, time.perf_counter() - started

        steps(0, BEFORE if cuda else 1)
        count = max(LEAST, round(seconds / steps(BEFORE, 1)[1]))
        begun, done = steps(BEFORE + 1, count)
    memory = f"{torch.cuda.max_memory_reserved(device) / 2**30:.1f}" if cuda else "-"
    return f"{count / done:.3g} | {1000 * done / count:.1f} | {1000 * begun / count:.1f} | {memory}"


def _profile(stage: Stage, device: torch.device, steps: int = 3, rows: int = 20) -> str:
    """What takes most time on the device."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as found:
        for iteration in range(steps):
            stage.step(iteration)
    column = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    return found.key_averages().table(sort_by=column, row_limit=rows, max_name_column_width=60)


if __name__ == "__main__":
    main()
