"""What an ablation compares, and on which cases: checked as a whole before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..checking import CaseReport
from ..cohort import Case, check_cohort, select_cases
from ..config import Configuration, Domain
from ..devices import resolve_device
from ..errors import ErrorCollector, InputError
from ..training.events import EventLog
from ..training.runcohorts import labels_of_cohort
from .methods import METHODS, changed
from .trainings import Trainings

ROLES = ("source", "target")
WHAT_MAKES_A_ROW = {
    section: {key for method in METHODS.values() for key in method.changes.get(section, ())}
    for section in ("synthesis", "segmentation")
}
"""Settings by which rows differ."""


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
        own: settings of single methods over those of all, by their names: of stage one (``synthesis``) and two
            (``segmentation``), where a method needs another schedule than ours.
    """

    configuration: Configuration
    source_test: tuple[str, ...]
    target_test: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    both_directions: bool = True
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

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
        own: settings of single methods, as in the plan.
    """

    name: str
    title: str
    configuration: Configuration
    target_labelmaps: list[Path]
    test: Domain
    cases: list[Case]
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def case_names(self) -> dict[str, list[str]]:
        """Names of the cases of each kind."""
        settings = self.configuration
        return {
            "source": [case.name for case in select_cases(settings.source, "source", labelled=True)],
            "target": [case.name for case in select_cases(settings.target, "target", labelled=False)],
            "test": [case.name for case in self.cases],
        }

    def trainings(self, output: Path, seed: int, opposite: Trainings | None = None) -> Trainings:
        """The runs of a seed."""
        training = self.configuration.training.model_copy(update={"seed": seed})
        settings = self.configuration.model_copy(update={"training": training})
        folder = output / self.name / f"seed_{seed}"
        return Trainings(folder, settings, self.target_labelmaps, opposite, own=self.own)


def check_plan(plan: AblationPlan) -> None:
    """Raise InputError for a plan that cannot be carried out, whatever the cases are."""
    for name in plan.methods:
        if name not in METHODS:
            raise InputError(f"method {name}", "is not known", f"choose from {', '.join(METHODS)}")
    _check_own_settings(plan)
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


def _check_own_settings(plan: AblationPlan) -> None:
    """Raise InputError for settings of single methods that do not leave the rows comparable, or cannot be."""
    for name, own in plan.own.items():
        subject = f"settings for {name}"
        if name not in plan.methods:
            raise InputError(subject, "are for no row of this call", f"choose from {', '.join(plan.methods)}")
        for section, values in own.items():
            if section not in WHAT_MAKES_A_ROW or not isinstance(values, Mapping):
                raise InputError(subject, f"hold {section}", "name single settings of synthesis and segmentation")
            for key in values.keys() & WHAT_MAKES_A_ROW[section]:
                raise InputError(subject, f"hold {section}.{key}", "leave it out, it is what makes a row")
        changed(plan.configuration, METHODS[name], own)


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
    return [replace(_direction(settings, domains, tests, *pair), own=plan.own) for pair in pairs]


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
