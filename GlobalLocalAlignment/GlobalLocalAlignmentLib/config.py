"""The run configuration: its sections, and how they are read, put together and validated."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .datatext import LARGEST_TEXT, read_bounded, read_json, read_yaml
from .errors import InputError
from .knownstructures import KNOWN_STRUCTURES
from .settings import Augmentation, Configuration, Domain, Intensity, Label, Plane, Section, Segmentation, Synthesis

__all__ = [
    "Augmentation",
    "Configuration",
    "Domain",
    "Intensity",
    "Label",
    "Plane",
    "Section",
    "Segmentation",
    "Synthesis",
    "assignments",
    "configuration",
    "load_file",
    "load_preset",
    "merge",
    "preset_names",
    "read_configuration",
    "setting_names",
]

LONGEST_VALUE = 100
"""Signs of a wrong value that a message shows."""


def preset_names() -> list[str]:
    """Names of the presets that come with the package, in alphabetical order."""
    folder = resources.files(__package__) / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name: str) -> dict[str, Any]:
    """Settings of a preset as a nested dictionary.

    A preset may build on another one through ``based_on``, and name its labels as ``KNOWN_STRUCTURES`` does.
    """
    if name not in preset_names():
        raise InputError(
            f"preset {name}",
            f"there is none of that name{_nearest(name, preset_names())}",
            f"choose one of {', '.join(preset_names())}",
        )
    text = (resources.files(__package__) / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    settings = read_yaml(text)
    if isinstance(settings.get("labels"), str):
        settings["labels"] = [asdict(structure) for structure in KNOWN_STRUCTURES[settings["labels"]]]
    base = settings.pop("based_on", None)
    return merge(load_preset(base), settings) if base else settings


def load_file(path: Path) -> dict[str, Any]:
    """Settings of a JSON or YAML file as a nested dictionary."""
    try:
        settings = read_yaml(read_bounded(path, LARGEST_TEXT).decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as JSON or YAML ({error})", "check the file") from error
    if not isinstance(settings, dict):
        raise InputError(path, "holds no settings", "write one 'name: value' for each setting")
    return settings


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``changes`` over ``base``, section by section; neither is altered."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def assignments(texts: Iterable[str], after: str = "--set ") -> dict[str, Any]:
    """``section.key=value`` texts as a nested dictionary; values are read as YAML.

    Args:
        texts: the settings.
        after: what they were given after, for messages.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise InputError(
                f"{after}{text}", "is not of the form section.key=value", "write for example training.seed=1"
            )
        try:
            nested: Any = read_yaml(value)
        except ValueError as error:
            raise InputError(f"{after}{text}", "has a value that cannot be read", "quote it") from error
        for part in reversed(name.strip().split(".")):
            nested = {part: nested}
        settings = merge(settings, nested)
    return settings


def configuration(settings: dict[str, Any]) -> Configuration:
    """Validated configuration.

    Raises:
        InputError: a setting that does not exist (with the nearest right name) or has the wrong type.
    """
    try:
        return Configuration.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise _setting_error(first["loc"], first["type"], first["msg"], first.get("input")) from None


def with_what_was_meant(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a run or a model as they were, where what they do not name had no name then."""
    synthesis, segmentation = (settings.get(section) or {} for section in ("synthesis", "segmentation"))
    if not isinstance(synthesis, dict) or not isinstance(segmentation, dict):
        return settings
    if synthesis.get("translator") in ("cyclegan", "cycada") or segmentation.get("method") == "synseg_net":
        # CycleGAN had no identity loss before it was a setting
        return merge({"synthesis": {"weights": {"identity": 0.0}}}, settings)
    return settings


def read_configuration(run: Path) -> Configuration:
    """Configuration of an earlier run."""
    path = run / "config.json"
    try:
        settings = read_json(read_bounded(path, LARGEST_TEXT))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "name the folder of a run") from error
    return configuration(with_what_was_meant(settings) if isinstance(settings, dict) else settings)


def _setting_error(location: tuple[int | str, ...], kind: str, message: str, value: Any) -> InputError:
    name = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return InputError(f"setting {name}", f"does not exist{_nearest_setting(location)}", "correct its name")
    subject = f"setting {name or 'configuration'}"
    if isinstance(value, dict):
        # a rule about several settings of a section: the whole section says nothing
        return InputError(subject, message.removeprefix("Value error, "), "correct one of its values")
    shown = repr(value)
    shown = shown if len(shown) <= LONGEST_VALUE else shown[:LONGEST_VALUE] + "..."
    return InputError(subject, f"cannot be {shown} ({message})", "correct its value")


def _nearest_setting(location: tuple[int | str, ...]) -> str:
    """The same name in another section first, then the most similar one in its own section, then anywhere."""
    *parents, last = map(str, location)
    section: type[BaseModel] | None = Configuration
    for part in parents:
        # entries of lists and dictionaries are of the section that the field before them names
        field = section.model_fields.get(part) if section else None
        section = _section_of(field.annotation) if field else section
    names = setting_names()
    twins = [name for name in names if name.rpartition(".")[2] == last]
    if twins:
        return f", did you mean {' or '.join(twins)}"
    siblings = [".".join([*parents, name]) for name in section.model_fields] if section else []
    return _nearest(".".join([*parents, last]), siblings) or _nearest(".".join([*parents, last]), names)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is, or holds: ``Intensity | None``, ``list[Label]``, ``dict[str, Intensity]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)


def setting_names(section: type[BaseModel] = Configuration, prefix: str = "") -> list[str]:
    """Dotted names of all settings and sections."""
    names = []
    for name, field in section.model_fields.items():
        names.append(prefix + name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += setting_names(kind, f"{prefix}{name}.")
    return names


def _nearest(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, 1, 0.4)
    return f", did you mean {matches[0]}" if matches else ""
