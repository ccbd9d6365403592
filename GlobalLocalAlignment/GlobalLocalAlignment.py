"""Module GlobalLocalAlignment: segment volumes with a trained model, look at the local feature mask and the result."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Annotated

import ctk
import slicer
import vtk
from GlobalLocalAlignmentSlicerLib.background.dependencies import Dependencies
from GlobalLocalAlignmentSlicerLib.background.devicefinder import DeviceFinder, Devices
from GlobalLocalAlignmentSlicerLib.background.devicetext import describeDevice
from GlobalLocalAlignmentSlicerLib.batch.batchresults import ShownCase
from GlobalLocalAlignmentSlicerLib.batch.batchsection import BatchSection
from GlobalLocalAlignmentSlicerLib.comparing.comparesection import CompareSection
from GlobalLocalAlignmentSlicerLib.comparing.scenecomparer import SceneComparer
from GlobalLocalAlignmentSlicerLib.comparing.segmentstatistics import registerComparison
from GlobalLocalAlignmentSlicerLib.models.cardtext import describeCard, duration
from GlobalLocalAlignmentSlicerLib.models.filedrops import FileDrops, localPath
from GlobalLocalAlignmentSlicerLib.models.modelcard import ModelCard, ModelCardError, readModelCard
from GlobalLocalAlignmentSlicerLib.samples.samplephantoms import registerPhantoms
from GlobalLocalAlignmentSlicerLib.scene import results, sliceviews
from GlobalLocalAlignmentSlicerLib.scene.images import isImage
from GlobalLocalAlignmentSlicerLib.segmenting.resultssection import ResultsSection
from GlobalLocalAlignmentSlicerLib.segmenting.scenesegmenter import SceneSegmenter
from GlobalLocalAlignmentSlicerLib.segmenting.segmentationjob import AS_THE_MODEL_SAYS, SHIFTS, SegmentationOptions
from GlobalLocalAlignmentSlicerLib.segmenting.suitability import concerns
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

MODEL_SUFFIX = ".safetensors"
MODEL_SETTING = "GlobalLocalAlignment/Models"
DEVICE_SETTING = "GlobalLocalAlignment/Device"
SURFACES_SETTING = "GlobalLocalAlignment/Surfaces"
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "32", "bf16")
PROGRESS_STEPS = 1000
PREDICTION_BYTES = 2 << 30
"""Memory of a GPU below which a segmentation is doubted; what it really takes depends on the model."""


class GlobalLocalAlignment(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Global-Local Alignment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["GlobalLocalAlignment contributors"]
        self.parent.helpText = _(
            "Segments volumes of one modality with a model that learnt from labels of another one. Choose volumes and"
            " a model of the training module, then Apply. The local feature mask shows where the volume is far from"
            " what the model knows of its source modality. Research software, not a medical device."
        )
        self.parent.acknowledgementText = _(
            "Implements Z. Su et al., Mind The Gap: Alleviating Local Imbalance for Unsupervised Cross-Modality"
            " Medical Image Segmentation, IEEE Journal of Biomedical and Health Informatics, 2023."
        )
        # Segment Statistics and Sample Data may be loaded after this module
        slicer.app.connect("startupCompleted()", registerComparison)
        slicer.app.connect("startupCompleted()", registerPhantoms)


@parameterNodeWrapper
class GlobalLocalAlignmentParameterNode:
    """What is saved with the scene; paths of the computer and the device are not."""

    segmentation: slicer.vtkMRMLSegmentationNode
    featureMask: bool = True
    synthesized: bool = False
    probabilities: bool = False
    surfaces: bool = True
    precision: Annotated[str, Choice(list(PRECISIONS))] = "auto"
    batchSize: Annotated[int, WithinRange(1, 256)] = 16
    largestComponent: bool = False
    shifts: Annotated[str, Choice(list(SHIFTS))] = AS_THE_MODEL_SAYS
    shownVolume: slicer.vtkMRMLScalarVolumeNode
    maskShown: bool = True
    maskOpacity: Annotated[float, WithinRange(0, 1)] = 0.5


class GlobalLocalAlignmentWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._importInto = False
        self._parameterNodeGuiTag = None
        self._card: ModelCard | None = None
        self._cardProblem = ""
        self._drops: list = []
        self._deviceFinder = DeviceFinder()
        self._devices: Devices | None = None
        self._results: ResultsSection | None = None
        self._batch: BatchSection | None = None
        self.compareSection: CompareSection | None = None

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/GlobalLocalAlignment.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = GlobalLocalAlignmentLogic()
        self.compareSection = CompareSection(
            self.resourcePath("UI/GlobalLocalAlignmentCompare.ui"), self.logic.comparer, self.onComparedVolume
        )
        panel = uiWidget.layout()
        panel.insertWidget(panel.indexOf(self.ui.logButton), self.compareSection.widget)
        self.ui.deviceComboBox.addItems(list(DEVICES))
        self.ui.precisionComboBox.addItems(list(PRECISIONS))
        self.ui.shiftsComboBox.addItems(list(SHIFTS))
        self.ui.modelPathEdit.filters = ctk.ctkPathLineEdit.Files
        self.ui.modelPathEdit.nameFilters = ["Model (*.safetensors)"]
        self.ui.modelPathEdit.settingKey = MODEL_SETTING
        self.ui.deviceComboBox.currentText = slicer.app.settings().value(DEVICE_SETTING, "auto")

        self.addBatch(uiWidget)
        self._results = ResultsSection(
            self.ui,
            lambda: self._card.orientation if self._card is not None else "",
            lambda text: setattr(self.ui.statusLabel, "text", text),
        )

        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.ui.modelPathEdit.connect("currentPathChanged(QString)", self.onModelChanged)
        # the path edit is silent about a path that its filter does not take, but says that it has become one
        self.ui.modelPathEdit.connect("validInputChanged(bool)", self.onModelChanged)
        self.takeDrops(uiWidget)
        self.ui.deviceComboBox.connect("currentTextChanged(QString)", self.onDeviceChanged)
        self.ui.surfacesCheckBox.connect("clicked(bool)", self.onSurfacesClicked)
        self.ui.volumesSelector.connect("checkedNodesChanged()", self.updateApply)
        for event, method in (
            (slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose),
            (slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose),
            (slicer.mrmlScene.StartImportEvent, self.onSceneStartImport),
            (slicer.mrmlScene.EndImportEvent, self.onSceneEndImport),
        ):
            self.addObserver(slicer.mrmlScene, event, method)
        self.initializeParameterNode()
        self.onModelChanged()
        self._deviceFinder.find(self.onDevicesFound)

    def addBatch(self, uiWidget) -> None:
        """The part for many volumes on disk, above the log."""
        widget = slicer.util.loadUI(self.resourcePath("UI/Batch.ui"))
        uiWidget.layout().insertWidget(uiWidget.layout().indexOf(self.ui.logButton), widget)
        self._batch = BatchSection(
            slicer.util.childWidgetVariables(widget),
            lambda: self._cardProblem,
            self.options,
            self.logic.dependencies,
            self.ui.logText.appendPlainText,
            self.onBatchCase,
        )

    def takeDrops(self, uiWidget) -> None:
        """A model can be dropped anywhere on the panel; other files there are for Slicer, but not on the path."""
        uiWidget.acceptDrops = True
        self._drops = [
            (uiWidget, FileDrops(self.onModelDropped, lambda paths: any(map(isModel, paths)))),
            (self.ui.modelPathEdit.comboBox().lineEdit(), FileDrops(self.onModelDropped, bool)),
        ]
        for widget, drops in self._drops:
            widget.installEventFilter(drops)

    def cleanup(self) -> None:
        for widget, drops in self._drops:
            widget.removeEventFilter(drops)
        self._drops = []
        self._deviceFinder.close()
        if self._results is not None:
            self._results.stop()
        if self._batch is not None:
            self._batch.close()
        if self.logic is not None:
            self.logic.close()
        self.setParameterNode(None)
        if self.compareSection is not None:
            self.compareSection.cleanup()
        self.removeObservers()

    def enter(self) -> None:
        # Segment Statistics may have been loaded or reloaded since Slicer started
        registerComparison()
        self.initializeParameterNode()
        self._deviceFinder.find(self.onDevicesFound)

    def exit(self) -> None:
        # a segmentation runs on while another module is looked at
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        self._results.stop()
        self._batch.stopLoading()
        self.logic.close()
        self.logic.sceneIsNew = True
        self.setParameterNode(None)
        self.compareSection.close()

    def onSceneEndClose(self, caller, event) -> None:
        self.showIdle(_("The scene was closed."))
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller, event) -> None:
        # a scene of an earlier version lacks parameters, which the panel is not to read before they have their defaults
        self._importInto = self._parameterNode is not None
        self.logic.sceneIsNew = False
        self.setParameterNode(None)

    def onSceneEndImport(self, caller, event) -> None:
        # what the parameters name is known only now; the views are those of the scene that was read
        if self._importInto:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode: GlobalLocalAlignmentParameterNode | None) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
        if self._results is not None:
            self._results.setParameterNode(parameterNode)
        if parameterNode is not None:
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
            self.onParametersChanged()
        if self.compareSection is not None:
            self.compareSection.setParameterNode(parameterNode.parameterNode if parameterNode is not None else None)

    def onParametersChanged(self, caller=None, event=None) -> None:
        self.updateApply()
        self._results.update()
        if self._results.updateViews():
            self.compareSection.hideErrors(self._parameterNode.shownVolume, anew=False)

    def onDeviceChanged(self, device: str) -> None:
        slicer.app.settings().setValue(DEVICE_SETTING, device)
        self._deviceFinder.find(self.onDevicesFound)

    def onSurfacesClicked(self, wanted: bool) -> None:
        slicer.app.settings().setValue(SURFACES_SETTING, wanted)
        if not wanted:
            self.logic.surfaces.stop()

    def onDevicesFound(self, devices: Devices) -> None:
        self._devices = devices
        self.ui.deviceHintLabel.text = describeDevice(self.ui.deviceComboBox.currentText, devices, PREDICTION_BYTES)
        self.ui.deviceHintLabel.visible = bool(self.ui.deviceHintLabel.text)

    def onModelDropped(self, paths: list[str]) -> None:
        if len(paths) == 1 and isModel(paths[0]):
            self.ui.modelPathEdit.currentPath = paths[0]
        else:
            names = ", ".join(Path(path).name for path in paths)
            self.ui.statusLabel.text = _("{names}: drop one model, a file *.safetensors, here.").format(names=names)

    def onModelChanged(self) -> None:
        chosen = self.ui.modelPathEdit.currentPath
        if localPath(chosen) != chosen:
            # comes back here with the path
            self.ui.modelPathEdit.currentPath = localPath(chosen)
            return
        self._card, self._cardProblem = None, _("Choose a model.")
        if chosen:
            try:
                self._card, self._cardProblem = readModelCard(Path(chosen)), ""
            except ModelCardError as error:
                self._cardProblem = str(error)
        self.ui.cardLabel.text = describeCard(self._card) if self._card else html.escape(self._cardProblem)
        self.updateApply()
        self._batch.update()

    def volumes(self) -> list:
        """Checked volumes that are images, which results of this module are not."""
        return [node for node in self.ui.volumesSelector.checkedNodes() if isImage(node)]

    def leftOut(self) -> list[str]:
        """Names of checked volumes that are not segmented."""
        return [node.GetName() for node in self.ui.volumesSelector.checkedNodes() if not isImage(node)]

    def updateApply(self) -> None:
        """Say whether Apply can be pressed, and why not."""
        if self.logic.running:
            return
        reason = self.whyNot()
        self.ui.applyButton.enabled = not reason
        self.ui.applyButton.toolTip = reason or _("Segment the checked volumes in the background.")
        card = self._card
        self.ui.featureMaskCheckBox.enabled = card is None or card.hasFeatureMask
        self.ui.synthesizedCheckBox.enabled = card is None or card.hasSynthesis
        doubts = [text for node in self.volumes() for text in concerns(node, card)] if card else []
        leftOut = self.leftOut()
        if leftOut:
            doubts.append(_("Left out, because results are not segmented: {names}.").format(names=", ".join(leftOut)))
        self.ui.concernsLabel.text = "\n".join(doubts)
        self.ui.concernsLabel.visible = bool(doubts)

    def whyNot(self) -> str:
        """What is missing before a segmentation can start, empty where nothing is."""
        if self._card is None:
            return self._cardProblem
        volumes = self.volumes()
        if not volumes:
            return _("Check at least one volume.")
        if self._parameterNode is not None and self._parameterNode.segmentation is not None and len(volumes) > 1:
            return _("One segmentation holds one volume: choose 'One for each volume', or check a single volume.")
        if self._parameterNode is not None and self._parameterNode.segmentation is not None:
            return results.whyNotInto(self._parameterNode.segmentation, volumes[0])
        return ""

    def options(self) -> SegmentationOptions:
        """What the panel says."""
        parameters = self._parameterNode
        return SegmentationOptions(
            self._card.path,
            parameters.featureMask and self._card.hasFeatureMask,
            parameters.synthesized and self._card.hasSynthesis,
            parameters.probabilities,
            parameters.largestComponent,
            parameters.batchSize,
            self.ui.deviceComboBox.currentText,
            parameters.precision,
            parameters.surfaces,
            parameters.shifts,
        )

    def onApply(self) -> None:
        if self.logic.running:
            self.ui.statusLabel.text = _("Ending ...")
            self.logic.stop()
            return
        with slicer.util.tryWithErrorDisplay(_("The segmentation cannot start."), waitCursor=True):
            if not self.logic.dependencies.ensure():
                self.ui.statusLabel.text = _("Not started: what the core needs was not installed.")
                return
            volumes, options = self.volumes(), self.options()
            self.ui.logText.clear()
            self.logic.segment(
                volumes,
                self._card,
                options,
                self._parameterNode.segmentation,
                self.onProgress,
                self.ui.logText.appendPlainText,
                self.onFinished,
                self.onSurfaces,
            )
            self.ui.modelPathEdit.addCurrentPathToHistory()
            self.ui.applyButton.text = _("Cancel")
            self.ui.applyButton.toolTip = _("End the segmentation; volumes that are done are kept.")
            self.ui.progressBar.value = 0
            self.ui.progressBar.visible = True
            self.ui.statusLabel.text = _("Starting ...")

    def onProgress(self, share: float, secondsLeft: float | None) -> None:
        self.ui.progressBar.value = round(PROGRESS_STEPS * share)
        self.ui.statusLabel.text = (
            _("Segmenting ...") if secondsLeft is None else _("{time} left").format(time=duration(secondsLeft))
        )

    def onFinished(self, done: list, messages: list[str]) -> None:
        """``done`` are the volumes that have new results."""
        text = _("{count} segmented.").format(count=len(done)) if done else ""
        self.showIdle("\n".join(filter(None, [text, *messages])))
        if done:
            self.showResultsOf(done[0])

    def showResultsOf(self, volume) -> None:
        """Show a volume that has new results."""
        if self._parameterNode is None:
            # another module is open: its views are left alone
            self.logic.getParameterNode().shownVolume = volume
            return
        self._results.show(volume)
        self.compareSection.hideErrors(volume, anew=True)

    def onComparedVolume(self, volume) -> None:
        """The errors of a volume are looked at: it is to lie under them."""
        if not sliceviews.showsEverywhere(volume):
            self._results.show(volume)

    def onBatchCase(self, case: ShownCase) -> None:
        """A case of the batch came into the scene."""
        self.showResultsOf(case.volumeNode)
        if case.segmentations and (case.wasIn3D or self.logic.getParameterNode().surfaces):
            self.logic.surfaces.make(case.segmentations, self.ui.logText.appendPlainText, self._batch.onSurfaces)

    def onSurfaces(self, messages: list[str]) -> None:
        """The segmentations are there already; ``messages`` say what is missing in 3D."""
        if messages:
            self.ui.statusLabel.text = "\n".join([self.ui.statusLabel.text, *messages])

    def showIdle(self, text: str) -> None:
        """The panel as it is while nothing runs."""
        self.ui.applyButton.text = _("Apply")
        self.ui.progressBar.visible = False
        self.updateApply()
        self.ui.statusLabel.text = text


def isModel(path: str) -> bool:
    """Whether a file can be a model, by its name."""
    return path.lower().endswith(MODEL_SUFFIX)


class GlobalLocalAlignmentLogic(ScriptedLoadableModuleLogic, SceneSegmenter):
    """Segments volumes of the scene and shows what came out."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        SceneSegmenter.__init__(self)
        self.dependencies = Dependencies(_("Global-Local Alignment"))
        self.comparer = SceneComparer()
        self.sceneIsNew = False

    def getParameterNode(self):
        node = super().getParameterNode()
        # one that is there already goes back to its defaults when the scene is closed
        isNew, self.sceneIsNew = self.sceneIsNew or not node.GetParameter("surfaces"), False
        parameters = GlobalLocalAlignmentParameterNode(node)
        if isNew:
            settings = slicer.app.settings()
            parameters.surfaces = slicer.util.settingsValue(SURFACES_SETTING, True, slicer.util.toBool, settings)
        return parameters


