"""Random patients: which tissue and which label lies where in an abdomen or a heart.

An anatomy is painted, part over part, on a grid of millimetres of a reference patient: x to the left, y to the back,
z to the head, the origin in the middle of the volume. Every part is a smooth implicit shape with a random place, size
and rotation, in a space that a random smooth field has bent. A volume of another extent stretches the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TISSUES = (
    "air",
    "fat",
    "muscle",
    "bone",
    "marrow",
    "disc",
    "spinal canal",
    "lung",
    "gas",
    "bowel wall",
    "bowel content",
    "stomach content",
    "vessel",
    "liver",
    "liver vessel",
    "gallbladder",
    "pancreas",
    "spleen",
    "kidney cortex",
    "kidney medulla",
    "myocardium",
    "left heart",
    "right heart",
)
HALF_EXTENT = (168.0, 140.0, 72.0)
"""Half size of the volume along x, y and z in millimetres of the reference patient."""


@dataclass(frozen=True)
class Anatomy:
    """What a patient is made of.

    Attributes:
        tissues: (I, J, K) uint8, positions in ``TISSUES``.
        labels: (I, J, K) uint8, 0 for everything that is not to be segmented.
    """

    tissues: np.ndarray
    labels: np.ndarray


def random_anatomy(task: str, shape: tuple[int, int, int], chance: np.random.Generator, body_size: float) -> Anatomy:
    """A random patient.

    Args:
        task: ``abdomen`` or ``heart``.
        shape: voxels along left, back and head; the same patient is sampled at any shape.
        chance: source of everything random.
        body_size: size of the body in the plane of slices relative to the volume.
    """
    canvas = Canvas(shape, chance, body_size)
    PAINTERS[task](canvas)
    return Anatomy(canvas.tissues, canvas.labels)


class Canvas:
    """A grid that parts are painted on, one over the other.

    Args:
        shape: voxels along left, back and head.
        chance: source of everything random; nothing drawn depends on ``shape``.
        body_size: size of the body in the plane of slices relative to the volume.
    """

    def __init__(self, shape: tuple[int, int, int], chance: np.random.Generator, body_size: float) -> None:
        self.shape, self.chance = shape, chance
        self.tissues, self.labels = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        size = np.array((body_size, body_size, 1)) * chance.uniform((0.93, 0.93, 0.9), (1.05, 1.05, 1.1))
        shift = chance.uniform((-6, -5, -9), (6, 5, 9))
        self.place = np.empty((3, *shape), np.float32)
        for axis, half in enumerate(HALF_EXTENT):
            along = (centers(shape[axis]) * half - shift[axis]) / size[axis]
            self.place[axis] = along.reshape([-1 if other == axis else 1 for other in range(3)])
            self.place[axis] += 3.5 * self.field(55) + 1.2 * self.field(25)
        self.dents = [self.field(30) for _ in range(4)]

    def field(self, width: float) -> np.ndarray:
        """Random smooth field of unit deviation whose values belong together over about ``width`` millimetres."""
        return smooth_field(self.shape, width, self.chance)

    def frame(
        self,
        center: Sequence[float],
        turn: float = 0.0,
        tilt: float = 0.0,
        spread: float = 0.1,
        jitter: Sequence[float] = (3, 3, 5),
    ) -> np.ndarray:
        """Millimetres from the place of one part, which is random: (3, I, J, K).

        Args:
            center: usual place.
            turn: degrees about the axis of the body.
            tilt: degrees by which the upper end leans to the left.
            spread: its size differs by up to this share.
            jitter: standard deviation of its place.
        """
        center = np.add(center, self.chance.normal(0, 1, 3) * jitter)
        size = self.chance.uniform(1 - spread, 1 + spread, 3)
        turn, tilt = np.deg2rad([turn, tilt] + self.chance.normal(0, 5, 2))
        about_z = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        about_y = np.array([[np.cos(tilt), 0, -np.sin(tilt)], [0, 1, 0], [np.sin(tilt), 0, np.cos(tilt)]])
        return self.local(center, about_z @ about_y / size[:, None])

    def local(self, center: Sequence[float], matrix: np.ndarray) -> np.ndarray:
        """``matrix`` times the way from ``center``: (3, I, J, K)."""
        matrix = matrix.astype(np.float32)
        offset = matrix @ np.asarray(center, np.float32)
        return np.tensordot(matrix, self.place, 1) - offset[:, None, None, None]

    def dented(self, level: np.ndarray, strength: float = 0.06) -> np.ndarray:
        """A shape with a surface of its own, deformed differently from its neighbours."""
        weights = self.chance.normal(0, strength / 2, len(self.dents))
        for weight, dent in zip(weights, self.dents, strict=True):
            level = level + np.float32(weight) * dent
        return level

    def paint(self, inside: np.ndarray, tissue: str, label: int = 0) -> None:
        """Put a tissue where ``inside`` is true."""
        self.tissues[inside] = TISSUES.index(tissue)
        self.labels[inside] = label

    def holds(self, *names: str) -> np.ndarray:
        """Where one of these tissues is."""
        chosen = np.zeros(len(TISSUES), bool)
        chosen[[TISSUES.index(name) for name in names]] = True
        return chosen[self.tissues]


def centers(count: int) -> np.ndarray:
    """Centres of ``count`` voxels that fill -1..1."""
    return ((np.arange(count) + 0.5) * 2 / count - 1).astype(np.float32)


def smooth_field(shape: tuple[int, int, int], width: float, chance: np.random.Generator) -> np.ndarray:
    """Gaussian bumps of random height on a lattice: (I, J, K) float32 of unit deviation, the same on every grid.

    Args:
        shape: of the grid, which covers ``HALF_EXTENT``.
        width: distance of the lattice points, millimetres.
        chance: source of the heights.
    """
    lattices = [np.arange(-half - width, half + 2 * width, width, np.float32) for half in HALF_EXTENT]
    field = chance.standard_normal([len(lattice) for lattice in lattices], np.float32)
    for size, half, lattice in zip(shape, HALF_EXTENT, lattices, strict=True):
        bumps = np.exp(-0.5 * ((centers(size)[:, None] * half - lattice) / (0.7 * width)) ** 2)
        bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
        # takes the first axis of the lattice away and appends that of the grid
        field = np.tensordot(field, bumps, (0, 1))
    return field


def ellipsoid(
    local: np.ndarray, radii: Sequence[float], offset: Sequence[float] = (0, 0, 0), power: float = 2
) -> np.ndarray:
    """Level of an ellipsoid: 0 in its centre, 1 on its surface. Two radii make a tube along z.

    Args:
        local: (3, I, J, K) millimetres.
        radii: along the three axes, or the first two.
        offset: centre.
        power: above 2 the shape turns into a rounded box.
    """
    total = np.zeros(local.shape[1:], np.float32)
    for axis, radius in enumerate(radii):
        distance = np.abs((local[axis] - np.float32(offset[axis])) / np.float32(radius))
        total += distance * distance if power == 2 else distance**power
    return np.sqrt(total) if power == 2 else total ** np.float32(1 / power)


def merged(first: np.ndarray, second: np.ndarray, softness: float = 0.12) -> np.ndarray:
    """Level of two shapes that grow into each other."""
    return -softness * np.logaddexp(-first / softness, -second / softness)


@dataclass(frozen=True)
class Torso:
    """The body wall, for what has to stay inside it.

    Attributes:
        level: 1 on the skin, 0 on the axis of the body.
        inner: level of the inner side of the wall.
        cavity: everything inside the wall.
    """

    level: np.ndarray
    inner: float
    cavity: np.ndarray


def paint_torso(canvas: Canvas, half_axes: tuple[float, float], fat: float, lowest_rib: float) -> Torso:
    """Skin, fat, muscle and ribs.

    Args:
        canvas: where to.
        half_axes: of the body, millimetres.
        fat: thickness of the fat under the skin as a share of the body.
        lowest_rib: height below which there is none.
    """
    x, y, z = canvas.place
    level = ellipsoid(np.stack([x, np.where(y > 0, y * 1.06, y)]), half_axes, power=2.3)
    # the furrow along the back
    level = level + 0.05 * np.exp(-((x / 14) ** 2)) * (y > 0)
    muscle = 1 - fat
    inner = muscle - 0.075
    canvas.paint(level < 1, "fat")
    canvas.paint(level < muscle, "muscle")
    cavity = level < inner
    around = np.arctan2(np.abs(x), -y)
    # ribs fall from the back to the front, so that a slice cuts them into short pieces
    phase = np.sin((z + 46 * around + canvas.chance.uniform(0, 30)) * (2 * np.pi / 27))
    shell = np.abs(level - (inner + 0.035)) < 0.024
    canvas.paint(shell & (phase > 0.2) & (z > lowest_rib + 22 * np.cos(around)) & (around > 0.45), "bone")
    return Torso(level, inner, cavity)


def paint_spine(canvas: Canvas, center: tuple[float, float], torso: Torso) -> None:
    """Vertebrae, discs, spinal canal and the muscles along them."""
    local = canvas.frame((*center, 0), spread=0.06, jitter=(2, 2, 0))
    x, y, _ = np.abs(local)
    inside = torso.level < torso.inner + 0.075
    back = ellipsoid(np.stack([x, local[1]]), (27, 20), (31, 32))
    canvas.paint((back < 1) & inside, "muscle")
    body = ellipsoid(local, (23, 18), power=2.6)
    gap = np.abs(np.mod(canvas.place[2] + canvas.chance.uniform(0, 34), 34) - 17) < 4
    arch = ellipsoid(local, (15, 14), (0, 25))
    canvas.paint((arch < 1) & inside, "bone")
    canvas.paint((ellipsoid(local, (4, 13), (0, 42)) < 1) & inside & ~gap, "bone")
    canvas.paint((ellipsoid(np.stack([x, local[1]]), (15, 5), (24, 22)) < 1) & inside & ~gap, "bone")
    canvas.paint(body < 1, "bone")
    canvas.paint(body < 0.82, "marrow")
    canvas.paint((body < 1) & gap, "disc")
    canvas.paint(ellipsoid(local, (9, 8), (0, 26)) < 1, "spinal canal")


def paint_abdomen(canvas: Canvas) -> None:
    """Liver 1, right kidney 2, left kidney 3, spleen 4, and what lies around them."""
    fat = canvas.chance.uniform(0.05, 0.14)
    torso = paint_torso(canvas, (150, 106), fat, -35)
    canvas.paint(torso.cavity, "fat")
    diaphragm = _paint_lung_bases(canvas, torso)
    below = torso.cavity & (canvas.place[2] < diaphragm - 3) & (torso.level < torso.inner - 0.015)
    _paint_bowel(canvas, torso)
    _paint_liver(canvas, below)
    _paint_stomach(canvas, below)
    _paint_spleen(canvas, below)
    _paint_pancreas(canvas)
    for side in (-1, 1):
        psoas = ellipsoid(canvas.frame((side * 34, 46, -70), tilt=side * 10), (15, 16, 75))
        canvas.paint((psoas < 1) & torso.cavity, "muscle")
        flank = ellipsoid(canvas.frame((side * 60, 72, -70)), (24, 9, 80))
        canvas.paint((flank < 1) & torso.cavity, "muscle")
        _paint_kidney(canvas, side, below)
    paint_spine(canvas, (0, 42), torso)
    canvas.paint(ellipsoid(canvas.frame((9, 14, 0), spread=0.15, jitter=(2, 2, 0)), (9.5, 9.5)) < 1, "vessel")
    canvas.paint(ellipsoid(canvas.frame((-19, 14, 0), spread=0.2, jitter=(2, 2, 0)), (12, 9)) < 1, "vessel")


def _paint_lung_bases(canvas: Canvas, torso: Torso) -> np.ndarray:
    """Lungs and heart above the diaphragm; returns its height."""
    x, y, z = canvas.place
    heights = canvas.chance.normal((68, 58), 6)
    domes = [
        height - ((x - middle) ** 2 + (y + 5) ** 2) / 150 for height, middle in zip(heights, (-50, 55), strict=True)
    ]
    diaphragm = np.maximum(*domes)
    canvas.paint(torso.cavity & (z > diaphragm), "lung")
    heart = ellipsoid(canvas.frame((18, -32, 100), turn=-25), (58, 42, 42))
    canvas.paint((heart < 1) & torso.cavity, "right heart")
    return diaphragm


def _paint_liver(canvas: Canvas, below: np.ndarray) -> None:
    local = canvas.frame((-55, -6, 24), spread=0.12)
    right = ellipsoid(local, (64, 72, 66))
    left = ellipsoid(local, (62, 30, 36), (62, -38, 14))
    level = canvas.dented(merged(right, left))
    liver = (level < 1) & below
    canvas.paint(liver, "liver", 1)
    vessels = (np.abs(canvas.field(24)) < 0.13) & (canvas.field(40) > 0) & (level < 0.86)
    canvas.paint(liver & vessels, "liver vessel", 1)
    fossa = canvas.frame((-38, -38, -16), spread=0.2, jitter=(6, 6, 6))
    canvas.paint((ellipsoid(fossa, (14, 20, 24)) < 1) & below, "gallbladder")


def _paint_stomach(canvas: Canvas, below: np.ndarray) -> None:
    local = canvas.frame((58, -22, 26), turn=15, spread=0.2, jitter=(6, 5, 6))
    fundus = ellipsoid(local, (34, 34, 44))
    antrum = ellipsoid(local, (44, 17, 17), (-38, -16, -34))
    level = canvas.dented(merged(fundus, antrum))
    stomach = (level < 1) & below
    canvas.paint(stomach, "bowel wall")
    canvas.paint(stomach & (level < 0.86), "stomach content")
    # gas rises to the front of a patient on the back
    canvas.paint(stomach & (level < 0.86) & (local[1] < canvas.chance.uniform(-34, -14)), "gas")


def _paint_spleen(canvas: Canvas, below: np.ndarray) -> None:
    local = canvas.frame((94, 30, 28), turn=14, tilt=-12, spread=0.16)
    outer = canvas.dented(ellipsoid(local, (31, 52, 47)))
    hollow = ellipsoid(local, (30, 46, 60), (-32, -16, 0))
    canvas.paint((outer < 1) & (hollow > 1) & below, "spleen", 4)


def _paint_pancreas(canvas: Canvas) -> None:
    local = canvas.frame((22, -6, -4), turn=-14, tilt=18)
    bent = local[1] + 0.008 * local[0] ** 2
    level = canvas.dented(ellipsoid(np.stack([local[0], bent, local[2]]), (52, 10, 11)), 0.15)
    canvas.paint((level < 1) & canvas.holds("fat"), "pancreas")


def _paint_kidney(canvas: Canvas, side: int, below: np.ndarray) -> None:
    """Side -1 is the right one, which lies lower."""
    local = canvas.frame((side * 58, 42, -28 if side < 0 else -16), turn=side * 25, tilt=-side * 10, spread=0.12)
    level = canvas.dented(ellipsoid(local, (25, 23, 45)), 0.05)
    inside = below & (canvas.place[1] < 90)
    canvas.paint((ellipsoid(local, (30, 29, 51)) < 1) & inside, "fat")
    hilum = ellipsoid(local, (19, 8, 20), (-side * 24, -6, 0))
    kidney = (level < 1) & (hilum > 1) & inside
    label = 2 if side < 0 else 3
    canvas.paint(kidney, "kidney cortex", label)
    canvas.paint(kidney & (level < 0.72) & (canvas.field(14) > -0.2), "kidney medulla", label)


def _paint_bowel(canvas: Canvas, torso: Torso) -> None:
    x, y, z = canvas.place
    loops = canvas.field(21)
    top = canvas.chance.normal(8, 6)
    small = torso.cavity & (z < top - 0.25 * np.abs(x)) & (y < 22) & (torso.level < torso.inner - 0.05)
    canvas.paint(small & (loops > -0.1), "bowel wall")
    canvas.paint(small & (loops > 0.6), "bowel content")
    canvas.paint(small & (loops > 1.7), "gas")
    for side, height in ((-1, -8), (1, 18)):
        local = canvas.frame((side * 100, 8, 0), spread=0.2)
        level = ellipsoid(local, (19, 19) if side < 0 else (14, 14))
        colon = (level < 1) & torso.cavity & (z < height)
        canvas.paint(colon, "bowel wall")
        canvas.paint(colon & (level < 0.8), "bowel content")
        canvas.paint(colon & (level < 0.8) & (local[1] < -4), "gas")


def paint_heart(canvas: Canvas) -> None:
    """Myocardium 1, left atrium 2, left ventricle 3, ascending aorta 4, and what lies around them."""
    fat = canvas.chance.uniform(0.04, 0.11)
    torso = paint_torso(canvas, (154, 108), fat, -200)
    x, y, z = canvas.place
    canvas.paint((torso.level < torso.inner + 0.06) & (np.abs(x) < 19) & (torso.level > torso.inner) & (y < 0), "bone")
    canvas.paint(torso.cavity, "lung")
    canvas.paint(torso.cavity & (canvas.field(10) > 1.8), "vessel")
    middle = ellipsoid(canvas.frame((0, 10, 0)), (42, 96))
    canvas.paint((middle < 1) & torso.cavity, "fat")
    for tissue, center, radii in (
        ("liver", (-54, -4, -112), (86, 84, 64)),
        ("bowel wall", (72, 10, -116), (62, 74, 58)),
    ):
        canvas.paint((ellipsoid(canvas.frame(center), radii) < 1) & torso.cavity, tissue)
    _paint_chambers(canvas, torso)
    _paint_great_vessels(canvas, torso)
    paint_spine(canvas, (0, 52), torso)


def _paint_chambers(canvas: Canvas, torso: Torso) -> None:
    center = np.add((40, -16, -18), canvas.chance.normal(0, (4, 4, 6)))
    long = np.add((0.68, -0.58, -0.42), canvas.chance.normal(0, 0.09, 3))
    size = canvas.chance.uniform(0.88, 1.12)
    axes = _axes(long, (-0.75, -0.6, 0.1)) / size
    local = canvas.local(center, axes)
    envelope = ellipsoid(local, (74, 66, 60), (-10, 16, 0))
    canvas.paint((envelope < 1) & torso.cavity & (canvas.place[2] < 50), "fat")
    # the right ventricle is what is left of its ellipsoid after the left one is painted over it
    right = canvas.dented(ellipsoid(local, (46, 30, 36), (-4, 36, 2)))
    canvas.paint(right < 1.1, "muscle")
    canvas.paint(right < 1, "right heart")
    atrium = canvas.frame((-38, -4, -10), spread=0.12)
    canvas.paint(canvas.dented(ellipsoid(atrium, (25, 29, 32))) < 1, "right heart")
    outer = canvas.dented(ellipsoid(local, (50, 36, 36)), 0.05)
    wall = canvas.chance.uniform(9, 13)
    inner = ellipsoid(local, (50 - wall, 36 - wall, 36 - wall), (-2, 0, 0))
    in_front_of_valve = local[0] > -27
    _paint_left_atrium(canvas, local)
    canvas.paint((outer < 1) & in_front_of_valve, "myocardium", 1)
    cavity = (inner < 1) & (outer < 0.92) & in_front_of_valve
    canvas.paint(cavity, "left heart", 3)
    trabeculae = (canvas.field(12) > 1.5) & (inner > 0.55)
    canvas.paint(cavity & trabeculae, "myocardium", 3)


def _paint_left_atrium(canvas: Canvas, ventricle: np.ndarray) -> None:
    local = canvas.frame((4, 20, 8), turn=-8, spread=0.12, jitter=(3, 2, 3))
    for side in (-1, 1):
        vein = ellipsoid(local, (26, 7, 7), (side * 36, 8, canvas.chance.normal(0, 6)))
        canvas.paint(vein < 1, "left heart")
    body = canvas.dented(ellipsoid(local, (34, 21, 26)))
    funnel = ellipsoid(ventricle, (22, 24, 24), (-38, -2, 0))
    level = merged(body, funnel)
    canvas.paint((level < 1.12) & canvas.holds("fat", "lung"), "muscle")
    canvas.paint(level < 1, "left heart", 2)


def _axes(first: Sequence[float], second: Sequence[float]) -> np.ndarray:
    """Rows: ``first``, the part of ``second`` across it, and the third direction, all of length one."""
    first = np.asarray(first) / np.linalg.norm(first)
    second = second - np.dot(second, first) * first
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def _paint_great_vessels(canvas: Canvas, torso: Torso) -> None:
    z = canvas.place[2]
    trunk = canvas.frame((25, -33, 30), tilt=-14, spread=0.12)
    level = ellipsoid(trunk, (14, 13, 34), power=2.6)
    canvas.paint(level < 1.2, "muscle")
    canvas.paint(level < 1, "right heart")
    cava = canvas.frame((-36, -8, 45), spread=0.15, jitter=(2, 2, 0))
    canvas.paint((ellipsoid(cava, (10, 10)) < 1) & (z > 12), "right heart")
    windpipe = canvas.frame((-2, 26, 0), spread=0.1, jitter=(2, 2, 0))
    canvas.paint((ellipsoid(windpipe, (13, 12)) < 1) & (z > 42), "muscle")
    canvas.paint((ellipsoid(windpipe, (9, 8)) < 1) & (z > 42), "gas")
    aorta = canvas.frame((-8, -18, 38), tilt=-11, spread=0.12, jitter=(2, 2, 3))
    level = canvas.dented(ellipsoid(aorta, (16, 16, 46), power=3), 0.03)
    canvas.paint(level < 1.2, "muscle")
    canvas.paint(level < 1, "left heart", 4)
    descending = canvas.frame((25, 38, 0), spread=0.12, jitter=(2, 2, 0))
    canvas.paint(ellipsoid(descending, (15, 15)) < 1, "fat")
    canvas.paint(ellipsoid(descending, (12, 12)) < 1, "vessel")
    gullet = canvas.frame((6, 42, 0), jitter=(2, 1, 0))
    canvas.paint((ellipsoid(gullet, (9, 6)) < 1) & torso.cavity, "muscle")


PAINTERS = {"abdomen": paint_abdomen, "heart": paint_heart}
