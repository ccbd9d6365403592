"""Volumes in every format and orientation, slices in every plane, and the exact way back."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.slicegrid import SliceGrid
from GlobalLocalAlignmentLib.volumes import Volume, check_same_geometry, read_labelmap, read_volume, write_volume
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*axes)
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


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("shape", ["plain", "oblique", "left-handed"])
def test_a_written_volume_loads_equal_here_in_itk_and_in_nibabel(tmp_path: Path, suffix: str, shape: str):
    volume = canonical_volume()
    volume = oblique(volume) if shape == "oblique" else reoriented(volume, "LAS") if shape == "left-handed" else volume
    path = tmp_path / f"x{suffix}"
    write_volume(volume, path)
    again = read_volume(path)
    assert np.array_equal(again.array, volume.array)
    assert again.array.dtype == volume.array.dtype
    assert np.allclose(again.ijk_to_ras, volume.ijk_to_ras, atol=1e-4)
    image = sitk.ReadImage(str(path))
    corner = np.array(image.TransformIndexToPhysicalPoint([3, 2, 1])) * (-1, -1, 1)
    assert np.allclose(corner, (volume.ijk_to_ras @ (3, 2, 1, 1))[:3], atol=1e-3)
    if suffix.startswith(".nii"):
        assert np.allclose(nibabel.load(path).affine, volume.ijk_to_ras, atol=1e-3)


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


def test_at_the_volumes_own_spacing_values_come_back_unchanged():
    array = np.random.default_rng(1).normal(size=(10, 12, 8)).astype(np.float32)
    grid = SliceGrid.for_volume(Volume(array, np.diag([2.0, 2.0, 5.0, 1.0])), "axial", 2.0, (32, 32), "volume")
    slices = grid.extract(grid.from_volume(array), "linear", 0.0)
    assert np.allclose(grid.to_volume(grid.restore(slices[:, None], 0.0)[:, 0].numpy()), array, atol=1e-5)


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


def test_shrinking_averages_instead_of_skipping_voxels():
    stripes = np.zeros((32, 32, 2), np.float32)
    stripes[::2] = 1
    volume = Volume(stripes, np.eye(4))
    grid = SliceGrid.for_volume(volume, "axial", 4.0, (32, 32), "volume")
    inner = grid.extract(grid.from_volume(stripes), "linear", 0.5)[:, 14:18, 14:18]
    assert (inner - 0.5).abs().max() < 0.05


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


def test_the_body_is_centred_though_a_table_lies_under_it():
    x, y = np.meshgrid(np.arange(128), np.arange(128), indexing="ij")
    array = np.where((x - 40) ** 2 / 900 + (y - 50) ** 2 / 400 < 1, 40, -1000).astype(np.int16)
    array[:, 110:112] = 100
    volume = Volume(np.repeat(array[..., None], 6, axis=2), np.diag([-2.0, -2.0, 5.0, 1.0]))
    grid = SliceGrid.for_volume(volume, "axial", 4.0, (32, 32), "body")
    body = grid.extract((grid.from_volume(volume.array) > 0).astype(np.float32), "linear", 0.0)[0].numpy()
    rows, columns = np.nonzero(body > 0.5)
    assert abs((rows.min() + rows.max()) / 2 - 15.5) <= 1.5
    assert abs((columns.min() + columns.max()) / 2 - 15.5) <= 1.5


def test_a_real_dicom_series_is_read_with_its_geometry(shared_data: Path):
    folder = shared_data / "torso" / "example_ct_dicom"
    volume = read_volume(folder)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    assert volume.shape == image.GetSize()
    assert np.allclose(volume.spacing, image.GetSpacing())
    assert np.array_equal(volume.array.transpose(2, 1, 0), sitk.GetArrayFromImage(image))


def write_series(folder: Path, positions: list[float], series: str = "1.2.3") -> np.ndarray:
    """CT slices at the given heights (mm), as a scanner exports them; returns (I, J, K)."""
    folder.mkdir(exist_ok=True)
    array = np.random.default_rng(0).integers(-1000, 1000, (len(positions), 6, 8)).astype(np.int16)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index, position in enumerate(positions):
        image = sitk.GetImageFromArray(array[index : index + 1])
        image.SetSpacing((0.8, 0.9, 3.0))
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{series}.{index + 1}",
            "0008|0060": "CT",
            "0020|000d": "1.2.4",
            "0020|000e": series,
            "0020|0013": str(index + 1),
            "0020|0032": f"-10\\20\\{position}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}_{index}.dcm"))
        writer.Execute(image)
    return array.transpose(2, 1, 0)


def test_a_dicom_series_has_its_slices_in_the_order_of_their_place(tmp_path: Path):
    array = write_series(tmp_path / "series", [9.0, 6.0, 3.0, 0.0])
    volume = read_volume(tmp_path / "series")
    assert np.array_equal(volume.array, array[..., ::-1])
    assert np.allclose(volume.spacing, (0.8, 0.9, 3.0))
    assert np.allclose(volume.ijk_to_ras[:3, 3], (10, -20, 0))


def test_a_dicom_series_with_a_missing_slice_is_refused(tmp_path: Path):
    write_series(tmp_path / "series", [0.0, 3.0, 9.0, 12.0])
    with pytest.raises(InputError, match="3.00 to 6.00 mm apart"):
        read_volume(tmp_path / "series")


def test_two_dicom_series_in_one_folder_are_refused(tmp_path: Path):
    write_series(tmp_path / "series", [0.0, 3.0, 6.0])
    write_series(tmp_path / "series", [0.0, 3.0, 6.0], "1.2.9")
    with pytest.raises(InputError, match="holds 2 DICOM series"):
        read_volume(tmp_path / "series")


def test_a_shifted_labelmap_is_refused_with_both_geometries():
    volume = canonical_volume()
    moved = volume.ijk_to_ras.copy()
    moved[0, 3] += 1
    with pytest.raises(InputError, match="another geometry .* than its image"):
        check_same_geometry(volume, Volume(volume.array, moved))


def test_rounded_headers_are_the_same_geometry():
    volume = canonical_volume()
    check_same_geometry(volume, Volume(volume.array, np.round(volume.ijk_to_ras + 1e-4, 3)))


def test_floating_point_labels_are_read_as_whole_numbers(tmp_path: Path):
    volume = canonical_volume()
    write_volume(Volume(volume.array.astype(np.float32), volume.ijk_to_ras), tmp_path / "x.nii.gz")
    labels = read_labelmap(tmp_path / "x.nii.gz")
    assert labels.array.dtype.kind == "i"
    assert np.array_equal(labels.array, volume.array)
