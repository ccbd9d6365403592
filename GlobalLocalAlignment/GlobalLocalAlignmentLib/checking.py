"""All cases of a configuration are read and checked, before a training or without one; nothing is written."""

from __future__ import annotations

import time
from dataclasses import asdict

from .cohort import CaseFinding, Cohort, OnFinding, check_cohort
from .config import Configuration, Label
from .errors import ErrorCollector, InputError
from .training.events import EventLog

VALIDATION = "validation"
ROLES = ("source", "target", VALIDATION)
STAGE = "check"


def check_role(configuration: Configuration, role: str, cohorts: dict[str, Cohort], on_case: OnFinding) -> Cohort:
    """Check the cases of one role; see ``check_cohort``.

    Args:
        configuration: the settings.
        role: one of ``ROLES``.
        cohorts: roles that were checked before.
        on_case: called with what was found of each case.
    """
    domain, labels = getattr(configuration, role), None if role == "target" else configuration.labels
    if role == VALIDATION:
        # whatever their values suggest, these are target cases
        target = cohorts.get("target", configuration.target)
        domain = domain.model_copy(update={"modality": target.modality, "intensity": target.intensity})
    return check_cohort(domain, role, labels, configuration.intensity_by_modality, on_case)


def check_cases(configuration: Configuration, events: EventLog) -> dict[str, Cohort]:
    """Check every role that has images, one volume in memory at a time, and say what was found of each case.

    Args:
        configuration: the settings; roles without images are passed over.
        events: gets ``case`` for each case, and ``failed`` for what is wrong with the cases of a role as a whole.

    Returns:
        the cohorts by role.

    Raises:
        InputError: no role has images, or everything that is wrong, one line each.
    """
    roles = [role for role in ROLES if getattr(configuration, role).images]
    if not roles:
        raise InputError("images", "are not given", "name a folder with --source-images or --target-images")
    collector, cohorts = ErrorCollector(), {}
    for role in roles:
        report = CaseReport(events)
        before = len(collector.errors)
        events.emit("stage_started", STAGE, role=role)
        with collector:
            cohorts[role] = check_role(configuration, role, cohorts, report)
        if not report.any_wrong:
            for error in collector.errors[before:]:
                events.emit("failed", STAGE, role=role, message=str(error))
        events.emit("stage_finished", STAGE, role=role, seconds=round(report.elapsed(), 1))
    collector.raise_all()
    return cohorts


class CaseReport:
    """Passes the findings of one role on as events."""

    def __init__(self, events: EventLog) -> None:
        self.events, self.started, self.any_wrong = events, time.monotonic(), False

    def __call__(self, finding: CaseFinding) -> None:
        self.any_wrong = self.any_wrong or bool(finding.message)
        self.events.emit(
            "case",
            STAGE,
            role=finding.role,
            name=finding.name,
            message=finding.message,
            values=sorted(finding.values),
            structures=[asdict(structure) for structure in finding.structures],
            modality=finding.modality,
        )
        rate = finding.number / max(self.elapsed(), 1e-9)
        self.events.emit(
            "progress",
            STAGE,
            iteration=finding.number,
            of=finding.of,
            rate=round(rate, 3),
            seconds_left=round((finding.of - finding.number) / rate, 1),
            values={},
        )

    def elapsed(self) -> float:
        return time.monotonic() - self.started


def cohort_rows(cohorts: dict[str, Cohort], labels: list[Label]) -> list[tuple[str, str, str, str]]:
    """Role, number of cases, modality and structures that occur, of each cohort; no structures without labels."""
    names = {label.value: label.name for label in labels}
    return [
        (
            role,
            str(len(cohort.cases)),
            cohort.modality,
            ", ".join(names.get(value, f"label {value}") for value in sorted(cohort.values)) or "-",
        )
        for role, cohort in cohorts.items()
    ]
