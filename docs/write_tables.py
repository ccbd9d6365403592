"""Write the tables of the pages that say what the code says: settings, presets, model card, events, exit codes.

    python docs/write_tables.py

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. A test compares the pages with what this writes.
"""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen
from GlobalLocalAlignmentLib import bundle, settings
from GlobalLocalAlignmentLib.config import configuration, load_preset, preset_names
from GlobalLocalAlignmentLib.errors import ExitCode
from GlobalLocalAlignmentLib.training.events import COMMON_FIELDS, EVENTS
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PAGES = Path(__file__).resolve().parent
TABLE = re.compile(r"(?<=<!-- table: )(?P<name>[\w.]+)(?P<rest> -->\n).*?(?=<!-- end -->)", re.DOTALL)
SHOWN_BY_PRESET = ("labels", "intensity_by_modality", "preset")
"""Settings whose values the table of presets shows."""

EXIT_CODES = {
    ExitCode.DONE: "done",
    ExitCode.INTERNAL_ERROR: "a fault of this software; the details are in `log.txt` of the output folder",
    ExitCode.INPUT_ERROR: "input that cannot be used, or no space, memory or GPU: one line says which file, what is "
    "wrong and what to do",
    ExitCode.STOPPED: "stopped on request; `--resume`, or the same command of `ablate`, `sweep` and `demo`, goes on",
}


