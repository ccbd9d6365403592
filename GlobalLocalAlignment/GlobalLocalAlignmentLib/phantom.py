"""Unpaired CT-like and MR-like phantoms of abdomen and heart with ground truth, for the demo and the tests.

A random anatomy is a list of smoothly deformed ellipsoids and tubes in a body, painted one over the other. Two renderings
give it the contrast, texture, noise and artefacts of a modality. Both modalities draw their anatomies from the same
distribution and differ in appearance alone, as the method assumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import ndimage

from .volumes import Volume, write_volume

Task = Literal["abdomen", "heart"]
Modality = Literal["CT", "MR"]

PHANTOM_LABELS: dict[str, dict[int, str]] = {
    "abdomen": {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"},
    "heart": {
        1: "myocardium of the left ventricle",
        2: "left atrium cavity",
        3: "left ventricle cavity",
        4: "ascending aorta",
    },
}

SHAPE = (96, 80, 24)
SPACING = (3.5, 3.5, 6.0)


@dataclass(frozen=True)
class Part:
    """One structure: where it is and how it looks.

    Attributes:
        tissue: entry of the tables of values below.
        label: label value, 0 for a distractor.
        center, radii: in half sizes of the volume; x to the left, y to the back, z to the head. A radius of None along
            z makes a tube.
    """

    tissue: str
    label: int
    center: tuple[float, float, float]
    radii: tuple[float, float, float | None]


TORSO = (
    Part("fat", 0, (0, 0, 0), (0.90, 0.86, None)),
    Part("muscle", 0, (0, 0, 0), (0.82, 0.76, None)),
)
SPINE = (
    Part("bone", 0, (0, 0.42, 0), (0.15, 0.15, None)),
    Part("canal", 0, (0, 0.60, 0), (0.05, 0.05, None)),
)
PARTS: dict[str, tuple[Part, ...]] = {
    "abdomen": (
        *TORSO,
        Part("fat", 0, (0, -0.05, -0.2), (0.68, 0.58, 0.95)),
        *SPINE,
        Part("muscle", 0, (-0.24, 0.42, -0.4), (0.10, 0.12, 0.7)),
        Part("muscle", 0, (0.24, 0.42, -0.4), (0.10, 0.12, 0.7)),
        Part("bowel", 0, (-0.25, -0.32, -0.65), (0.20, 0.18, 0.30)),
        Part("bowel", 0, (0.10, -0.38, -0.60), (0.22, 0.16, 0.28)),
        Part("bowel", 0, (0.42, -0.10, -0.60), (0.14, 0.22, 0.32)),
        Part("stomach", 0, (0.33, -0.28, 0.30), (0.26, 0.22, 0.42)),
        Part("liver", 1, (-0.40, -0.05, 0.35), (0.38, 0.50, 0.62)),
        Part("liver", 1, (-0.02, -0.34, 0.42), (0.34, 0.22, 0.34)),
        Part("vessel", 0, (-0.12, 0.20, 0), (0.07, 0.06, None)),
        Part("vessel", 0, (0.06, 0.24, 0), (0.06, 0.06, None)),
        Part("kidney", 2, (-0.38, 0.34, -0.38), (0.14, 0.17, 0.44)),
        Part("kidney", 3, (0.38, 0.33, -0.28), (0.14, 0.17, 0.44)),
        Part("spleen", 4, (0.60, 0.18, 0.40), (0.16, 0.30, 0.46)),
    ),
    "heart": (
        *TORSO,
        Part("lung", 0, (-0.44, -0.02, 0.05), (0.30, 0.56, 1.4)),
        Part("lung", 0, (0.46, 0.02, 0.05), (0.28, 0.54, 1.4)),
        *SPINE,
        Part("fat", 0, (0.04, -0.14, -0.05), (0.48, 0.46, 0.95)),
        Part("bone", 0, (0, -0.68, 0), (0.14, 0.05, None)),
        Part("right heart", 0, (-0.14, -0.24, -0.22), (0.26, 0.24, 0.48)),
        Part("right heart", 0, (-0.22, 0.02, 0.05), (0.19, 0.20, 0.34)),
        Part("myocardium", 1, (0.22, -0.10, -0.30), (0.27, 0.30, 0.58)),
        Part("left ventricle", 3, (0.22, -0.10, -0.28), (0.16, 0.19, 0.46)),
        Part("left atrium", 2, (0.08, 0.17, 0.18), (0.26, 0.17, 0.34)),
        Part("aorta", 4, (-0.02, -0.12, 0.50), (0.13, 0.13, 0.62)),
        Part("vessel", 0, (0.16, -0.22, 0.62), (0.11, 0.10, 0.40)),
        Part("vessel", 0, (0.17, 0.40, 0), (0.08, 0.08, None)),
    ),
}

CT_VALUES = {
    "air": -1000,
    "lung": -820,
    "fat": -95,
    "muscle": 55,
    "bone": 420,
    "canal": 25,
    "bowel": 20,
    "stomach": 10,
    "vessel": 165,
    "liver": 105,
    "kidney": 190,
    "spleen": 125,
    "myocardium": 95,
    "left ventricle": 290,
    "left atrium": 280,
    "aorta": 310,
    "right heart": 170,
}
"""Hounsfield units of a contrast-enhanced scan."""

MR_VALUES: dict[str, dict[str, float]] = {
    "abdomen": {
        "air": 5,
        "fat": 110,
        "muscle": 170,
        "bone": 70,
        "canal": 900,
        "bowel": 430,
        "stomach": 640,
        "vessel": 40,
        "liver": 260,
        "kidney": 640,
        "spleen": 530,
    },
    "heart": {
        "air": 5,
        "lung": 25,
        "fat": 760,
        "muscle": 330,
        "bone": 180,
        "canal": 260,
        "vessel": 60,
        "myocardium": 520,
        "left ventricle": 90,
        "left atrium": 100,
        "aorta": 60,
        "right heart": 130,
    },
}
"""Arbitrary units: a fat-suppressed T2-weighted abdomen, a dark-blood spin-echo heart."""

TEXTURE = {"bowel": 0.30, "stomach": 0.25, "lung": 0.05, "fat": 0.10}
"""Relative strength of a tissue's own pattern; 0.05 for the others."""


