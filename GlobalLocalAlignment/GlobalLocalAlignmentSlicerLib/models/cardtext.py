"""What a person reads of a model and of the time that is left."""

from __future__ import annotations

import html
from typing import Any

from slicer.i18n import tr as _

from .modelcard import ModelCard

LONGEST_FACT = 100
"""Signs of what is told of a model."""


def describeCard(card: ModelCard) -> str:
    """The card as rich text; everything in it comes from a file and is escaped."""
    labels = "<br>".join(
        '<span style="color: rgb({},{},{})">&#9632;</span> {}'.format(*label.color, html.escape(label.name))
        for label in card.labels
    )
    plane = _("{plane} slices, {rows} x {columns} at {spacing:g} mm").format(
        plane=html.escape(card.orientation), rows=card.size[0], columns=card.size[1], spacing=card.spacing
    )
    if card.shifts > 1:
        plane += _(", {count} passes over each").format(count=card.shifts**2)
    if card.sliceSmoothing > 0:
        plane += _(", neighbouring ones mixed")
    lines = [
        _("segments <b>{target}</b>, learnt from labels of {source}").format(
            target=html.escape(card.target), source=html.escape(card.source)
        ),
        plane,
    ]
    provenance = card.provenance
    if {"source_cases", "target_cases"} <= provenance.keys():
        lines.append(
            _("trained on {source} labelled and {target} unlabelled volumes, preset {preset}, {date}").format(
                source=_escaped(provenance["source_cases"]),
                target=_escaped(provenance["target_cases"]),
                preset=_escaped(provenance.get("preset", "-")),
                date=_escaped(provenance.get("date", "-")),
            )
        )
    dice = card.scores.get("validation_slice_dice")
    if isinstance(dice, dict):
        values = [value for value in dice.values() if isinstance(value, (int, float)) and 0 <= value <= 1]
        if values:
            lines.append(
                _("mean Dice {dice:.1f} % on the slices of {count} watched volumes, in one pass").format(
                    dice=100 * sum(values) / len(values),
                    count=_escaped(card.scores.get("validation_cases", "?")),
                )
            )
    return "<br>".join([*lines, labels])


def _escaped(fact: Any) -> str:
    """A fact of a card, which may be anything, as a short text."""
    text = str(fact) if isinstance(fact, (str, int, float)) else "?"
    return html.escape(text[:LONGEST_FACT])


def duration(seconds: float) -> str:
    """Time left as a person says it."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return _("{hours} h {minutes:02d} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)
    if whole >= 60:
        return _("{minutes} min {seconds:02d} s").format(minutes=whole // 60, seconds=whole % 60)
    return _("{seconds} s").format(seconds=whole)
