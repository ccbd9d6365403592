"""The rows of an ablation: each is a training and its scores, and some can only come after others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_fabric.utilities.rank_zero import rank_zero_only

from ..training.events import Listener
from ..translators import ONE_WAY
from .methods import METHODS, NO_ADAPTATION
from .plan import AblationPlan, Direction
from .scoring import score_method
from .trainings import Trainings


@dataclass(frozen=True)
class Row:
    """A method with one seed in one direction.

    Attributes:
        direction: from which domain to which.
        opposite: the other one, where both are compared.
        seed: of the training.
        method: name of ``METHODS``.
    """

    direction: Direction
    opposite: Direction | None
    seed: int
    method: str

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.direction.title}, {METHODS[self.method].title}, seed {self.seed}"

    def on(self, device: str) -> Row:
        """The same row, trained and scored on another device."""
        directions = (
            one
            and replace(
                one,
                configuration=one.configuration.model_copy(
                    update={"training": one.configuration.training.model_copy(update={"device": device})}
                ),
            )
            for one in (self.direction, self.opposite)
        )
        return replace(self, **dict(zip(("direction", "opposite"), directions, strict=True)))

    def trainings(self, output: Path) -> Trainings:
        """All runs with the seed in the direction."""
        opposite = self.opposite and self.opposite.trainings(output, self.seed)
        return self.direction.trainings(output, self.seed, opposite)

    def run(
        self, output: Path, listeners: list[Listener] | None = None, stop_asked: Callable[[], bool] = lambda: False
    ) -> None:
        """Train the method and score it on the test cases, unless that is done.

        Raises:
            InputError: its input cannot be used, or an earlier call began it with other settings.
            StopRequested: stopped cleanly; the same call goes on.
        """
        trainings = self.trainings(output)
        trainings.train(self.method, listeners, stop_asked)
        if rank_zero_only.rank == 0:
            score_method(trainings, trainings.output, self.method, self.direction.cases, self.direction.test, listeners)


def rows_of(plan: AblationPlan, directions: Sequence[Direction]) -> list[Row]:
    """All rows of a plan, in the order in which they are done one after the other."""
    return [
        Row(direction, next((other for other in directions if other is not direction), None), seed, method)
        for seed in plan.seeds
        for direction in directions
        for method in plan.methods
    ]


@dataclass(frozen=True)
class Needs:
    """Rows, by their indices, that a row takes something over from.

    Attributes:
        stage_one: those that must be through with stage one before it.
        finished: those that must be through with all.
    """

    stage_one: frozenset[int] = frozenset()
    finished: frozenset[int] = frozenset()


def predecessors(rows: Sequence[Row], output: Path) -> list[Needs]:
    """For each row those that it takes something over from.

    Of rows that share a synthesis network one that an earlier call began comes first, and it waits for none: it goes on
    with its own. Else it is the one with fewest discriminators. The upper bound is the plain segmenter of the other
    direction.
    """
    first: dict[str, int] = {}
    shared = [_shared_synthesis(row, output) for row in rows]
    begun = {index for index, row in enumerate(rows) if row.trainings(output).is_begun(row.method)}
    order = sorted(range(len(rows)), key=lambda index: (index not in begun, _discriminators(rows[index], output)))
    for index in order:
        if shared[index] is not None:
            first.setdefault(shared[index], index)
    return [
        Needs(
            frozenset({first[shared[index]]} - {index} if shared[index] is not None and index not in begun else ()),
            frozenset(
                other
                for other, plain in enumerate(rows)
                if (plain.seed, plain.method) == (row.seed, NO_ADAPTATION)
                and plain.direction is row.opposite
                and row.trainings(output).takes_over_the_bound(row.method)
            ),
        )
        for index, row in enumerate(rows)
    ]


def _shared_synthesis(row: Row, output: Path) -> str | None:
    """What rows have in common that share a network of stage one, None where there is none to be trained and shared."""
    settings = row.trainings(output).settings(METHODS[row.method])
    synthesis, modalities = settings.synthesis, {settings.source.modality, settings.target.modality}
    if not settings.segmentation.style_transfer or synthesis.model is not None:
        return None
    if synthesis.translator in ONE_WAY or len(modalities) == 1:
        return None
    return json.dumps([row.seed, synthesis.model_dump(mode="json")])


def _discriminators(row: Row, output: Path) -> int:
    settings = row.trainings(output).settings(METHODS[row.method]).segmentation
    return settings.feature_discriminator + settings.output_discriminator
