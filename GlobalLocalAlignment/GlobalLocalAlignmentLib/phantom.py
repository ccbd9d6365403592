"""Unpaired CT-like and MR-like phantoms of abdomen and heart with ground truth: demo, tests, Slicer's sample data.

A random anatomy is rendered with the contrast, texture, noise, resolution and artefacts of a modality. Both modalities
draw their anatomies from the same distribution and differ in appearance alone, as the method assumes. Nothing here
needs a package that Slicer does not bring.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from .formats.volumewriters import write_volume
from .phantoms.phantomanatomy import HALF_EXTENT, TISSUES, Anatomy, centers, random_anatomy, smooth_field
from .phantoms.phantomcohorts import patient_seed
from .volume import Volume

Task = Literal["abdomen", "heart"]
Modality = Literal["CT", "MR"]

PHANTOM_LABELS: dict[str, dict[int, str]] = {
    "abdomen": {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"},
    "heart": {1: "MYO", 2: "LAC", 3: "LVC", 4: "AA"},
}
"""Label values and names.

MYO: myocardium of the left ventricle, LAC: left atrium cavity, LVC: left ventricle cavity, AA: ascending aorta.
"""

SHAPE = (96, 80, 24)
SPACING = (3.5, 3.5, 6.0)

BODY_SIZE = {"CT": (0.95, 1.04), "MR": (0.90, 0.99)}
"""Range of the size of a body relative to the field of view."""

CT_VALUES = {
    "air": -1000,
    "fat": -95,
    "muscle": 52,
    "bone": 560,
    "marrow": 230,
    "disc": 85,
    "spinal canal": 22,
    "lung": -830,
    "gas": -960,
    "bowel wall": 70,
    "bowel content": 25,
    "stomach content": 15,
    "vessel": 175,
    "liver": 105,
    "liver vessel": 165,
    "gallbladder": 8,
    "pancreas": 88,
    "spleen": 125,
    "kidney cortex": 205,
    "kidney medulla": 160,
    "myocardium": 100,
    "left heart": 240,
    "right heart": 165,
}
"""Hounsfield units of a contrast-enhanced scan."""

MR_VALUES: dict[str, dict[str, float]] = {
    "abdomen": {
        "air": 4,
        "fat": 100,
        "muscle": 175,
        "bone": 35,
        "marrow": 130,
        "disc": 240,
        "spinal canal": 900,
        "lung": 25,
        "gas": 4,
        "bowel wall": 260,
        "bowel content": 560,
        "stomach content": 700,
        "vessel": 45,
        "liver": 250,
        "liver vessel": 120,
        "gallbladder": 950,
        "pancreas": 340,
        "spleen": 510,
        "kidney cortex": 540,
        "kidney medulla": 680,
        "right heart": 70,
    },
    "heart": {
        "air": 4,
        "fat": 600,
        "muscle": 210,
        "bone": 45,
        "marrow": 330,
        "disc": 180,
        "spinal canal": 820,
        "lung": 45,
        "gas": 4,
        "bowel wall": 260,
        "bowel content": 560,
        "stomach content": 700,
        "vessel": 600,
        "liver": 290,
        "myocardium": 270,
        "left heart": 780,
        "right heart": 760,
    },
}
"""Arbitrary units: a fat-suppressed T2-weighted abdomen (T2-SPIR), a bright-blood heart (balanced steady state)."""

TEXTURE = {"bowel content": 0.3, "stomach content": 0.15, "marrow": 0.15, "pancreas": 0.12, "fat": 0.08, "lung": 0.03}
"""Strength of a tissue's own pattern relative to its value; 0.05 for the others."""


def render_phantom(
    task: Task,
    modality: Modality,
    seed: int,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
    oblique: bool = False,
) -> tuple[Volume, Volume]:
    """One random patient, who fills the volume whatever its shape and spacing.

    Args:
        task: which region.
        modality: how it is rendered: Hounsfield units for CT, arbitrary units from 0 to about 1000 for MR.
        seed: same seed, same patient; CT and MR of one seed are different patients.
        shape: voxels along left, back and head; the same patient is sampled at any shape.
        spacing: millimetres between them.
        oblique: tilt the volume in space.

    Returns:
        image (int16) and label map (uint8) with the values of ``PHANTOM_LABELS``.
    """
    key = [seed, 0 if modality == "CT" else 1, 0 if task == "abdomen" else 1]
    shaping, rendering = (np.random.default_rng([*key, part]) for part in range(2))
    anatomy = random_anatomy(task, shape, shaping, shaping.uniform(*BODY_SIZE[modality]))
    image = _render_ct(anatomy, rendering) if modality == "CT" else _render_mr(anatomy, MR_VALUES[task], rendering)
    matrix = _geometry(shape, spacing, oblique)
    return Volume(np.round(image).astype(np.int16), matrix), Volume(anatomy.labels, matrix)


