"""Draws what the buttons of Slicer's module Sample Data show: a slice of each set of phantoms.

    python docs/images/draw_thumbnails.py

MR with its labels, CT as it is learnt from, CT with the outlines of its ground truth: the first patient of each set,
cut through liver, kidneys and spleen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "GlobalLocalAlignment"))

from GlobalLocalAlignmentLib.knownstructures import KNOWN_STRUCTURES  # noqa: E402
from GlobalLocalAlignmentLib.phantom import render_phantom  # noqa: E402
from GlobalLocalAlignmentLib.phantoms.phantomcohorts import COHORTS, patient_seed  # noqa: E402
from GlobalLocalAlignmentLib.phantoms.phantomfiles import TASK  # noqa: E402

FOLDER = "GlobalLocalAlignment/Resources/Icons"
SHAPE, SPACING = (216, 180, 24), (1.56, 1.56, 6.0)
"""Voxels along left, back and head, and millimetres between them: a pixel of the picture is a voxel."""

WINDOWS = {"MR": (0.0, 800.0), "CT": (-160.0, 240.0)}
"""Values that are black and white."""

OPACITY = {"source": 0.5, "target": 0.0, "test": 0.0}
OUTLINED = ("source", "test")


def thumbnail(name: str) -> Image.Image:
    """Picture of a set of phantoms."""
    cohort = COHORTS[name]
    image, labelmap = render_phantom(TASK, cohort.modality, patient_seed(cohort.seed(), 0), SHAPE, SPACING)
    values = [structure.value for structure in KNOWN_STRUCTURES[TASK]]
    counts = [(labelmap.array == value).sum(axis=(0, 1)) for value in values]
    # the slice in which the smallest structure is largest
    level = int(np.min(counts, axis=0).argmax())
    # rows run to the back and columns to the left, as radiologists look at slices
    grey, labels = image.array[:, :, level].T, labelmap.array[:, :, level].T
    low, high = WINDOWS[cohort.modality]
    pixels = np.repeat(np.clip((grey - low) / (high - low), 0, 1)[..., None] * 255, 3, axis=2)
    for structure in KNOWN_STRUCTURES[TASK]:
        inside = labels == structure.value
        color = np.array(structure.color, float)
        pixels[inside] += OPACITY[name] * (color - pixels[inside])
        if name in OUTLINED:
            pixels[inside & ~ndimage.binary_erosion(inside, iterations=2)] = color
    return Image.fromarray(pixels.round().astype(np.uint8))


def main() -> None:
    """Writes all pictures, to their places in the repository if no other folder is given."""
    parser = argparse.ArgumentParser(description="Draws the pictures of the sample data.")
    parser.add_argument("--output", type=Path, default=ROOT, help="folder to write to (default: this repository)")
    folder = parser.parse_args().output / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in COHORTS:
        thumbnail(name).save(folder / f"GlobalLocalAlignmentPhantoms{name.capitalize()}.png", optimize=True)


if __name__ == "__main__":
    main()
