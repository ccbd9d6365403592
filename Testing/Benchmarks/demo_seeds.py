"""The demo with several seeds: wall time, and Dice of ours beside no adaptation and supervised, as ranges over seeds.

    python Testing/Benchmarks/demo_seeds.py --output RESULTS [--seeds 0 1 2] [--task abdomen]

Each seed has phantoms of its own. A call with the same output goes on where the last one was; a time is printed for
seeds that ran from beginning to end in this call alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from environment import ROOT, describe
from GlobalLocalAlignmentLib.evaluation import read_scores, summarize

METHODS = ("no_adaptation", "ours", "supervised")
COLUMNS = ("seed", *METHODS, "gain", "behind supervised", "minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--task", choices=("abdomen", "heart"), default="abdomen")
    options = parser.parse_args()
    print(describe())
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    rows = []
    for seed in options.seeds:
        folder = options.output / f"seed_{seed}"
        minutes = _run(folder, seed, options.task)
        dice = {name: _average(folder / "runs" / "ours" / "scores" / f"{name}.csv") for name in METHODS}
        lower, ours, upper = (dice[name] for name in METHODS)
        rows.append((lower, ours, upper, ours - lower, upper - ours))
        took = "-" if minutes is None else f"{minutes:.1f}"
        print(f"| {seed} | {' | '.join(f'{value:.1f}' for value in rows[-1])} | {took} |", flush=True)
    ranges = [f"{min(column):.1f} to {max(column):.1f}" for column in zip(*rows, strict=True)]
    print(f"| range | {' | '.join(ranges)} | |")


def _run(folder: Path, seed: int, task: str) -> float | None:
    """Minutes of a demo from beginning to end, None where it was begun or finished by an earlier call."""
    fresh = not folder.exists()
    command = [sys.executable, "-m", "GlobalLocalAlignmentLib", "demo", "--task", task, "--seed", str(seed)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "GlobalLocalAlignment")}
    started = time.monotonic()
    done = subprocess.run([*command, "--output", str(folder)], env=environment, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"the demo with seed {seed} ended with exit code {done.returncode}")
    return (time.monotonic() - started) / 60 if fresh else None


def _average(table: Path) -> float:
    """Mean Dice over structures and cases, percent."""
    return 100 * summarize(read_scores(table))[-1].mean["dice"]


if __name__ == "__main__":
    main()
