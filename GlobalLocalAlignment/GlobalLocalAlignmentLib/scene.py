"""The demo as a scene of Slicer: written by the scene side in a process of its own, where its core is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

MODULE = "GlobalLocalAlignmentSlicerLib.samples.demoscene"
CORE_OF_SLICER = "slicer_core"
HOW = (
    "for a scene: pip install slicer-core, then this again; or in Slicer's Python console:"
    " from {module} import main; main([FOLDER OF THE DEMO])"
)


def write_scene(folder: Path) -> str:
    """Write ``folder/scene.mrb``; returns the line for the screen: where it is, or why there is none."""
    if importlib.util.find_spec(MODULE.partition(".")[0]) is None or importlib.util.find_spec(CORE_OF_SLICER) is None:
        return HOW.format(module=MODULE)
    home = str(Path(__file__).resolve().parent.parent)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH", "")])]
    done = subprocess.run(
        [sys.executable, "-m", MODULE, str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return f"scene   {folder / 'scene.mrb'}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return f"no scene: {lines[-1] if lines else f'exit code {done.returncode}'}"
