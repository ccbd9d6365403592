"""Labels of voxels from the classes of the samples around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.labelsbetweensamples import most_probable
from GlobalLocalAlignmentLib.slicegrid import SliceGrid
from GlobalLocalAlignmentLib.volumes import Volume
from torch.nn import functional

VALUES = torch.tensor([0, 7, 3, 200], dtype=torch.uint8)
SIZE = (24, 20)
TIE = 1e-5


def test_the_most_probable_class_is_that_of_argmax_and_the_first_of_equals():
    shares = torch.randint(0, 4, (3, 5, 7, 6)).float() / 4
    assert torch.equal(most_probable(shares).long(), torch.from_numpy(shares.numpy().argmax(axis=1)))


def _grid(spacing: float, shape: tuple[int, int, int] = (41, 37, 3)) -> SliceGrid:
    volume = Volume(np.zeros(shape, np.int16), np.diag([1.0, 1.0, 2.0, 1.0]))
    return SliceGrid.for_volume(volume, "axial", spacing, SIZE, "volume")


def _shares(kind: str) -> torch.Tensor:
    """Probabilities (3, 4, rows, columns): of large structures, or of another class at every sample."""
    generator = torch.Generator().manual_seed(4)
    coarse = torch.randn(3, len(VALUES), *((5, 4) if kind == "structures" else SIZE), generator=generator)
    return functional.interpolate(coarse * 4, SIZE, mode="bicubic", align_corners=True).softmax(dim=1)


@pytest.mark.parametrize("kind", ["structures", "noise"])
@pytest.mark.parametrize("spacing", [0.4, 0.5, 0.73, 1.0, 1.7, 2.3, 5.0])
def test_labels_are_those_of_the_interpolated_probabilities(kind: str, spacing: float):
    grid, shares = _grid(spacing), _shares(kind)
    restored = grid.restore(shares, 0.0)
    expected = VALUES[most_probable(restored).long()]
    best = restored.topk(2, dim=1).values
    undecided = (best[:, 0] - best[:, 1] < TIE) & (best[:, 0] > 0)
    labels = grid.restore_labels(shares, VALUES)
    assert labels.dtype == torch.uint8 and labels.shape == expected.shape
    assert undecided.float().mean() < 0.01
    assert torch.equal(labels[~undecided], expected[~undecided])
    assert set(labels.unique().tolist()) == set(VALUES.tolist())


def test_beyond_the_field_of_view_the_first_class_is_given():
    grid, shares = _grid(1.0), torch.zeros(3, len(VALUES), *SIZE)
    shares[:, 2] = 1
    labels = grid.restore_labels(shares, VALUES)
    assert int((labels == VALUES[2]).sum()) == 3 * SIZE[0] * SIZE[1]
    assert int((labels == VALUES[0]).sum()) == labels.numel() - 3 * SIZE[0] * SIZE[1]


def test_half_precision_gives_the_labels_of_its_own_values():
    grid, shares = _grid(1.7), _shares("structures").bfloat16()
    assert torch.equal(grid.restore_labels(shares, VALUES), grid.restore_labels(shares.float(), VALUES))
