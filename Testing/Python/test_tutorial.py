"""The tutorial names what is on the screen, and shows pictures that ``make screenshots`` draws."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from GlobalLocalAlignmentLib.config import preset_names

ROOT = Path(__file__).resolve().parents[2]
MODULES = (ROOT / "GlobalLocalAlignment", ROOT / "GlobalLocalAlignmentTraining")
SCREENSHOTS = ROOT / "Screenshots"
OWN_WORDS = {"bold", "You see", "It means:", "If not:"}
"""Bold words that are the page's own."""

LARGEST_PICTURE = 400_000
"""Bytes."""


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown() -> set[str]:
    """Texts of the .ui files, and each text of the code that is shown or that a button is called by."""
    found = set(preset_names())
    for folder in MODULES:
        for path in (folder / "Resources" / "UI").glob("*.ui"):
            found |= {(one.text or "").strip() for one in ElementTree.parse(path).iter("string")}
        for path in (*folder.glob("*.py"), *folder.glob("GlobalLocalAlignmentSlicerLib/**/*.py")):
            found |= {
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    return found - {""}


def bold(text: str) -> list[str]:
    return [" ".join(words.split()) for words in re.findall(r"\*\*(.+?)\*\*", text, re.DOTALL)]


def is_shown(words: str, shown: set[str]) -> bool:
    """Whether this is a text of the extension, or one with its gaps filled in."""
    if words in shown:
        return True
    gaps = (re.sub(r"\\\{\w+\\\}", ".+", re.escape(one)) for one in shown if re.search(r"\{\w+\}[^{]*\w\w", one))
    return any(re.fullmatch(pattern, words) for pattern in gaps)


def test_all_that_is_bold_in_the_tutorial_is_on_the_screen(text: str, shown: set[str]):
    named = set(bold(text)) - OWN_WORDS
    assert len(named) > 40
    assert [words for words in sorted(named) if not is_shown(words, shown)] == []


def test_a_text_that_is_nowhere_on_the_screen_is_noticed(shown: set[str]):
    assert is_shown("4 segmented.", shown)
    assert not any(is_shown(words, shown) for words in ("Begin", "4 segments.", "Show 3D", "Add to"))


def test_each_step_says_what_is_seen_and_what_to_do_if_it_is_not(text: str):
    steps = re.split(r"^## (?=\d+\. )", text, flags=re.MULTILINE)[1:]
    assert [int(step.partition(".")[0]) for step in steps] == list(range(1, 11))
    assert [step.splitlines()[0] for step in steps if "**You see**" not in step or "**If not:**" not in step] == []


def test_pictures_of_the_tutorial_are_small_and_drawn_by_the_command(text: str):
    tree = ast.parse((SCREENSHOTS / "draw_screenshots.py").read_text(encoding="utf-8"))
    drawn = {
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        for element in node.value.elts
    }
    pictures = re.findall(r"\]\(\.\./Screenshots/(\w+)\.png\)", text)
    assert len(pictures) > 8
    for name in pictures:
        assert name in drawn
        assert (SCREENSHOTS / f"{name}.png").stat().st_size < LARGEST_PICTURE, name
