"""The same training with other values of some settings, scored on validation cases: how the paper chose its rates."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only

from ..checking import CaseReport
from ..cohort import check_cohort
from ..config import Configuration, assignments, configuration, merge
from ..errors import ErrorCollector, InputError, StopRequested
from ..evaluation import ClassScore, summarize
from ..training.events import EventLog, Listener
from ..training.runcohorts import labels_of_cohort
from .methods import METHODS, OURS
from .outputfolder import output_folder
from .scoring import score_method
from .trainings import Trainings

PLAN_NAME, STAGE = "sweep.json", "sweep"


@dataclass(frozen=True)
class SweepPlan:
    """What is varied, and on which cases it is judged.

    Attributes:
        configuration: all other settings; ``validation`` holds labelled target cases. Its labels choose the settings,
            so figures on these cases are no test.
        values: of each setting that is varied, by its name, ``segmentation.learning_rate``.
        method: the row of ``METHODS`` that is trained.
    """

    configuration: Configuration
    values: Mapping[str, Sequence[Any]]
    method: str = OURS


@dataclass(frozen=True)
class Candidate:
    """One combination of values.

    Attributes:
        values: by the name of their setting.
        scores: of the validation cases; empty where it was not trained yet.
    """

    values: Mapping[str, Any]
    scores: list[ClassScore]

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return "_".join(f"{name.rpartition('.')[2]}_{value}" for name, value in self.values.items())

    @property
    def title(self) -> str:
        """For people: the values with the names of their settings, as ``--set`` takes them."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())

    @property
    def dice(self) -> float:
        """Mean Dice over structures of their means over cases, 0 to 1; NaN where there is none."""
        return summarize(self.scores)[-1].mean["dice"] if self.scores else float("nan")


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate with the largest average Dice, None where none was scored; the first one of equals."""
    scored = [candidate for candidate in candidates if candidate.dice == candidate.dice]
    return max(scored, key=lambda candidate: candidate.dice, default=None)


def run_sweep(
    output: Path,
    plan: SweepPlan,
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
    on_candidate: Callable[[list[Candidate]], None] = lambda candidates: None,
) -> list[Candidate]:
    """Train and score every combination of the values; finished ones are not done again.

    A synthesis network whose own settings are not varied is trained once.

    Args:
        output: folder; a combination has ``output/<values>``.
        plan: what is varied. A later call may add values, not change the cases.
        listeners: called with each event.
        stop_asked: asked after each iteration and between trainings.
        on_candidate: called with all of them whenever one was scored.

    Returns:
        the candidates, in the order of the plan.

    Raises:
        InputError: a case cannot be used, a setting or value does not exist, or the folder holds a sweep of other
            cases.
        StopRequested: stopped cleanly; the same call goes on.
    """
    first = rank_zero_only.rank == 0
    events = EventLog(None, listeners, enabled=first)
    # a value that cannot be is refused before anything is read or trained
    candidates = [Candidate(values, []) for values in _combinations(plan)]
    for candidate in candidates:
        _changed(plan.configuration, candidate)
    settings, cases = _prepare(plan, events)

    def run() -> list[Candidate]:
        return _run(output, settings, plan.method, candidates, cases, events, listeners, stop_asked, on_candidate)

    if not first:
        return run()
    names = {"validation": [case.name for case in cases], "method": plan.method}
    with output_folder(output, PLAN_NAME, names, "a sweep"):
        return run()


def _combinations(plan: SweepPlan) -> list[dict[str, Any]]:
    if plan.method not in METHODS or METHODS[plan.method].on_target_labels:
        known = ", ".join(name for name, method in METHODS.items() if not method.on_target_labels)
        raise InputError(f"method {plan.method}", "cannot be swept", f"choose from {known}")
    for name, values in plan.values.items():
        if not values:
            raise InputError(f"--vary {name}", "names no value", f"write for example {name}=1,2")
    if not plan.values:
        raise InputError("--vary", "is not given", "write for example --vary segmentation.learning_rate=2.5e-4,2.5e-3")
    lists = [list(dict.fromkeys(values)) for values in plan.values.values()]
    return [dict(zip(plan.values, chosen, strict=True)) for chosen in product(*lists)]


def _changed(settings: Configuration, candidate: Candidate) -> Configuration:
    """Settings with the values of a candidate."""
    changes = assignments(f"{name}={value}" for name, value in candidate.values.items())
    return configuration(merge(settings.model_dump(), changes))


def _prepare(plan: SweepPlan, events: EventLog) -> tuple[Configuration, list]:
    """Check the validation cases once and resolve what all trainings share; each training checks its own cases."""
    settings, collector = plan.configuration, ErrorCollector()
    if not settings.validation.images or not settings.validation.labelmaps:
        raise InputError(
            "validation cases", "are not given", "name them with --validation-images and --validation-labels"
        )
    report, rules = CaseReport(events), settings.intensity_by_modality
    source = validation = None
    with collector:
        source = check_cohort(settings.source, "source", settings.labels, rules, report)
    with collector:
        validation = check_cohort(settings.validation, "validation", settings.labels, rules, report)
    collector.raise_all()
    if not settings.labels:
        settings = settings.model_copy(update={"labels": labels_of_cohort(source)})
    return settings, validation.cases


def _run(
    output: Path,
    settings: Configuration,
    method: str,
    candidates: list[Candidate],
    cases: list,
    events: EventLog,
    listeners: list[Listener] | None,
    stop_asked: Callable[[], bool],
    on_candidate: Callable[[list[Candidate]], None],
) -> list[Candidate]:
    started, earlier = time.monotonic(), []
    events.emit("stage_started", STAGE, of=len(candidates))
    for number, candidate in enumerate(candidates):
        if stop_asked() and "WORLD_SIZE" not in os.environ:
            raise StopRequested
        events.emit("row", STAGE, iteration=number + 1, of=len(candidates), name=candidate.title)
        trainings = Trainings(output / candidate.folder, _changed(settings, candidate), [], others=tuple(earlier))
        trainings.train(method, listeners, stop_asked)
        earlier.append(trainings)
        if rank_zero_only.rank == 0:
            scores = score_method(trainings, trainings.output, method, cases, settings.validation, listeners)
            candidates[number] = Candidate(candidate.values, scores)
            on_candidate(candidates)
    events.emit("stage_finished", STAGE, seconds=round(time.monotonic() - started, 1))
    return candidates