def render_phantom(
    task: Task,
    modality: Modality,
    seed: int,
    shape: tuple[int, int, int] = SHAPE,
    spacing: tuple[float, float, float] = SPACING,
    oblique: bool = False,
) -> tuple[Volume, Volume]:
    """One random patient.

    Args:
        task: which region.
        modality: how it is rendered: Hounsfield units for CT, arbitrary units from 0 to about 1000 for MR.
        seed: same seed, same patient; CT and MR of one seed are different patients.
        shape: voxels along left, back and head.
        spacing: millimetres between them.
        oblique: tilt the volume in space.

    Returns:
        image (int16) and label map (uint8) with the values of ``PHANTOM_LABELS``.
    """
    chance = np.random.default_rng([seed, 0 if modality == "CT" else 1, 0 if task == "abdomen" else 1])
    tissues, labels, names = _paint(task, shape, chance)
    render = _render_ct if modality == "CT" else _render_mr
    image = render(tissues, names, task, chance)
    matrix = _geometry(shape, spacing, oblique)
    return Volume(np.round(image).astype(np.int16), matrix), Volume(labels, matrix)


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
        image, labelmap = render_phantom(task, modality, 1000 * seed + index, shape, spacing)
        name = f"case_{index:02d}.nii.gz"
        write_volume(image, folder / "images" / name)
        write_volume(labelmap, folder / "labels" / name)


