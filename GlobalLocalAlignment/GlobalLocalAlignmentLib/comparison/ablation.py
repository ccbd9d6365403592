"""Any set of methods, seeds and directions over one data set: trained, scored, tabulated; goes on where it stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only

from .. import __version__
from ..checking import CaseReport
from ..cohort import Case, check_cohort, select_cases
from ..config import Configuration, Domain
from ..devices import device_description, resolve_device, resolve_precision
from ..errors import ErrorCollector, InputError, StopRequested
from ..training.events import EventLog, Listener
from ..training.runcohorts import labels_of_cohort
from .methods import METHODS
from .outputfolder import output_folder
from .results import Results, Row, collect
from .scoring import score_method
from .trainings import Trainings

PLAN_NAME = "ablation.json"
STAGE = "ablation"
ROLES = ("source", "target")


@dataclass(frozen=True)
class AblationPlan:
    """What is compared on what.

    Attributes:
        configuration: settings of ours; source and target both have images and labelmaps.
        source_test, target_test: names of the cases that no training sees. Labels of the others of the target are read
            by the upper bound alone.
        methods: names of ``METHODS``.
        seeds: of the trainings.
        both_directions: whether the target is also taken as the source.
    """

    configuration: Configuration
    source_test: tuple[str, ...]
    target_test: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    both_directions: bool = True

    def __post_init__(self) -> None:
        # what is named twice is done once
        for name in ("source_test", "target_test", "methods", "seeds"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))

    @property
    def learns_from_target(self) -> bool:
        """Whether any training reads labels of the target."""
        return self.both_directions or any(METHODS[name].on_target_labels for name in self.methods)


@dataclass(frozen=True)
class Direction:
    """From one domain to the other.

    Attributes:
        name: of its folder, ``ct_to_mr``.
        title: for people, ``CT to MR``.
        configuration: settings of ours, without test cases and without labels of the target.
        target_labelmaps: of the target.
        test: labelled test cases of the target.
        cases: the same, one by one.
    """

    name: str
    title: str
    configuration: Configuration
    target_labelmaps: list[Path]
    test: Domain
    cases: list[Case]

    def trainings(self, output: Path, seed: int, opposite: Trainings | None = None) -> Trainings:
        """The runs of a seed."""
        training = self.configuration.training.model_copy(update={"seed": seed})
        settings = self.configuration.model_copy(update={"training": training})
        return Trainings(output / self.name / f"seed_{seed}", settings, self.target_labelmaps, opposite)


def run_ablation(
    output: Path,
    plan: AblationPlan,
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
    on_row: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Train and score every method with every seed in every direction; finished ones are not done again.

    Under ``torchrun`` all processes train each run together, and the first one scores it.

    Args:
        output: folder; runs are ``output/<direction>/seed_<seed>/runs/<method>``.
        plan: what is compared. A later call may add methods, seeds and the other direction, not change the cases.
        listeners: called with each event.
        stop_asked: asked after each iteration.
        on_row: called with all results so far whenever a method was scored.

    Raises:
        InputError: a case cannot be used, or the folder holds an ablation of other cases.
        StopRequested: stopped cleanly; the same call goes on.
    """
    _check(plan)
    first = rank_zero_only.rank == 0
    events = EventLog(None, listeners, enabled=first)
    directions = prepare(plan, events)
    if not first:
        return _run_rows(output, plan, directions, events, listeners, stop_asked, on_row)
    with output_folder(output, PLAN_NAME, {one.name: _cases(one) for one in directions}, "an ablation"):
        return _run_rows(output, plan, directions, events, listeners, stop_asked, on_row)


def _run_rows(
    output: Path,
    plan: AblationPlan,
    directions: list[Direction],
    events: EventLog,
    listeners: list[Listener] | None,
    stop_asked: Callable[[], bool],
    on_row: Callable[[Results], None],
) -> Results:
    first = rank_zero_only.rank == 0
    rows = [(seed, direction) for seed in plan.seeds for direction in directions]
    total, done, started = len(rows) * len(plan.methods), 0, time.monotonic()
    events.emit("stage_started", STAGE, of=total)
    for seed, direction in rows:
        opposite = next((other for other in directions if other is not direction), None)
        trainings = direction.trainings(output, seed, opposite and opposite.trainings(output, seed))
        for method in plan.methods:
            # several processes cannot be sure to agree here; each training asks them together
            if stop_asked() and "WORLD_SIZE" not in os.environ:
                raise StopRequested
            events.emit("row", STAGE, iteration=done + 1, of=total, name=_title(direction, seed, method))
            trainings.train(method, listeners, stop_asked)
            if first:
                score_method(trainings, trainings.output, method, direction.cases, direction.test, listeners)
                on_row(_results(output, plan, directions))
            done += 1
    events.emit("stage_finished", STAGE, seconds=round(time.monotonic() - started, 1))
    return _results(output, plan, directions)


