"""Training on volumes of the scene and on files: cases, their look-over, the run and its curves."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..background.diskspace import describe
from ..background.steps import Steps
from ..scene.labelchoice import SceneLabels
from ..scene.volumefiles import VolumeFileError
from .diskcheck import DiskCheck
from .estimate import Estimate
from .runwatcher import CONFIGURATION_NAME
from .scenecases import lookSteps
from .structures import StructureMapping, StructureRow
from .trainingcases import LABELLED, CaseTable, DiskFolder, TrainingCase
from .trainingcurves import TrainingCurves
from .trainingfiles import writeCases
from .trainingrun import AUTOMATIC, TrainingRun
from .trainingsettings import TrainingOptions, configuration, writeConfiguration

CURVES_SECONDS = 1.0
"""The curves are drawn anew at most this often."""

STARTED = "GlobalLocalAlignmentTraining.Started"
"""Property of the application: folder of the run that was started last; it is there after a reload of the module."""


class SceneTrainer:
    """Holds the cases and one run; everything long is done in the background.

    Attributes:
        cases: all cases.
        mapping: of their structures.
        run: that is shown, None while there is none.
        onCasesChanged: called when cases, their states or structures have changed.
        onRunChanged: called when there is something new of the run.
        onText: called with lines for the log.
    """

    def __init__(self) -> None:
        self.cases, self.mapping, self.curves = CaseTable(), StructureMapping(), TrainingCurves()
        self.run: TrainingRun | None = None
        self.onCasesChanged: Callable[[], None] = lambda: None
        self.onRunChanged: Callable[[], None] = lambda: None
        self.onText: Callable[[str], None] = lambda line: None
        self._looking: Steps | None = None
        self._writing: Steps | None = None
        self._checks: list[DiskCheck] = []
        self._estimate: Estimate | None = None
        self._drawnAt = 0.0

    # cases

    def addVolumes(self, nodes: Iterable[Any], role: str) -> list[str]:
        """Add volumes of the scene and look at them; returns the names of those that were in the table already."""
        known, labels = [], SceneLabels()
        for node in nodes:
            own = labels.likeliestId(node) if role in LABELLED else ""
            case = TrainingCase(role, node.GetName(), node.GetID(), own)
            if not self.cases.add(case):
                known.append(node.GetName())
        self._casesChanged()
        self._lookOn()
        return known

    def takeOver(self, cases: Iterable[TrainingCase], rows: Iterable[StructureRow]) -> None:
        """Add the cases and structures that came with a scene, and look at the cases; those that are known stay."""
        fresh = [case for case in cases if self.cases.add(case)]
        if self.mapping.add(rows) or fresh:
            self._casesChanged()
            self._lookOn()

    def addFolder(self, folder: DiskFolder, preset: str, onFinished: Callable[[str], None]) -> None:
        """Find the cases of a folder in the background and look at them.

        Args:
            folder: with its role.
            preset: whose intensity rules the images must be visible under.
            onFinished: called with what came of it, in words.

        Raises:
            OSError: the process cannot be started.
        """
        found: list[TrainingCase] = []

        def finish(problem: str) -> None:
            self._checks.remove(check)
            if found:
                self.cases.addFolder(folder, found)
                self._casesChanged()
            text = _("{count} cases in {folder}.").format(count=len(found), folder=folder.images)
            onFinished(_("{folder}: {problem}").format(folder=folder.images, problem=problem) if problem else text)

        check = DiskCheck(folder, preset, found.append, finish)
        check.start()
        self._checks.append(check)

    def removeCases(self, cases: Iterable[TrainingCase]) -> None:
        """Take cases out of the table."""
        self.cases.remove(cases)
        self._casesChanged()

    def look(self, case: TrainingCase) -> None:
        """Look at a case of the scene, again if need be."""
        case.checked = False
        self._casesChanged()
        self._lookOn()

    def lookAtAll(self) -> None:
        """Look at all cases of the scene again, and for labels where a case has none."""
        labels = SceneLabels()
        for case in self.cases.cases:
            if case.folder is None:
                case.checked = False
                node = _node(case.volumeId)
                if case.role in LABELLED and not case.labelsId and node is not None:
                    case.labelsId = labels.likeliestId(node)
        self._casesChanged()
        self._lookOn()

    def finishLooking(self) -> None:
        """Wait until all cases of the scene have been looked at."""
        while self._looking is not None and self._looking.running:
            self._looking.step()

    def forgetRemoved(self) -> None:
        """Take out the cases whose volume has left the scene, and look again where only the labels did."""
        gone = [case for case in self.cases.cases if case.volumeId and _node(case.volumeId) is None]
        unlabelled = [case for case in self.cases.cases if case.labelsId and _node(case.labelsId) is None]
        self.cases.remove(gone)
        for case in unlabelled:
            case.labelsId, case.checked = "", False
        if gone or unlabelled:
            self._casesChanged()
            self._lookOn()

    def forgetScene(self) -> None:
        """The scene goes away: so do its cases. A training that has its files already goes on."""
        if self.writing:
            self._stopWriting(_("The scene was closed before the training began."))
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self.cases.remove([case for case in self.cases.cases if case.folder is None])
        self._casesChanged()

    def _lookOn(self) -> None:
        if self._looking is None or not self._looking.running:
            self._looking = Steps(lookSteps(self.cases, self._casesChanged))

    def _casesChanged(self) -> None:
        looked = all(case.checked for case in self.cases.cases)
        self.mapping.update((case.found for case in self.cases.labelled()), complete=looked)
        self.cases.compareWith(self.mapping.structures())
        self.onCasesChanged()

    # training

    @property
    def writing(self) -> bool:
        """Whether the cases of a training are being written, which ends with Slicer."""
        return self._writing is not None and self._writing.running

    @property
    def busy(self) -> bool:
        """Whether cases are being written, or the run that is shown is being trained."""
        return self.writing or (self.run is not None and self.run.active)

    @property
    def trainsHere(self) -> bool:
        """Whether a training was started by this Slicer, its cases being written perhaps, and has not ended."""
        return self.writing or (
            self.run is not None
            and (self.run.ours or (self.run.active and slicer.app.property(STARTED) == str(self.run.folder)))
        )

    def whyNot(self, options: TrainingOptions) -> str:
        """What is missing before a training can start, empty where nothing is."""
        reason = self.cases.whyNot()
        structures = self.mapping.structures()
        if not reason and not structures:
            reason = _("Choose at least one structure to learn.")
        unseen = self.cases.neverSeen(structures)
        if not reason and unseen:
            reason = _("No source case has {name}: do not learn it, or add a case.").format(name=unseen[0])
        if not reason and not options.run.name:
            reason = _("Give the run a name.")
        if not reason and options.run.exists() and (not options.run.is_dir() or any(options.run.iterdir())):
            reason = _("{folder} is there already: give the run another name, or open it to resume.").format(
                folder=options.run.name
            )
        return reason

    def start(self, options: TrainingOptions) -> None:
        """Write the cases of the scene and train on all cases.

        Raises:
            RuntimeError: something is missing, or a training runs already.
        """
        reason = _("A training is running already.") if self.busy else self.whyNot(options)
        if reason:
            raise RuntimeError(reason)
        self._show(options.run)
        try:
            inputs = self.run.prepareInputs()
        except OSError as error:
            self.run.fail(describe(error, Path(tempfile.gettempdir())))
        else:
            self._writing = Steps(self._startSteps(options, inputs))
        self.onRunChanged()

    def _startSteps(self, options: TrainingOptions, inputs: Path) -> Generator[None, None, None]:
        run = self.run
        try:
            scene = [case for case in self.cases.cases if case.folder is None]
            fileMapping, written = self.mapping.fileMapping()
            yield from writeCases(scene, self.mapping.values(), written, inputs)
            writeConfiguration(configuration(options, self.cases, self.mapping, inputs), inputs / CONFIGURATION_NAME)
            run.begin(["--config", str(inputs / CONFIGURATION_NAME), *options.words()])
            slicer.app.setProperty(STARTED, str(run.folder))
        except VolumeFileError as error:
            run.fail(str(error))
        except OSError as error:
            run.fail(describe(error, inputs.parent))
        except Exception:
            run.fail(_("The cases could not be written; the log of Slicer has the details."))
            raise
        self._writing = None
        self.onRunChanged()

    def resume(self, device: str = AUTOMATIC) -> None:
        """Go on with the run that is shown.

        Args:
            device: another one than that of the run.

        Raises:
            RuntimeError: it is being trained.
        """
        if self.busy:
            raise RuntimeError(_("The run is being trained."))
        self._drawnAt = 0.0
        try:
            self.run.resume(device)
            slicer.app.setProperty(STARTED, str(self.run.folder))
        except OSError as error:
            self.run.fail(describe(error, Path(tempfile.gettempdir())))
        self.onRunChanged()

    def open(self, folder: Path) -> None:
        """Show a run of another time or place, and watch it if it is being trained.

        Raises:
            RuntimeError: there is no run in the folder.
        """
        if not (folder / CONFIGURATION_NAME).is_file():
            raise RuntimeError(_("{folder} holds no run; choose the folder of one.").format(folder=folder))
        self._show(folder)
        self.run.watch()
        self.onRunChanged()

    def stop(self) -> None:
        """Stop the training that is shown cleanly; while cases are still written nothing is left of it."""
        if self.writing:
            self._stopWriting(_("Stopped before the training began."))
        else:
            self.run.stop()
            self.onRunChanged()

    def stopAtTheEnd(self) -> None:
        """Stop cleanly while Slicer quits; asked for a second time a run would end at once."""
        if self.run.status != "stopping":
            self.stop()

    def _stopWriting(self, reason: str) -> None:
        self._writing.cancel()
        self._writing = None
        self.run.fail(reason)

    def closeRun(self) -> None:
        """Show no run any longer; a training goes on."""
        self._dropRun()
        self.onRunChanged()

    def close(self) -> None:
        """Slicer quits or the module is reloaded: a training goes on, everything else ends."""
        self.onCasesChanged = self.onRunChanged = lambda: None
        self.stopEstimate()
        for check in self._checks:
            check.abandon()
        for steps in (self._looking, self._writing):
            if steps is not None:
                steps.cancel()
        self._dropRun()

    def _show(self, folder: Path) -> None:
        self._dropRun()
        self.curves.clear()
        self._drawnAt = 0.0
        self.run = TrainingRun(folder, self._runChanged, lambda line: self.onText(line))

    def _dropRun(self) -> None:
        run, self.run = self.run, None
        if run is not None:
            run.leave()

    def _runChanged(self) -> None:
        # what a run that is over has said last is drawn at once
        if time.monotonic() - self._drawnAt > CURVES_SECONDS or not self.run.active:
            self.curves.update(self.run.state)
            self._drawnAt = time.monotonic()
        self.onRunChanged()

    # estimate

    @property
    def estimating(self) -> bool:
        """Whether an estimate is being made."""
        return self._estimate is not None and self._estimate.running

    def estimate(self, options: TrainingOptions, onFinished: Callable[[str], None]) -> None:
        """Measure in the background how long a training takes on this computer.

        Raises:
            OSError: the process cannot be started.
        """
        self._estimate = Estimate(options, onFinished)
        self._estimate.start()

    def stopEstimate(self) -> None:
        """End the estimate."""
        if self._estimate is not None:
            self._estimate.stop()


def _node(identifier: str) -> Any | None:
    return slicer.mrmlScene.GetNodeByID(identifier)
