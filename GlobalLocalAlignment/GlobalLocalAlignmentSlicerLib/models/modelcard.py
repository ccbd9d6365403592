"""The card of a model file, read with the standard library alone: it is shown before anything is installed."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..translation import tr as _

FORMAT = "GlobalLocalAlignment"
KNOWN_FORMAT_VERSION = 1
LABEL_VALUES = range(1, 255)
LONGEST_NAME, LONGEST_TERM, LARGEST_NUMBER = 128, 2000, 1e9
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Signs that steer a terminal, turn the direction of writing, or are half of one; the core refuses the same."""

MOST_HEADER_BYTES = 16 << 20
"""The header of a real model is some hundred kilobytes; no more than this is read of a file that claims more."""


class ModelCardError(Exception):
    """A file that is no model, in one line for the user."""


@dataclass(frozen=True)
class LabelCard:
    """One structure that a model segments."""

    value: int
    name: str
    color: tuple[int, int, int]
    terminology: str = ""


@dataclass(frozen=True)
class ModelCard:
    """What is shown of a model, and what is needed to bring its results into the scene.

    Attributes:
        path: the file.
        labels: structures in the order of the model.
        source: modality whose labels it learnt from.
        target: modality that it segments.
        orientation: plane of its slices.
        spacing: of rows and columns, mm.
        size: rows and columns.
        networks: what the file holds.
        provenance: how it was trained.
        scores: what was measured while it was trained.
        shifts: passes along each axis of a slice.
        sliceSmoothing: weight of each of the two neighbouring slices.
    """

    path: Path
    labels: tuple[LabelCard, ...]
    source: str
    target: str
    orientation: str
    spacing: float
    size: tuple[int, int]
    networks: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    shifts: int = 1
    sliceSmoothing: float = 0.0

    @property
    def hasFeatureMask(self) -> bool:
        """Whether the model gives a local feature mask."""
        return "feature_discriminator" in self.networks

    @property
    def hasSynthesis(self) -> bool:
        """Whether the model gives style-transferred volumes."""
        return "synthesis" in self.networks


def readModelCard(path: Path) -> ModelCard:
    """Card of a model file.

    Raises:
        ModelCardError: the file is missing, truncated, no model of this extension, or of a newer format.
    """
    card = _card(_header(path), path)
    try:
        version = int(_finite(card["format_version"]))
        if version > KNOWN_FORMAT_VERSION:
            text = _("{name} was written by a newer version of the extension; update the extension")
            raise ModelCardError(text.format(name=path.name))
        plane, networks = card["plane"], tuple(map(_text, card["networks"]))
        # models of before there was any have none
        refinement = card.get("refinement", {})
        if "segmenter" not in networks:
            text = _("{name} holds the synthesis network of a training alone; choose its model.safetensors")
            raise ModelCardError(text.format(name=path.name))
        return ModelCard(
            path,
            _labels(card["labels"]),
            _text(card["source"]["modality"]),
            _text(card["target"]["modality"]),
            _text(plane["orientation"]),
            float(_finite(plane["spacing"])),
            (int(_finite(plane["size"][0])), int(_finite(plane["size"][1]))),
            networks,
            dict(card["provenance"]),
            dict(card["scores"]),
            int(_finite(refinement.get("shifts", 1))),
            float(_finite(refinement.get("slice_smoothing", 0))),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise _damagedCard(path) from error


def _labels(entries: list[dict[str, Any]]) -> tuple[LabelCard, ...]:
    """Structures of a card.

    Raises:
        ValueError: none, or two with one value, or what no card of ours holds.
    """
    labels = tuple(
        LabelCard(
            int(_finite(entry["value"])),
            _text(entry["name"]),
            _color(entry["color"]),
            _text(entry["terminology"], LONGEST_TERM),
        )
        for entry in entries
    )
    values = {label.value for label in labels}
    if not labels or len(values) < len(labels) or not values <= set(LABEL_VALUES) or not all(x.name for x in labels):
        raise ValueError("labels have names and values of their own")
    return labels


def _text(value: Any, most: int = LONGEST_NAME) -> str:
    """A text of a card, which is shown and becomes names of nodes.

    Raises:
        ValueError: it is none, too long, or holds control characters.
    """
    if not isinstance(value, str) or len(value) > most or CONTROL.search(value):
        raise ValueError("a text is short and has no control characters")
    return value


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST_NUMBER:
        raise ValueError("a number is finite")
    return value


def _header(path: Path) -> dict[str, Any]:
    text = _("{name} is no model of this extension, or truncated; choose a model.safetensors")
    damaged = ModelCardError(text.format(name=path.name))
    try:
        with open(path, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > MOST_HEADER_BYTES:
                raise damaged
            text = stream.read(length)
        if len(text) < length:
            raise damaged
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        if path.stat().st_size != 8 + length + max(ends, default=0):
            raise damaged
    except OSError as error:
        text = _("{name} cannot be read: {reason}")
        raise ModelCardError(text.format(name=path.name, reason=error.strerror)) from error
    except (struct.error, ValueError, AttributeError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise damaged from error
    return header


def _card(header: dict[str, Any], path: Path) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        text = _("{name} is the file of another program; choose a model.safetensors of a training")
        raise ModelCardError(text.format(name=path.name))
    try:
        card = json.loads(metadata["card"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damagedCard(path) from error
    if not isinstance(card, dict):
        raise _damagedCard(path)
    return card


def _damagedCard(path: Path) -> ModelCardError:
    text = _("{name} has a damaged model card; copy it again from where it was made")
    return ModelCardError(text.format(name=path.name))


def _color(color: Any) -> tuple[int, int, int]:
    red, green, blue = (int(_finite(part)) for part in color)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError("a colour has three parts from 0 to 255")
    return red, green, blue
