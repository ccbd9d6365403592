"""Module GlobalLocalAlignmentTraining: train a segmenter for one modality from labels of another, and watch it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import qt
import slicer
from GlobalLocalAlignmentSlicerLib.background.closeguard import CloseGuard
from GlobalLocalAlignmentSlicerLib.background.dependencies import Dependencies
from GlobalLocalAlignmentSlicerLib.background.devicefinder import DeviceFinder, Devices
from GlobalLocalAlignmentSlicerLib.background.devicetext import describeDevice
from GlobalLocalAlignmentSlicerLib.training import casesinscene
from GlobalLocalAlignmentSlicerLib.training.casessection import CasesSection
from GlobalLocalAlignmentSlicerLib.training.runview import RunView
from GlobalLocalAlignmentSlicerLib.training.scenetrainer import SceneTrainer
from GlobalLocalAlignmentSlicerLib.training.structurestable import StructuresTable
from GlobalLocalAlignmentSlicerLib.training.trainingcases import SOURCE, TARGET
from GlobalLocalAlignmentSlicerLib.training.trainingsettings import TrainingOptions, changesOf, presets
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

SETTINGS = "GlobalLocalAlignmentTraining"
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "32", "bf16")
MODALITIES = ("automatic", "CT", "MR")
FIRST_PRESET = "abdomen"
TRAINING_BYTES = 4 << 30
"""Free memory of a GPU below which a warning comes before anything was measured; the estimate tells the figure."""


class GlobalLocalAlignmentTraining(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Global-Local Alignment Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["GlobalLocalAlignment"]
        self.parent.contributors = ["GlobalLocalAlignment contributors"]
        self.parent.helpText = _(
            "Trains a segmenter for volumes of one modality without a single label there. Add volumes with labels of"
            " another modality to the source and volumes without labels to the target, choose the structures and a"
            " preset, and start. The training runs in the background and goes on without Slicer if you like. Research"
            " software, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Implements Z. Su et al., Mind The Gap: Alleviating Local Imbalance for Unsupervised Cross-Modality"
            " Medical Image Segmentation, IEEE Journal of Biomedical and Health Informatics, 2023."
        )


@parameterNodeWrapper
class GlobalLocalAlignmentTrainingParameterNode:
    """What is saved with the scene, beside the table of cases; paths of the computer and the device are not."""

    preset: Annotated[str, Choice(list(presets()))] = FIRST_PRESET
    sourceModality: Annotated[str, Choice(list(MODALITIES))] = "automatic"
    targetModality: Annotated[str, Choice(list(MODALITIES))] = "automatic"
    precision: Annotated[str, Choice(list(PRECISIONS))] = "auto"
    seed: Annotated[int, WithinRange(0, 1000000)] = 0


class GlobalLocalAlignmentTrainingWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._closeGuard = None
        self._deviceFinder = DeviceFinder()
        self._takeOverTimer = None
        self._wasBusy = self._connecting = self._importInto = False
        self._preset = ""
        self._suggestion = ("", "")

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/GlobalLocalAlignmentTraining.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = GlobalLocalAlignmentTrainingLogic()
        self.logic.onCasesChanged, self.logic.onRunChanged = self.onCasesChanged, self.showRun
        self.logic.onText = self.ui.logText.appendPlainText
        self.casesSection = CasesSection(self.ui, self.logic, self.hasPackages)
        self.structuresTable = StructuresTable(self.ui.structuresTable, self.logic.mapping, self.onStructuresChanged)
        self.runView = RunView(self.ui)
        for comboBox, words in (
            (self.ui.presetComboBox, presets()),
            (self.ui.sourceModalityComboBox, MODALITIES),
            (self.ui.targetModalityComboBox, MODALITIES),
            (self.ui.precisionComboBox, PRECISIONS),
            (self.ui.deviceComboBox, DEVICES),
        ):
            comboBox.addItems(list(words))
        settings = slicer.app.settings()
        self.ui.deviceComboBox.currentText = settings.value(f"{SETTINGS}/Device", "auto")
        self.ui.runsButton.directory = settings.value(f"{SETTINGS}/Runs", str(Path.home()))
        self._connect()
        for event, method in (
            (slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose),
            (slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose),
            (slicer.mrmlScene.StartImportEvent, self.onSceneStartImport),
            (slicer.mrmlScene.EndImportEvent, self.onSceneEndImport),
            (slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved),
            (slicer.mrmlScene.EndBatchProcessEvent, self.onSceneBatchEnd),
        ):
            self.addObserver(slicer.mrmlScene, event, method)
        self._closeGuard = CloseGuard(
            lambda: self.logic.trainsHere, lambda: not self.logic.writing, self.logic.stopAtTheEnd
        )
        self._closeGuard.guard(slicer.util.mainWindow())
        self._takeOverTimer = qt.QTimer()
        self._takeOverTimer.setSingleShot(True)
        self._takeOverTimer.connect("timeout()", self.takeOverCases)
        self.initializeParameterNode()
        self.structuresTable.show()
        self.takeOverCases()
        self.showRun()
        self._openLastRun()
        self._deviceFinder.find(self.onDevicesFound)

    def _connect(self) -> None:
        ui = self.ui
        for button, method in (
            (ui.estimateButton, self.onEstimate),
            (ui.startButton, self.onStart),
            (ui.resumeButton, self.onResume),
            (ui.openButton, self.onOpen),
            (ui.showChartButton, self.onShowChart),
            (ui.reportButton, self.onReport),
            (ui.segmentButton, self.onSegment),
        ):
            # without arguments: what "clicked" says is none of theirs
            button.connect("clicked()", method)
        ui.upButton.connect("clicked()", lambda: self.structuresTable.move(-1))
        ui.downButton.connect("clicked()", lambda: self.structuresTable.move(1))
        ui.presetComboBox.connect("currentTextChanged(QString)", self.onPresetChanged)
        ui.deviceComboBox.connect("currentTextChanged(QString)", self.onDeviceChanged)
        ui.runsButton.connect("directoryChanged(QString)", self.onRunsChanged)
        ui.runNameEdit.connect("textChanged(QString)", lambda text: self.updateStart())
        ui.previewComboBox.connect("activated(int)", lambda index: self.showRun())

    def cleanup(self) -> None:
        self._deviceFinder.close()
        if self._closeGuard is not None:
            self._closeGuard.release()
        if self.logic is not None:
            self.logic.close()
        if self._takeOverTimer is not None:
            self._takeOverTimer.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.initializeParameterNode()
        self.casesSection.showFolders()
        self._deviceFinder.find(self.onDevicesFound)

    def exit(self) -> None:
        # a training runs on, and is watched on, while another module is looked at
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        self.logic.forgetScene()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        self.logic.curves.clear()
        self.showCases()
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller, event) -> None:
        # a scene of an earlier version lacks parameters, which the panel is not to read before they have their defaults
        self._importInto = self._parameterNode is not None
        self.setParameterNode(None)

    def onSceneEndImport(self, caller, event) -> None:
        if self._importInto:
            self.initializeParameterNode()

    def onNodeRemoved(self, caller, event) -> None:
        if not slicer.mrmlScene.IsClosing():
            self.logic.forgetRemoved()

    def onSceneBatchEnd(self, caller, event) -> None:
        # a scene was opened, imported or restored, perhaps. Its subject hierarchy, which tells the labels of a volume,
        # is in order only after the observers of this event.
        self._takeOverTimer.start(0)

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: GlobalLocalAlignmentTrainingParameterNode | None) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            # fills the list of presets anew, which is no choice of the user's
            self._connecting = True
            try:
                self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            finally:
                self._connecting = False
            self.onPresetChanged(parameterNode.preset)

    def onPresetChanged(self, preset: str) -> None:
        if self._connecting or preset == self._preset:
            return
        self._preset = preset
        self.ui.presetLabel.text = presets().get(preset, "")
        self.ui.estimateLabel.text = ""
        self.suggestName()

    def onDeviceChanged(self, device: str) -> None:
        slicer.app.settings().setValue(f"{SETTINGS}/Device", device)
        self.ui.estimateLabel.text = ""
        self._deviceFinder.find(self.onDevicesFound)

    def onDevicesFound(self, devices: Devices) -> None:
        """Say what the training will run on, and what speaks against it, before it is started."""
        self.ui.deviceHintLabel.text = describeDevice(self.ui.deviceComboBox.currentText, devices, TRAINING_BYTES)

    def onRunsChanged(self, directory: str) -> None:
        slicer.app.settings().setValue(f"{SETTINGS}/Runs", directory)
        self.suggestName()

    def suggestName(self) -> None:
        """Suggest a name for the next run, unless the user has given it one."""
        if self.ui.runNameEdit.text.strip() in ("", self._suggestion[1]):
            self._suggest(f"{time.strftime('%Y-%m-%d')}_{self.ui.presetComboBox.currentText}")
        self.updateStart()

    def suggestNextName(self) -> None:
        """Number the name where a run has it by now, so that the next one can start."""
        base, suggested = self._suggestion
        name = self.ui.runNameEdit.text.strip()
        if name and (Path(self.ui.runsButton.directory) / name).exists():
            self._suggest(base if name == suggested else name)

    def _suggest(self, base: str) -> None:
        """Fill in a name that no folder has yet."""
        name, number = base, 1
        while (Path(self.ui.runsButton.directory) / name).exists():
            number += 1
            name = f"{base}_{number}"
        self._suggestion = (base, name)
        self.ui.runNameEdit.text = name

    # cases

    def onCasesChanged(self) -> None:
        self.keepCases()
        self.showCases()

    def onStructuresChanged(self) -> None:
        self.keepCases()
        self.updateStart()

    def keepCases(self) -> None:
        """Keep the table with the scene, unless the scene is about to tell what is in it."""
        if not (slicer.mrmlScene.IsBatchProcessing() or self._takeOverTimer.active):
            self.logic.keepCases()

    def takeOverCases(self) -> None:
        """Add the table that came with a scene."""
        if slicer.mrmlScene.IsBatchProcessing():
            # its end will call again
            return
        try:
            self.logic.takeOverCases()
        except ValueError as error:
            self.ui.casesStatusLabel.text = str(error)
        else:
            # what was in the table before is not in what was imported
            self.keepCases()

    def showCases(self) -> None:
        """Show the cases and the structures that they have."""
        self.casesSection.show()
        self.structuresTable.show()
        self.updateStart()

    # training

    def options(self) -> TrainingOptions:
        """What the panel says."""
        ui = self.ui
        return TrainingOptions(
            ui.presetComboBox.currentText,
            Path(ui.runsButton.directory) / ui.runNameEdit.text.strip(),
            ui.deviceComboBox.currentText,
            ui.precisionComboBox.currentText,
            ui.seedSpinBox.value,
            (ui.sourceModalityComboBox.currentText, ui.targetModalityComboBox.currentText),
            changesOf(ui.settingsText.toPlainText()),
        )

    def updateStart(self) -> None:
        """Say whether a training can start, and why not."""
        if self.logic.busy:
            return
        reason = self.logic.whyNot(self.options())
        self.ui.startButton.enabled = not reason
        self.ui.startButton.toolTip = reason or _("Train in the background.")

    def hasPackages(self) -> bool:
        """Whether what the core needs is there by now; where the user declined it, that is said."""
        there = self.logic.dependencies.ensure()
        if not there:
            self.ui.statusLabel.text = _("Not started: what the core needs was not installed.")
        return there

    def onStart(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The training cannot start."), waitCursor=True):
            if self.logic.busy:
                self.logic.stop()
                return
            if self.hasPackages():
                self.ui.logText.clear()
                self.logic.start(self.options())
                self.rememberRun()

    def onResume(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The training cannot go on."), waitCursor=True):
            if self.hasPackages():
                self.logic.resume(self.ui.deviceComboBox.currentText)

    def onOpen(self) -> None:
        if self.watchesOther():
            self.logic.closeRun()
            slicer.app.settings().remove(f"{SETTINGS}/Run")
            return
        start = self.ui.runsButton.directory
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of a run"), start)
        if folder:
            try:
                self.logic.open(Path(folder))
                self.rememberRun()
            except RuntimeError as error:
                self.ui.statusLabel.text = str(error)

    def rememberRun(self) -> None:
        """A later Slicer opens this run by itself."""
        slicer.app.settings().setValue(f"{SETTINGS}/Run", str(self.logic.run.folder))

    def _openLastRun(self) -> None:
        last = slicer.app.settings().value(f"{SETTINGS}/Run", "")
        if last and (Path(last) / "config.json").is_file():
            self.logic.open(Path(last))

    def onEstimate(self) -> None:
        with slicer.util.tryWithErrorDisplay(_("The estimate cannot start."), waitCursor=True):
            if self.logic.estimating:
                self.logic.stopEstimate()
            elif self.hasPackages():
                self.ui.estimateButton.text = _("Cancel")
                self.ui.estimateLabel.text = _("Measuring ...")
                self.logic.estimate(self.options(), self.onEstimated)

    def onEstimated(self, text: str) -> None:
        self.ui.estimateButton.text = _("Estimate time and memory")
        self.ui.estimateLabel.text = text

    # run

    def watchesOther(self) -> bool:
        """Whether the run that is shown is being trained by a process that was not started here."""
        return self.logic.run is not None and self.logic.run.elsewhere

    def showRun(self) -> None:
        """Show what is known of the run."""
        run = self.logic.run
        self.runView.show(run, self.logic.busy)
        self.ui.resumeButton.enabled = run is not None and run.resumable and not self.logic.busy
        self.ui.openButton.text = _("Watch no longer") if self.watchesOther() else _("Open run ...")
        self.ui.openButton.enabled = not self.logic.busy or self.watchesOther()
        self.ui.segmentButton.enabled = run is not None and run.model is not None
        self.ui.reportButton.enabled = run is not None and (run.folder / "report.html").is_file()
        if self.logic.busy:
            self.ui.startButton.text = _("Stop")
            self.ui.startButton.enabled = True
            self.ui.startButton.toolTip = _("Stop after this iteration; the run can be resumed.")
        else:
            self.ui.startButton.text = _("Start")
            if self._wasBusy:
                self.suggestNextName()
            self.updateStart()
        self._wasBusy = self.logic.busy

    def onShowChart(self) -> None:
        if self.logic.run is not None:
            # a scene that was closed took the curves along
            self.logic.curves.update(self.logic.run.state)
        chart = self.logic.curves.chart(self.ui.chartComboBox.itemData(self.ui.chartComboBox.currentIndex))
        if chart is None:
            self.ui.statusLabel.text = _("There is nothing to draw yet.")
        else:
            slicer.modules.plots.logic().ShowChartInLayout(chart)

    def onReport(self) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.logic.run.folder / "report.html")))

    def onSegment(self) -> None:
        """Hand the model over to the segmenting module."""
        model = self.logic.run.model
        slicer.util.selectModule("GlobalLocalAlignment")
        slicer.util.getModuleWidget("GlobalLocalAlignment").ui.modelPathEdit.currentPath = str(model)


class GlobalLocalAlignmentTrainingLogic(ScriptedLoadableModuleLogic, SceneTrainer):
    """Keeps the cases, and trains on them."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        SceneTrainer.__init__(self)
        self.dependencies = Dependencies(_("Global-Local Alignment Training"))

    def getParameterNode(self):
        return GlobalLocalAlignmentTrainingParameterNode(super().getParameterNode())

    def keepCases(self) -> None:
        """Keep the cases of the scene and the mapping with the scene."""
        casesinscene.write(super().getParameterNode(), self.cases.cases, self.mapping.rows)

    def takeOverCases(self) -> None:
        """Add what was kept with the scene.

        Raises:
            ValueError: it cannot be read.
        """
        self.takeOver(*casesinscene.read(super().getParameterNode()))


class GlobalLocalAlignmentTrainingTest(ScriptedLoadableModuleTest):
    """Runs in Slicer and in the host: what needs neither torch nor a training."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_casesAreLookedAtAndNamed()

    def test_casesAreLookedAtAndNamed(self) -> None:
        """A volume without labels is refused as a source and welcome as a target."""
        import numpy as np

        logic = GlobalLocalAlignmentTrainingLogic()
        try:
            values = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
            nodes = [slicer.util.addVolumeFromArray(values, name=name) for name in ("MR", "CT")]
            logic.addVolumes([nodes[0]], SOURCE)
            logic.addVolumes([nodes[1]], TARGET)
            logic.finishLooking()
            source, target = logic.cases.cases
            self.assertIn("no segmentation", source.problem)
            self.assertEqual(target.problem, "")
        finally:
            logic.close()
