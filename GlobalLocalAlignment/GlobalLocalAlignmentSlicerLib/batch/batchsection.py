"""The part of the segmenting panel for many volumes on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _

from ..background.dependencies import Dependencies
from ..background.steps import Steps
from ..models.cardtext import duration
from ..scene.volumefiles import VolumeFileError
from ..segmenting.segmentationjob import SegmentationOptions
from .batchfolder import DONE, FAILED, PASSED_OVER, WAITING, BatchEntry, BatchFolderError, readEntries
from .batchresults import ShownCase, showCase
from .batchtable import BatchTable
from .diskbatch import DiskBatch

INPUT_SETTING, OUTPUT_SETTING = "GlobalLocalAlignment/BatchInputs", "GlobalLocalAlignment/BatchOutputs"
FORMAT_SETTING = "GlobalLocalAlignment/BatchFormat"
FORMATS = ("nii.gz", "nrrd", "seg.nrrd", "dicom-seg")
DICOM_SEGMENTATION = "dicom-seg"
PROGRESS_STEPS = 1000


class BatchSection:
    """Folder in, folder out: starts the core for them, shows its list, and brings one case into the scene.

    Args:
        ui: widgets of ``UI/Batch.ui`` by name.
        whyNoModel: why there is no model to segment with, empty where there is one.
        options: what the panel says of the model and the outputs.
        dependencies: what the core needs.
        onText: called with lines for the log.
        onShown: called with a case that came into the scene.
    """

    def __init__(
        self,
        ui: Any,
        whyNoModel: Callable[[], str],
        options: Callable[[], SegmentationOptions],
        dependencies: Dependencies,
        onText: Callable[[str], None],
        onShown: Callable[[ShownCase], None],
    ) -> None:
        self.ui, self.whyNoModel, self.options, self.dependencies = ui, whyNoModel, options, dependencies
        self.onText, self.onShown = onText, onShown
        self.batch = DiskBatch(self.showList, self.onEntry, self.onProgress, onText, self.onFinished)
        self.table = BatchTable(ui.batchTable)
        self._loading: Steps | None = None
        self._volumes: dict[Path, str] = {}
        ui.batchFormatComboBox.addItem(_("NIfTI labelmap (*.nii.gz)"), FORMATS[0])
        ui.batchFormatComboBox.addItem(_("NRRD labelmap (*.nrrd)"), FORMATS[1])
        ui.batchFormatComboBox.addItem(_("Slicer segmentation (*.seg.nrrd)"), FORMATS[2])
        ui.batchFormatComboBox.addItem(_("DICOM segmentation (*.dcm), names the patient"), FORMATS[3])
        kept = str(slicer.app.settings().value(FORMAT_SETTING, FORMATS[2]))
        ui.batchFormatComboBox.setCurrentIndex(FORMATS.index(kept) if kept in FORMATS else 0)
        for edit, setting in ((ui.batchInputEdit, INPUT_SETTING), (ui.batchOutputEdit, OUTPUT_SETTING)):
            edit.filters = ctk.ctkPathLineEdit.Dirs
            edit.settingKey = setting
        ui.batchInputEdit.connect("currentPathChanged(QString)", self.update)
        ui.batchOutputEdit.connect("currentPathChanged(QString)", self.showList)
        ui.batchTable.connect("itemSelectionChanged()", self.updateLoad)
        ui.batchAgainCheckBox.connect("toggled(bool)", self.update)
        ui.batchStartButton.connect("clicked(bool)", self.onStart)
        ui.batchLoadButton.connect("clicked(bool)", self.onLoad)
        self.showList()

    @property
    def inputs(self) -> Path | None:
        """The input folder."""
        return folderIn(self.ui.batchInputEdit)

    @property
    def output(self) -> Path | None:
        """The output folder."""
        return folderIn(self.ui.batchOutputEdit)

    def close(self) -> None:
        """End the batch, which can be taken up again, and everything that is on its way into the scene."""
        self.stopLoading()
        self.table.close()
        self.batch.abandon()

    def stopLoading(self) -> None:
        """Bring nothing more into the scene: it goes away."""
        if self._loading is not None:
            self._loading.cancel()
        self._volumes = {}

    def showList(self, path: str = "") -> None:
        """Show the list of the output folder."""
        entries, problem = [], ""
        if self.output is not None:
            try:
                entries = readEntries(self.output)
            except BatchFolderError as error:
                problem = str(error)
        self.table.show(entries)
        self.ui.batchTable.visible = bool(entries)
        if not self.batch.running:
            self.ui.batchStatusLabel.text = problem or describeEntries(entries)
        self.update()
        self.updateLoad()

    def update(self, value: Any = None) -> None:
        """Say whether the batch can be started, and why not."""
        button = self.ui.batchStartButton
        if self.batch.running:
            button.text = _("Stop") if self.batch.stopAsked else _("Cancel")
            button.enabled = True
            button.toolTip = _("Volumes that are done are kept; the batch can be resumed.")
            return
        begun = any(entry.state in (DONE, FAILED, WAITING) for entry in self.table.entries)
        button.text = _("Resume") if begun and not self.ui.batchAgainCheckBox.checked else _("Start")
        reason = self.whyNot()
        button.enabled = not reason
        button.toolTip = reason or _(
            "Segment all volumes and DICOM studies of the folder in the background. What is done and has not changed"
            " is left as it is."
        )

    def whyNot(self) -> str:
        """What is missing before a batch can start, empty where nothing is."""
        reason = self.whyNoModel()
        if reason:
            return reason
        if self.inputs is None or not self.inputs.is_dir():
            return _("Choose a folder with volumes.")
        if self.output is None:
            return _("Choose a folder for the results.")
        if self.output.exists() and not self.output.is_dir():
            return _("{path} is no folder.").format(path=self.output)
        if os.path.abspath(self.output) == os.path.abspath(self.inputs):
            return _("Choose another folder for the results than that of the volumes.")
        return ""

    def updateLoad(self) -> None:
        """Say whether a result can be loaded, and why not."""
        selected = self.table.selected()
        ready = len(selected) == 1 and selected[0].state == DONE
        self.ui.batchLoadButton.enabled = ready and (self._loading is None or not self._loading.running)
        self.ui.batchLoadButton.toolTip = (
            _("Bring the volume and what was made of it into the scene.")
            if ready
            else _("Select one volume of the list that is done.")
        )

    def onStart(self) -> None:
        if self.batch.running:
            self.ui.batchStatusLabel.text = _("Ending ...")
            self.batch.stop()
            self.update()
            return
        with slicer.util.tryWithErrorDisplay(_("The batch cannot start."), waitCursor=True):
            if not self.dependencies.ensure():
                self.ui.batchStatusLabel.text = _("Not started: what the core needs was not installed.")
                return
            kind = str(self.ui.batchFormatComboBox.currentData)
            if kind == DICOM_SEGMENTATION and not self.dependencies.ensureDicomSegmentations():
                self.ui.batchStatusLabel.text = _("Not started: DICOM segmentations need the package highdicom.")
                return
            output = self.output
            self.batch.start(self.words(kind), output)
            slicer.app.settings().setValue(FORMAT_SETTING, kind)
            for edit in (self.ui.batchInputEdit, self.ui.batchOutputEdit):
                edit.addCurrentPathToHistory()
            self.ui.batchProgressBar.value = 0
            self.ui.batchProgressBar.visible = True
            self.ui.batchStatusLabel.text = _("Looking for volumes ...")
            self.lock(True)
            self.update()

    def words(self, kind: str) -> list[str]:
        """Words of the core's command."""
        words = [*self.options().arguments(self.inputs, self.output), "--format", kind]
        switches = {"--all-series": self.ui.batchAllSeriesCheckBox, "--again": self.ui.batchAgainCheckBox}
        return words + [name for name, box in switches.items() if box.checked]

    def lock(self, running: bool) -> None:
        """Let nobody change the folders of a batch that runs."""
        for name in ("batchInputEdit", "batchOutputEdit", "batchFormatComboBox"):
            getattr(self.ui, name).enabled = not running
        for name in ("batchAllSeriesCheckBox", "batchAgainCheckBox"):
            getattr(self.ui, name).enabled = not running

    def onEntry(self, entry: BatchEntry) -> None:
        self.table.update(entry)

    def onProgress(self, share: float, secondsLeft: float | None) -> None:
        self.ui.batchProgressBar.value = round(PROGRESS_STEPS * share)
        if not self.batch.stopAsked and secondsLeft is not None:
            states = describeEntries(self.table.entries)
            self.ui.batchStatusLabel.text = _("{states} {time} left.").format(states=states, time=duration(secondsLeft))

    def onFinished(self, problem: str) -> None:
        self.lock(False)
        self.ui.batchProgressBar.visible = False
        self.ui.batchAgainCheckBox.checked = False
        self.showList()
        said = self.ui.batchStatusLabel.text
        stopped = _("Stopped.") if self.batch.stopAsked else ""
        self.ui.batchStatusLabel.text = " ".join(filter(None, [problem, stopped, said]))

    def onLoad(self) -> None:
        (entry,) = self.table.selected()
        self.ui.batchLoadButton.enabled = False
        self._loading = Steps(self._load(self.inputs, self.output, entry))

    def _load(self, inputs: Path | None, output: Path, entry: BatchEntry):
        text = ""
        try:
            with slicer.util.tryWithErrorDisplay(_("The result cannot be loaded.")):
                try:
                    if inputs is None:
                        raise VolumeFileError(_("Choose a folder with volumes."))
                    # results are named in the list alone
                    entry = next(one for one in readEntries(output) if one.file == entry.file)
                    place = inputs / entry.file
                    known = slicer.mrmlScene.GetNodeByID(self._volumes.get(place, ""))
                    case = yield from showCase(inputs, output, entry, known)
                    self._volumes[place] = case.volumeNode.GetID()
                    text = _("{name} is in the scene.").format(name=case.volumeNode.GetName())
                    self.onShown(case)
                except (VolumeFileError, BatchFolderError) as error:
                    text = str(error)
        finally:
            self._loading = None
        if not self.batch.running:
            self.ui.batchStatusLabel.text = text
        else:
            self.onText(text)
        self.updateLoad()

    def onSurfaces(self, messages: list[str]) -> None:
        """``messages`` say what is missing in 3D."""
        if messages and not self.batch.running:
            self.ui.batchStatusLabel.text = "\n".join([self.ui.batchStatusLabel.text, *messages])


def folderIn(edit: Any) -> Path | None:
    """The folder that a path edit names, None where it names none."""
    return Path(edit.currentPath) if edit.currentPath.strip() else None


def describeEntries(entries: list[BatchEntry]) -> str:
    """How many cases are in each state, in one line; empty where there is none."""
    texts = {
        DONE: _("{count} done"),
        FAILED: _("{count} failed"),
        WAITING: _("{count} waiting"),
        PASSED_OVER: _("{count} passed over"),
    }
    counts = {state: sum(entry.state == state for entry in entries) for state in texts}
    parts = [texts[state].format(count=count) for state, count in counts.items() if count]
    return _("{parts}.").format(parts=", ".join(parts)) if parts else ""
