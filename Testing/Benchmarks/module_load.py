"""Time and memory that both modules take to load and to show their panels, with nothing installed that the core needs.

    python Testing/Benchmarks/module_load.py

Runs in the host for tests, each time in a process of its own; packages of the core cannot be imported in it.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("GlobalLocalAlignment", "GlobalLocalAlignmentTraining")
ABSENT = {
    *("torch", "lightning_fabric", "monai", "nibabel", "pydantic", "typer", "rich", "yaml", "safetensors"),
    *("matplotlib", "psutil", "filelock"),
}
"""What Slicer does not bring along."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_measure()))
        return
    from environment import describe

    print(describe())
    runs = [_run() for _ in range(options.repetitions)]
    for name in MODULES:
        for kind, unit in (("load", "ms"), ("panel", "ms"), ("memory", "MiB")):
            values = [run[name][kind] for run in runs]
            print(f"{name} {kind}: median {statistics.median(values):.1f} {unit}, most {max(values):.1f} {unit}")


def _run() -> dict[str, dict[str, float]]:
    done = subprocess.run([sys.executable, __file__, "--one"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure() -> dict[str, dict[str, float]]:
    # as Python has it for what is not installed: no import, and none that could be found
    sys.modules.update(dict.fromkeys(ABSENT))
    sys.path.insert(0, str(ROOT / "Testing"))
    from SlicerHost.host import start

    host = start()
    measured = {}
    for name in MODULES:
        before, started = _resident(), time.perf_counter()
        host.load_module(ROOT / name / f"{name}.py")
        loaded = time.perf_counter()
        host.open_module(name)
        shown = time.perf_counter()
        measured[name] = {
            "load": 1000 * (loaded - started),
            "panel": 1000 * (shown - loaded),
            "memory": _resident() - before,
        }
    return measured


def _resident() -> float:
    """Peak resident memory of this process, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
