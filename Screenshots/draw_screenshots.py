"""Pictures of both panels, the views, a comparison with ground truth, and the curves, from the demo: make screenshots.

    python Screenshots/draw_screenshots.py --demo demo [--output Screenshots]

Drawn in the host for tests (Testing/SlicerHost): the widgets of ctk and qMRML are its stand-ins and the window around
them is missing, the views and everything in them are Slicer's own.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Testing"))

from SlicerHost.host import Host, start

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("GlobalLocalAlignment", "GlobalLocalAlignmentTraining")
PATIENCE = 10 * 60 * 1000
PANEL_WIDTH = 480
MASK_OPACITY = 0.35
CURVES_SIZE = (640, 360)
TABLE_COLUMNS = 8
BELOW_HEAD = 24
"""Height of the head of a table in pixels."""
SHOWN_CASE = "case_01"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=ROOT / "demo", help="output folder of gla demo")
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    options = parser.parse_args()
    if not (options.demo / "runs" / "ours" / "model.safetensors").is_file():
        sys.exit(f"{options.demo} holds no finished demo: run make demo first")
    options.output.mkdir(parents=True, exist_ok=True)
    output = options.output.resolve()
    # paths that the panels show are those of a reader who follows the README
    os.chdir(options.demo.resolve().parent)
    demo = Path(options.demo.name)
    host = start()
    for name in MODULES:
        host.load_module(ROOT / name / f"{name}.py")
    _segmenting(host, demo, output)
    _comparing(host, demo, output)
    host.reset()
    for name in MODULES:
        host.load_module(ROOT / name / f"{name}.py")
    _training(host, demo, output)
    _overview(output)


def _overview(output: Path) -> None:
    """The segmenting panel beside the views, as Slicer's window has them."""
    with Image.open(output / "segmenting.png") as panel, Image.open(output / "views.png") as views:
        width = round(views.width * panel.height / views.height)
        picture = Image.new("RGB", (panel.width + width, panel.height))
        picture.paste(panel, (0, 0))
        picture.paste(views.resize((width, panel.height), Image.Resampling.LANCZOS), (panel.width, 0))
    picture.save(output / "overview.png")


def _segmenting(host: Host, demo: Path, output: Path) -> None:
    """A phantom is segmented: the panel, and the four views with mask and segmentation."""
    node = _load(demo / "data" / "test" / "images" / f"{SHOWN_CASE}.nii.gz", "CT phantom")
    panel = host.open_module(MODULES[0])
    panel.ui.volumesSelector.setCheckState(node, 2)
    panel.ui.modelPathEdit.currentPath = str(demo / "runs" / "ours" / "model.safetensors")
    panel._parameterNode.synthesized = True
    panel._parameterNode.maskOpacity = MASK_OPACITY
    panel.ui.applyButton.click()
    host.wait_until(lambda: not panel.logic.running and not panel.logic.surfaces.running, PATIENCE)
    host.grab(panel.parent, output / "segmenting.png", PANEL_WIDTH)
    host.views.fit()
    host.four_up(output / "views.png")


def _comparing(host: Host, demo: Path, output: Path) -> None:
    """The phantom beside its ground truth: scores, plot, and the errors in the worst slices."""
    import slicer
    from GlobalLocalAlignmentLib.volumes import read_labelmap
    from GlobalLocalAlignmentSlicerLib import results
    from GlobalLocalAlignmentSlicerLib.comparisonnodes import ERRORS, ownNodes
    from GlobalLocalAlignmentSlicerLib.comparisonplots import PLOT
    from GlobalLocalAlignmentSlicerLib.modelcard import readModelCard

    panel = host.open_module(MODULES[0])
    volume = slicer.util.getNode("CT phantom")
    card = readModelCard(demo / "runs" / "ours" / "model.safetensors")
    labels = read_labelmap(demo / "data" / "test" / "labels" / f"{SHOWN_CASE}.nii.gz").array.T
    truth = results.showReference(volume, labels, card)
    result = results.findResult(volume, results.SEGMENTATION)
    result.GetDisplayNode().SetVisibility(False)
    # of the ground truth no more than a shadow in 3D, around the errors
    truth.GetDisplayNode().SetVisibility2D(False)
    truth.GetDisplayNode().SetOpacity3D(0.2)
    truth.CreateClosedSurfaceRepresentation()
    for button in (panel.ui.inputsButton, panel.ui.outputsButton, panel.ui.resultsButton):
        button.collapsed = True
    section = panel.compareSection
    section.ui.compareSectionButton.collapsed = False
    section.ui.truthSelector.setCurrentNode(truth)
    section.ui.comparedSelector.setCurrentNode(result)
    section.ui.compareButton.click()
    host.wait_until(lambda: not section.comparer.running and not section.errorViews.busy, PATIENCE)
    panel._parameterNode.maskShown = False
    ownNodes("vtkMRMLSegmentationNode", ERRORS)[0].CreateClosedSurfaceRepresentation()
    host.views.fit()
    section.ui.worstButton.click()
    host.wait_until(lambda: not section.errorViews.busy, PATIENCE)
    host.grab(panel.parent, output / "comparing.png", PANEL_WIDTH)
    _table(host, output / "scores.png", section.table())
    _plot(host, output / "scores_plot.png", ownNodes("vtkMRMLPlotChartNode", PLOT)[0])
    host.four_up(output / "errors.png")


