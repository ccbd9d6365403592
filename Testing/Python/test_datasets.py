"""``gla prepare``: each data set in the layout of its site becomes folders that a training takes."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from datasetfiles import OBLIQUE, PATIENT, blocks, record, slab, write_btcv, write_chaos, write_mmwhs, write_slab
from faults import fill
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.datasets import DATA_SETS
from GlobalLocalAlignmentLib.datasets.catalog import data_set
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, read_volume, write_volume

SWITCH = "--paper-protocol-reads-target-labels"


def prepare(capsys: pytest.CaptureFixture, *words: object, code: int = 0) -> tuple[str, list[str]]:
    """What the command says, and its error lines."""
    capsys.readouterr()
    assert run(["prepare", *map(str, words)]) == code
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if line.strip()]
    assert all(line.startswith("error: ") and ";" in line for line in errors), errors
    return " ".join(said.out.split()), errors


def commands(capsys: pytest.CaptureFixture, *words: object) -> dict[str, list[str]]:
    """Commands that are printed at the end, by the name of their output."""
    assert run(["prepare", *map(str, words)]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("gla ")]
    return {line[-1]: line[1:] for line in lines}


def case(folder: Path, modality: str, name: str) -> tuple[Volume, Volume]:
    parts = (folder / modality / part / f"{name}.nii.gz" for part in ("images", "labels"))
    return read_volume(next(parts)), read_labelmap(next(parts))


def names(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in folder.iterdir())


@pytest.fixture
def hearts(tmp_path: Path) -> Path:
    """Two CT and two MR cases of MMWHS, one of each a published test case, and what is to be passed over."""
    folder = tmp_path / "MM-WHS 2017 Dataset"
    for modality, numbers in (("ct", (1001, 1003)), ("mr", (1002, 1007))):
        for number in numbers:
            write_mmwhs(folder, modality, number)
    (folder / "ct_test").mkdir()
    shutil.copy(folder / "ct_train" / "ct_train_1001_image.nii.gz", folder / "ct_test" / "ct_test_2001_image.nii.gz")
    return folder


def test_mmwhs_keeps_voxels_and_geometry_and_gets_the_four_classes(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    said, _ = prepare(capsys, "mmwhs", hearts, tmp_path / "out")
    assert "4 cases written" in said
    assert (
        names(tmp_path / "out" / "ct" / "images") == names(tmp_path / "out" / "ct" / "labels") == ["ct_1001", "ct_1003"]
    )
    image, labels = case(tmp_path / "out", "mr", "mr_1007")
    published = read_volume(hearts / "mr_train" / "mr_train_1007_image.nii.gz")
    assert np.array_equal(image.array, published.array) and image.array.dtype == np.int16
    assert np.allclose(image.ijk_to_ras, OBLIQUE) and np.allclose(labels.ijk_to_ras, OBLIQUE)
    assert np.array_equal(labels.array, blocks((1, 2, 3, 4, 0, 0, 0)))


def test_the_known_slip_of_mmwhs_is_mended_and_said(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_mmwhs(tmp_path / "in", "mr", 1001, (205, 421, 500, 820))
    said, _ = prepare(capsys, "mmwhs", tmp_path / "in", tmp_path / "out")
    assert "label value 421, which is not documented, is taken as 420, the left atrium (mr_1001)" in said
    assert np.array_equal(case(tmp_path / "out", "mr", "mr_1001")[1].array, blocks((1, 2, 3, 4)))


def test_bad_cases_are_named_in_a_line_each_and_the_others_are_done(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    write_mmwhs(hearts, "ct", 1001, (205, 420, 500, 77))
    (hearts / "mr_train" / "mr_train_1002_label.nii.gz").unlink()
    image = hearts / "ct_train" / "ct_train_1003_image.nii.gz"
    image.write_bytes(image.read_bytes()[:700])
    said, errors = prepare(capsys, "mmwhs", hearts, tmp_path / "out", code=2)
    assert "1 cases written" in said
    assert len(errors) == 3
    for words in (
        "ct_train_1001_label.nii.gz: holds label value 77",
        "mr_train_1002_image.nii.gz: has no label map mr_train_1002_label.nii.gz",
        "ct_train_1003_image.nii.gz: cannot be read",
    ):
        assert any(words in line for line in errors), words
    assert [path.name for path in sorted((tmp_path / "out").rglob("*.nii.gz"))] == ["mr_1007.nii.gz"] * 2


def test_labels_of_another_geometry_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_mmwhs(tmp_path / "in", "mr", 1001)
    write_volume(
        Volume(blocks((205,)), np.diag([2.0, 2, 2, 1])), tmp_path / "in" / "mr_train" / "mr_train_1001_label.nii.gz"
    )
    _, errors = prepare(capsys, "mmwhs", tmp_path / "in", tmp_path / "out", code=2)
    assert "another geometry" in errors[0]


def test_what_an_archive_of_a_mac_brings_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_chaos(tmp_path / "in" / "Train_Sets", "1")
    shutil.copytree(tmp_path / "in" / "Train_Sets", tmp_path / "in" / "__MACOSX" / "Train_Sets")
    said, _ = prepare(capsys, "chaos", tmp_path / "in", tmp_path / "out")
    assert "1 cases written" in said
    write_slab(tmp_path / "slices" / "ct_train_tfs" / "a.tfrecords")
    (tmp_path / "slices" / "ct_train_tfs" / "._a.tfrecords").write_text("no record")
    said, _ = prepare(capsys, "sifa", tmp_path / "slices", tmp_path / "other")
    assert "1 cases written" in said


def test_btcv_gets_its_four_organs(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_btcv(tmp_path / "RawData" / "Training", 9)
    (tmp_path / "RawData" / "Testing" / "img").mkdir(parents=True)
    (tmp_path / "RawData" / "Testing" / "img" / "img0061.nii.gz").write_text("has no labels, is not read")
    said, _ = prepare(capsys, "btcv", tmp_path / "RawData", tmp_path / "out")
    assert "MR is still missing: prepare chaos into the same folder" in said
    image, labels = case(tmp_path / "out", "ct", "ct_0009")
    assert np.array_equal(labels.array, blocks((1, 2, 3, 4, *(0,) * 9)))
    published = read_volume(tmp_path / "RawData" / "Training" / "img" / "img0009.nii.gz")
    assert np.array_equal(image.array, published.array) and np.allclose(image.ijk_to_ras, OBLIQUE)


def test_chaos_puts_labels_and_slices_where_the_headers_say(tmp_path: Path, capsys: pytest.CaptureFixture):
    labels = blocks((63, 126, 189, 252))
    # nothing of it is its own mirror image
    labels[2:4, :9, 5] = 252
    write_chaos(tmp_path / "Train_Sets", "13", labels=labels)
    (tmp_path / "Test_Sets" / "MR" / "4" / "T2SPIR" / "DICOM_anon").mkdir(parents=True)
    (tmp_path / "Train_Sets" / "MR" / "13" / "T1DUAL" / "DICOM_anon" / "InPhase").mkdir(parents=True)
    prepare(capsys, "chaos", tmp_path, tmp_path / "out")
    image, truth = case(tmp_path / "out", "mr", "mr_13")
    assert np.array_equal(truth.array, labels // 63)
    assert np.allclose(image.ijk_to_ras, [[-1.5, 0, 0, 20], [0, -1.25, 0, 30], [0, 0, 7, 11], [0, 0, 0, 1]])
    assert np.allclose(truth.ijk_to_ras, image.ijk_to_ras)
    # where organs are the picture is brighter by 50
    assert image.array[labels > 0].mean() > image.array[labels == 0].mean() + 30


def test_no_text_of_a_header_goes_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture):
    import gzip

    write_chaos(tmp_path / "Train_Sets", "1")
    prepare(capsys, "chaos", tmp_path / "Train_Sets", tmp_path / "out")
    for path in (tmp_path / "out").rglob("*"):
        content = (
            b"" if path.is_dir() else gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        )
        assert PATIENT.encode() not in content and b"20190411" not in content, path


def test_bad_cases_of_chaos_are_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    for name in ("1", "2", "3", "5", "8"):
        write_chaos(tmp_path / "MR", name)
    series = {name: tmp_path / "MR" / "MR" / name / "T2SPIR" for name in "1235"}
    (series["1"] / "Ground" / "IMG-0004-00003.png").unlink()
    truth = series["2"] / "Ground" / "IMG-0004-00006.png"
    sitk.WriteImage(sitk.ReadImage(str(truth)) + 1, str(truth))
    truth = series["3"] / "Ground" / "IMG-0004-00001.png"
    truth.rename(truth.with_name("IMG-0004-00099.png"))
    slice_ = series["5"] / "DICOM_anon" / "IMG-0004-00004.dcm"
    slice_.write_bytes(slice_.read_bytes()[:300])
    said, errors = prepare(capsys, "chaos", tmp_path / "MR", tmp_path / "out", code=2)
    assert "1 cases written" in said
    for words, error in zip(
        (
            "has 12 DICOM slices and 11 label images",
            "00006.png: holds label value 1",
            "other numbers",
            "cannot be read",
        ),
        errors,
        strict=True,
    ):
        assert words in error
    assert names(tmp_path / "out" / "mr" / "images") == ["mr_8"]


def test_a_missing_slice_of_chaos_is_refused_although_the_counts_agree(tmp_path: Path, capsys: pytest.CaptureFixture):
    series = write_chaos(tmp_path, "1")
    for part in ("DICOM_anon", "Ground"):
        next((series / part).glob("*00003*")).unlink()
    _, errors = prepare(capsys, "chaos", tmp_path, tmp_path / "out", code=2)
    assert "has slices 7.00 to 14.00 mm apart" in errors[0]


def test_slices_of_sifa_are_the_middle_ones_head_up_and_right_to_the_left(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    image, labels = write_slab(tmp_path / "in" / "train&val" / "ct_train_tfs" / "ct_train_slice0.tfrecords")
    said, _ = prepare(capsys, "sifa", tmp_path / "in", tmp_path / "out")
    assert "label value 5, which is not documented, is taken as background (ct_train_slice0)" in said
    volume, truth = case(tmp_path / "out", "ct", "ct_train_slice0")
    assert np.array_equal(volume.array[..., 0], image)
    assert np.array_equal(truth.array[..., 0], np.where(labels == 5, 0, labels))
    # rows go to the right of the patient, columns to the head
    assert np.allclose(volume.ijk_to_ras[:3, :2].T, [[1, 0, 0], [0, 0, 1]])
    note = json.loads((tmp_path / "out" / "ct" / "dataset.json").read_text())
    assert "cropped the volumes of both modalities around their labels" in note["target_labels_read"]


def test_validation_slices_of_sifa_get_a_folder_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture):
    for name in ("training_mr/image_01", "validation_mr/image_01", "ct_train_tfs/s1", "ct_val_tfs/s1"):
        write_slab(tmp_path / "in" / f"{name}.tfrecords")
    said, _ = prepare(capsys, "sifa", tmp_path / "in", tmp_path / "out")
    assert "the MR test volumes may not be unseen ones" in said
    assert names(tmp_path / "out" / "mr" / "images") == names(tmp_path / "out" / "validation" / "mr" / "labels")
    assert (
        names(tmp_path / "out" / "ct" / "images")
        == names(tmp_path / "out" / "validation" / "ct" / "labels")
        == ["ct_s1"]
    )


@pytest.mark.parametrize("kinds", [("nii.gz",), ("npz",), ("nii.gz", "npz")])
def test_test_volumes_of_sifa_are_turned_into_the_orientation_of_the_slices(
    tmp_path: Path, capsys: pytest.CaptureFixture, kinds: tuple[str, ...]
):
    labels = blocks((1, 2, 3, 4), (40, 32, 12)).astype(np.float32)
    image = np.random.default_rng(0).normal(size=labels.shape).astype(np.float32)
    (tmp_path / "in").mkdir()
    if "npz" in kinds:
        np.savez(tmp_path / "in" / "ct_1003.npz", image, labels)
    if "nii.gz" in kinds:
        write_volume(Volume(image, OBLIQUE), tmp_path / "in" / "image_ct_1003.nii.gz")
        write_volume(Volume(labels, OBLIQUE), tmp_path / "in" / "gth_ct_1003.nii.gz")
    prepare(capsys, "sifa", tmp_path / "in", tmp_path / "out")
    volume, truth = case(tmp_path / "out", "ct", "ct_1003")
    assert np.array_equal(volume.array, image[::-1, ::-1])
    assert np.array_equal(truth.array, labels[::-1, ::-1])
    assert np.allclose(volume.ijk_to_ras[:3, :2].T, [[1, 0, 0], [0, 0, 1]])
    assert json.loads((tmp_path / "out" / "ct" / "dataset.json").read_text())["splits"]["published"]["test"] == [
        "ct_1003"
    ]


def test_bad_files_of_sifa_are_named_and_the_others_are_done(tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = tmp_path / "in" / "ct_train_tfs"
    write_slab(folder / "a.tfrecords")
    good = (folder / "a.tfrecords").read_bytes()
    (folder / "b.tfrecords").write_bytes(good[:-100])
    (folder / "c.tfrecords").write_bytes(good[:2000] + b"x" + good[2001:])
    (folder / "d.tfrecords").write_bytes(good + good)
    (folder / "e.tfrecords").write_bytes(record(b"no message"))
    flat = np.zeros((8, 8), np.float32)
    (folder / "f.tfrecords").write_bytes(slab(flat, flat))
    write_slab(folder / "g.tfrecords", values=(1, 9))
    write_slab(tmp_path / "in" / "elsewhere" / "h.tfrecords")
    np.savez(tmp_path / "in" / "ct_1008.npz", good=np.zeros(3))
    said, errors = prepare(capsys, "sifa", tmp_path / "in", tmp_path / "out", code=2)
    assert "1 cases written" in said
    for words in (
        "b.tfrecords: is cut short",
        "c.tfrecords: is damaged: the checksum",
        "d.tfrecords: holds 2 examples",
        "e.tfrecords: holds something else than an Example",
        "f.tfrecords: is constant",
        "g.tfrecords: holds label value 9",
        "h.tfrecords: does not say in its name or folder whether it is ct or mr",
        "ct_1008.npz: holds no arrays arr_0 and arr_1",
    ):
        assert any(words in line for line in errors), words
    assert names(tmp_path / "out" / "ct" / "labels") == ["ct_a"]


def test_a_second_call_does_what_is_missing_alone(hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    prepare(capsys, "mmwhs", hearts, tmp_path / "out")
    labels = tmp_path / "out" / "ct" / "labels"
    # as an interruption between labels and image leaves it
    (tmp_path / "out" / "ct" / "images" / "ct_1001.nii.gz").unlink()
    before = (labels / "ct_1003.nii.gz").stat().st_mtime_ns
    (hearts / "ct_train" / "ct_train_1003_image.nii.gz").write_text("is not read again")
    said, _ = prepare(capsys, "mmwhs", hearts, tmp_path / "out")
    assert "1 cases written" in said and "3 kept from an earlier call" in said
    assert names(labels) == ["ct_1001", "ct_1003"]
    assert (labels / "ct_1003.nii.gz").stat().st_mtime_ns == before


def test_an_interrupted_call_ends_with_its_exit_code_and_the_next_one_goes_on(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    written = []

    def interrupted(volume: Volume, path: Path) -> None:
        if len(written) == 3:
            raise KeyboardInterrupt
        write_volume(volume, path)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr("GlobalLocalAlignmentLib.datasets.prepare.write_volume", interrupted)
        assert run(["prepare", "mmwhs", str(hearts), str(tmp_path / "out")]) == 3
    assert "interrupted; go on with the same command" in capsys.readouterr().err
    said, _ = prepare(capsys, "mmwhs", hearts, tmp_path / "out")
    assert "3 cases written" in said and "1 kept" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mmwhs", "hearts", "out", SWITCH), "holds mmwhs with paper_protocol false"),
        (("btcv", "abdomens", "out"), "holds mmwhs with paper_protocol false"),
        (("chaos", "abdomens", "ct alone"), "holds mmwhs, which chaos does not go with"),
        (("mmwhs", "hearts", "other"), "holds files of something else"),
        (("mmwhs", "hearts", "a file"), "is not a folder"),
        (("mmwhs", "abdomens", "new"), "holds no files named as ct_train_1001_image.nii.gz"),
        (("mmwhs", "nowhere", "new"), "does not exist"),
        (("sifa", "hearts", "new"), "holds no TFRecords of SIFA"),
        (("lits", "hearts", "new"), "data set lits: is not known; choose from mmwhs, sifa, btcv, chaos"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture, words: tuple[str, ...], message: str
):
    write_btcv(tmp_path / "abdomens", 1)
    write_chaos(tmp_path / "abdomens", "1")
    hearts.rename(tmp_path / "hearts")
    prepare(capsys, "mmwhs", tmp_path / "hearts", tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "ct alone", ignore=shutil.ignore_patterns("mr", "*.yaml"))
    (tmp_path / "other" / "ct").mkdir(parents=True)
    (tmp_path / "other" / "ct" / "notes.txt").write_text("of somebody else")
    (tmp_path / "a file").write_text("")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    name, source, output, *options = words
    _, errors = prepare(capsys, name, tmp_path / source, tmp_path / output, *options, code=2)
    assert len(errors) == 1 and message in errors[0]
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_one_name_for_two_cases_is_refused(hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    shutil.copytree(hearts / "ct_train", hearts / "copy")
    _, errors = prepare(capsys, "mmwhs", hearts, tmp_path / "out", code=2)
    assert len(errors) == 2 and "is ct_1001 once more, beside" in errors[0]
    assert names(tmp_path / "out" / "ct" / "labels") == ["ct_1001", "ct_1003"]


def test_a_full_disk_ends_the_command_with_one_line(hearts: Path, small_disk: Path, capsys: pytest.CaptureFixture):
    fill(small_disk, left=3 * 4096)
    _, errors = prepare(capsys, "mmwhs", hearts, small_disk / "out", code=2)
    assert len(errors) == 1 and "no space" in errors[0].lower()
    assert not list(small_disk.rglob("*.part")) and not list(small_disk.rglob(".part*"))


def test_the_paper_protocol_is_off_and_says_on_screen_and_in_files_that_labels_were_read(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    said, _ = prepare(capsys, "mmwhs", hearts, tmp_path / "whole")
    assert "labels of every case were read" not in said
    assert "labels of every case" not in (tmp_path / "whole" / "mr_to_ct.yaml").read_text()
    said, _ = prepare(capsys, "mmwhs", hearts, tmp_path / "cropped", SWITCH)
    assert "labels of every case were read to crop it (paper_protocol)" in said
    note = json.loads((tmp_path / "cropped" / "ct" / "dataset.json").read_text())
    assert note["paper_protocol"] is True and "no result on these files is unsupervised" in note["target_labels_read"]
    assert "labels of every case were read" in (tmp_path / "cropped" / "mr_to_ct.yaml").read_text()


def test_the_other_modality_keeps_its_word_on_the_paper_protocol(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    prepare(capsys, "mmwhs", hearts / "ct_train", tmp_path / "out", SWITCH)
    prepare(capsys, "mmwhs", hearts / "mr_train", tmp_path / "out")
    notes = {name: json.loads((tmp_path / "out" / name / "dataset.json").read_text()) for name in ("ct", "mr")}
    assert (notes["ct"]["paper_protocol"], notes["mr"]["paper_protocol"]) == (True, False)
    settings = (tmp_path / "out" / "mr_to_ct.yaml").read_text()
    assert "# CT: labels of every case were read" in settings and "# MR: labels" not in settings


@pytest.mark.parametrize(("name", "axis"), [("mmwhs", 1), ("btcv", 2)])
def test_the_paper_protocol_crops_along_the_slices_of_the_task_and_keeps_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture, name: str, axis: int
):
    write = {"mmwhs": lambda folder: write_mmwhs(folder, "ct", 1001), "btcv": lambda folder: write_btcv(folder, 1)}
    write[name](tmp_path / "in")
    prepare(capsys, name, tmp_path / "in", tmp_path / "whole")
    prepare(capsys, name, tmp_path / "in", tmp_path / "cropped", SWITCH)
    (whole, _), (image, labels) = (
        case(tmp_path / folder, "ct", {"mmwhs": "ct_1001", "btcv": "ct_0001"}[name]) for folder in ("whole", "cropped")
    )
    labelled = np.flatnonzero(labels.array.any(axis=tuple({0, 1, 2} - {axis})))
    assert (labelled[0], labels.shape[axis] - 1 - labelled[-1]) == (2, 2)
    shift = np.rint(np.linalg.solve(whole.ijk_to_ras, image.ijk_to_ras[:, 3]))[:3].astype(int)
    part = tuple(slice(first, first + size) for first, size in zip(shift, image.shape, strict=True))
    assert shift[axis] > 0 and np.array_equal(whole.array[part], image.array)
    assert [size for place, size in enumerate(image.shape) if place != axis] == [
        size for place, size in enumerate(whole.shape) if place != axis
    ]


def test_sifa_was_cropped_by_its_authors_and_is_not_cropped_again(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_slab(tmp_path / "in" / "ct_train_tfs" / "a.tfrecords")
    _, errors = prepare(capsys, "sifa", tmp_path / "in", tmp_path / "out", SWITCH, code=2)
    assert "its authors cropped" in errors[0]
    assert not (tmp_path / "out").exists()


def test_the_settings_leave_the_published_test_cases_out_of_training(
    hearts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    prepare(capsys, "mmwhs", hearts, tmp_path / "out")
    settings = yaml.safe_load((tmp_path / "out" / "mr_to_ct.yaml").read_text())
    assert settings["source"]["exclude"] == ["mr_1007"] and settings["target"]["exclude"] == ["ct_1003"]
    split = json.loads((tmp_path / "out" / "mr" / "dataset.json").read_text())["splits"]["published"]
    assert (split["test"], split["training"], split["missing"]) == (
        ["mr_1007"],
        ["mr_1002"],
        ["mr_1009", "mr_1018", "mr_1019"],
    )


def test_the_page_on_data_sets_names_the_switch_and_all_test_cases():
    page = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert SWITCH in page
    for name in DATA_SETS:
        for modality, tests in data_set(name).tests.items():
            numbers = ", ".join(test.partition("_")[2].lstrip("0") for test in tests)
            assert numbers in page, (name, modality)


def test_the_values_of_sifa_are_scaled_as_its_loader_scales_them(tmp_path: Path, capsys: pytest.CaptureFixture):
    for name in ("mr_train_tfs/a", "ct_train_tfs/b"):
        write_slab(tmp_path / "in" / f"{name}.tfrecords")
    prepare(capsys, "sifa", tmp_path / "in", tmp_path / "out")
    settings = yaml.safe_load((tmp_path / "out" / "mr_to_ct.yaml").read_text())
    assert settings["source"]["intensity"] == {"rule": "window", "low": -1.8, "high": 4.4}
    assert settings["target"]["intensity"] == {"rule": "window", "low": -2.8, "high": 3.2}


def test_the_printed_commands_work_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture, tiny_words: str, monkeypatch: pytest.MonkeyPatch
):
    for number in (1, 2):
        write_btcv(tmp_path / "btcv", number)
        write_chaos(tmp_path / "chaos", str(number))
    monkeypatch.chdir(tmp_path)
    prepare(capsys, "btcv", "btcv", "abdomen set")
    printed = commands(capsys, "chaos", "chaos", "abdomen set")
    assert list(printed) == ["ct_to_mr_train", "mr_to_ct_train", "ct_to_mr_ablate"]
    tiny = [word for change in tiny_words.splitlines() for word in ("--set", change)]
    assert run([*printed["mr_to_ct_train"], *tiny, "--set", "segmentation.style_transfer=false"]) == 0
    assert (tmp_path / "mr_to_ct_train" / "model.safetensors").is_file()
    begun = json.loads((tmp_path / "mr_to_ct_train" / "config.json").read_text())
    assert begun["target"]["exclude"] == ["ct_0001"]
    assert run([*printed["ct_to_mr_ablate"], *tiny, "--method", "no_adaptation"]) == 0
    plan = json.loads((tmp_path / "ct_to_mr_ablate" / "ablation.json").read_text())
    assert plan["ct_to_mr"] == {"source": ["ct_0002"], "target": ["mr_2"], "test": ["mr_1"]}
    assert plan["mr_to_ct"] == {"source": ["mr_2"], "target": ["ct_0002"], "test": ["ct_0001"]}


def test_a_test_case_that_settings_leave_out_of_training_is_checked_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture, tiny_words: str
):
    for number in (1, 2):
        write_btcv(tmp_path / "btcv", number)
        write_chaos(tmp_path / "chaos", str(number))
    prepare(capsys, "btcv", tmp_path / "btcv", tmp_path / "out")
    printed = commands(capsys, "chaos", tmp_path / "chaos", tmp_path / "out")
    (tmp_path / "out" / "mr" / "images" / "mr_1.nii.gz").write_text("damaged since")
    words = [word for change in tiny_words.splitlines() for word in ("--set", change)]
    capsys.readouterr()
    assert run([*printed["ct_to_mr_ablate"][:-1], str(tmp_path / "ablation"), *words]) == 2
    assert "mr_1.nii.gz: cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "ablation").exists()


def test_with_test_cases_of_one_modality_one_direction_is_offered(tmp_path: Path, capsys: pytest.CaptureFixture):
    for number in (1, 2):
        write_btcv(tmp_path / "btcv", number)
        write_chaos(tmp_path / "chaos", f"{number + 1}")
    prepare(capsys, "btcv", tmp_path / "btcv", tmp_path / "out")
    printed = commands(capsys, "chaos", tmp_path / "chaos", tmp_path / "out")
    ablate = printed["mr_to_ct_ablate"]
    assert ablate[ablate.index("--target-test") + 1] == "ct_0001"
    assert "--one-direction" in ablate and "--source-test" not in ablate


def test_real_slices_of_sifa_show_hearts_as_they_lie(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture):
    folder = shared_data / "mmwhs_sifa"
    said, _ = prepare(capsys, "sifa", folder, tmp_path / "out")
    assert "4 cases written" in said
    for modality in ("ct", "mr"):
        image, labels = case(tmp_path / "out", modality, f"training_{modality}_image_01")
        assert image.shape == labels.shape == (256, 256, 1)
        assert -1.2 < image.array.min() < image.array.max() < 2.6
        places = {
            value: (labels.ijk_to_ras @ [*np.argwhere(labels.array == value).mean(axis=0), 1])[:3] for value in (3, 4)
        }
        # the left ventricle is on the left of the ascending aorta and below it
        assert places[3][0] < places[4][0] - 20
        assert places[3][2] < places[4][2] - 20
        # blood is brighter than the muscle around it
        assert np.median(image.array[labels.array == 3]) > np.median(image.array[labels.array == 1])
    words = ["check", "--preset", "cardiac", "--config", str(tmp_path / "out" / "mr_to_ct.yaml")]
    assert run(words) == 0


def test_real_abdomens_in_the_layouts_of_their_sites_come_back(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    published = np.array([0, 6, 2, 3, 1], np.uint8)
    ct, ct_labels = (read_labelmap(shared_data / "abdomen" / "ct" / f"{kind}_11.nii.gz") for kind in ("image", "label"))
    write_volume(ct, tmp_path / "btcv" / "img" / "img0011.nii.gz")
    mapped = Volume(published[ct_labels.array], ct_labels.ijk_to_ras)
    write_volume(mapped, tmp_path / "btcv" / "label" / "label0011.nii.gz")
    mr, mr_labels = (read_labelmap(shared_data / "abdomen" / "mr" / f"{kind}_02.nii.gz") for kind in ("image", "label"))
    write_chaos(tmp_path / "chaos", "2", mr.array.astype(np.int16), mr_labels.array.astype(np.int16) * 63, mr.spacing)
    prepare(capsys, "btcv", tmp_path / "btcv", tmp_path / "out")
    prepare(capsys, "chaos", tmp_path / "chaos", tmp_path / "out")
    for modality, name, image, labels in (("ct", "ct_0011", ct, ct_labels), ("mr", "mr_2", mr, mr_labels)):
        found, truth = case(tmp_path / "out", modality, name)
        assert np.array_equal(found.array, image.array) and np.array_equal(truth.array, labels.array)
        assert np.allclose(found.spacing, image.spacing, atol=1e-4)