class GlobalLocalAlignmentTest(ScriptedLoadableModuleTest):
    """Runs in Slicer and in the host: what needs neither torch nor a model."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_resultsReplaceTheirOwnAndLeaveTheUsers()
        self.setUp()
        self.test_applySaysWhyItIsDisabled()

    def test_resultsReplaceTheirOwnAndLeaveTheUsers(self) -> None:
        """Segmenting twice leaves one result; a node that the user made stays as it was."""
        import numpy as np
        from GlobalLocalAlignmentSlicerLib.models.modelcard import LabelCard

        volume = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16), name="CT")
        users = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "CT segmentation")
        card = ModelCard(Path("m"), (LabelCard(7, "liver", (221, 130, 101)),), "MR", "CT", "axial", 1.0, (32, 32), ())
        labels = np.zeros((4, 5, 6), np.uint8)
        labels[1, 2, 3] = 7
        first = results.showSegmentation(volume, labels, card)
        second = results.showSegmentation(volume, labels, card)
        self.assertEqual(first.GetID(), second.GetID())
        self.assertEqual(first.GetSegmentation().GetNumberOfSegments(), 1)
        self.assertEqual(users.GetSegmentation().GetNumberOfSegments(), 0)
        identifier = first.GetSegmentation().GetNthSegmentID(0)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(first, identifier, volume)
        self.assertEqual(np.argwhere(array).tolist(), [[1, 2, 3]])

    def test_applySaysWhyItIsDisabled(self) -> None:
        """Without a model Apply is off and its tooltip says what to do."""
        widget = slicer.modules.globallocalalignment.widgetRepresentation().self()
        widget.ui.modelPathEdit.currentPath = ""
        widget.onModelChanged()
        self.assertFalse(widget.ui.applyButton.enabled)
        self.assertIn("model", widget.ui.applyButton.toolTip)
