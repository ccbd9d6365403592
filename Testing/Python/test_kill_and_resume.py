"""A training that is killed at any moment is resumed and ends as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which POSIX alone can do")
def test_trainings_that_are_killed_end_bit_for_bit_as_one_that_was_not():
    """One while a checkpoint is written, one on its way; the command tries as many as are asked for."""
    command = [sys.executable, str(ROOT / "Testing" / "Benchmarks" / "kill_and_resume.py"), "--kills", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "GlobalLocalAlignment"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "2 trainings, 2 survived, 0 lost"
    assert ".pt" in done.stdout
