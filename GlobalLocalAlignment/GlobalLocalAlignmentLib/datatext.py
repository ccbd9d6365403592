"""JSON and YAML that others wrote: plain data alone, of a bounded size, or ValueError."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import yaml

LARGEST_TEXT = 1 << 20
"""Bytes of a file of settings; a long one has some ten thousand."""


def read_bounded(path: Path, most: int) -> bytes:
    """Content of a file that is expected to be small.

    Raises:
        OSError: it cannot be read.
        ValueError: it has more than ``most`` bytes; no more than these are read.
    """
    with open(path, "rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most} bytes")
    return content


def read_json(text: str | bytes) -> Any:
    """What a JSON text holds, its numbers finite.

    Raises:
        ValueError: it is no JSON, holds a number that is none, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_yaml(text: str) -> Any:
    """What a YAML or JSON text holds; nothing of it is made an object of Python.

    Aliases are refused: a page of them stands for more than any memory holds.

    Raises:
        ValueError: it is no YAML, uses aliases, or is nested too deeply.
    """
    try:
        return yaml.load(text, _PlainLoader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        # the others are what the library makes of dates and numbers that are none
        raise ValueError(str(error) or type(error).__name__) from error


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it uses an alias; write out what it stands for")
        return super().compose_node(parent, index)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no finite number")
