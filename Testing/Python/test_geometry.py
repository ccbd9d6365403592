"""Volumes in every format and orientation, slices in every plane, and the exact way back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.slicegrid import SliceGrid
from GlobalLocalAlignmentLib.volumes import Volume
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*axes)
]
SPACING = (1.5, 2.0, 3.0)


def canonical_volume(seed: int = 0) -> Volume:
    """Random RAS volume of different size and spacing along each axis."""
    array = np.random.default_rng(seed).integers(0, 4, (10, 12, 8)).astype(np.int16)
    matrix = np.diag([*SPACING, 1.0])
    matrix[:3, 3] = (-20, 31, 7)
    return Volume(array, matrix)


def reoriented(volume: Volume, codes: str) -> Volume:
    """The same patient stored along other axes."""
    transform = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    array = apply_orientation(volume.array, transform)
    return Volume(np.ascontiguousarray(array), volume.ijk_to_ras @ inv_ornt_aff(transform, volume.shape))


def oblique(volume: Volume) -> Volume:
    """The volume turned by 20 degrees about two axes."""
    a = np.deg2rad(20)
    first = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    second = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    matrix = volume.ijk_to_ras.copy()
    matrix[:3, :3] = second @ first @ matrix[:3, :3]
    return Volume(volume.array, matrix)


def there_and_back(grid: SliceGrid, volume: Volume) -> np.ndarray:
    """Labels cut into slices and restored as the most probable class, as a prediction is."""
    slices = grid.extract(grid.from_volume(volume.array), "nearest", 0)
    probabilities = torch.nn.functional.one_hot(slices.long(), 4).movedim(-1, 1).float()
    return grid.to_volume(grid.restore(probabilities, 0.0).argmax(dim=1).numpy())


def covering_grid(volume: Volume, plane: str, spacing: float = 0.5) -> SliceGrid:
    return SliceGrid.for_volume(volume, plane, spacing, (96, 96), "volume")


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_every_orientation_gives_the_same_slices_and_comes_back_voxel_exact(codes: str, plane: str):
    standard, volume = canonical_volume(), reoriented(canonical_volume(), codes)
    grid = covering_grid(volume, plane)
    planes = grid.from_volume(volume.array)
    slices = grid.extract(planes, "nearest", 0)
    expected_grid = covering_grid(standard, plane)
    expected = expected_grid.extract(expected_grid.from_volume(standard.array), "nearest", 0)
    assert torch.equal(slices, expected)
    assert np.array_equal(grid.to_volume(planes), volume.array)
    assert np.array_equal(there_and_back(grid, volume), volume.array)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "acquisition"])
def test_an_oblique_volume_comes_back_voxel_exact(plane: str):
    volume = oblique(canonical_volume())
    assert np.array_equal(there_and_back(covering_grid(volume, plane), volume), volume.array)


def test_an_axial_slice_has_the_front_at_the_top_and_the_patients_right_at_the_left():
    volume = canonical_volume()
    marked = np.zeros(volume.shape, np.int16)
    # RAS axes: index 0 is left of the patient, the last index of axis 1 is the front
    marked[9, 11, 4] = 100
    grid = SliceGrid.for_volume(Volume(marked, volume.ijk_to_ras), "axial", 2.0, (64, 64), "volume")
    image = grid.extract(grid.from_volume(marked), "linear", 0.0)
    position, row, column = np.unravel_index(int(image.argmax()), image.shape)
    assert position == 4
    assert row < 32
    assert column < 32


@pytest.mark.parametrize(("plane", "corner"), [("coronal", (9, 5, 7)), ("sagittal", (4, 11, 7))])
def test_coronal_and_sagittal_slices_have_the_head_at_the_top(plane: str, corner: tuple[int, int, int]):
    volume = canonical_volume()
    marked = np.zeros(volume.shape, np.int16)
    marked[corner] = 100
    grid = SliceGrid.for_volume(Volume(marked, volume.ijk_to_ras), plane, 2.0, (64, 64), "volume")
    image = grid.extract(grid.from_volume(marked), "linear", 0.0)
    _, row, column = np.unravel_index(int(image.argmax()), image.shape)
    assert row < 32
    assert column < 32


def test_acquisition_slices_are_those_with_the_largest_spacing():
    volume = reoriented(canonical_volume(), "SRA")
    grid = SliceGrid.for_volume(volume, "acquisition", 2.0, (32, 32), "volume")
    assert grid.slice_count == 8


def test_millimetres_stay_millimetres_in_anisotropic_planes():
    volume = canonical_volume()
    marked = np.zeros(volume.shape, np.float32)
    marked[2, 3, 0] = marked[7, 9, 0] = 1.0
    grid = SliceGrid.for_volume(Volume(marked, volume.ijk_to_ras), "axial", 0.5, (96, 96), "volume")
    image = grid.extract(grid.from_volume(marked), "linear", 0.0)[0]
    rows, columns = (np.flatnonzero((image > 0.2).any(dim=axis)) for axis in (1, 0))
    assert abs((rows[rows > rows.mean()].mean() - rows[rows < rows.mean()].mean()) * 0.5 - 6 * SPACING[1]) <= 0.5
    assert abs((columns[columns > columns.mean()].mean() - columns[columns < columns.mean()].mean()) * 0.5 - 7.5) <= 0.5


def test_beyond_the_volume_a_slice_holds_the_outside_value():
    volume = canonical_volume()
    grid = SliceGrid.for_volume(volume, "axial", 2.0, (64, 64), "volume")
    planes = grid.from_volume(volume.array)
    assert (grid.extract(planes, "linear", -1.0)[:, 0, 0] == -1).all()
    assert (grid.extract(planes, "nearest", 7)[:, 0, 0] == 7).all()


def test_beyond_the_field_of_view_a_restored_volume_holds_the_outside_value():
    volume = Volume(np.ones((200, 200, 2), np.int16) * np.arange(2, dtype=np.int16), np.eye(4))
    grid = SliceGrid.for_volume(volume, "axial", 1.0, (32, 32), "volume")
    restored = grid.restore(torch.ones(2, 1, 32, 32), -5.0)
    assert (restored[:, :, 0, 0] == -5).all()
    assert torch.allclose(restored[:, :, 100, 100], torch.ones(2, 1))
