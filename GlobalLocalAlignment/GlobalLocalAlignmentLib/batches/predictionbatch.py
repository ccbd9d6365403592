"""Segmentation of many volumes: a list that can be taken up again, whole files, and no failure that ends the rest."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..bundle import ModelCard
from ..errors import ErrorCollector, InputError, StopRequested
from ..formats.segmentationformats import DICOM_SEG, NIFTI
from ..formats.volumewriters import PART_PREFIX
from ..machinefaults import explained
from ..prediction import Outputs, Predictor
from ..refinement import in_words
from ..settings import Refinement
from ..training.events import STOP_NAME, EventLog
from ..training.lock import RunLock
from .batch import REMEDIES, STAGE, BatchProgress, make_folder, other_kind, write_prediction
from .batchlist import BETWEEN, DONE, FAILED, PASSED_OVER, WAITING, BatchList, BatchRow, note_labels, problem_of
from .batchsearch import BatchCase, BatchSearch


@dataclass(frozen=True)
class BatchRequest:
    """What is wanted of each volume.

    Attributes:
        outputs: volumes besides the segmentation.
        kind: format of the segmentation, one of ``segmentationformats.FORMATS``.
        largest_component: whether the predictor keeps the largest part of each structure alone.
        again: segment what is done too.
        refinement: of the predictor, where it is not the model's own.
    """

    outputs: Outputs = Outputs()
    kind: str = NIFTI
    largest_component: bool = False
    again: bool = False
    refinement: Refinement | None = None

    @property
    def text(self) -> str:
        """What the results depend on beside volume and model, for the list."""
        switches = {
            "feature mask": self.outputs.feature_mask,
            "probabilities": self.outputs.probabilities,
            "synthesized": self.outputs.synthesized,
            "largest component": self.largest_component,
        }
        refined = [] if self.refinement is None else [in_words(self.refinement)]
        return ", ".join([self.kind, *(name for name, on in switches.items() if on), *refined])


@dataclass(frozen=True)
class BatchModel:
    """A model of a batch: its card, and a fingerprint that changes with its file."""

    card: ModelCard
    fingerprint: str


def fingerprint(path: Path) -> str:
    """Of the content of a file, wherever it lies and whatever it is called."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    return digest.hexdigest()


