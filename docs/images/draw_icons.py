"""Draws the icons of the extension and of its modules.

    python docs/images/draw_icons.py

All three show one axial slice, its left half like MR and its right half like CT, and one organ that crosses the seam.
The extension adds an arrow from one half to the other, the segmenting module fills the organ, the training module adds
a falling curve.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parents[2]
SIZE = 128
"""Width and height that the Extension Manager asks for, in pixels."""
SCALE = 8
"""Icons are drawn this much larger and reduced, which smooths their edges."""

BACKGROUND = (15, 21, 33)
MR_TINTS = ((22, 44, 84), (190, 222, 255))
CT_TINTS = ((30, 30, 32), (255, 250, 240))
"""Colours of the darkest and the brightest tissue of a half."""
ORGAN = (255, 122, 69)
ARROW = (255, 255, 255)
CURVE = (255, 220, 70)

LIVER = [
    *[(24, 58), (27, 40), (42, 30), (62, 28), (82, 33), (101, 44), (97, 55)],
    *[(80, 60), (68, 70), (57, 86), (42, 90), (28, 78)],
]
"""Corners of the organ in pixels of the icon; the outline is smoothed."""


def scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of the icon on the enlarged canvas."""
    return [(x * SCALE, y * SCALE) for x, y in points]


def smooth(corners: list[tuple[float, float]], closed: bool, rounds: int = 5) -> list[tuple[float, float]]:
    """The curve that cutting corners over and over leads to (Chaikin 1974)."""
    points = np.array(corners, dtype=float)
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0) if closed else points[1:]
        first = points if closed else points[:-1]
        cut = np.stack([0.75 * first + 0.25 * following, 0.25 * first + 0.75 * following], axis=1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut, points[-1:]])
    return [tuple(point) for point in points]


def mask(draw: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    """Enlarged canvas that is white where `draw` draws."""
    canvas = Image.new("L", (SIZE * SCALE, SIZE * SCALE), 0)
    draw(ImageDraw.Draw(canvas))
    return canvas


def ellipse(x: float, y: float, horizontal: float, vertical: float) -> Image.Image:
    """Mask of an ellipse with this centre and these half axes."""
    box = scaled([(x - horizontal, y - vertical), (x + horizontal, y + vertical)])
    return mask(lambda draw: draw.ellipse(box, fill=255))


def organ() -> Image.Image:
    """Mask of the organ."""
    return mask(lambda draw: draw.polygon(scaled(smooth(LIVER, closed=True)), fill=255))


def outline(shape: Image.Image, width: float) -> Image.Image:
    """Mask of a line of this width along the inner edge of a shape."""
    blurred = shape.filter(ImageFilter.GaussianBlur(width * SCALE))
    inner = blurred.point(lambda value: 255 if value > 200 else 0)
    return ImageChops.subtract(shape, inner)


def texture(grain: float, strength: float, seed: int) -> np.ndarray:
    """Random pattern around 0, with grains of about this many pixels of the icon."""
    noise = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    spots = Image.fromarray(np.uint8(np.clip(128 + 40 * noise, 0, 255)))
    values = np.asarray(spots.filter(ImageFilter.GaussianBlur(grain)), dtype=float)
    values = strength * (values - values.mean()) / values.std()
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((SIZE * SCALE, SIZE * SCALE), Image.BICUBIC))


def tissue(levels: dict[str, float], grain: float, strength: float, seed: int) -> np.ndarray:
    """Slice with these grey values of 0 to 1 for fat, muscle, organ, spine, ribs and vessel."""
    body = ellipse(64, 64, 58, 51)
    grey = np.zeros((SIZE * SCALE, SIZE * SCALE))
    layers = {
        "fat": body,
        "muscle": ellipse(64, 64, 51, 44),
        "organ": organ(),
        "vessel": ellipse(67, 81, 5, 5),
        "spine": ellipse(64, 97, 10, 9),
    }
    for name, shape in layers.items():
        grey[np.asarray(shape) > 0] = levels[name]
    for x, y in ((22, 42), (16, 65), (24, 88), (106, 42), (112, 65), (104, 88)):
        grey[np.asarray(ellipse(x, y, 4, 6)) > 0] = levels["ribs"]
    return np.where(np.asarray(body) > 0, np.clip(grey + texture(grain, strength, seed), 0, 1), -1)


def tinted(grey: np.ndarray, tints: tuple[tuple[int, int, int], tuple[int, int, int]]) -> np.ndarray:
    """Grey values in the colours of a half, the background where they are negative."""
    dark, bright = (np.array(tint, dtype=float) for tint in tints)
    colours = dark + np.maximum(grey, 0)[..., None] * (bright - dark)
    return np.where((grey < 0)[..., None], np.array(BACKGROUND, dtype=float), colours)


