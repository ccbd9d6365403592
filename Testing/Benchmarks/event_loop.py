"""The longest time that Slicer's window is held while the modules work on large volumes.

    python Testing/Benchmarks/event_loop.py [--model model.safetensors] [--shape 256 256 100] [--iterations 60]
                                            [--only surfaces ...]

Runs both modules in the host for tests. Segmenting: from the click on Apply to the last result in the scene, with mask
and, for a model that is given, the style-transferred volume; without one the untrained networks of the preset phantom
are used: the window does not know the difference. Then the surfaces of what was segmented. Surfaces: those of the true
structures alone, three times, and the same by Slicer itself for comparison. The host draws only when it is asked for a
picture, so how long the first one of the surfaces takes, and the next one, is said beside it. Comparing: a segmentation
with another one, plain and under a transform that bends it, from the click on Compare to the worst slice. Training: two
labelled volumes and two of the target are added, looked at, written and trained on, with curves and pictures, from the
first click to the model. Sample data: a set of phantoms is made and loaded, then loaded from the cache. Says which
calls held the window longest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from environment import ROOT, describe
from untrained import write_untrained_model

sys.path.insert(0, str(ROOT / "Testing"))

from SlicerHost.eventloop import Watch, event_loop_watch
from SlicerHost.host import Host, start

PATIENCE = 30 * 60 * 1000
PARTS = ("segmenting", "surfaces", "comparing", "training", "sample-data")
PICTURE = (400, 400)
MODULES = ("GlobalLocalAlignment", "GlobalLocalAlignmentTraining")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=[256, 256, 100])
    parser.add_argument("--iterations", type=int, default=60, help="of each stage of the training")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this alone; repeatable")
    options = parser.parse_args()
    print(describe())
    print(f"{' x '.join(map(str, options.shape))} voxels")
    host = start()
    measures = dict(zip(PARTS, (_segmenting, _surfaces, _comparing, _training, _sample_data), strict=True))
    for measure in (measures[part] for part in options.only or PARTS):
        for name in MODULES:
            host.load_module(ROOT / name / f"{name}.py")
        with tempfile.TemporaryDirectory() as folder:
            measure(host, options, Path(folder))
        host.reset()


def _segmenting(host: Host, options: argparse.Namespace, folder: Path) -> None:
    node, _ = _add_phantom("CT", 0, tuple(options.shape))
    panel = host.open_module(MODULES[0])
    panel.ui.volumesSelector.setCheckState(node, 2)
    model = options.model or write_untrained_model("phantom", folder / "model.safetensors")
    panel.ui.modelPathEdit.currentPath = str(model)
    panel._parameterNode.synthesized = options.model is not None
    with event_loop_watch() as watch:
        panel.ui.applyButton.click()
        host.wait_until(lambda: not panel.logic.running and not panel.logic.surfaces.running, PATIENCE)
    _report("segmenting", watch, panel.ui.statusLabel.text)


def _surfaces(host: Host, options: argparse.Namespace, folder: Path) -> None:
    """Of a segmentation that is there: made beside the window and handed in, then by Slicer itself."""
    node, labels = _add_phantom("CT", 0, tuple(options.shape))
    segmentation = _draw(node, labels)
    segmentation.CreateDefaultDisplayNodes()
    maker = host.open_module(MODULES[0]).logic.surfaces
    for _ in range(3):
        segmentation.RemoveClosedSurfaceRepresentation()
        begun = time.perf_counter()
        with event_loop_watch() as watch:
            maker.make([segmentation])
            host.wait_until(lambda: not maker.running, PATIENCE)
        _report("surfaces", watch, f"{time.perf_counter() - begun:.1f} s")
    identifiers = segmentation.GetSegmentation().GetSegmentIDs()
    triangles = [segmentation.GetClosedSurfaceInternalRepresentation(name).GetNumberOfPolys() for name in identifiers]
    host.views.threed.fit()
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        host.views.threed.picture(PICTURE)
        times.append(f"{1000 * (time.perf_counter() - begun):.0f} ms")
    print(f"    {sum(triangles)} triangles, drawn in {times[0]}, then in {times[1]}")
    segmentation.RemoveClosedSurfaceRepresentation()
    with event_loop_watch() as watch:
        segmentation.CreateClosedSurfaceRepresentation()
        host.process_events()
    _report("surfaces by Slicer itself", watch, "in one call")


def _comparing(host: Host, options: argparse.Namespace, folder: Path) -> None:
    """Two segmentations, the ground truth once more under a transform that bends it."""
    import slicer
    import vtk

    node, labels = _add_phantom("CT", 0, tuple(options.shape))
    nodes = [_draw(node, np.roll(labels, by, axis=2)) for by in (0, 3)]
    section = host.open_module(MODULES[0]).compareSection
    section.ui.comparedSelector.setCurrentNode(nodes[0])
    section.ui.truthSelector.setCurrentNode(nodes[1])
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    plate, points = vtk.vtkThinPlateSplineTransform(), vtk.vtkPoints()
    for corner in np.ndindex(3, 3, 3):
        points.InsertNextPoint(100.0 * np.array(corner) - 100)
    plate.SetBasisToR()
    plate.SetSourceLandmarks(points)
    plate.SetTargetLandmarks(points)
    bent.SetAndObserveTransformToParent(plate)
    for what, transform in (("comparing", None), ("comparing under a bent transform", bent.GetID())):
        nodes[1].SetAndObserveTransformNodeID(transform)
        with event_loop_watch() as watch:
            section.ui.compareButton.click()
            host.wait_until(lambda: not section.comparer.running and not section.errorViews.busy, PATIENCE)
            section.ui.worstButton.click()
            host.wait_until(lambda: not section.errorViews.busy, PATIENCE)
        _report(what, watch, section.ui.compareStatusLabel.text.splitlines()[0])


def _training(host: Host, options: argparse.Namespace, folder: Path) -> None:
    volumes = {}
    for role, modality in (("source", "MR"), ("target", "CT")):
        pairs = [_add_phantom(modality, seed, tuple(options.shape)) for seed in (1, 2)]
        volumes[role] = [node for node, _ in pairs]
        if role == "source":
            for node, labels in pairs:
                _draw(node, labels)
    panel = host.open_module(MODULES[1])
    panel.ui.runsButton.directory = str(folder)
    panel.ui.presetComboBox.currentText = "phantom"
    count = options.iterations
    panel.ui.settingsText.setPlainText(
        f"synthesis.iterations={count}\nsegmentation.iterations={count}\nsegmentation.warm_up={count // 4}\n"
        f"segmentation.ramp={count // 4}\ntraining.preview_every={count // 3}\ntraining.report_every=1"
    )
    with event_loop_watch() as watch:
        for role, nodes in volumes.items():
            panel.ui.roleComboBox.setCurrentIndex(panel.ui.roleComboBox.findData(role))
            for node in nodes:
                panel.ui.volumesSelector.setCheckState(node, 2)
            panel.ui.addVolumesButton.click()
        host.wait_until(lambda: panel.ui.startButton.enabled, PATIENCE)
        panel.ui.startButton.click()
        host.wait_until(lambda: not panel.logic.busy, PATIENCE)
    _report("training", watch, panel.ui.statusLabel.text)


def _sample_data(host: Host, options: argparse.Namespace, folder: Path) -> None:
    import SampleData
    import slicer
    from GlobalLocalAlignmentSlicerLib.samples.samplephantoms import SETS

    slicer.mrmlScene.GetCacheManager().SetRemoteCacheDirectory(str(folder))
    host.load_module(Path(SampleData.__file__))
    slicer.app.startupCompleted.emit()
    panel = host.open_module("SampleData")
    for words in ("made and loaded", "loaded from the cache"):
        begun = time.perf_counter()
        with event_loop_watch() as watch:
            slicer.util.findChild(panel.parent, f"{SETS['source'].title}PushButton").click()
        seconds = time.perf_counter() - begun
        _report(f"sample data {words}", watch, f"{seconds:.1f} s")


def _report(what: str, watch: Watch, outcome: str) -> None:
    holds = f"longest hold {watch.longest_ms:.0f} ms, processor time of it {watch.longest_busy_ms:.0f} ms at most"
    print(f"{what}: {holds}; {outcome}", flush=True)
    for place in watch.culprits:
        print(f"    in {place}")


def _add_phantom(modality: str, seed: int, shape: tuple[int, int, int]):
    """A phantom as a node, and its label map (K, J, I)."""
    import slicer
    from GlobalLocalAlignmentLib.phantom import SHAPE, SPACING, render_phantom

    spacing = tuple(step * count / wanted for step, count, wanted in zip(SPACING, SHAPE, shape, strict=True))
    image, labels = render_phantom("abdomen", modality, seed, shape, spacing)
    matrix = slicer.util.vtkMatrixFromArray(image.ijk_to_ras)
    array = np.ascontiguousarray(image.array.T)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=f"{modality} {seed}"), labels.array.T


def _draw(node, labels: np.ndarray):
    """A segmentation of a phantom."""
    import slicer
    from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS

    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    for value, name in PHANTOM_LABELS["abdomen"].items():
        identifier = segmentation.GetSegmentation().AddEmptySegment("", name)
        inside = (labels == value).astype(np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(inside, segmentation, identifier, node)
    return segmentation


if __name__ == "__main__":
    main()