def prepare(plan: AblationPlan, events: EventLog) -> list[Direction]:
    """Check every case of both domains before anything is trained, and say what each direction trains and tests on.

    Raises:
        InputError: everything that is wrong with any case, or a test case that is not there.
    """
    settings = plan.configuration
    collector, cohorts = ErrorCollector(), {}
    for role in ROLES:
        domain, tests = getattr(settings, role), getattr(plan, f"{role}_test")
        with collector:
            others = [case.name for case in select_cases(_without(domain, tests, role), role, labelled=False)]
            learnt = others if role == "source" or plan.learns_from_target else []
            cohorts[role] = check_cohort(
                _with_tests(domain, plan, role),
                role,
                settings.labels,
                settings.intensity_by_modality,
                CaseReport(events),
                learnt,
                [*learnt, *tests],
            )
    collector.raise_all()
    domains = {
        role: getattr(settings, role).model_copy(update={"modality": cohort.modality, "intensity": cohort.intensity})
        for role, cohort in cohorts.items()
    }
    if not settings.labels:
        labels = labels_of_cohort(cohorts["source"])
        settings = settings.model_copy(update={"labels": labels})
    tests = {"source": plan.source_test, "target": plan.target_test}
    pairs = [ROLES, ROLES[::-1]] if plan.both_directions else [ROLES]
    return [_direction(settings, domains, tests, *pair) for pair in pairs]


def _with_tests(domain: Domain, plan: AblationPlan, role: str) -> Domain:
    """A domain with its test cases, where its settings keep them out of trainings."""
    tests = {"source": plan.source_test, "target": plan.target_test}[role]
    return domain.model_copy(update={"exclude": [name for name in domain.exclude if name not in tests]})


def _direction(
    settings: Configuration, domains: dict[str, Domain], tests: dict[str, Sequence[str]], source: str, target: str
) -> Direction:
    training = {role: _without(domains[role], tests[role], role) for role in domains}
    test = domains[target].model_copy(update={"include": list(tests[target]), "exclude": []})
    names = [domains[role].modality for role in (source, target)]
    if names[0] == names[1]:
        names = [source, target]
    changes = {"source": training[source], "target": training[target].model_copy(update={"labelmaps": []})}
    if source != ROLES[0]:
        # they are cases of the other target
        changes["validation"] = Domain()
    return Direction(
        "_to_".join(name.lower().replace(" ", "_") for name in names),
        " to ".join(names),
        settings.model_copy(update=changes),
        training[target].labelmaps,
        test,
        select_cases(test, "test", labelled=True),
    )


def _without(domain: Domain, tests: Sequence[str], role: str) -> Domain:
    """A domain without its test cases."""
    left = domain.model_copy(
        update={
            "include": [name for name in domain.include if name not in tests],
            "exclude": [*domain.exclude, *(name for name in tests if name not in domain.exclude)],
        }
    )
    if domain.include and not left.include:
        raise InputError(f"{role} cases", "are all test cases", "leave some to train on")
    return left


def _check(plan: AblationPlan) -> None:
    for name in plan.methods:
        if name not in METHODS:
            raise InputError(f"method {name}", "is not known", f"choose from {', '.join(METHODS)}")
    tests = {"target": plan.target_test} | ({"source": plan.source_test} if plan.both_directions else {})
    for role, names in tests.items():
        if not names:
            raise InputError(
                f"{role} test cases", "are not named", f"name cases that no training may see with --{role}-test"
            )
    for name, values in (("methods", plan.methods), ("seeds", plan.seeds)):
        if not values:
            raise InputError(name, "are not named", f"name at least one of the {name}")
    if plan.configuration.training.model_selection == "paper" and plan.both_directions:
        raise InputError(
            "training.model_selection paper",
            "chooses by labelled cases of one target",
            "compare --one-direction alone, or leave it at final",
        )
    resolve_device(plan.configuration.training.device)


def _cases(direction: Direction) -> dict[str, Any]:
    """Names of the cases of each kind."""
    settings = direction.configuration
    return {
        "source": [case.name for case in select_cases(settings.source, "source", labelled=True)],
        "target": [case.name for case in select_cases(settings.target, "target", labelled=False)],
        "test": [case.name for case in direction.cases],
    }


def _results(output: Path, plan: AblationPlan, directions: list[Direction]) -> Results:
    """All rows that were scored by now, those of earlier calls too."""
    rows = [
        Row(direction.title, method, seed, direction.trainings(output, seed).output)
        for direction in directions
        for method in METHODS
        for seed in _seeds(output, direction)
    ]
    labels = [label.model_dump() for label in directions[0].configuration.labels]
    return collect(rows, labels, _notes(output, plan, directions))


def _seeds(output: Path, direction: Direction) -> list[int]:
    names = [folder.name.removeprefix("seed_") for folder in (output / direction.name).glob("seed_*")]
    return sorted(int(name) for name in names if name.isdecimal())


def _notes(output: Path, plan: AblationPlan, directions: list[Direction]) -> list[str]:
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
        "After ± stands the standard deviation between trainings, where there are several; that between volumes has a "
        "column of its own.",
    ]


def _title(direction: Direction, seed: int, method: str) -> str:
    return f"{direction.title}, {METHODS[method].title}, seed {seed}"
