"""What makes adversarial training fail, watched while it runs and said with what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..config import Segmentation

PATIENCE = 20
"""Reports in a row that show a symptom before it is told; single batches say little."""

WON = 0.1
"""Distance of a discriminator's mean output from its labels, 0 and 1, on both domains, at which it has won."""

NO_MASK, SATURATED_MASK, FLAT = 0.03, 0.7, 0.02
"""Mean of a mask that changes nothing, mean of one that sees a gap everywhere (tanh 1 is 0.76), and the deviation below
which a mask says the same of every place."""

Values = Mapping[str, float]


@dataclass(frozen=True)
class Symptom:
    """One way in which a training fails.

    Attributes:
        shows: whether the means of a report show it; asked only where ``needs`` are all there.
        needs: names of the values that it looks at.
        text: what is wrong and what to change.
    """

    shows: Callable[[Values], bool]
    needs: tuple[str, ...]
    text: str


class StabilityWatch:
    """Tells each symptom once, when it has shown in ``PATIENCE`` reports in a row."""

    def __init__(self, symptoms: Sequence[Symptom]) -> None:
        self.rows = {symptom: 0 for symptom in symptoms}

    def look(self, values: Values) -> list[str]:
        """What the reports up to this one say for the first time."""
        told = []
        for symptom, row in self.rows.items():
            seen = all(name in values for name in symptom.needs) and symptom.shows(values)
            self.rows[symptom] = row + 1 if seen else 0 if row < PATIENCE else row
            if self.rows[symptom] == PATIENCE and row < PATIENCE:
                told.append(symptom.text)
        return told


def segmentation_symptoms(settings: Segmentation) -> list[Symptom]:
    """Those of stage two: D1 or D2 has won, a mask that says nothing."""
    if settings.adversarial != "least_squares":
        # outputs of the other kind have no labels to be near to
        return []
    source, target = (0.0, 1.0) if settings.mask_target == "target" else (1.0, 0.0)
    remedy = (
        "lower segmentation.discriminator_learning_rate, raise segmentation.{weight}, or let segmentation.warm_up last "
        "longer"
    )

    def won(name: str) -> Callable[[Values], bool]:
        return lambda values: (
            abs(values[f"{name}_source"] - source) < WON and abs(values[f"{name}_target"] - target) < WON
        )

    found = []
    for title, name, weight in (
        ("D1", "feature_discriminator", "feature_weight"),
        ("D2", "output_discriminator", "output_weight"),
    ):
        text = f"{title} tells source and target apart without effort, so that it aligns nothing: "
        needs = (f"{name}_source", f"{name}_target")
        found.append(Symptom(won(name), needs, text + remedy.format(weight=weight)))
    return [
        *found,
        Symptom(
            lambda values: values["mask_mean"] < NO_MASK,
            ("mask_mean",),
            "the local feature mask is zero nearly everywhere, so that it changes nothing: lower "
            "segmentation.feature_weight or raise segmentation.discriminator_learning_rate",
        ),
        Symptom(
            lambda values: values["mask_mean"] > SATURATED_MASK and values["mask_deviation"] < FLAT,
            ("mask_mean", "mask_deviation"),
            "the local feature mask is near one everywhere, so that it points at nothing: "
            + remedy.format(weight="feature_weight"),
        ),
    ]


def translation_symptoms() -> list[Symptom]:
    """That of stage one with least squares: the image discriminator has won on real and on translated slices."""
    return [
        Symptom(
            lambda values: values["discriminator"] < 2 * WON**2 and values["adversarial"] > (1 - WON) ** 2,
            ("discriminator", "adversarial"),
            "the image discriminator tells translated slices from real ones without effort, so that they do not come "
            "to look like the target: lower synthesis.learning_rate or synthesis.discriminator_width, or raise "
            "synthesis.weights.adversarial",
        )
    ]
