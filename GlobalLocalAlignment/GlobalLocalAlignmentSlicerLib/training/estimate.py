"""How long a training would take on this computer, and how much memory: measured by the core in the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from ..background.corequestion import CoreQuestion
from ..models.cardtext import duration
from .trainingsettings import TrainingOptions

GIBIBYTE = 1 << 30
NEARLY_ALL = 0.9
"""A share of the memory that leaves too little for everything else."""


class Estimate(CoreQuestion):
    """One estimate.

    Args:
        options: what the user chose.
        onEstimated: called once with the answer in words, empty where it was stopped.
    """

    def __init__(self, options: TrainingOptions, onEstimated: Callable[[str], None]) -> None:
        words = ["estimate", "--preset", options.preset, "--device", options.device]
        super().__init__([*words, "--precision", options.precision, *options.words()], self._take, self._tell)
        self.onEstimated = onEstimated
        self._answer = ""

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "estimate":
            self._answer = describeEstimate(event)

    def _tell(self, problem: str) -> None:
        # a short one may have answered before it heard that it was to stop
        self.onEstimated("" if self.stopAsked else problem or self._answer)


def describeEstimate(event: dict[str, Any]) -> str:
    """An estimate of the core in words, with a warning where memory is short."""
    memory, there = float(event["memory_bytes"]), float(event.get("device_memory_bytes") or 0)
    text = _("About {time} on {device}, {memory:.1f} GiB of memory. Cutting slices and pictures are not in it.").format(
        time=duration(float(event["seconds"])), device=event["device"], memory=memory / GIBIBYTE
    )
    if there and memory > NEARLY_ALL * there:
        text += " " + _("That is more than can be had of {there:.1f} GiB: lower the batch sizes.").format(
            there=there / GIBIBYTE
        )
    return text