def _table(host: Host, path: Path, node: Any) -> None:
    """The first columns of a table, as wide as they are."""
    import slicer

    view = slicer.qMRMLTableView()
    view.setMRMLScene(slicer.mrmlScene)
    view.setMRMLTableNode(node)
    for column in range(TABLE_COLUMNS, node.GetNumberOfColumns()):
        view.setColumnHidden(column, True)
    view.resizeColumnsToContents()
    lines = 2 * view.frameWidth
    width, height = view.horizontalHeader().length(), view.verticalHeader().length()
    view.resize(width + view.verticalHeader().sizeHint.width() + lines, height + BELOW_HEAD + lines)
    view.show()
    host.process_events()
    if not view.grab().save(str(path)):
        raise OSError(f"cannot write {path}")


def _training(host: Host, demo: Path, output: Path) -> None:
    """Volumes of the demo as cases, its run opened: the panel and its curves."""
    panel = host.open_module(MODULES[1])
    with tempfile.TemporaryDirectory(prefix="runs-") as runs:
        panel.ui.runsButton.directory = runs
        panel.ui.presetComboBox.currentText = "abdomen-cpu"
        for role, modality, count in (("source", "MR", 3), ("target", "CT", 3)):
            panel.ui.roleComboBox.setCurrentIndex(panel.ui.roleComboBox.findData(role))
            for number in range(count):
                _add_case(panel, demo / "data" / role, f"case_{number:02d}.nii.gz", f"{modality} {number + 1}", role)
            panel.ui.addVolumesButton.click()
            panel.logic.finishLooking()
        panel.logic.open(demo / "runs" / "ours")
        host.wait_until(lambda: panel.logic.run.status == "finished" and not panel.logic.busy, PATIENCE)
        panel.runView.show(panel.logic.run, False)
        panel.ui.runsButton.directory = str(Path.home().anchor)
        host.grab(panel.parent, output / "training.png", PANEL_WIDTH)
    _plot(host, output / "curves.png", panel.logic.curves.chart("segmentation losses"))


def _plot(host: Host, path: Path, chart: Any) -> None:
    import slicer

    plot = slicer.qMRMLPlotView()
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    view.SetPlotChartNodeID(chart.GetID())
    plot.setMRMLScene(slicer.mrmlScene)
    plot.setMRMLPlotViewNode(view)
    plot.resize(*CURVES_SIZE)
    plot.show()
    host.process_events()
    if not plot.grab().save(str(path)):
        raise OSError(f"cannot write {path}")


def _add_case(panel: Any, folder: Path, file: str, name: str, role: str) -> None:
    from GlobalLocalAlignmentLib.volumes import read_labelmap
    from GlobalLocalAlignmentSlicerLib import results
    from GlobalLocalAlignmentSlicerLib.modelcard import readModelCard

    node = _load(folder / "images" / file, name)
    panel.ui.volumesSelector.setCheckState(node, 2)
    if role == "source":
        card = readModelCard(folder.parents[1] / "runs" / "ours" / "model.safetensors")
        labels = read_labelmap(folder / "labels" / file).array.T
        results.showReference(node, labels, card)


def _load(path: Path, name: str) -> Any:
    import numpy as np
    import slicer
    from GlobalLocalAlignmentLib.volumes import read_volume

    volume = read_volume(path)
    matrix = slicer.util.vtkMatrixFromArray(volume.ijk_to_ras)
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(volume.array.T), ijkToRAS=matrix, name=name)


if __name__ == "__main__":
    main()