def _paint(
    task: Task, shape: tuple[int, int, int], chance: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Tissue index, label value, and the name of each tissue index."""
    axes = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32) for size in shape], indexing="ij")
    scale = chance.uniform(0.86, 1.06, 2)
    shift = chance.uniform(-0.05, 0.05, 2)
    x, y = (axes[0] - shift[0]) / scale[0], (axes[1] - shift[1]) / scale[1]
    z = axes[2] * chance.uniform(0.85, 1.1) + chance.uniform(-0.12, 0.12)
    coordinates = np.stack([x, y, z])
    for axis, strength in enumerate((0.05, 0.05, 0.08)):
        coordinates[axis] += strength * _smooth_noise(shape, (9, 9, 4), chance)
    names = ["air"]
    tissues, labels = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for part in PARTS[task]:
        inside = _inside(part, coordinates, chance)
        if part.tissue not in names:
            names.append(part.tissue)
        # nothing lies outside the body
        inside &= (tissues > 0) | (part.tissue == "fat")
        tissues[inside], labels[inside] = names.index(part.tissue), part.label
    return tissues, labels, names


def _inside(part: Part, coordinates: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    tube = part.radii[2] is None
    moved = part.center + chance.normal(0, 0.022, 3) * (1, 1, 1.5)
    radii = np.array([radius if radius is not None else 1.0 for radius in part.radii]) * chance.uniform(0.88, 1.12, 3)
    angle = chance.normal(0, 0.12)
    x, y, z = (coordinates[axis] - moved[axis] for axis in range(3))
    x, y = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    distance = (x / radii[0]) ** 2 + (y / radii[1]) ** 2
    return distance + (0 if tube else (z / radii[2]) ** 2) < 1


def _values(names: list[str], table: dict[str, float], spread: float, chance: np.random.Generator) -> np.ndarray:
    return np.array([table[name] + spread * chance.normal() * (name != "air") for name in names], np.float32)


def _textured(tissues: np.ndarray, names: list[str], values: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    image = values[tissues]
    strength = np.array([TEXTURE.get(name, 0.05) for name in names], np.float32)
    size = np.maximum(np.abs(values), 100) * strength * (values > -900)
    return image + size[tissues] * _smooth_noise(image.shape, (1.5, 1.5, 0.8), chance)


def _render_ct(tissues: np.ndarray, names: list[str], task: Task, chance: np.random.Generator) -> np.ndarray:
    values = _values(names, CT_VALUES, 12, chance)
    if "stomach" in names and chance.random() < 0.4:
        # some patients drank contrast medium
        values[names.index("stomach")] = 220
    image = _textured(tissues, names, values, chance)
    table = np.zeros(tissues.shape, bool)
    table[8:-8, -4:-3] = True
    image[table & (tissues == 0)] = 80
    image = ndimage.gaussian_filter(image, (0.5, 0.5, 0.3))
    noise = ndimage.gaussian_filter(chance.standard_normal(image.shape, np.float32), (0.6, 0.6, 0))
    return np.clip(image + noise / noise.std() * chance.uniform(14, 26), -1024, 1500)


def _render_mr(tissues: np.ndarray, names: list[str], task: Task, chance: np.random.Generator) -> np.ndarray:
    image = _textured(tissues, names, _values(names, MR_VALUES[task], 22, chance), chance)
    image = ndimage.gaussian_filter(np.maximum(image, 0), (0.8, 0.8, 0.3))
    bias = np.exp(0.25 * _smooth_noise(image.shape, (18, 18, 6), chance))
    noise = chance.uniform(14, 26) * chance.standard_normal((2, *image.shape), np.float32)
    # magnitude of a complex signal: Rician noise
    image = np.hypot(image * bias + noise[0], noise[1])
    return image * chance.uniform(0.8, 1.2)


def _smooth_noise(shape: tuple[int, ...], width: tuple[float, ...], chance: np.random.Generator) -> np.ndarray:
    """Noise of unit deviation that is correlated over ``width`` voxels."""
    noise = ndimage.gaussian_filter(chance.standard_normal(shape, np.float32), width, mode="reflect")
    return noise / max(float(noise.std()), 1e-6)


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
