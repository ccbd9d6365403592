"""A whole run: check and cut the cohorts, train both stages, write the model, show what came out."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from .. import __version__
from ..bundle import DomainCard, ModelCard, make_card, read_card, save_bundle
from ..checking import VALIDATION
from ..cohort import Cohort, build_store
from ..config import Configuration
from ..devices import device_description, make_fabric, resolve_device, resolve_precision
from ..errors import InputError, one_line
from ..machinefaults import MachineFault, Refusal, explained
from ..privacy import HiddenFolders
from ..slicestore import CaseSlices, SliceStore
from ..translators import translator_stage
from ..wholefiles import drop_unfinished, whole_file
from .displacement import displacement
from .engine import STAGE_SUBJECT, RunContext, run_stage
from .events import STOP_NAME, EventLog, Listener
from .lock import RunLock
from .methods import segmentation_stage
from .runcohorts import case_progress, check_cohorts, resolved, roles
from .runfolder import MODEL_NAME, SLICES_NAME, SYNTHESIS_NAME, refuse_used_folder, resumed_configuration, start_run
from .segmentation import SegmentationNetworks, Validate
from .slicewise import segmentation_panel
from .trainedsynthesis import TrainedSynthesis, borrow_synthesis
from .translation import SOURCE, TARGET, translation_panel
from .validation import slice_validation

REMEDIES = {
    Refusal.SPACE: "make space and go on with --resume, the last checkpoint is intact",
    Refusal.MEMORY: "free memory and go on with --resume, or start anew with a smaller plane.size, narrower networks"
    " (synthesis.width, segmentation.width) or another preset",
    Refusal.GPU: "go on with --resume once it is back, or on another --device",
}
COMPARED_SLICES = 64
"""Slices whose structures are compared with those of their translations."""

NO_LOCKS = "the run folder cannot be locked here; see that no other process trains this run"


def train(
    folder: Path,
    configuration: Configuration | None,
    listeners: list[Listener] | None = None,
    stop_asked: Callable[[], bool] = lambda: False,
    device: str | None = None,
) -> Path:
    """Train a model, or go on with a run that was stopped.

    Args:
        folder: the run folder.
        configuration: settings of a new run, None to resume.
        listeners: called with each event.
        stop_asked: asked after each iteration.
        device: in the place of the one in the settings, for a run whose own is gone.

    Returns:
        the model file.

    Raises:
        InputError: the input cannot be used, or another process trains the run.
        StopRequested: stopped cleanly; the run can be resumed.
    """
    resumed = configuration is None
    if resumed:
        configuration = resumed_configuration(folder)
    device = resolve_device(device or configuration.training.device)
    precision = resolve_precision(configuration.training.precision, device)
    fabric = make_fabric(device, precision)
    fabric.launch()
    lock = RunLock(folder)
    try:
        with _refusals_told(folder):
            configuration, cohorts = _begin(folder, configuration, resumed, lock, fabric, listeners)
            hidden = HiddenFolders([folder, *_inputs(configuration)])
            events = EventLog(folder, listeners, enabled=fabric.is_global_zero, hidden=hidden)
        context = RunContext(folder, configuration, fabric, events, stop_asked)
        with _failure_told(events), _refusals_told(folder), explained(folder, REMEDIES):
            return _train(context, cohorts, precision, resumed, locked=lock.held)
    finally:
        lock.release()


@contextmanager
def _failure_told(events: EventLog) -> Iterator[None]:
    """The last event of a run that cannot go on says why; where it finds no place the exit of the process says it."""
    try:
        yield
    except InputError as error:
        # what is said of a volume may name a patient by the name of a file
        sayable = isinstance(error, MachineFault) or getattr(error, "subject", "").startswith(STAGE_SUBJECT)
        problem = one_line(f"{error.problem}; {error.remedy}") if sayable else ""
        with suppress(OSError):
            events.emit("failed", "prepare", message=str(error), problem=problem)
        raise


def _inputs(configuration: Configuration) -> list[Path]:
    domains = (configuration.source, configuration.target, configuration.validation)
    return [path for domain in domains for path in (*domain.images, *domain.labelmaps)]


@contextmanager
def _refusals_told(folder: Path) -> Iterator[None]:
    """One line for whatever keeps a file of the run from being written: a disk turned read-only, a drive that is gone.

    Raises:
        InputError: in the place of an error of the file system that names a file in the run folder.
    """
    try:
        yield
    except OSError as error:
        if not error.filename or not Path(error.filename).is_relative_to(folder):
            raise
        raise InputError(
            error.filename,
            f"cannot be written ({error.strerror})",
            "make the folder writable again and go on with --resume, the last checkpoint is intact",
        ) from error


def _train(context: RunContext, cohorts: dict[str, Cohort] | None, precision: str, resumed: bool, locked: bool) -> Path:
    """The run itself, from its first event to its last."""
    events, started = context.events, time.monotonic()
    events.emit(
        "run_started",
        "prepare",
        version=__version__,
        preset=context.configuration.preset,
        precision=precision,
        device=device_description(context.fabric.device),
        threads=torch.get_num_threads(),
        resumed=resumed,
    )
    if not locked:
        # the first process alone holds the lock, and its events alone are written
        events.emit("warning", "prepare", message=NO_LOCKS)
    model = context.folder / MODEL_NAME
    # the model comes last: a run that has it was only kept from saying so
    if not model.is_file():
        model = _Run(context, cohorts).train()
    if context.fabric.is_global_zero:
        # also those of a run that was killed between its model and this
        shutil.rmtree(context.folder / SLICES_NAME, ignore_errors=True)
    events.emit("run_finished", "segmentation", model=model.name, seconds=round(time.monotonic() - started, 1))
    return model


def _begin(
    folder: Path,
    configuration: Configuration,
    resumed: bool,
    lock: RunLock,
    fabric: Fabric,
    listeners: list[Listener] | None,
) -> tuple[Configuration, dict[str, Cohort] | None]:
    """Lock the run folder, of a new run once its input was checked: the first process does it, all get its answer.

    Nothing is written before the input is known to be good.
    """
    started, cohorts, refused = None, None, None
    if fabric.is_global_zero:
        try:
            if resumed:
                lock.acquire()
                drop_unfinished(folder)
                # a stop that was asked of the process before this one; not before the lock says that it is gone
                (folder / STOP_NAME).unlink(missing_ok=True)
                started = configuration
            else:
                refuse_used_folder(folder)
                cohorts = check_cohorts(configuration, EventLog(None, listeners))
                started = resolved(configuration, cohorts)
                if started.segmentation.style_transfer and started.synthesis.model is not None:
                    borrow_synthesis(started.synthesis.model, (started.source.modality, started.target.modality))
                start_run(folder, started, lock)
        except InputError as error:
            started, refused = None, error
    started = fabric.broadcast(started)
    if started is None:
        raise refused or InputError(folder, "was not started", "see what the first process says")
    return started, cohorts


def _is_whole(model: Path) -> bool:
    try:
        read_card(model)
    except InputError:
        return False
    return True


class _Run:
    """The steps of a run; each is skipped when an earlier start finished it."""

    def __init__(self, context: RunContext, cohorts: dict[str, Cohort] | None) -> None:
        self.context, self.configuration, self.cohorts = context, context.configuration, cohorts
        self.slices = context.folder / SLICES_NAME

    def train(self) -> Path:
        settings = self.configuration.segmentation
        stores = self._stores()
        source, target = stores["source"], stores["target"]
        synthesis = None
        if settings.style_transfer:
            synthesis = self._synthesis(source, target)
            source = self._translated(synthesis, source)
        validate = self._validation(stores)
        stage = run_stage(lambda: segmentation_stage(self.context, source, target, validate), self.context)
        self.context.fabric.barrier()
        if self.context.fabric.is_global_zero:
            networks = stage.selected()
            panel = segmentation_panel(networks, stores.get(VALIDATION, target), self.context.fabric)
            self._save_panel("segmentation_ours", panel)
            scores = {}
            if validate is not None:
                watched = len(set(stores[VALIDATION].cases))
                scores = {"validation_slice_dice": validate(networks), "validation_cases": watched}
            selection = {"model_selection": self.configuration.training.model_selection}
            if stage.best is not None:
                selection["selected_iteration"] = stage.best.iteration
            self._write_model(networks, synthesis, self._card(synthesis, source, target, scores, selection))
        self.context.fabric.barrier()
        return self.context.folder / MODEL_NAME

    def _stores(self) -> dict[str, SliceStore]:
        """Slices of source, target and, where labelled target cases are given to watch, validation."""
        configuration, fabric = self.configuration, self.context.fabric
        folders = {role: self.slices / role for role in roles(configuration)}
        if fabric.is_global_zero and not all(SliceStore.exists(folder) for folder in folders.values()):
            cohorts = self.cohorts or check_cohorts(configuration, self.context.events)
            for role, folder in folders.items():
                started = time.monotonic()
                self.context.events.emit("stage_started", "prepare", of=len(cohorts[role].cases))
                build_store(
                    folder,
                    cohorts[role],
                    getattr(configuration, role),
                    configuration.plane,
                    configuration.labels,
                    case_progress(self.context.events),
                )
                self.context.events.emit("stage_finished", "prepare", seconds=round(time.monotonic() - started, 1))
        fabric.barrier()
        return {role: SliceStore(folder) for role, folder in folders.items()}

    def _validation(self, stores: dict[str, SliceStore]) -> Validate | None:
        if VALIDATION not in stores:
            return None
        names = [label.name for label in self.configuration.labels]
        return slice_validation(stores[VALIDATION], names, self.context.fabric, 16)

    def _synthesis(self, source: SliceStore, target: SliceStore) -> TrainedSynthesis:
        configuration = self.configuration
        modalities = (configuration.source.modality, configuration.target.modality)
        fabric = self.context.fabric
        if configuration.synthesis.model is not None:
            synthesis = borrow_synthesis(configuration.synthesis.model, modalities)
            synthesis.network.to(fabric.device)
        else:
            stage = run_stage(lambda: translator_stage(self.context, source, target), self.context)
            synthesis = TrainedSynthesis(stage.average.network.eval(), modalities, (SOURCE, TARGET))
            lent = self.context.folder / SYNTHESIS_NAME
            if fabric.is_global_zero and not _is_whole(lent):
                save_bundle(lent, self._card(synthesis, source, target), {"synthesis": synthesis.network})
        if fabric.is_global_zero:
            panel = translation_panel(synthesis.network, synthesis.labels, source, target, fabric)
            self._save_panel(f"translation_{'_to_'.join(modalities)}", panel)
        return synthesis

    def _save_panel(self, name: str, panel: dict[str, np.ndarray]) -> None:
        """Pictures for the report."""
        with whole_file(self.context.folder / "panels" / f"{name}.npz") as stream:
            np.savez_compressed(stream, **panel)

    def _translated(self, synthesis: TrainedSynthesis, source: SliceStore) -> SliceStore:
        """Labelled source slices in the style of the target."""
        folder = self.slices / "translated"
        if self.context.fabric.is_global_zero and not SliceStore.exists(folder):
            events, started, done = self.context.events, time.monotonic(), 0
            events.emit("stage_started", "translation", of=len(source))

            def parts():
                nonlocal done
                for case, part in source.by_case():
                    with self.context.fabric.autocast():
                        images = synthesis.translate(source.images[part], self.context.fabric.device)
                    yield CaseSlices(case, images, source.labels[part], source.positions[part])
                    done += len(images)
                    rate = done / max(time.monotonic() - started, 1e-9)
                    events.emit(
                        "progress",
                        "translation",
                        iteration=done,
                        of=len(source),
                        rate=round(rate, 3),
                        seconds_left=round((len(source) - done) / rate, 1),
                        values={},
                    )

            SliceStore.build(folder, parts(), self.configuration.plane.size, labelled=True)
            self._watch_structures(source, SliceStore(folder))
            events.emit("stage_finished", "translation", seconds=round(time.monotonic() - started, 1))
        self.context.fabric.barrier()
        return SliceStore(folder)

    def _watch_structures(self, source: SliceStore, translated: SliceStore) -> None:
        """Say how far structures lie apart in slices and their translations, which share their labels."""
        chosen = np.unique(np.linspace(0, len(source) - 1, COMPARED_SLICES).round().astype(int))
        found = displacement(source.images[chosen], translated.images[chosen], self.configuration.plane.spacing)
        self.context.events.emit("displacement", "translation", **asdict(found))
        if found.suspicious:
            self.context.events.emit(
                "warning",
                "translation",
                message=f"in {100 * found.moved_share:.0f} % of the places that show an edge the translation has moved "
                "it, so labels do not fit any longer: look at the translated slices; raise synthesis.weights.cycle, "
                "with CycleGAN synthesis.weights.identity, or train stage one for longer",
            )

    def _write_model(self, networks: SegmentationNetworks, synthesis: TrainedSynthesis | None, card: ModelCard) -> None:
        parts = {"segmenter": networks.segmenter}
        for name in ("feature_discriminator", "output_discriminator"):
            if getattr(networks, name) is not None:
                parts[name] = getattr(networks, name)
        if synthesis is not None:
            parts["synthesis"] = synthesis.network
        save_bundle(self.context.folder / MODEL_NAME, card, parts)

    def _card(
        self,
        synthesis: TrainedSynthesis | None,
        source: SliceStore,
        target: SliceStore,
        scores: dict[str, Any] | None = None,
        selection: dict[str, Any] | None = None,
    ) -> ModelCard:
        configuration = self.configuration
        domains = {
            role: DomainCard(modality=domain.modality, intensity=domain.intensity, eight_bit=domain.eight_bit)
            for role, domain in (("source", configuration.source), ("target", configuration.target))
        }
        provenance = {
            "version": __version__,
            "torch": torch.__version__.split("+")[0],
            "preset": configuration.preset,
            "seed": configuration.training.seed,
            **(selection or {}),
            **self.context.adjustments().card(),
            "source_cases": len(set(source.cases)),
            "source_slices": len(source),
            "target_cases": len(set(target.cases)),
            "target_slices": len(target),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        modalities = synthesis.card_domains if synthesis is not None else None
        return make_card(configuration, domains["source"], domains["target"], modalities, provenance, scores)
