"""README and pages say what the code does: settings, commands, messages, events, files; and their links lead on."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import GlobalLocalAlignmentLib
import pytest
import typer
import yaml
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.cli import app
from GlobalLocalAlignmentLib.config import (
    Configuration,
    Segmentation,
    assignments,
    configuration,
    load_preset,
    merge,
    preset_names,
    setting_names,
)
from GlobalLocalAlignmentLib.training.displacement import Displacement
from GlobalLocalAlignmentLib.training.estimate import Estimate
from GlobalLocalAlignmentLib.training.events import COMMON_FIELDS, EVENTS
from GlobalLocalAlignmentLib.training.stability import segmentation_symptoms, translation_symptoms

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(GlobalLocalAlignmentLib.__file__).parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "Testing" / "SlicerHost" / "README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SETTING = re.compile(rf"`((?:{'|'.join(Configuration.model_fields)})(?:\.[a-z_]+)+)(?:=[^`]*)?`")
FILES = (".json", ".py", ".safetensors")
"""Ends of names that are those of files and look like a setting, as ``labels.json`` and ``prediction.py`` do."""

ASSIGNMENT = re.compile(r"--set (?:\"([^\"]+)\"|([\w.]+=[^\s`]+))")
EMITTED_AS_A_WHOLE = {"displacement": Displacement, "estimate": Estimate}
"""Events whose fields are those of a class."""


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """The command that writes tables into the pages."""
    spec = importlib.util.spec_from_file_location("write_tables", ROOT / "docs" / "write_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def core() -> list[ast.Module]:
    """Source of the core."""
    return [ast.parse(path.read_text(encoding="utf-8"), path.name) for path in PACKAGE.rglob("*.py")]


@pytest.fixture(scope="module")
def said(core: list[ast.Module]) -> list[str]:
    """Every text in the core; what is filled in is an ellipsis."""
    texts = [text for tree in core for text in texts_of(tree)]
    return texts + [symptom.text for symptom in (*segmentation_symptoms(Segmentation()), *translation_symptoms())]


def texts_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def text_of(path: Path) -> str:
    """A page as a reader sees it, without comments."""
    return re.sub(r"<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def page(name: str) -> str:
    return text_of(ROOT / "docs" / name)


def commands_of(path: Path) -> list[list[str]]:
    """Words of each line of a page's blocks that calls ``gla``, as it is or as a module."""
    blocks = "\n".join(body for language, body in BLOCK.findall(text_of(path)) if language in ("", "bash"))
    lines = [line.split() for line in blocks.replace("\\\n", " ").splitlines()]
    starts = ("gla", "GlobalLocalAlignmentLib")
    return [words[next(i for i, w in enumerate(words) if w in starts) + 1 :] for words in lines if {*words} & {*starts}]


def cells(text: str, heading: str) -> list[str]:
    """Code in the first column of the tables under a heading."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def slug(heading: str) -> str:
    """Anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(path: Path):
    text = re.sub(BLOCK, "", text_of(path))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", re.sub(BLOCK, "", text_of(target)), re.MULTILINE)
            assert anchor in map(slug, headings), link


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", text_of(README)))
    assert linked == {f"docs/{path.name}" for path in PAGES[1:]}


@pytest.mark.parametrize(
    ("heading", "folder"),
    [
        ("The scene side, `GlobalLocalAlignmentSlicerLib`", PACKAGE.parent / "GlobalLocalAlignmentSlicerLib"),
        ("The core, `GlobalLocalAlignmentLib`", PACKAGE),
        ("Tests", ROOT),
    ],
)
def test_the_page_of_the_code_names_every_folder(heading: str, folder: Path):
    named = cells(text_of(ROOT / "docs" / "code.md"), heading)
    parent = folder if heading != "Tests" else ROOT / "Testing"
    there = {path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(("__", "."))}
    assert {folder / name for name in named} == there


@pytest.mark.parametrize("path", PAGES[1:], ids=lambda path: path.name)
def test_tables_that_the_code_gives_are_up_to_date(path: Path, tables: ModuleType):
    text = path.read_text(encoding="utf-8")
    assert tables.with_tables(text) == text, "make docs writes them anew"


