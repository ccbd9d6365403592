"""What a person reads of a model and of the time that is left."""

from __future__ import annotations

import html

from slicer.i18n import tr as _

from .modelcard import ModelCard


def describeCard(card: ModelCard) -> str:
    """The card as rich text; everything in it comes from a file and is escaped."""
    labels = "<br>".join(
        '<span style="color: rgb({},{},{})">&#9632;</span> {}'.format(*label.color, html.escape(label.name))
        for label in card.labels
    )
    plane = _("{plane} slices, {rows} x {columns} at {spacing:g} mm").format(
        plane=html.escape(card.orientation), rows=card.size[0], columns=card.size[1], spacing=card.spacing
    )
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
                source=html.escape(str(provenance["source_cases"])),
                target=html.escape(str(provenance["target_cases"])),
                preset=html.escape(str(provenance.get("preset", "-"))),
                date=html.escape(str(provenance.get("date", "-"))),
            )
        )
    dice = card.scores.get("validation_slice_dice")
    if isinstance(dice, dict):
        values = [value for value in dice.values() if isinstance(value, (int, float))]
        if values:
            lines.append(
                _("mean Dice {dice:.1f} % on the slices of {count} watched volumes").format(
                    dice=100 * sum(values) / len(values),
                    count=html.escape(str(card.scores.get("validation_cases", "?"))),
                )
            )
    return "<br>".join([*lines, labels])


def duration(seconds: float) -> str:
    """Time left as a person says it."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return _("{hours} h {minutes:02d} min").format(hours=whole // 3600, minutes=whole % 3600 // 60)
    if whole >= 60:
        return _("{minutes} min {seconds:02d} s").format(minutes=whole // 60, seconds=whole % 60)
    return _("{seconds} s").format(seconds=whole)
