"""What the modules import when Slicer loads them: nothing that Slicer does not bring."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "GlobalLocalAlignment" / "GlobalLocalAlignmentSlicerLib"
BROUGHT = {"slicer", "vtk", "qt", "ctk", "numpy", "scipy", "SimpleITK"}
OURS = {"GlobalLocalAlignmentSlicerLib"}
OF_A_MODULE = {"segmentstatisticsplugin.py": {"SegmentStatisticsPlugins"}}
"""What a file needs of a module of Slicer that may not be there; it is loaded where that module was found alone."""
FILES = [
    ROOT / "GlobalLocalAlignment" / "GlobalLocalAlignment.py",
    ROOT / "GlobalLocalAlignmentTraining" / "GlobalLocalAlignmentTraining.py",
    *sorted(LIBRARY.rglob("*.py")),
]


def imported(path: Path) -> set[str]:
    """Packages that a file imports when it is loaded, not later in a function."""
    found, waiting = set(), list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
        waiting.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_what_slicer_brings_is_imported_when_a_file_is_loaded(path: Path):
    assert imported(path) <= BROUGHT | OURS | OF_A_MODULE.get(path.name, set()) | set(sys.stdlib_module_names)


def test_slicers_own_process_can_score_masks_with_what_slicer_brings():
    lines = (
        "import sys, numpy, scipy.ndimage; before = set(sys.modules)",
        "import GlobalLocalAlignmentLib.masks.maskscores",
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "GlobalLocalAlignment")
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) == {"GlobalLocalAlignmentLib"}
