"""The card of a model file, read with the standard library alone: it is shown before anything is installed."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .translation import tr as _

FORMAT = "GlobalLocalAlignment"
KNOWN_FORMAT_VERSION = 1
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
        version = int(card["format_version"])
        if version > KNOWN_FORMAT_VERSION:
            text = _("{name} was written by a newer version of the extension; update the extension")
            raise ModelCardError(text.format(name=path.name))
        plane = card["plane"]
        return ModelCard(
            path,
            tuple(
                LabelCard(int(label["value"]), str(label["name"]), _color(label["color"]), str(label["terminology"]))
                for label in card["labels"]
            ),
            str(card["source"]["modality"]),
            str(card["target"]["modality"]),
            str(plane["orientation"]),
            float(plane["spacing"]),
            (int(plane["size"][0]), int(plane["size"][1])),
            tuple(map(str, card["networks"])),
            dict(card["provenance"]),
            dict(card["scores"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _damagedCard(path) from error


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
    except (struct.error, ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise damaged from error
    return header


def _card(header: dict[str, Any], path: Path) -> dict[str, Any]:
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        text = _("{name} is the file of another program; choose a model.safetensors of a training")
        raise ModelCardError(text.format(name=path.name))
    try:
        card = json.loads(metadata["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damagedCard(path) from error
    if not isinstance(card, dict):
        raise _damagedCard(path)
    return card


def _damagedCard(path: Path) -> ModelCardError:
    text = _("{name} has a damaged model card; copy it again from where it was made")
    return ModelCardError(text.format(name=path.name))


def _color(color: Any) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in color)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError("a colour has three parts from 0 to 255")
    return red, green, blue
