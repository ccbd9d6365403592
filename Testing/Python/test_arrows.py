"""Imports between the folders of the scene side point one way."""

import ast
import re
from pathlib import Path

import GlobalLocalAlignmentSlicerLib as library
import pytest

FOLDER = Path(library.__file__).parent
LAYERS = [re.findall(r"``(\w+)``", line) for line in library.__doc__.splitlines() if line.startswith("- ")]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
BELOW_ALL = "translation"


def imported(path: Path) -> set[str]:
    """Folders of the scene side that a file imports from, at any depth in it."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
    relative = {node.module.partition(".")[0] for node in nodes if node.level == 2 and node.module}
    absolute = {node.module.split(".")[1] for node in nodes if (node.module or "").startswith(library.__name__ + ".")}
    return relative | absolute


def test_every_folder_has_its_place_in_the_list():
    assert {path.parent.name for path in FOLDER.glob("*/*.py")} == set(LEVELS)


@pytest.mark.parametrize("name", LEVELS)
def test_a_folder_imports_from_those_below_it_alone(name: str):
    allowed = {other for other, level in LEVELS.items() if level < LEVELS[name]} | {name, BELOW_ALL}
    wrong = {path.name: found - allowed for path in (FOLDER / name).glob("*.py") if (found := imported(path)) - allowed}
    assert not wrong
