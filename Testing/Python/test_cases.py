"""Which files of a folder are cases, what a case is called, and which label map belongs to which image."""

from __future__ import annotations

from pathlib import Path

import pytest
from GlobalLocalAlignmentLib.cases import case_name, find_volumes, pair_cases
from GlobalLocalAlignmentLib.errors import InputError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" if path.suffix in ("", ".dcm") else b"x")
    return folder


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("image_07_segmentation.nii.gz", "07"),
        ("Label-3.NRRD", "3"),
        ("IMG_12.nii", "12"),
        ("volume-0.nii", "0"),
        ("ct_train_1001_label.nii.gz", "ct_train_1001"),
        ("patient_1_gt_seg.mha", "patient_1"),
        ("image.nii.gz", "image"),
        ("label.nii.gz", "label"),
        ("imagenes_4.nii.gz", "imagenes_4"),
        ("mr.image.5.mhd", "mr.image.5"),
        ("scan.dcm", "scan"),
        ("1.2.840.113", "1.2.840.113"),
        ("²_label.nii", "²"),
    ],
)
def test_words_for_image_and_label_at_either_end_are_no_part_of_the_case(name: str, case: str):
    assert case_name(Path(name)) == case


def test_cases_are_in_natural_order(tmp_path: Path):
    touch(tmp_path, "image_10.nii.gz", "image_9.nii.gz", "image_b2.nrrd", "image_².mha")
    assert list(find_volumes([tmp_path], "image")) == ["9", "10", "b2", "²"]


def test_a_folder_gives_its_files_and_its_series(tmp_path: Path):
    touch(tmp_path, "a.nii.gz", "b/IM1", "b/IM2", "c/1.dcm", "d/notes.txt", "notes.txt", "e.raw", "f/deeper/1.dcm")
    found = find_volumes([tmp_path], "image")
    assert found == {"a": tmp_path / "a.nii.gz", "b": tmp_path / "b", "c": tmp_path / "c"}


def test_a_folder_of_one_series_is_one_case(tmp_path: Path):
    touch(tmp_path / "patient", "1.dcm", "2.dcm")
    assert find_volumes([tmp_path / "patient"], "image") == {"patient": tmp_path / "patient"}


def test_a_text_beside_the_slices_does_not_hide_a_series(tmp_path: Path):
    touch(tmp_path / "patient", "AAA.txt", "DICOMDIR", "Z1", "Z2")
    assert list(find_volumes([tmp_path], "image")) == ["patient"]


def test_the_directory_of_a_disc_is_no_series(tmp_path: Path):
    touch(tmp_path, "DICOMDIR", "IMAGES/1.dcm")
    assert find_volumes([tmp_path], "image") == {"IMAGES": tmp_path / "IMAGES"}


def test_a_dicom_file_among_volumes_does_not_make_them_a_series(tmp_path: Path):
    touch(tmp_path, "a.nii.gz", "stray.dcm")
    assert list(find_volumes([tmp_path], "image")) == ["a"]


def test_hidden_files_are_no_cases(tmp_path: Path):
    touch(tmp_path, "a.nii.gz", "._a.nii.gz", ".part_1/a.nii.gz")
    assert list(find_volumes([tmp_path], "image")) == ["a"]


def test_a_folder_of_labels_named_like_images_gives_them_all_as_labels(tmp_path: Path):
    touch(tmp_path, "07.nii.gz", "08.nii.gz")
    assert list(find_volumes([tmp_path], "labelmap")) == ["07", "08"]


def test_files_named_one_by_one_are_taken_as_they_are(tmp_path: Path):
    touch(tmp_path, "label_1.nii.gz", "x.nii.gz")
    found = find_volumes([tmp_path / "x.nii.gz", tmp_path / "label_1.nii.gz"], "image")
    assert list(found) == ["1", "x"]


def test_what_a_prediction_wrote_beside_the_images_is_no_image(tmp_path: Path):
    outputs = ("feature_mask", "probability_left_kidney", "synthesized", "source_style", "segmentation")
    touch(tmp_path, "image_1.nii.gz", *(f"1_{name}.nii.gz" for name in outputs))
    assert find_volumes([tmp_path], "image") == {"1": tmp_path / "image_1.nii.gz"}
    assert find_volumes([tmp_path], "labelmap") == {"1": tmp_path / "1_segmentation.nii.gz"}


def test_an_input_given_twice_is_one_case(tmp_path: Path):
    touch(tmp_path, "a.nii.gz")
    assert list(find_volumes([tmp_path, tmp_path / "a.nii.gz"], "image")) == ["a"]


def test_one_case_in_two_folders_is_refused_with_both_files(tmp_path: Path):
    touch(tmp_path, "one/a.nii.gz", "two/a.nii.gz")
    with pytest.raises(InputError) as caught:
        find_volumes([tmp_path / "one", tmp_path / "two"], "image")
    assert str(tmp_path / "one" / "a.nii.gz") in str(caught.value)
    assert str(tmp_path / "two" / "a.nii.gz") in str(caught.value)


def test_an_input_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="nothing: does not exist"):
        find_volumes([tmp_path / "nothing"], "image")


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def forbidden(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        find_volumes([tmp_path], "image")


def test_pairs_are_in_the_order_of_the_images_and_other_labels_are_left_out():
    images = {"2": Path("i2"), "10": Path("i10")}
    labelmaps = {"10": Path("l10"), "11": Path("l11"), "2": Path("l2")}
    assert list(pair_cases(images, labelmaps).items()) == [
        ("2", (Path("i2"), Path("l2"))),
        ("10", (Path("i10"), Path("l10"))),
    ]


def test_all_cases_without_labels_are_counted():
    with pytest.raises(InputError, match="i1: has no label map for case 1 and 2 more"):
        pair_cases({name: Path(f"i{name}") for name in "123"}, {})
