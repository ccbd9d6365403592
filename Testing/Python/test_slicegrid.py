"""Slices in anatomical planes: which voxel appears where, and how everything comes back."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.slicegrid import SliceGrid, _opened
from GlobalLocalAlignmentLib.volumes import Volume
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy import ndimage

PLANES = ("axial", "coronal", "sagittal")
CODES = ("RAS", "LPS", "LAS", "PIR", "ASL", "SRP", "ILA")
TYPES = [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64]

# what rows and columns run along, as the index of a RAS axis and the sign of the step
DIRECTIONS = {"axial": ((1, -1), (0, 1)), "coronal": ((2, -1), (0, 1)), "sagittal": ((2, -1), (1, -1))}


def stored(volume: Volume, codes: str) -> Volume:
    """The same patient stored along other axes."""
    transform = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    array = np.ascontiguousarray(apply_orientation(volume.array, transform))
    return Volume(array, volume.ijk_to_ras @ inv_ornt_aff(transform, volume.shape))


def volume_of(shape: tuple[int, int, int] = (11, 14, 9), spacing=(1.5, 2.0, 3.0), kind: type = np.float32) -> Volume:
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = (-20, 31, 7)
    return Volume(np.random.default_rng(0).integers(-99, 99, shape).astype(kind), matrix)


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("plane", PLANES)
def test_a_point_of_the_patient_is_at_its_row_and_column(plane: str, codes: str):
    standard, spacing, size = volume_of(), 0.5, (96, 100)
    index = np.array((3, 10, 2))
    array = np.zeros(standard.shape, np.float32)
    array[tuple(index)] = 1
    volume = stored(Volume(array, standard.ijk_to_ras), codes)
    grid = SliceGrid.for_volume(volume, plane, spacing, size, "volume")
    image = grid.extract(grid.from_volume(volume.array), "linear", 0.0)
    _, row, column = np.unravel_index(int(image.argmax()), image.shape)
    centre = standard.ijk_to_ras[:3] @ (*((np.array(standard.shape) - 1) / 2), 1)
    away = (standard.ijk_to_ras[:3] @ (*index, 1) - centre) / spacing
    # the patient's right is at the left: columns of axial and coronal slices run from right to left, -R of RAS
    for place, length, (axis, sign) in zip((row, column), size, DIRECTIONS[plane], strict=True):
        sign = -1 if axis == 0 else sign
        assert abs(place - ((length - 1) / 2 + sign * away[axis])) <= 0.5


def test_slices_are_in_the_order_of_the_body():
    # upwards, backwards, to the right: each next slice is farther along
    array = np.zeros((6, 7, 8), np.float32)
    array[1, 5, 6] = 1
    volume = Volume(array, np.eye(4))
    slices = {}
    for plane in PLANES:
        grid = SliceGrid.for_volume(volume, plane, 1.0, (16, 16), "volume")
        slices[plane] = int(grid.from_volume(array).any(axis=(1, 2)).argmax())
    assert slices == {"axial": 6, "coronal": 7 - 1 - 5, "sagittal": 1}


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("sizes", [(16, 16), (17, 16), (15, 17)])
def test_at_the_voxels_own_spacing_all_values_come_back_exactly(plane: str, sizes: tuple[int, int]):
    volume = volume_of(spacing=(2.0, 2.0, 2.0))
    noise = np.random.default_rng(1).normal(0, 1e3, volume.shape).astype(np.float32)
    grid = SliceGrid.for_volume(volume, plane, 2.0, sizes, "volume")
    slices = grid.extract(grid.from_volume(noise), "linear", -1024.0)
    restored = grid.restore(slices[:, None], 7.0)[:, 0]
    assert np.array_equal(grid.to_volume(restored.numpy()), noise)
    assert torch.equal(slices, grid.extract(grid.from_volume(noise), "nearest", -1024.0))


def test_a_spacing_that_a_header_rounded_is_the_voxels_own():
    volume = volume_of(spacing=(1.2500001192, 1.25, 5.0))
    grid = SliceGrid.for_volume(volume, "axial", 1.25, (32, 32), "volume")
    slices = grid.extract(grid.from_volume(volume.array), "linear", 0.0)
    assert np.array_equal(grid.to_volume(grid.restore(slices[:, None], 0.0)[:, 0].numpy()), volume.array)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.6, 4)] * 3),
    share=st.floats(0.1, 0.7),
    plane=st.sampled_from([*PLANES, "acquisition"]),
    codes=st.sampled_from(CODES),
)
def test_labels_come_back_voxel_exact_from_a_finer_grid(shape, spacing, share, plane, codes):
    fine = share * min(spacing)
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    volume = stored(Volume(labels, np.diag([*spacing, 1.0])), codes)
    size = int(max(np.array(shape) * spacing) / fine) + 2
    grid = SliceGrid.for_volume(volume, plane, fine, (size, size + 1), "volume")
    slices = grid.extract(grid.from_volume(volume.array), "nearest", 0)
    shares = torch.nn.functional.one_hot(slices.long(), 3).movedim(-1, 1).float()
    restored = grid.restore(shares, 0.0)
    assert np.array_equal(grid.to_volume(restored.argmax(dim=1).numpy()), volume.array)


def test_planes_are_views_in_both_directions():
    volume = stored(volume_of(), "PIR")
    grid = SliceGrid.for_volume(volume, "sagittal", 1.0, (32, 32), "volume")
    planes = grid.from_volume(volume.array)
    assert np.shares_memory(planes, volume.array)
    assert np.shares_memory(grid.to_volume(planes), volume.array)
    assert planes.shape == (grid.slice_count, *grid.native_size)


def test_a_constant_stays_constant_at_every_spacing():
    volume = Volume(np.full((20, 20, 3), 5, np.int16), np.eye(4))
    for spacing in (0.3, 0.9, 1.0, 1.1, 3.7):
        grid = SliceGrid.for_volume(volume, "axial", spacing, (8, 8) if spacing > 2 else (6, 6), "volume")
        slices = grid.extract(grid.from_volume(volume.array), "linear", -1000.0)
        inner = slices[:, 3:5, 3:5]
        assert torch.allclose(inner, torch.full_like(inner, 5.0), atol=1e-5)


def test_cutting_to_a_coarser_grid_averages_the_voxels():
    stripes = np.zeros((32, 32, 2), np.float32)
    # the two voxels around each sample: alone they would make it 1
    stripes[1::4] = stripes[2::4] = 1
    grid = SliceGrid.for_volume(Volume(stripes, np.eye(4)), "axial", 4.0, (8, 8), "volume")
    slices = grid.extract(grid.from_volume(stripes), "linear", 0.0)
    assert (slices[..., 1:-1] - 0.5).abs().max() < 0.05


def test_restoring_to_coarser_voxels_averages_the_grid():
    volume = Volume(np.ones((8, 8, 1), np.float32), np.diag([8.0, 8.0, 1.0, 1.0]))
    grid = SliceGrid.for_volume(volume, "axial", 1.0, (64, 64), "volume")
    stripes = torch.zeros(1, 1, 64, 64)
    # the two samples around the middle of each voxel: alone they would make it 1
    stripes[..., 3::8] = stripes[..., 4::8] = 1
    restored = grid.restore(stripes, 0.0)
    assert restored.min() > 0.2
    assert restored.max() < 0.5


def test_linear_resampling_follows_a_ramp():
    ramp = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None], (20, 20, 2))
    volume = Volume(ramp, np.diag([-1.0, -1.0, 1.0, 1.0]))
    grid = SliceGrid.for_volume(volume, "axial", 0.4, (30, 30), "volume")
    row = grid.extract(grid.from_volume(ramp), "linear", 0.0)[0, 15]
    assert torch.allclose(row, 9.5 + (torch.arange(30) - 14.5) * 0.4, atol=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_values_of_every_type_are_cut(kind: type):
    # in this order in memory a slice needs no copy, and torch warns of what may not be written
    array = np.asfortranarray(np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(kind))
    array.flags.writeable = False
    grid = SliceGrid.for_volume(Volume(array, np.diag([-1.0, -1.0, 1.0, 1.0])), "axial", 1.0, (6, 6), "volume")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear = grid.extract(grid.from_volume(array), "linear", 0)
        nearest = grid.extract(grid.from_volume(array), "nearest", 0)
    assert linear.dtype == torch.float32
    assert torch.equal(linear, nearest.float())
    assert nearest.sum() == array.sum()


@pytest.mark.parametrize("codes", ["LPS", "RAI", "LPI", "IRP"])
def test_a_single_slice_can_be_cut_from_flipped_axes(codes: str):
    volume = stored(volume_of(), codes)
    grid = SliceGrid.for_volume(volume, "axial", 1.5, (16, 16), "volume")
    planes = grid.from_volume(volume.array)
    assert torch.equal(grid.extract(planes[3:4], "linear", 0.0), grid.extract(planes, "linear", 0.0)[3:4])


def test_a_batch_gives_what_the_whole_volume_gives():
    volume = volume_of()
    grid = SliceGrid.for_volume(volume, "axial", 1.7, (16, 16), "volume")
    planes = grid.from_volume(volume.array)
    whole = grid.extract(planes, "linear", 0.0)
    parts = torch.cat([grid.extract(planes[start : start + 4], "linear", 0.0) for start in range(0, len(planes), 4)])
    assert torch.allclose(whole, parts, atol=1e-5)
    assert torch.equal(grid.extract(torch.from_numpy(planes.copy()), "linear", 0.0), whole)


def test_reduced_precision_around_it_does_not_blur_the_positions():
    volume = volume_of()
    grid = SliceGrid.for_volume(volume, "axial", 0.7, (40, 40), "volume")
    planes = grid.from_volume(volume.array)
    expected = grid.extract(planes, "linear", 0.0)
    with torch.autocast("cpu", torch.bfloat16):
        slices = grid.extract(planes, "linear", 0.0)
        restored = grid.restore(slices[:, None].bfloat16(), 0.0)
    assert slices.dtype == restored.dtype == torch.float32
    assert torch.equal(slices, expected)


def test_equal_spacings_take_the_last_axis_as_acquired():
    volume = stored(volume_of(shape=(5, 6, 7), spacing=(2.0, 2.0, 2.0)), "SRA")
    assert SliceGrid.for_volume(volume, "acquisition", 2.0, (8, 8), "volume").slice_count == volume.shape[2]


@pytest.mark.parametrize("plane", PLANES)
def test_acquisition_follows_the_order_of_the_plane_it_is_nearest_to(plane: str):
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    volume = stored(volume_of(spacing=tuple(6.0 if index == axis else 1.0 for index in range(3))), "ILA")
    acquired = SliceGrid.for_volume(volume, "acquisition", 1.0, (16, 16), "volume")
    named = SliceGrid.for_volume(volume, plane, 1.0, (16, 16), "volume")
    assert np.array_equal(acquired.from_volume(volume.array), named.from_volume(volume.array))


# The centre of the body


def body_on_a_table(center: tuple[int, int], table: int, noise: float = 5.0) -> Volume:
    """RAS volume at 2 mm: an ellipse of soft tissue with a bone in it, a thin bright table under it, in noisy air."""
    x, y = np.meshgrid(np.arange(160), np.arange(160), indexing="ij")
    plane = np.full((160, 160), -1000.0)
    plane[((x - center[0]) / 34) ** 2 + ((y - center[1]) / 24) ** 2 < 1] = 40
    plane[((x - center[0]) / 5) ** 2 + ((y - center[1] + 14) / 5) ** 2 < 1] = 700
    if table >= 0:
        plane[10:150, table : table + 2] = 200
    array = np.repeat(plane[..., None], 8, axis=2) + np.random.default_rng(0).normal(0, noise, (160, 160, 8))
    return Volume(array.astype(np.int16), np.diag([2.0, 2.0, 5.0, 1.0]))


def found_center(volume: Volume, plane: str = "axial") -> np.ndarray:
    """Index (I, J) that the middle of the field of view shows."""
    grid = SliceGrid.for_volume(volume, plane, 2.0, (65, 65), "body")
    names = np.arange(160 * 160).reshape(160, 160, 1).repeat(8, axis=2)
    middle = int(grid.extract(grid.from_volume(names), "nearest", -1)[4, 32, 32])
    return np.array(divmod(middle, 160))


@pytest.mark.parametrize("center", [(80, 80), (50, 100), (110, 60)])
@pytest.mark.parametrize("table", [-1, 20])
def test_the_field_of_view_is_centred_on_the_body_not_on_its_table(center: tuple[int, int], table: int):
    assert np.abs(found_center(body_on_a_table(center, table)) - center).max() <= 3


def test_a_table_that_touches_the_back_moves_the_centre_little():
    volume = body_on_a_table((60, 90), 90 - 24 - 2)
    assert np.abs(found_center(volume) - (60, 90)).max() <= 4


def test_the_centre_does_not_depend_on_how_the_volume_is_stored():
    volume = body_on_a_table((50, 100), 20)
    standard = SliceGrid.for_volume(volume, "axial", 2.0, (64, 64), "body")
    expected = standard.extract(standard.from_volume(volume.array), "nearest", -1000)
    other = stored(volume, "LIP")
    grid = SliceGrid.for_volume(other, "axial", 2.0, (64, 64), "body")
    slices = grid.extract(grid.from_volume(other.array), "nearest", -1000)
    rows, columns = ((image > -500).any(dim=0).nonzero().float().mean(dim=0) for image in (slices, expected))
    assert (rows - columns).abs().max() <= 2


@pytest.mark.parametrize("filling", ["constant", "noise", "spot"])
def test_without_a_body_the_centre_is_that_of_the_volume(filling: str):
    array = np.zeros((40, 40, 4), np.float32)
    if filling == "noise":
        array[::7, ::7] = 1
    elif filling == "spot":
        array[5:10, 30:35] = 1
    volume = Volume(array, np.eye(4))
    grids = [SliceGrid.for_volume(volume, "axial", 1.0, (20, 20), center) for center in ("body", "volume")]
    names = np.arange(1600).reshape(40, 40, 1).repeat(4, axis=2)
    first, second = (grid.extract(grid.from_volume(names), "nearest", -1) for grid in grids)
    assert torch.equal(first, second)


def test_the_opening_of_the_body_is_that_of_another_library():
    random = np.random.default_rng(2)
    for share in (0.5, 0.8, 0.95):
        mask = (random.random((4, 17, 12)) < share).astype(np.uint8)
        window = np.ones((1, 3, 3), bool)
        expected = ndimage.binary_dilation(ndimage.binary_erosion(mask, window, border_value=1), window)
        assert 0 < expected.mean() < 1
        assert np.array_equal(_opened(mask), expected)
