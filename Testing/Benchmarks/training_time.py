"""Minutes that a training with a preset takes on this machine, from the pace of some iterations of each kind.

    python Testing/Benchmarks/training_time.py --data FOLDER [--preset abdomen-cpu]

FOLDER holds ``ct`` and ``mr`` with ``image_NN`` and ``label_NN``. Both stages run for some iterations at the preset's
sizes; the second stage warms up without its discriminators first, so it has two paces. Previews, checkpoints and the
cutting of slices are left out: they are minutes, not an hour.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from environment import describe
from GlobalLocalAlignmentLib.config import Domain, configuration, load_preset, merge
from GlobalLocalAlignmentLib.training.events import EVENTS_NAME
from GlobalLocalAlignmentLib.training.run import train

REPORT_EVERY = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", default="abdomen-cpu")
    parser.add_argument("--iterations", type=int, default=40, help="of each kind")
    options = parser.parse_args()
    print(describe())
    preset = configuration(load_preset(options.preset))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train(run, _settings(options))
        events = [json.loads(line) for line in (run / EVENTS_NAME).read_text(encoding="utf-8").splitlines()]
    warm_up = preset.segmentation.warm_up
    kinds = {
        "stage one": (_pace(events, "synthesis", 0, options.iterations), preset.synthesis.iterations),
        "stage two, warming up": (_pace(events, "segmentation", 0, options.iterations), warm_up),
        "stage two, aligned": (
            _pace(events, "segmentation", options.iterations, 2 * options.iterations),
            preset.segmentation.iterations - warm_up,
        ),
    }
    for name, (pace, iterations) in kinds.items():
        print(
            f"{name}: {pace:.2f} iterations a second, {iterations} iterations in {iterations / pace / 60:.1f} minutes"
        )
    total = sum(iterations / pace for pace, iterations in kinds.values()) / 60
    print(f"one direction: {total:.0f} minutes")


def _settings(options: argparse.Namespace):
    count, folders = options.iterations, {"source": options.data / "ct", "target": options.data / "mr"}
    changes = {
        role: Domain(images=[folder], labelmaps=[folder] if role == "source" else []).model_dump()
        for role, folder in folders.items()
    }
    changes |= {
        "synthesis": {"iterations": count},
        "segmentation": {"iterations": 2 * count, "warm_up": count, "ramp": 0},
        "training": {"report_every": REPORT_EVERY, "preview_every": 10 * count, "checkpoint_every": 10 * count},
    }
    return configuration(merge(load_preset(options.preset), changes))


def _pace(events: list[dict], stage: str, first: int, last: int) -> float:
    """Iterations a second: the median over the reports after the first one, which warms up."""
    times = [
        (event["iteration"], event["time"])
        for event in events
        if event["event"] == "progress" and event["stage"] == stage and first < event["iteration"] <= last
    ]
    paces = [(after[0] - before[0]) / (after[1] - before[1]) for before, after in zip(times, times[1:], strict=False)]
    return statistics.median(paces)


if __name__ == "__main__":
    main()