def main() -> None:
    """Write every page that has tables."""
    for path in sorted(PAGES.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = with_tables(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(path.name)


def with_tables(page: str) -> str:
    """A page with its tables as the code has them now."""
    return TABLE.sub(lambda found: found["name"] + found["rest"] + table(found["name"]), page)


def table(name: str) -> str:
    """The table of a name: a section of the settings, or one of the others."""
    others = {"presets": preset_table, "card": card_table, "events": event_table, "exit_codes": exit_code_table}
    return others[name]() if name in others else setting_table(getattr(settings, name))


@cache
def preset_settings(name: str) -> settings.Configuration:
    """Settings of a preset."""
    return configuration(load_preset(name))


def rows_as_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown; a bar within a cell would end it."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def descriptions(section: type[BaseModel]) -> dict[str, str]:
    """What stands under each key of a section in its source, on one line."""
    (body,) = ast.parse(inspect.getsource(section)).body
    found = {}
    for statement, after in zip(body.body, [*body.body[1:], None], strict=True):
        documented = isinstance(after, ast.Expr) and isinstance(getattr(after.value, "value", None), str)
        if isinstance(statement, ast.AnnAssign) and documented:
            found[statement.target.id] = " ".join(after.value.value.split())
    return found


# settings


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a key holds, None where it is a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def prefixes(wanted: type[BaseModel], section: type[BaseModel] = settings.Configuration, start: str = "") -> list[str]:
    """Where a section stands in the settings, as the start of the names of its keys; empty if only entries have it."""
    found = [start] if section is wanted else []
    for name, field in section.model_fields.items():
        if inner := section_of(field):
            found += prefixes(wanted, inner, f"{start}{name}.")
    return found


def setting_table(section: type[BaseModel]) -> str:
    """A row for each key: its full names, what it takes, default, presets that differ, what it does."""
    texts, places, rows = descriptions(section), prefixes(section) or [""], []
    for name, field in section.model_fields.items():
        if section_of(field):
            continue
        names = [place + name for place in places]
        defaults = "<br>".join(default_texts(names, field))
        rows.append(("<br>".join(f"`{one}`" for one in names), kind_text(field), defaults, texts[name]))
    return rows_as_table(("setting", "takes", "default", "what it does"), rows)


def default_texts(names: list[str], field: FieldInfo) -> list[str]:
    """The default of a key, one line where all its places agree, and the presets with other values."""
    if field.is_required():
        return ["to be given"]
    if names[0] in SHOWN_BY_PRESET or not prefixes_known(names):
        return [value_text(field.default)]
    plain = settings.Configuration()
    lines: dict[str, list[str]] = {}
    for name in names:
        usual = value_at(plain, name)
        others: dict[str, list[str]] = defaultdict(list)
        for preset in preset_names():
            if (value := value_at(preset_settings(preset), name)) != usual:
                others[value_text(value)].append(preset)
        parts = [value_text(usual), *(f"{', '.join(which)}: {value}" for value, which in others.items())]
        lines.setdefault("<br>".join(parts), []).append(name)
    if len(lines) == 1:
        return list(lines)
    return [f"{name.partition('.')[0]}: {text}" for text, which in lines.items() for name in which]


def prefixes_known(names: list[str]) -> bool:
    """Whether names are those of the configuration itself, not of entries of a list or a dictionary in it."""
    return names[0].partition(".")[0] in settings.Configuration.model_fields


def value_at(section: BaseModel, name: str) -> Any:
    """Value of a dotted name."""
    for part in name.split("."):
        section = getattr(section, part)
    return section


def value_text(value: Any) -> str:
    """A value as YAML has it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict, str)) and not value:
        return "empty"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(value_text, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def kind_text(field: FieldInfo) -> str:
    """What a key takes, with its range."""
    return _kind(field.annotation, field.metadata)


def _kind(kind: Any, metadata: Iterable[Any]) -> str:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _kind(parts[0], [limit for one in parts[1:] for limit in getattr(one, "metadata", [one])])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if type(None) in parts:
        return " or ".join(_kind(part, metadata) for part in parts if part is not type(None)) + ", or none"
    if origin is tuple:
        return f"{len(parts)} {_kind(parts[0], ()).replace('number', 'numbers')}"
    if origin is list:
        return f"list of {_plural(parts[0])}"
    if origin is dict:
        return f"{_plural(parts[0])} with {_plural(parts[1])}"
    if kind is bool:
        return "`true`, `false`"
    if kind in (int, float):
        return " ".join(filter(None, ["whole number" if kind is int else "number", _range(kind, metadata)]))
    words = {str: "text", Path: "path", settings.Intensity: "a rule"}
    return words[kind] + (", not empty" if any(isinstance(m, MinLen) for m in metadata) else "")


def _plural(kind: Any) -> str:
    known = {str: "names", Path: "paths", int: "values", settings.Label: "structures", settings.Intensity: "rules"}
    return known[typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind]


def _range(kind: type, metadata: Iterable[Any]) -> str:
    limits = {type(one): one for one in metadata}
    if kind is int and Gt in limits:
        limits[Ge] = Ge(limits.pop(Gt).gt + 1)
    low = f"{limits[Ge].ge}" if Ge in limits else f"above {limits[Gt].gt}" if Gt in limits else ""
    high = f"{limits[Le].le}" if Le in limits else f"below {limits[Lt].lt}" if Lt in limits else ""
    if low and high:
        return f"from {low} to {high}"
    return low if low.startswith("above") else f"from {low}" if low else high


def preset_table() -> str:
    """A row for each preset: what it is made for, at a glance."""
    rows = []
    for name in preset_names():
        one = preset_settings(name)
        plane, stages = one.plane, (one.synthesis, one.segmentation)
        rules = [f"{modality}: {rule_text(rule)}" for modality, rule in one.intensity_by_modality.items()]
        rows.append(
            (
                f"`{name}`",
                ", ".join(f"{label.value} {label.name}" for label in one.labels) or "those of the label files",
                f"{plane.orientation}, {plane.size[0]} x {plane.size[1]} at {plane.spacing:g} mm, by {plane.center}",
                "<br>".join(rules),
                " + ".join(f"{stage.iterations:,}" for stage in stages),
                f"{one.segmentation.optimizer}, widths {stages[0].width} and {stages[1].width}",
            )
        )
    heads = ("preset", "structures", "slices", "intensity", "iterations of both stages", "optimizer, networks")
    return rows_as_table(heads, rows)


def rule_text(rule: settings.Intensity) -> str:
    """A rule of intensity without what it does not use."""
    used = {
        "window": ("low", "high"),
        "percentile_zscore": ("percentiles", "low", "high"),
        "robust_maximum": ("percentiles",),
        "body_median": ("high",),
    }[rule.rule]
    return f"`{rule.rule}` " + ", ".join(f"{key} {value_text(getattr(rule, key))}" for key in used)


# files


def card_table() -> str:
    """A row for each field of the model card."""
    texts = descriptions(bundle.ModelCard)
    return rows_as_table(("field", "holds"), [(f"`{name}`", texts[name]) for name in bundle.ModelCard.model_fields])


def event_table() -> str:
    """A row for each event, with its fields."""
    rows = [("every event", "", fields_text(COMMON_FIELDS))]
    rows += [(f"`{name}`", text, fields_text(fields)) for name, (text, fields) in EVENTS.items()]
    return rows_as_table(("event", "when", "fields"), rows)


def fields_text(fields: dict[str, str]) -> str:
    """Fields of an event, a line each."""
    return "<br>".join(f"`{name}`: {text}" for name, text in fields.items())


def exit_code_table() -> str:
    """A row for each exit code."""
    return rows_as_table(("code", "means"), [(f"{int(code)}", EXIT_CODES[code]) for code in ExitCode])


if __name__ == "__main__":
    main()
