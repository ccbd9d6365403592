"""Any data set into folders of images and labels, case by case; goes on where an earlier call stopped."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..errors import ErrorCollector, InputError
from ..machinefaults import Refusal, disk_error, explained
from ..training.events import EventLog
from ..volumes import write_volume
from .catalog import DataSet, data_set
from .layout import CROPPED_BY_AUTHORS, READS_LABELS, PreparedFolder
from .paperprotocol import crop_by_labels
from .published import LabelledCase, PublishedCase

STAGE = "prepare"
NO_DATA = "__MACOSX"
"""Folder that archives made on a Mac bring, with files named as those of the data."""

REMEDIES = {Refusal.MEMORY: "free memory and give the command again"}


@dataclass(frozen=True)
class Preparation:
    """What a call has done.

    Attributes:
        written, kept: cases of this call, and of earlier ones that were left as they are.
        next: what to type next, or what is missing for it.
        errors: what was wrong with single cases.
    """

    written: int
    kept: int
    next: list[str]
    errors: ErrorCollector


def prepare_data_set(name: str, source: Path, output: Path, paper_protocol: bool, events: EventLog) -> Preparation:
    """Write all labelled cases of a data set as NIfTI files with label values 1 to 4, and settings to train on them.

    Args:
        name: one of ``DATA_SETS``.
        source: folder with the data set as its site publishes it.
        output: folder for the result; ct and mr of two data sets may share one.
        paper_protocol: crop each case by its labels; see ``paperprotocol``.
        events: gets progress, a warning for what a user should know, and ``failed`` for each case that is wrong.

    Returns:
        counts and errors; the other cases are done when one is wrong.

    Raises:
        InputError: no case is there, the output holds something else, or nothing can be written.
    """
    data, collector = data_set(name), ErrorCollector()
    if paper_protocol and data.cropped_by_authors:
        raise InputError(f"data set {name}", CROPPED_BY_AUTHORS, "leave the option out")
    cases = _find(data, source, collector)
    folder = PreparedFolder(output, data, {case.modality for case in cases}, paper_protocol)
    folder.begin()
    cautions = [caution for modality, caution in data.cautions.items() if modality in folder.modalities]
    for warning in ([READS_LABELS] if paper_protocol else []) + cautions:
        events.emit("warning", STAGE, message=warning)
    for error in collector.errors:
        events.emit("failed", STAGE, message=str(error))
    left = [case for case in cases if not all(path.is_file() for path in folder.paths(case))]
    remarks, first = Counter(), {}
    events.emit("stage_started", STAGE, of=len(left))
    started = time.monotonic()
    for number, case in enumerate(left, start=1):
        before = len(collector.errors)
        with collector:
            for remark in _prepare(case, folder):
                remarks[remark] += 1
                first.setdefault(remark, case.name)
        for error in collector.errors[before:]:
            events.emit("failed", STAGE, message=str(error))
        _report(events, number, len(left), started)
    events.emit("stage_finished", STAGE, seconds=round(time.monotonic() - started, 1))
    for remark, count in remarks.items():
        where = first[remark] if count == 1 else f"{first[remark]} and {count - 1} more"
        events.emit("warning", STAGE, message=f"{remark} ({where})")
    failed = sum(not all(path.is_file() for path in folder.paths(case)) for case in left)
    return Preparation(len(left) - failed, len(cases) - len(left), folder.finish(), collector)


def _find(data: DataSet, source: Path, collector: ErrorCollector) -> list[PublishedCase]:
    """Cases of a folder, each name once."""
    if not source.is_dir():
        raise InputError(source, "is no folder" if source.exists() else "does not exist", "check the path")
    cases: dict[tuple[str, bool], PublishedCase] = {}
    for case in data.find(source, collector):
        if NO_DATA in case.path.parts:
            continue
        other = cases.setdefault((case.name, case.validation), case)
        if other is not case:
            with collector:
                raise InputError(case.path, f"is {case.name} once more, beside {other.path}", "take one of them away")
    if not cases:
        collector.raise_all()
        raise InputError(source, f"holds no {data.wanted}", f"name the folder of {data.name} as its site publishes it")
    return list(cases.values())


def _prepare(case: PublishedCase, folder: PreparedFolder) -> tuple[str, ...]:
    """Read one case and write its files; a function of its own, so that its volumes are gone before the next ones."""
    with explained(case.path, REMEDIES):
        content: LabelledCase = case.read()
        if folder.paper_protocol:
            content = crop_by_labels(content, folder.data.orientation, case.name)
        image, labelmap = folder.paths(case)
        try:
            write_volume(content.labelmap, labelmap)
            # the image last: where it is there, the case is whole, and no training takes half a case for an image
            write_volume(content.image, image)
        except InputError as error:
            if (full := disk_error(error)) is None:
                raise
            # no case that comes after it would find space
            full.filename = full.filename or str(image.parent)
            raise full from None
    return content.remarks


def _report(events: EventLog, done: int, of: int, started: float) -> None:
    rate = done / max(time.monotonic() - started, 1e-9)
    events.emit(
        "progress",
        STAGE,
        iteration=done,
        of=of,
        rate=round(rate, 3),
        seconds_left=round((of - done) / rate, 1),
        values={},
    )
