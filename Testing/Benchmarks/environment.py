"""What every benchmark states with its figures: processor, versions and commit. Run alone, it prints them."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch
from GlobalLocalAlignmentLib.devices import resolve_device, resolve_precision

ROOT = Path(__file__).resolve().parents[2]


def describe() -> str:
    """One line on hardware, versions and commit."""
    precision = resolve_precision("auto", resolve_device("auto"))
    instructions = torch.backends.cpu.get_cpu_capability()
    return (
        f"{_processor()} ({instructions}), {os.cpu_count()} cores, precision {precision}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, commit {_commit()}"
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else "")


if __name__ == "__main__":
    print(describe())