def test_the_page_of_settings_has_every_setting():
    text = page("settings.md")
    sections = {name.rpartition(".")[0] for name in setting_names()}
    leaves = [name for name in setting_names() if name not in sections]
    assert [name for name in leaves if f"`{name}`" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_settings_that_a_page_names_exist(path: Path):
    text, known = text_of(path), set(setting_names())
    assert [name for name in SETTING.findall(text) if name not in known and not name.endswith(FILES)] == []
    for quoted, plain in ASSIGNMENT.findall(text):
        if not plain.startswith("section.key"):
            configuration(assignments([quoted or plain]))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_files_of_settings_in_a_page_can_be_used(path: Path):
    for language, body in BLOCK.findall(text_of(path)):
        if language == "yaml":
            settings = yaml.safe_load(body)
            configuration(merge(load_preset(settings["preset"]), settings))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_commands_and_options_of_a_page_exist(path: Path):
    known = typer.main.get_command(app).commands
    for name, *words in commands_of(path):
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, name
        presets = {after for before, after in zip(words, words[1:], strict=False) if before == "--preset"}
        assert presets <= set(preset_names()), name


def test_every_command_and_preset_is_named_somewhere():
    shown = {name for path in PAGES for name, *_ in commands_of(path)}
    assert shown >= {"train", "predict", "evaluate"}
    text = "\n".join(map(text_of, PAGES))
    assert [name for name in typer.main.get_command(app).commands if f"gla {name}" not in text] == []
    assert [name for name in preset_names() if f"`{name}`" not in text_of(README)] == []


@pytest.mark.parametrize(("name", "heading"), [("data.md", "What `gla check` says"), ("failing.md", "Warnings")])
def test_messages_of_a_page_are_those_of_the_program(name: str, heading: str, said: list[str]):
    messages = cells(page(name), heading)
    assert len(messages) > 5
    for message in messages:
        pattern = ".*".join(map(re.escape, message.split("…")))
        assert any(re.search(pattern, text, re.DOTALL) for text in said), message


def test_the_page_of_failures_has_every_warning_of_a_watched_training():
    messages = cells(page("failing.md"), "Warnings")
    symptoms = [*segmentation_symptoms(Segmentation()), *translation_symptoms()]
    assert [symptom.text for symptom in symptoms if symptom.text not in messages] == []
    assert any("the translation has moved" in message for message in messages)


def test_events_are_emitted_with_the_fields_that_are_documented(core: list[ast.Module]):
    emitted: dict[str, set[str]] = defaultdict(set)
    for node in (node for tree in core for node in ast.walk(tree)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "emit":
            assert isinstance(node.args[0], ast.Constant), f"line {node.lineno}: a kind of event is not spelt out"
            emitted[node.args[0].value] |= {keyword.arg for keyword in node.keywords if keyword.arg}
    for kind, given in EMITTED_AS_A_WHOLE.items():
        emitted[kind] |= {field.name for field in fields(given)}
    assert emitted == {kind: set(documented) for kind, (_, documented) in EVENTS.items()}


def test_a_run_writes_what_the_page_of_formats_says(tiny_run: Path):
    documented = cells(page("formats.md"), "Run folder")
    names = {f"{path.name}/" if path.is_dir() else path.name for path in tiny_run.iterdir()} - {"lock", "owner.json"}
    assert names - set(documented) == set()
    entries = [json.loads(line) for line in (tiny_run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {entry["event"] for entry in entries} >= {"run_started", "progress", "checkpoint", "run_finished"}
    for entry in entries:
        assert set(entry) <= {*COMMON_FIELDS, *EVENTS[entry["event"]][1]}, entry["event"]


def test_the_card_of_a_model_holds_what_the_page_of_formats_says(tiny_run: Path):
    card = read_card(tiny_run / "model.safetensors")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page("formats.md"), re.MULTILINE))
    assert set(type(card).model_fields) <= set(rows)
    for name in ("provenance", "networks"):
        assert set(getattr(card, name)) <= set(re.findall(r"`(\w+)`", rows[name])), name