def two_halves() -> Image.Image:
    """The slice that all icons share: MR on the left, CT on the right."""
    mr_levels = {"fat": 0.95, "muscle": 0.38, "organ": 0.62, "spine": 0.5, "ribs": 0.12, "vessel": 0.05}
    ct_levels = {"fat": 0.14, "muscle": 0.3, "organ": 0.5, "spine": 1.0, "ribs": 1.0, "vessel": 0.85}
    mr = tinted(tissue(mr_levels, 2.2, 0.07, 1), MR_TINTS)
    ct = tinted(tissue(ct_levels, 0.6, 0.04, 2), CT_TINTS)
    left = (np.arange(SIZE * SCALE) < SIZE * SCALE / 2)[None, :, None]
    return Image.fromarray(np.uint8(np.where(left, mr, ct)))


def paint(picture: Image.Image, colour: tuple[int, int, int], shape: Image.Image, opacity: float = 1.0) -> None:
    """Lays a colour over a picture where the mask says."""
    picture.paste(colour, mask=shape.point(lambda value: int(value * opacity)))


def halo(picture: Image.Image, shape: Image.Image, width: float) -> None:
    """Darkens a picture around a shape, so that the shape stands out at any size."""
    wide = shape.filter(ImageFilter.GaussianBlur(width * SCALE / 2)).point(lambda value: min(255, 4 * value))
    paint(picture, BACKGROUND, wide, 0.9)


def seam(picture: Image.Image) -> None:
    """The line between the two halves."""
    paint(picture, BACKGROUND, mask(lambda draw: draw.line(scaled([(64, 8), (64, 120)]), fill=255, width=2 * SCALE)))


def stroke(points: list[tuple[float, float]], width: float) -> Image.Image:
    """Mask of a line through these points, round at its ends and corners."""

    def draw_stroke(draw: ImageDraw.ImageDraw) -> None:
        draw.line(scaled(points), fill=255, width=round(width * SCALE))
        for x, y in points:
            draw.ellipse(scaled([(x - width / 2, y - width / 2), (x + width / 2, y + width / 2)]), fill=255)

    return mask(draw_stroke)


def extension_icon() -> Image.Image:
    """Both halves, the organ's outline across them and an arrow from one to the other."""
    picture = two_halves()
    seam(picture)
    paint(picture, ORGAN, outline(organ(), 5))
    shape = ImageChops.lighter(stroke([(30, 103), (96, 103)], 9), stroke([(80, 88), (97, 103), (80, 118)], 9))
    halo(picture, shape, 8)
    paint(picture, ARROW, shape)
    return picture


def segmenting_icon() -> Image.Image:
    """Both halves and the organ filled across them."""
    picture = two_halves()
    seam(picture)
    paint(picture, ORGAN, organ(), 0.72)
    paint(picture, ORGAN, outline(organ(), 5))
    return picture


def training_icon() -> Image.Image:
    """Both halves, the organ's outline and, on a board of its own, a curve that falls."""
    picture = two_halves()
    seam(picture)
    paint(picture, ORGAN, outline(organ(), 5))
    board = mask(lambda draw: draw.rounded_rectangle(scaled([(55, 62), (128, 128)]), radius=14 * SCALE, fill=255))
    halo(picture, board, 4)
    paint(picture, BACKGROUND, board)
    paint(picture, ARROW, stroke([(65, 71), (65, 112), (112, 112)], 4), 0.75)
    paint(picture, CURVE, stroke(smooth([(75, 71), (78, 94), (90, 101), (111, 102)], closed=False), 8))
    return picture


def icon(picture: Image.Image) -> Image.Image:
    """The picture with round corners and in its final size."""
    box = scaled([(2, 2), (SIZE - 2, SIZE - 2)])
    corners = mask(lambda draw: draw.rounded_rectangle(box, radius=22 * SCALE, fill=255))
    picture = picture.convert("RGBA")
    picture.putalpha(corners)
    return picture.resize((SIZE, SIZE), Image.LANCZOS)


ICONS = {
    "GlobalLocalAlignment.png": extension_icon,
    "GlobalLocalAlignment/Resources/Icons/GlobalLocalAlignment.png": segmenting_icon,
    "GlobalLocalAlignmentTraining/Resources/Icons/GlobalLocalAlignmentTraining.png": training_icon,
}
"""Path in the repository -> what draws the icon."""


def main() -> None:
    """Writes all icons, to their places in the repository if no other folder is given."""
    parser = argparse.ArgumentParser(description="Draws the icons of the extension.")
    parser.add_argument("--output", type=Path, default=ROOT, help="folder to write to (default: this repository)")
    folder = parser.parse_args().output
    for path, draw in ICONS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        icon(draw()).save(folder / path, optimize=True)


if __name__ == "__main__":
    main()
