"""What the tests of the segmenting module's panel share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from GlobalLocalAlignmentLib.phantom import render_phantom

MODULE = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment" / "GlobalLocalAlignment.py"
PATIENCE = 120_000


def add_phantom(name: str, seed: int = 7):
    """A small CT phantom as a node, oblique in space; the node and its label map (K, J, I)."""
    image, labels = render_phantom("abdomen", "CT", seed, (40, 32, 8), (8, 8, 16), oblique=True)
    node = slicer.util.addVolumeFromArray(
        np.ascontiguousarray(image.array.T), ijkToRAS=slicer.util.vtkMatrixFromArray(image.ijk_to_ras), name=name
    )
    return node, labels.array.T


def choose(panel, model: Path, *nodes) -> None:
    """Check volumes and name a model in the panel."""
    for node in nodes:
        panel.ui.volumesSelector.setCheckState(node, 2)
    panel.ui.modelPathEdit.currentPath = str(model)


def export(panel, slicer_host) -> None:
    """Click on the export of a labelmap and wait until it is there."""
    panel.ui.exportButton.click()
    slicer_host.wait_until(lambda: panel.ui.exportButton.enabled, PATIENCE)