def write_cohort(
    folder: Path,
    task: Task,
    modality: Modality,
    count: int,
    seed: int,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
) -> None:
    """Write ``count`` patients as ``folder/images/case_00.nii.gz`` and ``folder/labels/case_00.nii.gz``."""
    for index in range(count):
        image, labelmap = render_phantom(task, modality, patient_seed(seed, index), shape, spacing)
        name = f"case_{index:02d}.nii.gz"
        write_volume(image, folder / "images" / name)
        write_volume(labelmap, folder / "labels" / name)


def _render_ct(anatomy: Anatomy, chance: np.random.Generator) -> np.ndarray:
    values = dict(CT_VALUES)
    if chance.random() < 0.4:
        # some patients drank contrast medium
        values |= {"stomach content": 240, "bowel content": 190}
    values["left heart"] += chance.normal(0, 25)
    image = _tissue_values(anatomy, values, 9, chance)
    x, y = centers(image.shape[0])[:, None] * HALF_EXTENT[0], centers(image.shape[1]) * HALF_EXTENT[1]
    table = np.abs(y - (131 - 14 * (x / HALF_EXTENT[0]) ** 2)) < 4
    image[table[:, :, None] & (anatomy.tissues == 0)] = -150
    image = ndimage.gaussian_filter(image, (0.45, 0.45, 0.25))
    # neighbours share the noise of the reconstruction kernel
    noise = ndimage.gaussian_filter(chance.standard_normal(image.shape, np.float32), (0.6, 0.6, 0))
    return np.clip(image + noise / noise.std() * chance.uniform(12, 24), -1024, 2000)


def _render_mr(anatomy: Anatomy, values: dict[str, float], chance: np.random.Generator) -> np.ndarray:
    image = np.maximum(_tissue_values(anatomy, values, 18, chance), 0)
    image = ndimage.gaussian_filter(image, (0, 0, 0.3))
    image *= np.exp(0.22 * smooth_field(image.shape, 110, chance))
    # noise and the coarser sampling both belong to the complex signal, whose magnitude is the image
    noise = chance.uniform(16, 30) * chance.standard_normal((2, *image.shape), np.float32)
    image = np.abs(_sampled_coarsely(image + noise[0] + 1j * noise[1], chance.uniform(0.72, 0.85)))
    return np.minimum(image * chance.uniform(0.75, 1.15), np.iinfo(np.int16).max)


def _tissue_values(anatomy: Anatomy, table: dict[str, float], spread: float, chance: np.random.Generator) -> np.ndarray:
    """Value of each voxel with the pattern of its tissue; ``spread`` is the deviation of a tissue over patients."""
    values = np.array([table.get(tissue, 0) for tissue in TISSUES], np.float32)
    values[1:] += spread * chance.standard_normal(len(TISSUES) - 1)
    strength = np.array([TEXTURE.get(tissue, 0.05) for tissue in TISSUES], np.float32) * np.maximum(np.abs(values), 100)
    strength[TISSUES.index("air")] = 0
    pattern = smooth_field(anatomy.tissues.shape, 8, chance)
    return values[anatomy.tissues] + strength[anatomy.tissues] * pattern


def _sampled_coarsely(signal: np.ndarray, share: float) -> np.ndarray:
    """Keep ``share`` of the in-plane frequencies, as a scanner that samples a coarser grid and interpolates.

    Args:
        signal: (I, J, K) complex.
        share: of the band of frequencies along I and along J.
    """
    spectrum = fft.fft2(signal, axes=(0, 1))
    for axis in (0, 1):
        frequency = np.abs(fft.fftfreq(signal.shape[axis])) / 0.5 / share
        # a soft edge keeps the ringing beside bright tissue faint
        window = np.where(frequency < 1, np.cos(np.pi / 2 * np.clip(frequency, 0, 1)) ** 0.7, 0).astype(np.float32)
        spectrum *= window.reshape([-1 if other == axis else 1 for other in range(3)])
    return fft.ifft2(spectrum, axes=(0, 1))


def _geometry(shape: tuple[int, int, int], spacing: tuple[float, float, float], oblique: bool) -> np.ndarray:
    """Index to RAS: left, back, head, centred on the origin; tilted about two axes where ``oblique``."""
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    if oblique:
        first, second = np.deg2rad(14), np.deg2rad(-9)
        about_x = np.array([[1, 0, 0], [0, np.cos(first), -np.sin(first)], [0, np.sin(first), np.cos(first)]])
        about_z = np.array([[np.cos(second), -np.sin(second), 0], [np.sin(second), np.cos(second), 0], [0, 0, 1]])
        matrix[:3, :3] = about_z @ about_x @ matrix[:3, :3]
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    return matrix
