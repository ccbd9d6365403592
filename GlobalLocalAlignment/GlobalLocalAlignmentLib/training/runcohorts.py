"""The cohorts of a run: checked, and what they say of themselves written into its configuration."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from ..checking import VALIDATION, check_role
from ..cohort import Cohort
from ..config import Configuration, Label
from .events import EventLog

SAME_MODALITY = " (target)"
"""Added to the name of the target's modality where it is that of the source."""

LABEL_COLORS = ((221, 130, 101), (111, 163, 196), (212, 182, 60), (144, 193, 111), (185, 102, 83), (152, 140, 206))


def check_cohorts(configuration: Configuration, events: EventLog) -> dict[str, Cohort]:
    """All cases of a run by role, each looked at.

    Raises:
        InputErrors: what is wrong with each case that cannot be used.
    """
    cohorts = {}
    for role in roles(configuration):
        progress = case_progress(events)
        cohorts[role] = check_role(
            configuration, role, cohorts, lambda finding, report=progress: report(finding.number, finding.of)
        )
    return cohorts


def roles(configuration: Configuration) -> list[str]:
    """Domains of a run: the two, and that of the validation where there is one."""
    return ["source", "target", *([VALIDATION] if configuration.validation.images else [])]


def resolved(configuration: Configuration, cohorts: dict[str, Cohort]) -> Configuration:
    """Configuration with everything that was found out: modalities, rules, labels."""
    modalities = {role: cohort.modality for role, cohort in cohorts.items()}
    if modalities["source"] == modalities["target"]:
        # two scanners or sequences of one kind: the synthesis network still needs two names
        modalities["target"] += SAME_MODALITY
    changes = {
        role: getattr(configuration, role).model_copy(
            update={
                "modality": modalities[role],
                "intensity": cohort.intensity,
                "eight_bit": cohort.eight_bit,
            }
        )
        for role, cohort in cohorts.items()
    }
    if not configuration.labels:
        changes["labels"] = labels_of_cohort(cohorts["source"])
    return configuration.model_copy(update=changes)


def labels_of_cohort(cohort: Cohort) -> list[Label]:
    """Structures for the values of label files that no setting names: as the files do, or numbered."""
    labels = []
    for index, value in enumerate(sorted(cohort.values)):
        known = cohort.structures.get(value)
        if known is not None and known.name:
            labels.append(Label(**asdict(known)))
        else:
            labels.append(Label(value=value, name=f"label {value}", color=LABEL_COLORS[index % len(LABEL_COLORS)]))
    return labels


def case_progress(events: EventLog) -> Callable[[int, int], None]:
    """What is called with the number of cases that are done and of all, and tells it with rate and time left."""
    started = time.monotonic()

    def report(done: int, of: int) -> None:
        rate = done / max(time.monotonic() - started, 1e-9)
        events.emit(
            "progress",
            "prepare",
            iteration=done,
            of=of,
            rate=round(rate, 3),
            seconds_left=round((of - done) / rate, 1),
            values={},
        )

    return report
