"""The longest time that Slicer's window is held while the segmenting module works on a large volume.

    python Testing/Benchmarks/event_loop.py [--model model.safetensors] [--shape 256 256 100]

Runs the module in the host for tests. Without a model the untrained networks of the preset phantom are used: the window
does not know the difference. The volume is a phantom; mask and style-transferred volume come with the segmentation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from environment import ROOT, describe
from untrained import write_untrained_model

sys.path.insert(0, str(ROOT / "Testing"))

from SlicerHost.eventloop import event_loop_watch
from SlicerHost.host import start

PATIENCE = 30 * 60 * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--shape", type=int, nargs=3, default=[256, 256, 100])
    options = parser.parse_args()
    print(describe())
    host = start()
    host.load_module(ROOT / "GlobalLocalAlignment" / "GlobalLocalAlignment.py")
    panel = host.open_module("GlobalLocalAlignment")
    with tempfile.TemporaryDirectory() as folder:
        node = _add_phantom(tuple(options.shape))
        panel.ui.volumesSelector.setCheckState(node, 2)
        panel.ui.modelPathEdit.currentPath = str(
            options.model or write_untrained_model("phantom", Path(folder) / "model.safetensors")
        )
        panel._parameterNode.synthesized = options.model is not None
        with event_loop_watch() as watch:
            panel.ui.applyButton.click()
            host.wait_until(lambda: not panel.logic.running, PATIENCE)
        print(f"{' x '.join(map(str, options.shape))} voxels, longest hold {watch.longest_ms:.0f} ms")
        print(panel.ui.statusLabel.text)


def _add_phantom(shape: tuple[int, int, int]):
    import slicer
    from GlobalLocalAlignmentLib.phantom import SHAPE, SPACING, render_phantom

    spacing = tuple(step * count / wanted for step, count, wanted in zip(SPACING, SHAPE, shape, strict=True))
    image, _ = render_phantom("abdomen", "CT", 0, shape, spacing)
    matrix = slicer.util.vtkMatrixFromArray(image.ijk_to_ras)
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(image.array.T), ijkToRAS=matrix, name="phantom")


if __name__ == "__main__":
    main()
