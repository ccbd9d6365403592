"""Volumes that cannot be used: one line that names the file, what is wrong and what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from GlobalLocalAlignmentLib.cases import find_volumes, pair_cases
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, read_volume, write_volume


def good_array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 99, (12, 12, 6)).astype(np.int16)


def write_good(path: Path, array: np.ndarray | None = None) -> Path:
    write_volume(Volume(good_array() if array is None else array, np.eye(4)), path)
    return path


def refused(path: Path, words: str, reader=read_volume) -> None:
    with pytest.raises(InputError, match=words) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.97])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float):
    path = write_good(tmp_path / f"x{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "cannot be read|is empty")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_text_file_with_the_name_of_a_volume_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"x{suffix}"
    path.write_text("this is no volume\n" * 40)
    refused(path, "cannot be read")


def test_a_compressed_text_is_refused(tmp_path: Path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(b"hello " * 500))
    refused(path, "cannot be read")


def test_a_missing_file_is_refused(tmp_path: Path):
    refused(tmp_path / "nothing.nii.gz", "does not exist")


def test_an_unknown_format_is_refused(tmp_path: Path):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"1234")
    refused(path, "not of a known format")


def test_an_empty_folder_is_refused(tmp_path: Path):
    refused(tmp_path, "no DICOM series")


@pytest.mark.parametrize("shape", [(12, 12), (6, 6, 4, 3)])
def test_two_and_four_dimensions_are_refused(tmp_path: Path, shape: tuple[int, ...]):
    path = tmp_path / "x.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.random.default_rng(0).random(shape).astype(np.float32), np.eye(4)), path)
    refused(path, "dimensions")


def test_one_volume_in_four_dimensions_is_read(tmp_path: Path):
    path = tmp_path / "x.nii.gz"
    nibabel.save(nibabel.Nifti1Image(good_array()[..., None], np.eye(4)), path)
    assert read_volume(path).shape == (12, 12, 6)


def test_a_two_dimensional_nrrd_and_a_colour_image_are_refused(tmp_path: Path):
    flat, colour = tmp_path / "flat.nrrd", tmp_path / "colour.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(good_array()[..., 0]), str(flat))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(colour))
    refused(flat, "2 dimensions")
    refused(colour, "several numbers a voxel")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float):
    array = good_array().astype(np.float32)
    array[3, 4, 5] = value
    refused(write_good(tmp_path / "x.nii.gz", array), "NaN or infinite")


def test_a_constant_volume_is_refused(tmp_path: Path):
    refused(write_good(tmp_path / "x.nii.gz", np.full((5, 5, 5), 7, np.int16)), "is constant, every voxel is 7")


def test_a_singular_direction_is_refused(tmp_path: Path):
    path = tmp_path / "x.nii"
    image = nibabel.Nifti1Image(good_array(), np.eye(4))
    image.header["srow_x"] = image.header["srow_y"]
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    path.write_bytes(image.to_bytes())
    content = bytearray(path.read_bytes())
    content[280:328] = np.zeros(12, np.float32).tobytes()
    path.write_bytes(bytes(content))
    refused(path, "usable spacing or direction")


def test_a_labelmap_with_fractions_is_refused(tmp_path: Path):
    path = write_good(tmp_path / "x.nii.gz", good_array().astype(np.float32) + 0.5)
    refused(path, "not whole numbers", read_labelmap)


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_good(blocker / "x.nii.gz")
    assert list(tmp_path.iterdir()) == [blocker]


def test_a_mixed_folder_is_told_apart_by_names(tmp_path: Path):
    for name in ("image_2.nii.gz", "image_10.nii.gz", "label_2.nii.gz", "label_10.nii.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    images, labels = find_volumes([tmp_path], "image"), find_volumes([tmp_path], "labelmap")
    assert [path.name for path in images.values()] == ["image_2.nii.gz", "image_10.nii.gz"]
    assert [path.name for path in labels.values()] == ["label_2.nii.gz", "label_10.nii.gz"]
    assert list(pair_cases(images, labels)) == ["2", "10"]


def test_a_case_without_its_label_is_refused():
    with pytest.raises(InputError, match="no label map for case b"):
        pair_cases({"a": Path("a.nii"), "b": Path("b.nii")}, {"a": Path("a.nii")})
