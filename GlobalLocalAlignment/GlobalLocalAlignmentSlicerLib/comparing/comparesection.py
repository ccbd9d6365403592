"""The section of the panel that compares results with ground truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, parameterNodeWrapper
from slicer.util import VTKObservationMixin

from ..scene.ownnodes import ERRORS, ownNodes
from ..scene.ownnodes import SCORES as SCORES_TABLE
from .comparedpairs import ListedPair, findPairs, keepPairs, keptPairs, whyNotPair
from .comparisonnodes import showScores
from .comparisonplots import SCORES, showPlot
from .comparisonrows import writeComparison
from .comparisontext import describeMask, describeNotes, describeWorst
from .errorviews import ErrorViews
from .pairstable import PairsTable
from .scenecomparer import ComparedCase, ComparedPair, Comparison, SceneComparer

PREFIX = "Compare."
PROGRESS_STEPS = 1000
MOST_WRONG, LOWEST_DICE = "most wrong voxels", "lowest Dice"


@parameterNodeWrapper
class CompareParameterNode:
    """What the section keeps in the scene, beside the list of pairs."""

    groundTruth: slicer.vtkMRMLSegmentationNode
    compared: slicer.vtkMRMLSegmentationNode
    plottedScore: Annotated[str, Choice(list(SCORES))] = "Dice"
    errorsShown: bool = True
    worstBy: Annotated[str, Choice([MOST_WRONG, LOWEST_DICE])] = MOST_WRONG


class CompareSection(VTKObservationMixin):
    """Compares segmentations, and shows what came out.

    Args:
        uiPath: of the .ui file.
        comparer: does the work.
        onVolume: called with the volume whose errors are looked at, to bring it into the views.
    """

    def __init__(self, uiPath: str, comparer: SceneComparer, onVolume: Callable[[Any], None]) -> None:
        VTKObservationMixin.__init__(self)
        self.widget = slicer.util.loadUI(uiPath)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.comparer, self.errorViews, self.onVolume = comparer, ErrorViews(), onVolume
        self.pairsTable = PairsTable(self.ui.pairsTable, self.onPairsChanged)
        self.comparison: Comparison | None = None
        self._parameters: CompareParameterNode | None = None
        self._guiTag: int | None = None
        self._shown = ("Dice", True)
        self._hiddenForVolume = False
        self._filling = False
        self.ui.plotComboBox.addItems(list(SCORES))
        self.ui.worstComboBox.addItems([MOST_WRONG, LOWEST_DICE])
        for button, slot in (
            (self.ui.findPairsButton, self.onFindPairs),
            (self.ui.addPairButton, self.onAddPair),
            (self.ui.clearPairsButton, self.onClearPairs),
            (self.ui.compareButton, self.onCompare),
            (self.ui.showTableButton, self.onShowTable),
            (self.ui.exportScoresButton, self.onExport),
            (self.ui.showPlotButton, self.onShowPlot),
            (self.ui.worstButton, self.onWorst),
        ):
            button.connect("clicked(bool)", slot)
        for comboBox in (self.ui.errorCaseComboBox, self.ui.errorStructureComboBox):
            comboBox.connect("currentIndexChanged(int)", self.onErrorsChosen)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.showResults()

    def setParameterNode(self, parameterNode: Any | None) -> None:
        """Show what a parameter node of the module says; None while the panel is left or a scene closed."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._guiTag)
            self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
        self._parameters = CompareParameterNode(parameterNode, PREFIX) if parameterNode is not None else None
        if self._parameters is not None:
            self._guiTag = self._parameters.connectGui(self.ui)
            # what the user did elsewhere stays as it is
            self._shown = self.shown()
            self.addObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self.onParametersChanged)
            self.pairsTable.show(keptPairs(parameterNode))
            self.showTable()
            self.onParametersChanged()

    def close(self) -> None:
        """End what is on its way and forget what came out: the scene or the panel goes away."""
        self.comparer.close()
        self.errorViews.close()
        self.comparison = None
        self.pairsTable.show([])
        self.showIdle("")
        self.showResults()

    def cleanup(self) -> None:
        """The panel goes away for good."""
        self.close()
        self.setParameterNode(None)
        self.removeObservers()

    def onParametersChanged(self, caller: Any = None, event: Any = None) -> None:
        if self._parameters is None:
            return
        self.updateCompare()
        before, self._shown = self._shown, self.shown()
        if self.comparison is not None and self._shown[0] != before[0]:
            showPlot(self.comparison.rows, SCORES[self._shown[0]])
        if self._shown[1] != before[1]:
            self._hiddenForVolume = self._hiddenForVolume and not self._shown[1]
            self.errorViews.setShown(self._shown[1])
            self.showVolume()

    def shown(self) -> tuple[str, bool]:
        """What the panel says of the scene: the score that is plotted, and whether errors are shown."""
        return self._parameters.plottedScore, self._parameters.errorsShown

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller: Any, event: Any, node: Any) -> None:
        if slicer.mrmlScene.IsClosing() or self._parameters is None:
            return
        if node.IsA("vtkMRMLTableNode"):
            self.showTable()
        if not node.IsA("vtkMRMLSegmentationNode"):
            return
        kept = [pair for pair in self.pairsTable.pairs if node.GetID() not in vars(pair.pair).values()]
        if len(kept) < len(self.pairsTable.pairs):
            self.setPairs(kept)
        self.updateCompare()

    def setPairs(self, pairs: list[ListedPair]) -> None:
        """Show a list of pairs and keep it."""
        self.pairsTable.show(pairs)
        self.onPairsChanged()

    def onPairsChanged(self) -> None:
        if self._parameters is not None:
            keepPairs(self._parameters.parameterNode, self.pairsTable.pairs)
        self.updateCompare()

    def onFindPairs(self) -> None:
        known = [listed.pair for listed in self.pairsTable.pairs]
        found = [listed for listed in findPairs() if listed.pair not in known]
        self.setPairs([*self.pairsTable.pairs, *found])
        text = _("{count} pairs found.") if found else _("No further pair found: add each by hand.")
        self.ui.compareStatusLabel.text = text.format(count=len(found))

    def onAddPair(self) -> None:
        pair = self.chosenPair()
        if pair is None:
            self.ui.compareStatusLabel.text = whyNotPair(self._parameters.compared, self._parameters.groundTruth)
        elif pair not in [listed.pair for listed in self.pairsTable.pairs]:
            self.setPairs([*self.pairsTable.pairs, ListedPair(pair, True, _("chosen"))])

    def onClearPairs(self) -> None:
        self.setPairs([])

    def chosenPair(self) -> ComparedPair | None:
        """What the two selectors say, None where that cannot be compared."""
        parameters = self._parameters
        if parameters is None or whyNotPair(parameters.compared, parameters.groundTruth):
            return None
        return ComparedPair(parameters.compared.GetID(), parameters.groundTruth.GetID())

    def pairs(self) -> list[ComparedPair]:
        """All that is compared."""
        chosen = self.chosenPair()
        listed = [one.pair for one in self.pairsTable.pairs if one.checked]
        return [*([chosen] if chosen is not None and chosen not in listed else []), *listed]

    def updateCompare(self) -> None:
        """Say whether Compare can be pressed, and why not."""
        if self.comparer.running or self._parameters is None:
            return
        pairs = self.pairs()
        self.ui.compareButton.enabled = bool(pairs)
        self.ui.compareButton.toolTip = (
            _("Compare in the background, number of cases: {count}.").format(count=len(pairs))
            if pairs
            else whyNotPair(self._parameters.compared, self._parameters.groundTruth)
        )

    def onCompare(self) -> None:
        if self.comparer.running:
            self.ui.compareStatusLabel.text = _("Ending ...")
            self.comparer.stop()
            return
        with slicer.util.tryWithErrorDisplay(_("The comparison cannot start."), waitCursor=True):
            self.comparer.compare(self.pairs(), self.onProgress, self.onFinished)
            self.ui.compareButton.text = _("Cancel")
            self.ui.compareButton.toolTip = _("End the comparison; cases that are done count.")
            self.ui.compareProgressBar.value = 0
            self.ui.compareProgressBar.visible = True
            self.ui.compareStatusLabel.text = _("Comparing ...")

    def onProgress(self, share: float) -> None:
        self.ui.compareProgressBar.value = round(PROGRESS_STEPS * share)

    def onFinished(self, comparison: Comparison) -> None:
        count = _("{count} compared.").format(count=len(comparison.cases)) if comparison.cases else ""
        lines = [count, *describeNotes(comparison), describeMask(comparison), *comparison.messages]
        self.showIdle("\n".join(filter(None, lines)))
        if not comparison.cases:
            # what is shown is that of the comparison before
            return
        self.comparison = comparison
        showScores(comparison.rows)
        showPlot(comparison.rows, SCORES[self._shown[0]])
        self.showResults()
        if self._hiddenForVolume and self._parameters is not None:
            # it was not the user who hid those of the comparison before
            self._parameters.errorsShown = True

    def showIdle(self, text: str) -> None:
        """The section as it is while nothing runs."""
        self.ui.compareButton.text = _("Compare")
        self.ui.compareProgressBar.visible = False
        self.ui.compareStatusLabel.text = text
        self.updateCompare()

    def showResults(self) -> None:
        """Fill what shows the comparison, or empty it."""
        comparison = self.comparison
        self.showTable()
        self._filling = True
        self.ui.errorCaseComboBox.clear()
        self.ui.errorStructureComboBox.clear()
        if comparison is not None:
            self.ui.errorCaseComboBox.addItems([case.name for case in comparison.cases])
            names = dict.fromkeys(name for case in comparison.cases for name in case.voxels if name is not None)
            self.ui.errorStructureComboBox.addItem(_("all together"), "")
            for name in names:
                self.ui.errorStructureComboBox.addItem(name, name)
        self._filling = False
        why = "" if comparison is not None else _("Compare first.")
        for widget in (
            *(self.ui.exportScoresButton, self.ui.plotComboBox, self.ui.showPlotButton),
            *(self.ui.errorCaseComboBox, self.ui.errorStructureComboBox),
            *(self.ui.worstComboBox, self.ui.worstButton),
        ):
            widget.enabled = comparison is not None
        self.ui.worstButton.toolTip = why or _("Each slice view shows its worst slice.")
        self.ui.worstStatusLabel.text = ""
        self.showErrors()

    def showTable(self) -> None:
        """Show the scores that are in the scene, also those that were saved with it."""
        table = self.table()
        self.ui.scoresTable.setMRMLTableNode(table)
        self.ui.scoresTable.resizeColumnsToContents()
        self.ui.showTableButton.enabled = table is not None
        errors = self.comparison is not None or bool(ownNodes("vtkMRMLSegmentationNode", ERRORS))
        self.ui.errorsShownCheckBox.enabled = errors

    def table(self) -> Any | None:
        """The node with the scores, which may come from a scene that was saved; None where there is none."""
        if slicer.mrmlScene.IsClosing():
            return None
        return next(iter(ownNodes("vtkMRMLTableNode", SCORES_TABLE)), None)

    def onErrorsChosen(self, index: int = 0) -> None:
        if self._filling:
            return
        if self._parameters is not None:
            # who chooses errors wants to see them
            self._parameters.errorsShown = True
        self.showErrors()

    def showErrors(self) -> None:
        """Bring the errors that are chosen into the scene."""
        case = self.case()
        if case is None:
            return
        self.ui.worstStatusLabel.text = ""
        self.errorViews.setShown(self._shown[1])
        self.errorViews.show(case, self.structure(), self.onErrorsMessage)
        self.showVolume()

    def showVolume(self) -> None:
        """Bring the volume into the views whose errors are seen: over another one they would mislead."""
        case = self.case()
        volume = slicer.mrmlScene.GetNodeByID(case.inputId) if case is not None else None
        if volume is not None and self._parameters is not None and self._shown[1]:
            self.onVolume(volume)

    def hideErrors(self, volume: Any, anew: bool) -> None:
        """The views show a volume: errors of another one, or of its result before, are hidden.

        Args:
            volume: that they show.
            anew: it has a new result.
        """
        case = self.case()
        if case is None or self._parameters is None or not self._parameters.errorsShown:
            return
        if anew or case.inputId != volume.GetID():
            self._hiddenForVolume = True
            self._parameters.errorsShown = False

    def case(self) -> ComparedCase | None:
        """The case whose errors are looked at, None without a comparison."""
        index = self.ui.errorCaseComboBox.currentIndex
        return self.comparison.cases[index] if self.comparison is not None and index >= 0 else None

    def structure(self) -> str | None:
        """Name of the structure whose errors are looked at, None for all together."""
        comboBox = self.ui.errorStructureComboBox
        return comboBox.itemData(comboBox.currentIndex) or None

    def onErrorsMessage(self, text: str) -> None:
        self.ui.worstStatusLabel.text = text

    def onWorst(self) -> None:
        case = self.case()
        self.showVolume()
        byDice = self._parameters.worstBy == LOWEST_DICE
        self.errorViews.jump(
            case,
            self.structure(),
            byDice,
            lambda found: self.onErrorsMessage(describeWorst(found)),
            self.onErrorsMessage,
        )

    def onShowTable(self) -> None:
        manager, table = slicer.app.layoutManager(), self.table()
        if manager is None or table is None:
            self.ui.compareStatusLabel.text = _("The table was removed: compare again.") if table is None else ""
            return
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpTableView)
        logic = slicer.app.applicationLogic()
        logic.GetSelectionNode().SetActiveTableID(table.GetID())
        logic.PropagateTableSelection()

    def onShowPlot(self) -> None:
        # drawn anew, for the user may have removed it
        chart = showPlot(self.comparison.rows, SCORES[self._shown[0]])
        if chart is None:
            self.ui.compareStatusLabel.text = _("No structure has a number there.")
        else:
            slicer.modules.plots.logic().ShowChartInLayout(chart)

    def onExport(self) -> None:
        name = qt.QFileDialog.getSaveFileName(
            self.widget, _("Save the scores"), "comparison.csv", _("Comma-separated values") + " (*.csv)"
        )
        if not name:
            return
        path = Path(name if name.lower().endswith(".csv") else f"{name}.csv")
        problem = writeComparison(self.comparison.rows, path)
        self.ui.compareStatusLabel.text = problem or _("{file} has the scores.").format(file=path)
