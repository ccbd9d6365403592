"""Volumes as nodes of a scene, segmented by the module and compared with the truth in the scene: Dice in Slicer.

    python Testing/Benchmarks/segment_scene.py --model model.safetensors --images FOLDER --labels FOLDER [--case 34 ...]

Runs the segmenting module in the host for tests, with the core in its process. The truth comes into the scene as a
segmentation on the grid of its own file; each structure of both is compared voxel by voxel on the grid of the volume.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from environment import ROOT, describe

sys.path.insert(0, str(ROOT / "Testing"))

from SlicerHost.host import start

PATIENCE = 60 * 60 * 1000
MODULE = "GlobalLocalAlignment"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--case", action="append", default=[], help="only this case; repeatable")
    parser.add_argument("--picture", type=Path, help="PNG file for the views of the last case")
    options = parser.parse_args()
    print(describe())
    host = start()
    host.load_module(ROOT / MODULE / f"{MODULE}.py")
    panel = host.open_module(MODULE)
    panel._parameterNode.surfaces = options.picture is not None
    panel.ui.modelPathEdit.currentPath = str(options.model)
    truths = _load_cases(options, panel)
    panel.ui.applyButton.click()
    host.wait_until(lambda: not panel.logic.running and not panel.logic.surfaces.running, PATIENCE)
    print(panel.ui.statusLabel.text)
    from GlobalLocalAlignmentSlicerLib.scene import results

    names = [label.name for label in panel._card.labels]
    print(f"| case | {' | '.join(names)} | average |\n{'|---' * (len(names) + 2)}|")
    rows = []
    for node, truth in truths:
        segmentation = results.findResult(node, results.SEGMENTATION)
        rows.append([100 * _dice(segmentation, truth, index, node) for index in range(len(names))])
        print(f"| {node.GetName()} | {' | '.join(f'{value:.1f}' for value in [*rows[-1], np.mean(rows[-1])])} |")
    mean = np.mean(rows, axis=0)
    print(f"| mean | {' | '.join(f'{value:.1f}' for value in [*mean, mean.mean()])} |")
    if options.picture is not None:
        panel._parameterNode.shownVolume = node
        host.process_events()
        host.views.fit()
        host.four_up(options.picture)


def _load_cases(options: argparse.Namespace, panel) -> list[tuple]:
    """Checks the volumes in the panel; each with its truth."""
    import slicer
    from GlobalLocalAlignmentLib.cases import find_volumes, pair_cases
    from GlobalLocalAlignmentLib.volumes import read_labelmap, read_volume
    from GlobalLocalAlignmentSlicerLib.scene import results

    images = find_volumes([options.images], "image")
    chosen = {name: path for name, path in images.items() if not options.case or name in options.case}
    truths = []
    for name, (image, labelmap) in pair_cases(chosen, find_volumes([options.labels], "labelmap")).items():
        volume = read_volume(image)
        matrix = slicer.util.vtkMatrixFromArray(volume.ijk_to_ras)
        node = slicer.util.addVolumeFromArray(np.ascontiguousarray(volume.array.T), ijkToRAS=matrix, name=name)
        truth = results.showReference(node, read_labelmap(labelmap).array.T, panel._card)
        truth.GetDisplayNode().SetVisibility(False)
        panel.ui.volumesSelector.setCheckState(node, 2)
        truths.append((node, truth))
    return truths


def _dice(first, second, index: int, volume) -> float:
    import slicer

    inside = [
        slicer.util.arrayFromSegmentBinaryLabelmap(node, node.GetSegmentation().GetNthSegmentID(index), volume) > 0
        for node in (first, second)
    ]
    total = inside[0].sum() + inside[1].sum()
    return 2 * (inside[0] & inside[1]).sum() / total if total else 1.0


if __name__ == "__main__":
    main()
