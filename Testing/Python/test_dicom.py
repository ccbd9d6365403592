"""DICOM series: which files belong together, where their slices lie, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicomfiles import STACK, write_series
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.volumes import read_volume


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", [0, 2, 4])
def test_a_damaged_slice_anywhere_in_a_series_is_named(tmp_path: Path, broken: int):
    write_series(tmp_path, STACK)
    path = sorted(tmp_path.iterdir())[broken]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged or cut short") as caught:
        read_volume(tmp_path)
    assert str(path) in str(caught.value)


def test_an_empty_file_in_a_series_is_named(tmp_path: Path):
    write_series(tmp_path, STACK)
    (tmp_path / "IM0006").write_bytes(b"")
    with pytest.raises(InputError, match="IM0006: is empty"):
        read_volume(tmp_path)


def test_a_text_and_a_dicomdir_beside_a_series_do_no_harm(tmp_path: Path):
    write_series(tmp_path, STACK)
    (tmp_path / "README.txt").write_text("from the archive")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    assert read_volume(tmp_path).shape == (8, 6, 5)


def test_two_series_are_named_with_their_files(tmp_path: Path):
    write_series(tmp_path, STACK)
    write_series(tmp_path, STACK[:3], "1.2.9")
    refused(tmp_path, r"2 DICOM series \(that of 1.2.3_8_\d.dcm with 5 files, that of 1.2.9_8_\d.dcm with 3")


def test_times_at_one_place_are_refused(tmp_path: Path):
    write_series(tmp_path, [place for place in STACK for _ in range(2)])
    refused(tmp_path, "several slices at one place")


def test_a_tilted_gantry_is_refused(tmp_path: Path):
    write_series(tmp_path, [(x, y + height * 0.3, height) for x, y, height in STACK])
    refused(tmp_path, r"shifted sideways by up to 3.6 mm \(a tilted gantry\?\)")


def test_slices_of_different_sizes_are_refused(tmp_path: Path):
    write_series(tmp_path, STACK)
    write_series(tmp_path, [(-10.0, 20.0, 15.0)], columns=9)
    refused(tmp_path, "slices of different sizes")


def test_a_localizer_in_the_series_is_refused(tmp_path: Path):
    write_series(tmp_path, STACK)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(f"axial_{path.name}"))
    write_series(tmp_path, [(0.0, 0.0, 30.0)], directions=r"1\0\0\0\0\-1")
    refused(tmp_path, "different directions")


def test_rounded_slice_positions_are_read_as_evenly_spaced_in_silence(tmp_path: Path, capfd: pytest.CaptureFixture):
    write_series(tmp_path, [(0.0, 0.0, round(index * 0.625, 1)) for index in range(9)])
    assert np.isclose(read_volume(tmp_path).spacing[2], 0.625)
    assert capfd.readouterr() == ("", "")


def test_an_oblique_series_has_its_slices_at_their_places(tmp_path: Path):
    cosine, sine = np.cos(0.3), np.sin(0.3)
    normal = np.array([0, -sine, cosine])
    places = [tuple(np.round(np.array([5, 6, 7]) + 3 * index * normal, 6)) for index in range(4)]
    write_series(tmp_path, places, directions=f"1\\0\\0\\0\\{cosine:.8f}\\{sine:.8f}")
    volume = read_volume(tmp_path)
    for index, place in enumerate(places):
        assert np.allclose((volume.ijk_to_ras @ (0, 0, index, 1))[:3] * (-1, -1, 1), place, atol=1e-4)


def test_one_file_of_a_series_is_refused_and_its_folder_asked_for(tmp_path: Path):
    write_series(tmp_path, STACK)
    refused(min(tmp_path.iterdir()), "is one slice; name the folder of its DICOM series")


def test_a_text_with_the_name_of_a_dicom_file_is_refused(tmp_path: Path):
    (tmp_path / "a.dcm").write_text("this is no image")
    with pytest.raises(InputError, match="a.dcm: is a DICOM file that is damaged"):
        read_volume(tmp_path)


def test_slices_are_in_the_order_of_their_place_not_of_their_number(tmp_path: Path):
    write_series(tmp_path, STACK[::-1])
    volume = read_volume(tmp_path)
    first = np.random.default_rng(len(STACK) - 1).integers(-900, 900, (1, 6, 8)).astype(np.int16)
    assert np.array_equal(volume.array[..., 0], first[0].T)
    assert np.allclose(volume.spacing, (0.8, 0.9, 3.0))
    assert np.allclose(volume.ijk_to_ras[:3, 3], (10, -20, 0))


def test_a_missing_slice_is_refused(tmp_path: Path):
    write_series(tmp_path, [*STACK[:2], *STACK[3:]])
    refused(tmp_path, "3.00 to 6.00 mm apart")


def test_a_real_series_has_the_values_and_the_geometry_that_itk_reads(shared_data: Path):
    folder = shared_data / "torso" / "example_ct_dicom"
    volume = read_volume(folder)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    assert volume.shape == image.GetSize()
    assert np.allclose(volume.spacing, image.GetSpacing())
    assert np.array_equal(volume.array.transpose(2, 1, 0), sitk.GetArrayFromImage(image))
