"""Pictures of README and tutorial: panels, views, tables and plots, made by going through the tutorial.

    python Screenshots/draw_screenshots.py --demo demo [--output Screenshots] [--only NAME ...]

Drawn in the host for tests (Testing/SlicerHost): the widgets of ctk and qMRML, the plots and the panel of Sample Data
are its stand-ins and the window around them is missing, the views and everything in them are Slicer's own. The phantoms
are those of Sample Data; what the tutorial trains for minutes is taken from a finished demo.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from drawing import ROOT, Pictures
from SlicerHost.host import Host, start

SEGMENTING, TRAINING = "GlobalLocalAlignment", "GlobalLocalAlignmentTraining"
PATIENCE = 20 * 60 * 1000
MASK_OPACITY = 0.35
OPTIONS_WIDTH = 420
FIRST_ROW = 5
"""Of the table of cases, in its picture."""

SHOWN_CASE = "CT test phantom 1"
RUNS_FOLDER = "/home/you/trainings"
"""What the pictures show; the trainings of the drawing are in a folder that is removed."""

SAMPLES = ("sample_data",)
PREPARED = ("cases", "structures", "preset", "watching")
TRAINED = ("training", "curves")
SEGMENTED = ("segmenting", "views", "overview")
COMPARED = ("comparing", "errors", "scores_plot", "scores", "statistics_options", "statistics")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="output folder of gla demo")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="of pictures, without .png")
    options = parser.parse_args()
    if not (options.demo / "runs" / "ours" / "model.safetensors").is_file():
        sys.exit(f"{options.demo} holds no finished demo: run make demo first")
    options.output.mkdir(parents=True, exist_ok=True)
    output = options.output.resolve()
    # paths that the panels show are those of a reader who follows the README
    os.chdir(options.demo.resolve().parent)
    run = Path(options.demo.name) / "runs" / "ours"
    host = start()
    try:
        pictures = Pictures(host, output, options.only, (*SAMPLES, *PREPARED, *TRAINED, *SEGMENTED, *COMPARED))
    except ValueError as error:
        sys.exit(str(error))
    _start_slicer(host)
    _sample_data(pictures)
    if pictures.wants(*PREPARED, *TRAINED):
        _training(pictures, run)
    if pictures.wants(*SEGMENTED, *COMPARED):
        _segmenting(pictures, run)
    if pictures.wants(*COMPARED):
        _comparing(pictures)


def _start_slicer(host: Host) -> None:
    """The modules as they are after a start of Slicer with the extension."""
    import SampleData
    import slicer

    for name in (SEGMENTING, TRAINING):
        host.load_module(ROOT / name / f"{name}.py")
    host.load_module(Path(SampleData.__file__))
    slicer.app.startupCompleted.emit()


def _sample_data(pictures: Pictures) -> None:
    """All three sets of phantoms are loaded by their buttons."""
    import slicer

    panel = pictures.host.open_module("SampleData")
    for title in ("MR phantoms with labels", "CT phantoms", "CT phantoms with ground truth"):
        slicer.util.findChild(panel.parent, f"{title}PushButton").click()
    pictures.panel("sample_data", panel, slicer.util.findChild(panel.parent, f"{SEGMENTING}CollapsibleGroupBox"))


def _training(pictures: Pictures, run: Path) -> None:
    """Cases, structures and preset as a user chooses them, a training that runs, and the finished one of the demo."""
    host = pictures.host
    panel = host.open_module(TRAINING)
    ui = panel.ui
    for role, folder in (("source", "MR phantoms with labels"), ("target", "CT phantoms")):
        ui.roleComboBox.setCurrentIndex(ui.roleComboBox.findData(role))
        ui.folderComboBox.setCurrentIndex(ui.folderComboBox.findText(folder))
        ui.folderComboBox.activated.emit(ui.folderComboBox.currentIndex)
        ui.addVolumesButton.click()
        panel.logic.finishLooking()
    pictures.panel("structures", panel, ui.structuresButton)
    panel.parent.show()
    host.process_events()
    # the last of the source and the first of the target
    ui.casesTable.verticalScrollBar().setValue(FIRST_ROW)
    pictures.panel("cases", panel, ui.casesButton)
    ui.presetComboBox.currentText = "phantom"
    with tempfile.TemporaryDirectory(prefix="runs-") as runs:
        ui.runsButton.directory = runs
        if pictures.wants("preset"):
            ui.estimateButton.click()
            host.wait_until(lambda: not panel.logic.estimating, PATIENCE)
            ui.runsButton.directory = RUNS_FOLDER
            pictures.panel("preset", panel, ui.trainingButton, ui.startButton)
            ui.runsButton.directory = runs
        if pictures.wants("watching"):
            ui.startButton.click()
            host.wait_until(lambda: panel.logic.run.state.previews and panel.logic.run.state.secondsLeft, PATIENCE)
            pictures.panel("watching", panel, ui.startButton, ui.watchButton)
            ui.startButton.click()
            host.wait_until(lambda: not panel.logic.busy, PATIENCE)
        if pictures.wants(*TRAINED):
            panel.logic.open(run)
            host.wait_until(lambda: panel.logic.run.status == "finished" and not panel.logic.busy, PATIENCE)
            panel.runView.show(panel.logic.run, False)
            ui.runsButton.directory = RUNS_FOLDER
            pictures.panel("training", panel)
            pictures.plot("curves", panel.logic.curves.chart("segmentation outputs"))
            ui.runsButton.directory = runs


def _segmenting(pictures: Pictures, run: Path) -> None:
    """All test phantoms are segmented: the panel, and the four views with mask and segmentation of one."""
    import slicer

    host = pictures.host
    panel = host.open_module(SEGMENTING)
    for number in range(1, 5):
        panel.ui.volumesSelector.setCheckState(slicer.util.getNode(f"CT test phantom {number}"), 2)
    panel.ui.modelPathEdit.currentPath = str(run / "model.safetensors")
    panel._parameterNode.synthesized = True
    panel._parameterNode.maskOpacity = MASK_OPACITY
    panel.ui.applyButton.click()
    host.wait_until(lambda: not panel.logic.running and not panel.logic.surfaces.running, PATIENCE)
    panel._parameterNode.shownVolume = slicer.util.getNode(SHOWN_CASE)
    host.process_events()
    pictures.panel("segmenting", panel)
    host.views.fit()
    pictures.views("views")
    pictures.beside("overview", "segmenting", "views")


def _comparing(pictures: Pictures) -> None:
    """The phantoms beside their ground truth: scores, plot, the errors in the worst slices, Segment Statistics."""
    import slicer
    from GlobalLocalAlignmentSlicerLib.comparing.comparisonplots import PLOT
    from GlobalLocalAlignmentSlicerLib.scene import results
    from GlobalLocalAlignmentSlicerLib.scene.ownnodes import ERRORS, ownNodes

    host = pictures.host
    panel = host.open_module(SEGMENTING)
    result = results.findResult(slicer.util.getNode(SHOWN_CASE), results.SEGMENTATION)
    truth = slicer.util.getNode(f"{SHOWN_CASE} ground truth")
    for button in (panel.ui.inputsButton, panel.ui.outputsButton, panel.ui.resultsButton):
        button.collapsed = True
    section = panel.compareSection
    section.ui.compareSectionButton.collapsed = False
    section.ui.pairsButton.collapsed = False
    section.ui.truthSelector.setCurrentNode(truth)
    section.ui.comparedSelector.setCurrentNode(result)
    section.ui.findPairsButton.click()
    section.ui.compareButton.click()
    host.wait_until(lambda: not section.comparer.running and not section.errorViews.busy, PATIENCE)
    panel._parameterNode.maskShown = False
    (errors,) = ownNodes("vtkMRMLSegmentationNode", ERRORS)
    result.GetDisplayNode().SetVisibility(False)
    # of the ground truth no more than a shadow in 3D, around the errors
    truth.GetDisplayNode().SetVisibility(True)
    truth.GetDisplayNode().SetVisibility2D(False)
    truth.GetDisplayNode().SetOpacity3D(0.2)
    for node in (truth, errors):
        node.CreateClosedSurfaceRepresentation()
    host.views.fit()
    section.ui.worstButton.click()
    host.wait_until(lambda: not section.errorViews.busy, PATIENCE)
    pictures.panel("comparing", panel, section.ui.compareSectionButton)
    pictures.views("errors")
    pictures.plot("scores_plot", ownNodes("vtkMRMLPlotChartNode", PLOT)[0])
    pictures.table("scores", section.table(), 8)
    if pictures.wants("statistics", "statistics_options"):
        _statistics(pictures, result, truth)


def _statistics(pictures: Pictures, result: Any, truth: Any) -> None:
    """The plugin for Segment Statistics: its options, and the table of its measurements."""
    import slicer
    from SegmentStatistics import SegmentStatisticsLogic

    logic = SegmentStatisticsLogic()
    parameters = logic.getParameterNode()
    parameters.SetParameter("Segmentation", result.GetID())
    for plugin in logic.plugins:
        own = plugin.name == "Ground truth comparison"
        parameters.SetParameter(f"{type(plugin).__name__}.enabled", str(own))
        if own:
            plugin.createDefaultOptionsWidget()
            plugin.referenceSelector.setCurrentNode(truth)
            plugin.updateGuiFromParameterNode()
            if pictures.wants("statistics_options"):
                pictures.host.grab(plugin.optionsWidget, pictures.path("statistics_options"), OPTIONS_WIDTH)
    logic.computeStatistics()
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    logic.exportToTable(table)
    pictures.table("statistics", table, 6)


if __name__ == "__main__":
    main()
