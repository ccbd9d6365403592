"""What a batch finds in a tree of folders: volumes, the series of DICOM studies, and what it passes over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicomfiles import STACK, write_series
from GlobalLocalAlignmentLib.batches.batchsearch import BatchSearch, search
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.volumes import Volume, write_volume

LONG = [(-10.0, 20.0, 3.0 * place) for place in range(7)]


def write_image(path: Path) -> None:
    write_volume(Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)), path)


def found_in(folder: Path, **options) -> BatchSearch:
    return search([folder], folder.parent / "out", **options)


def results(found: BatchSearch) -> list[str]:
    return [str(case.result) for case in found.cases]


def test_volumes_of_all_formats_are_found_in_a_tree_that_the_results_mirror(tmp_path: Path):
    for name in ("b10.nii.gz", "b9.nrrd", "x/y/z.mha", "x/y/z2.mhd", ".hidden/h.nrrd"):
        write_image(tmp_path / "in" / name)
    assert results(found_in(tmp_path / "in")) == ["b9", "b10", "x/y/z", "x/y/z2"]


def test_the_output_folder_in_the_tree_is_left_out(tmp_path: Path):
    write_image(tmp_path / "a.nrrd")
    write_image(tmp_path / "out" / "b.nrrd")
    assert results(search([tmp_path], tmp_path / "out")) == ["a"]


def test_a_link_that_leads_back_up_does_not_go_round_for_ever(tmp_path: Path):
    write_image(tmp_path / "in" / "x" / "a.nrrd")
    (tmp_path / "in" / "x" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    assert results(found_in(tmp_path / "in")) == ["x/a"]


def test_label_maps_are_passed_over_and_counted_unless_there_is_nothing_else(tmp_path: Path):
    for name in ("images/case_1.nrrd", "labels/case_1.nrrd", "x/label_2.nrrd", "x/a.seg.nrrd", "x/a_feature_mask.nrrd"):
        write_image(tmp_path / "in" / name)
    found = found_in(tmp_path / "in")
    assert (results(found), found.labels) == (["images/case_1"], 3)
    assert results(found_in(tmp_path / "in" / "labels")) == ["case_1"]


def test_of_a_study_the_series_with_most_slices_is_taken_and_the_others_are_named(tmp_path: Path):
    write_series(tmp_path / "in" / "p" / "thin", LONG, "1.5", header={"0020|0011": "3"})
    write_series(tmp_path / "in" / "p" / "thick", STACK, "1.6", header={"0020|0011": "2"})
    found = found_in(tmp_path / "in", modality="CT")
    assert results(found) == ["p/thin"]
    assert found.cases[0].remark == "series 3 of 7 slices, of 2 series"
    assert found.passed_over == {"p/thick": "series 2 of 5 slices: series 3 of the study is segmented"}
    assert results(found_in(tmp_path / "in", every_series=True)) == ["p/thick", "p/thin"]


@pytest.mark.parametrize(
    ("places", "header", "reason"),
    [
        (STACK, {"0008|0008": r"ORIGINAL\PRIMARY\LOCALIZER"}, "is a localizer"),
        (STACK[:4], {}, "has 4 slices, too few"),
        (STACK, {"0008|0060": "MR"}, "is MR, the model segments CT"),
        (STACK, {"0008|0016": "1.2.840.10008.5.1.4.1.1.7"}, "is a picture of a screen"),
        (STACK, {"0008|0060": "SEG"}, "holds no image (SEG)"),
    ],
)
def test_a_series_that_is_no_volume_for_the_model_is_passed_over_with_a_word(
    tmp_path: Path, places: list, header: dict, reason: str
):
    write_image(tmp_path / "in" / "a.nrrd")
    write_series(tmp_path / "in" / "x", places, header=header)
    found = found_in(tmp_path / "in", modality="CT")
    assert results(found) == ["a"]
    assert found.passed_over == {"x": f"a series without a number {reason}"}


def test_a_folder_that_is_nothing_but_one_series_is_taken_as_it_is(tmp_path: Path):
    write_series(tmp_path / "head", STACK[:4], header={"0008|0060": "MR"})
    found = found_in(tmp_path / "head", modality="CT")
    assert results(found) == ["head"]
    assert found.cases[0].read().shape == (8, 6, 4)


def test_studies_of_several_patients_in_one_folder_are_told_apart_and_read_alone(tmp_path: Path):
    for patient, places in (("1", STACK), ("2", LONG)):
        # the same UID of the study, as careless pseudonyms have it
        write_series(tmp_path / "in" / "all", places, f"1.{patient}", header={"0010|0020": patient, "0020|0011": "4"})
    found = found_in(tmp_path / "in")
    assert len(found.cases) == 2 and not found.passed_over
    assert all(name.startswith("all_series_4_") for name in results(found))
    assert sorted(case.read().shape[2] for case in found.cases) == [5, 7]
    assert len({case.file for case in found.cases}) == 2


def test_series_whose_studies_have_no_uid_any_longer_are_not_taken_for_one_study(tmp_path: Path):
    for name, uid in (("a", "1.5"), ("b", "1.6")):
        write_series(tmp_path / "in" / name, STACK, uid, header={"0020|000d": "", "0010|0020": ""})
    assert results(found_in(tmp_path / "in")) == ["a", "b"]


def test_a_series_in_several_folders_is_one_volume(tmp_path: Path):
    write_series(tmp_path / "in" / "a", STACK)
    for number, path in enumerate(sorted((tmp_path / "in" / "a").iterdir())):
        if number % 2:
            (tmp_path / "in" / "b").mkdir(exist_ok=True)
            path.rename(tmp_path / "in" / "b" / path.name)
    (case,) = found_in(tmp_path / "in").cases
    assert str(case.result) == "in"
    volume = case.read()
    assert volume.shape == (8, 6, 5) and np.allclose(volume.spacing, (0.8, 0.9, 3.0))


def test_a_damaged_slice_makes_its_series_fail_and_no_other(tmp_path: Path):
    write_series(tmp_path / "in" / "bad", STACK, "1.5", header={"0010|0020": "1"})
    write_series(tmp_path / "in" / "good", STACK, "1.6", header={"0010|0020": "2"})
    broken = min((tmp_path / "in" / "bad").iterdir())
    broken.write_bytes(broken.read_bytes()[:-20])
    bad, good = found_in(tmp_path / "in").cases
    assert good.read().shape == (8, 6, 5)
    with pytest.raises(InputError, match="damaged or cut short"):
        bad.read()


def test_volumes_beside_dicom_files_are_taken_and_the_dicom_files_named(tmp_path: Path):
    write_series(tmp_path / "in", STACK)
    write_image(tmp_path / "in" / "a.nrrd")
    found = found_in(tmp_path / "in")
    assert results(found) == ["a"]
    assert "DICOM files beside volume files" in found.passed_over["in"]


def test_two_files_with_the_same_results_are_refused_before_anything_is_done(tmp_path: Path):
    write_image(tmp_path / "in" / "a.nrrd")
    write_image(tmp_path / "in" / "A.nii.gz")
    with pytest.raises(InputError, match="would have results of the same name"):
        found_in(tmp_path / "in")


def test_cases_are_chosen_by_their_name_or_their_path(tmp_path: Path):
    for name in ("p1/image_ct.nrrd", "p2/image_ct.nrrd", "p2/b.nrrd"):
        write_image(tmp_path / "in" / name)
    assert results(found_in(tmp_path / "in", names=["ct"])) == ["p1/image_ct", "p2/image_ct"]
    assert results(found_in(tmp_path / "in", names=["p2/b"])) == ["p2/b"]
    with pytest.raises(InputError, match="case x: is not among the inputs; choose from"):
        found_in(tmp_path / "in", names=["x"])


def test_nothing_and_what_is_not_there_are_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    with pytest.raises(InputError, match="holds no volume"):
        found_in(tmp_path / "in")
    with pytest.raises(InputError, match="does not exist"):
        found_in(tmp_path / "nothing")


def test_the_fingerprint_changes_with_the_voxels_of_a_detached_header(tmp_path: Path):
    write_image(tmp_path / "in" / "a.mhd")
    (case,) = found_in(tmp_path / "in").cases
    before = case.fingerprint()
    assert before == case.fingerprint() != ""
    with open(tmp_path / "in" / "a.raw", "ab") as stream:
        stream.write(b"\0")
    assert case.fingerprint() != before