class PredictionBatch:
    """The cases of a search and the list in their output folder; the folder is locked while it is in use.

    Args:
        found: what to segment.
        output: folder for the results; it is made.
        model: what segments.
        request: what is wanted.
        events: get ``warning``, ``progress``, ``result`` for each case that is through, and ``failed``.
        stop: asked after each few slices; a file ``stop`` in the output folder asks for the same.

    Attributes:
        waiting: cases that are to be segmented now, those that failed before among them.
        kept: number of cases that are done and stay as they are.
    """

    def __init__(
        self,
        found: BatchSearch,
        output: Path,
        model: BatchModel,
        request: BatchRequest,
        events: EventLog,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.found, self.output, self.model, self.request = found, output, model, request
        self.events, self._stop = events, stop
        self.waiting: list[BatchCase] = []
        self.kept = 0
        self._rows: dict[str, BatchRow] = {}

    @contextmanager
    def open(self) -> Iterator[PredictionBatch]:
        """Lock the folder, and write the list with what is to be done.

        Raises:
            InputError: another process writes into the folder, or it cannot be written.
        """
        make_folder(self.output)
        lock = RunLock(self.output, "written")
        lock.acquire()
        try:
            # of a process before this one
            (self.output / STOP_NAME).unlink(missing_ok=True)
            for left in self.output.rglob(f"{PART_PREFIX}*"):
                shutil.rmtree(left, ignore_errors=True)
            self._list = BatchList(self.output)
            self._plan()
            yield self
        finally:
            lock.release()

    def run(self, predictor: Predictor) -> None:
        """Segment what waits.

        Raises:
            InputError: after the rest was done, everything that was wrong with single cases.
            StopRequested: stopped; the case in hand waits again.
        """
        collector, progress = ErrorCollector(), BatchProgress(self.events, len(self.waiting))
        self.events.emit("stage_started", STAGE, of=len(self.waiting))
        for position, case in enumerate(self.waiting):
            self._stop_if_asked()
            row, started, before = self._rows[case.file], time.monotonic(), len(collector.errors)
            # before it is read: what changes meanwhile is another volume
            files = case.fingerprint()
            with collector, explained(case.path, REMEDIES):
                results = self._segment(predictor, case, row, progress.of_case(position))
            errors = collector.errors[before:]
            row.seconds = round(time.monotonic() - started, 2)
            if errors:
                row.state, row.remark = FAILED, "; ".join(problem_of(error, case.path) for error in errors)
            else:
                self._remove_stale(row, results)
                row.state, row.results = DONE, BETWEEN.join(results)
                row.input, row.model, row.options = files, self.model.fingerprint, self.request.text
            self._list.write()
            for error in errors:
                self.events.emit("failed", STAGE, message=str(error))
            self._tell(row, position + 1)
        self.events.emit("stage_finished", STAGE, seconds=round(progress.seconds, 1))
        collector.raise_all()

    def counts(self) -> Counter[str]:
        """Number of the cases of this search in each state; ``done`` counts those that were done before too."""
        return Counter(row.state for row in self._rows.values())

    def _plan(self) -> None:
        """Rows of all that was found: what is done stays so where nothing has changed, all else waits."""
        for case in self.found.cases:
            row = self._list.rows.get(case.file) or BatchRow(case.file)
            self._rows[case.file] = row
            if not self.request.again and self._is_done(case, row):
                self.kept += 1
                continue
            row.state, row.seconds, row.remark = WAITING, 0.0, case.remark
            self.waiting.append(case)
        for file, reason in self.found.passed_over.items():
            # results of an earlier time, when it was taken, stay known
            row = self._list.rows.get(file) or BatchRow(file)
            row.state, row.seconds, row.remark = PASSED_OVER, 0.0, reason
            self._rows[file] = row
            self.events.emit("warning", STAGE, message=f"{file}: passed over, {reason}")
        if self.found.labels:
            text = f"{self.found.labels} files passed over, they are named as label maps or lie in a folder of such"
            self.events.emit("warning", STAGE, message=text)
        self._list.put(list(self._rows.values()))
        note_labels(self.output, self.model.fingerprint, self.model.card)

    def _is_done(self, case: BatchCase, row: BatchRow) -> bool:
        then, now = (row.model, row.options), (self.model.fingerprint, self.request.text)
        same = row.state == DONE and then == now and row.input == case.fingerprint() != ""
        return same and all((self.output / name).is_file() for name in row.files)

    def _segment(
        self, predictor: Predictor, case: BatchCase, row: BatchRow, report: Callable[[int, int], None]
    ) -> list[str]:
        """Segment a case; returns the files with its results, below the output folder."""

        def on_slices(done: int, of: int) -> None:
            self._stop_if_asked()
            report(done, of)

        if self.request.kind == DICOM_SEG and not case.slices:
            raise InputError(case.path, "is no DICOM series, which the format needs", "choose another --format")
        volume = case.read()
        doubt = other_kind(predictor, volume)
        if doubt:
            row.remark = "; ".join(filter(None, (case.remark, doubt)))
            self.events.emit("warning", STAGE, message=f"{case.file}: {doubt}")
        prediction = predictor.predict(volume, self.request.outputs, on_slices)
        name, kind = str(case.result), self.request.kind
        return write_prediction(self.model.card, prediction, self.output, name, kind, case.slices)

    def _remove_stale(self, row: BatchRow, results: Sequence[str]) -> None:
        """Take away what an earlier time made of the case and this one did not: it says nothing of this result."""
        for name in set(row.files) - set(results):
            # the list is a file that anybody may edit
            if (self.output / name).resolve().is_relative_to(self.output.resolve()):
                (self.output / name).unlink(missing_ok=True)

    def _stop_if_asked(self) -> None:
        if self._stop() or (self.output / STOP_NAME).exists():
            (self.output / STOP_NAME).unlink(missing_ok=True)
            raise StopRequested

    def _tell(self, row: BatchRow, number: int) -> None:
        self.events.emit(
            "result",
            STAGE,
            iteration=number,
            of=len(self.waiting),
            name=row.file,
            state=row.state,
            seconds=row.seconds,
            message=row.remark,
        )
