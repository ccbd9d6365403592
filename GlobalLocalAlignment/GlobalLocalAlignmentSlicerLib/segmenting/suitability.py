"""Whether a volume is what a model was trained for, as far as its values and its grid say."""

from __future__ import annotations

from typing import Any

from ..models.modelcard import ModelCard
from ..scene.sliceplanes import NORMALS, planeName, slicePlane
from ..scene.volumefiles import ijkToRas
from ..translation import tr as _

LOWEST_MR_VALUE = -200.0
"""Hounsfield units go far below this, MR does not."""


def concerns(node: Any, card: ModelCard) -> list[str]:
    """A line for everything that speaks against the model for this volume; nothing of it forbids its use."""
    found = []
    if node.GetImageData() is None:
        return [_("{name} holds no image.").format(name=node.GetName())]
    low, high = node.GetImageData().GetScalarRange()
    hounsfield = low < LOWEST_MR_VALUE
    if card.target.startswith("MR") and hounsfield:
        found.append(
            _("{name} has values of a CT (down to {low:g}); the model segments {target}.").format(
                name=node.GetName(), low=low, target=card.target
            )
        )
    # eight bits that are filled are how exports of a CT look
    if card.target.startswith("CT") and not hounsfield and not (low == 0 and high == 255):
        found.append(
            _("{name} has no values of a CT (from {low:g}); the model segments {target}.").format(
                name=node.GetName(), low=low, target=card.target
            )
        )
    plane = slicePlane(ijkToRas(node))
    if plane and card.orientation in NORMALS and plane != card.orientation:
        found.append(
            _("{name} consists of {plane} slices; the model looks at {orientation} ones.").format(
                name=node.GetName(), plane=planeName(plane), orientation=planeName(card.orientation)
            )
        )
    return found
