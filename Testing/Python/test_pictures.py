"""Pictures of a training: each slice in its place, in its colours, under its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.pictures import colored, save_preview
from PIL import Image

RED = (255, 0, 0)


def picture_of(columns: dict[str, np.ndarray], folder: Path) -> np.ndarray:
    """The preview of some slices, (rows, columns, 3) from 0 to 255."""
    save_preview(folder / "preview.png", columns, [RED])
    return np.asarray(Image.open(folder / "preview.png").convert("RGB"))


def centers(picture: np.ndarray, count: int, columns: int) -> np.ndarray:
    """Colour in the middle of each slice, (count, columns, 3); names take 0.3 inches at 110 dots above them."""
    top, (height, width) = 33, picture.shape[:2]
    rows = [round(top + (height - top) * (row + 0.5) / count) for row in range(count)]
    return picture[np.ix_(rows, [round(width * (column + 0.5) / columns) for column in range(columns)])]


def test_each_slice_has_its_place_and_its_colours(tmp_path: Path):
    grays = np.array([-1.0, 0.0, 1.0], np.float32)[:, None, None] * np.ones((3, 16, 24), np.float32)
    masks = np.array([0.0, 0.5, 1.0], np.float32)[:, None, None] * np.ones((3, 16, 24), np.float32)
    classes = np.array([0, 1, 0])[:, None, None] * np.ones((3, 16, 24), int)
    found = centers(picture_of({"image": grays, "mask": masks, "prediction": classes}, tmp_path), 3, 3)
    assert found[:, 0, 0] == pytest.approx([0, 128, 255], abs=1)
    assert found[:, 1] == pytest.approx(np.stack([255 * colored(mask)[0, 0] for mask in masks]), abs=1)
    # no class leaves the image as it is, a class is seen through
    assert found[::2, 2] == pytest.approx(found[::2, 0], abs=1)
    assert found[1, 2, 0] > 180 and found[1, 2, 1] < 80


def test_names_stand_above_their_columns(tmp_path: Path):
    black = np.full((1, 16, 24), -1.0, np.float32)
    picture = picture_of({"source": black, "target": black}, tmp_path)
    names = picture[:33].max(axis=2) > 128
    assert names[:, : picture.shape[1] // 2].any() and names[:, picture.shape[1] // 2 :].any()
    assert not (picture[33:].max(axis=2) > 128).any()


def test_a_column_may_be_shorter(tmp_path: Path):
    white = np.ones((3, 16, 24), np.float32)
    found = centers(picture_of({"source": white[:1], "target": white}, tmp_path), 3, 2)
    assert (found[..., 0] > 128).tolist() == [[True, True], [False, True], [False, True]]
