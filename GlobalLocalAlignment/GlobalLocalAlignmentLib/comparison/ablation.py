"""Any set of methods, seeds and directions over one data set: trained, scored, tabulated; goes on where it stopped."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lightning_fabric.utilities.rank_zero import rank_zero_only

from .. import __version__
from ..devices import device_description, resolve_device, resolve_precision
from ..errors import InputError, StopRequested
from ..refinement import in_words
from ..training.events import EventLog, Listener
from .atonce import run_at_once
from .methods import METHODS
from .outputfolder import output_folder
from .plan import AblationPlan, Direction, check_plan, prepare
from .results import Results, ScoredRow, collect
from .rows import Row, rows_of
from .scoring import refinement_of_scores

PLAN_NAME = "ablation.json"
STAGE = "ablation"


def run_ablation(
    output: Path,
    plan: AblationPlan,
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
    on_row: Callable[[Results], None] = lambda results: None,
    at_once: int = 1,
) -> Results:
    """Train and score every method with every seed in every direction; finished ones are not done again.

    Under ``torchrun`` all processes train each run together, and the first one scores it.

    Args:
        output: folder; runs are ``output/<direction>/seed_<seed>/runs/<method>``.
        plan: what is compared. A later call may add methods, seeds and the other direction, not change the cases.
        listeners: called with each event; where several rows are under way, ``training`` names the row in it.
        stop_asked: asked after each iteration.
        on_row: called with all results so far whenever a method was scored.
        at_once: rows that are trained at once, each in a process of its own.

    Raises:
        InputError: a case cannot be used, or the folder holds an ablation of other cases.
        StopRequested: stopped cleanly; the same call goes on.
    """
    check_plan(plan)
    if at_once > 1 and "WORLD_SIZE" in os.environ:
        raise InputError("--at-once", "starts processes of its own", "call without torchrun, or without --at-once")
    first = rank_zero_only.rank == 0
    events = EventLog(None, listeners, enabled=first)
    directions = prepare(plan, events)
    rows = rows_of(plan, directions)

    def run() -> Results:
        progress = _Progress(events, len(rows))

        def done(row: Row) -> None:
            progress.done(at_once > 1)
            if first:
                on_row(_results(output, plan, directions))

        if at_once > 1:
            run_at_once(output, rows, at_once, listeners or [], stop_asked, progress.started, done)
        else:
            for row in rows:
                # several processes cannot be sure to agree here; each training asks them together
                if stop_asked() and "WORLD_SIZE" not in os.environ:
                    raise StopRequested
                progress.started(row)
                row.run(output, listeners, stop_asked)
                done(row)
        progress.finished()
        return _results(output, plan, directions)

    if not first:
        return run()
    with output_folder(output, PLAN_NAME, {one.name: one.case_names for one in directions}, "an ablation"):
        return run()


class _Progress:
    """Events of the ablation as a whole."""

    def __init__(self, events: EventLog, of: int) -> None:
        self.events, self.of, self.begun, self.scored = events, of, 0, 0
        self.since = time.monotonic()
        events.emit("stage_started", STAGE, of=of)

    def started(self, row: Row) -> None:
        self.begun += 1
        self.events.emit("row", STAGE, iteration=self.begun, of=self.of, name=row.title)

    def done(self, told: bool) -> None:
        """One more is scored; one after the other they need no bar beside that of the row under way."""
        self.scored += 1
        rate = self.scored / max(time.monotonic() - self.since, 1e-9)
        if told:
            self.events.emit(
                "progress",
                STAGE,
                iteration=self.scored,
                of=self.of,
                rate=round(rate, 6),
                seconds_left=round((self.of - self.scored) / rate, 1),
                values={},
            )

    def finished(self) -> None:
        self.events.emit("stage_finished", STAGE, seconds=round(time.monotonic() - self.since, 1))


def _results(output: Path, plan: AblationPlan, directions: Sequence[Direction]) -> Results:
    """All rows that were scored by now, those of earlier calls too."""
    rows = [
        ScoredRow(direction.title, method, seed, direction.trainings(output, seed).output)
        for direction in directions
        for method in METHODS
        for seed in _seeds(output, direction)
    ]
    labels = [label.model_dump() for label in directions[0].configuration.labels]
    return collect(rows, labels, _notes(output, plan, directions))


def _seeds(output: Path, direction: Direction) -> list[int]:
    names = [folder.name.removeprefix("seed_") for folder in (output / direction.name).glob("seed_*")]
    return sorted(int(name) for name in names if name.isdecimal())


def _notes(output: Path, plan: AblationPlan, directions: Sequence[Direction]) -> list[str]:
    settings = directions[0].configuration
    tests = "; ".join(
        f"{direction.title}: {', '.join(case.name for case in direction.cases)}" for direction in directions
    )
    device = resolve_device(settings.training.device)
    seeds = sorted({seed for direction in directions for seed in _seeds(output, direction)})
    by_scores = settings.training.model_selection == "paper"
    selection = "the best iteration on labelled validation cases of the target" if by_scores else "the last iteration"
    return [
        f"Preset {settings.preset or 'of its own'}, seeds {', '.join(map(str, seeds))}. The last call: version "
        f"{__version__}, {device_description(device)}, precision "
        f"{resolve_precision(settings.training.precision, device)}; the log of each run names its own.",
        f"Test cases, which no training saw: {tests}.",
        f"Model selection: {selection}. Labels of the target's training cases are read by the row that is supervised "
        "on them alone.",
        f"Slices were segmented {in_words(settings.refinement)}.",
        "After ± stands the standard deviation between trainings, where there are several; that between volumes has a "
        "column of its own.",
        *_own_settings(output, directions, seeds),
        *_segmented_otherwise(output, directions, seeds),
    ]


def _own_settings(output: Path, directions: Sequence[Direction], seeds: Sequence[int]) -> list[str]:
    """A sentence for each method with models that were trained with other settings than those of all rows."""
    notes = []
    for name in METHODS:
        apart: dict[str, list[str]] = {}
        trained = []
        for direction, seed in ((direction, seed) for direction in directions for seed in seeds):
            trainings, title = direction.trainings(output, seed), f"{direction.title} seed {seed}"
            if trainings.model(name).is_file():
                trained.append(title)
            for key, (theirs, ours) in trainings.settings_apart(name).items():
                apart.setdefault(f"{key} {theirs} (others {ours})", []).append(title)
        if apart:
            found = (what if titles == trained else f"{what} in {', '.join(titles)}" for what, titles in apart.items())
            notes.append(f"{METHODS[name].title} was trained with settings of its own: {'; '.join(found)}.")
    return notes


def _segmented_otherwise(output: Path, directions: Sequence[Direction], seeds: Sequence[int]) -> list[str]:
    """A sentence for each other way in which rows of earlier calls were segmented."""
    found: dict[str, list[str]] = {}
    for name, direction, seed in itertools.product(METHODS, directions, seeds):
        refinement = refinement_of_scores(direction.trainings(output, seed).output, name)
        if refinement is not None and refinement != direction.configuration.refinement:
            row = f"{METHODS[name].title} {direction.title} seed {seed}"
            found.setdefault(in_words(refinement), []).append(row)
    return [
        f"Segmented {words}, and not as the others: {', '.join(rows)}. Called for again they are scored anew."
        for words, rows in found.items()
    ]
