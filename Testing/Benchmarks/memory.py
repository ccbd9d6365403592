"""Peak anonymous memory of a training on few and on many CT volumes: mapped slices do not count, so both are equal.

    python Testing/Benchmarks/memory.py --data FOLDER

Linux alone: samples RssAnon of ``/proc/PID/status`` while a training of both stages runs for some iterations.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environment import ROOT, describe
from GlobalLocalAlignmentLib.cases import find_volumes

SAMPLING_SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[8, 24])
    parser.add_argument("--iterations", type=int, default=12)
    options = parser.parse_args()
    names = list(find_volumes([options.data / "ct"], "image"))
    print(describe())
    peaks = {}
    for count in options.counts:
        with tempfile.TemporaryDirectory() as folder:
            peaks[count] = _peak(options, names[:count], Path(folder) / "run")
        print(f"{count} CT volumes: peak RssAnon {peaks[count] / 1024:.0f} MiB", flush=True)
    print(f"largest / smallest: {max(peaks.values()) / min(peaks.values()):.3f}")


def _peak(options: argparse.Namespace, names: list[str], run: Path) -> int:
    """Peak in KiB."""
    settings = {
        "source.include": "[" + ", ".join(f"'{name}'" for name in names) + "]",
        "synthesis.iterations": options.iterations,
        "segmentation.iterations": options.iterations,
        "segmentation.warm_up": 2,
        "segmentation.ramp": 2,
        "training.checkpoint_every": max(1, options.iterations // 2),
    }
    command = [sys.executable, "-m", "GlobalLocalAlignmentLib", "train", "--preset", "abdomen-cpu"]
    command += ["--source-images", str(options.data / "ct"), "--source-labels", str(options.data / "ct")]
    command += ["--target-images", str(options.data / "mr"), "--output", str(run)]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "GlobalLocalAlignment")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    peak, status = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            lines = status.read_text().splitlines()
        except OSError:
            break
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
        time.sleep(SAMPLING_SECONDS)
    if process.wait() != 0:
        sys.exit(f"the training ended with exit code {process.returncode}")
    return peak


if __name__ == "__main__":
    main()
