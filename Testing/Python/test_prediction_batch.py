"""Batches of many volumes: the list, what is done again and what not, stops, failures, formats."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from dicomfiles import write_series
from GlobalLocalAlignmentLib.batches import batch
from GlobalLocalAlignmentLib.batches.batchlist import LABELS_NAME, LIST_NAME
from GlobalLocalAlignmentLib.batches.batchsearch import search
from GlobalLocalAlignmentLib.batches.predictionbatch import BatchModel, BatchRequest, PredictionBatch
from GlobalLocalAlignmentLib.bundle import load_bundle
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.formats import dicomsegmentation
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.prediction import Outputs, Predictor
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.lock import RunLock
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, read_volume, write_volume


@pytest.fixture(scope="module")
def predictor(untrained_model: Path) -> Predictor:
    return Predictor(load_bundle(untrained_model), torch.device("cpu"), batch_size=3)


@pytest.fixture(scope="module")
def image() -> Volume:
    return render_phantom("abdomen", "CT", 7, (40, 32, 8), (8, 8, 16), oblique=True)[0]


@pytest.fixture
def tree(tmp_path: Path, image: Volume) -> Path:
    """Folder with three volumes."""
    for name in ("a.nii.gz", "x/b.nrrd", "x/y/c.mha"):
        write_volume(image, tmp_path / "in" / name)
    return tmp_path / "in"


class Batch:
    """One call of a batch, with all that it said."""

    def __init__(self, predictor: Predictor, tree: Path, model: str = "m", stop_at: int = -1, **request) -> None:
        self.heard: list[dict] = []
        self.asked, self.stop_at = 0, stop_at
        self.output = tree.parent / "out"
        self.problem: Exception | None = None
        card = predictor.bundle.card
        found = search([tree], self.output, card.target.modality)
        events = EventLog(None, [self.heard.append])
        batch = PredictionBatch(found, self.output, BatchModel(card, model), BatchRequest(**request), events, self.stop)
        with batch.open():
            self.waiting = [case.file for case in batch.waiting]
            try:
                batch.run(predictor)
            except (InputError, StopRequested) as problem:
                self.problem = problem

    def stop(self) -> bool:
        self.asked += 1
        return self.asked == self.stop_at

    @property
    def rows(self) -> dict[str, dict[str, str]]:
        with open(self.output / LIST_NAME, encoding="utf-8", newline="") as stream:
            return {row["file"]: row for row in csv.DictReader(stream)}

    @property
    def states(self) -> list[str]:
        return [row["state"] for row in self.rows.values()]

    @property
    def volumes(self) -> list[str]:
        files = (path for path in self.output.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.output).as_posix() for path in files if "_" in path.name)


ALL = ["a_segmentation.nii.gz", "x/b_segmentation.nii.gz", "x/y/c_segmentation.nii.gz"]


def test_a_tree_is_mirrored_with_a_list_of_what_became_of_each_case(predictor: Predictor, tree: Path):
    done = Batch(predictor, tree)
    assert done.volumes == ALL
    assert list(done.rows) == ["a.nii.gz", "x/b.nrrd", "x/y/c.mha"]
    assert set(done.states) == {"done"} and all(float(row["seconds"]) > 0 for row in done.rows.values())
    assert [row["results"] for row in done.rows.values()] == ALL
    assert str(tree.parent) not in (done.output / LIST_NAME).read_text(encoding="utf-8")
    results = [entry for entry in done.heard if entry["event"] == "result"]
    assert [(entry["name"], entry["iteration"], entry["of"]) for entry in results][2] == ("x/y/c.mha", 3, 3)
    labels = json.loads((done.output / LABELS_NAME).read_text(encoding="utf-8"))["m"]
    assert labels == [label.model_dump(mode="json") for label in predictor.bundle.card.labels]


def test_what_is_done_is_done_again_only_where_something_has_changed(predictor: Predictor, tree: Path):
    first = Batch(predictor, tree)
    assert Batch(predictor, tree).waiting == []
    os.utime(tree / "a.nii.gz", (1, 1))
    (first.output / "x" / "b_segmentation.nii.gz").unlink()
    assert Batch(predictor, tree).waiting == ["a.nii.gz", "x/b.nrrd"]
    assert len(Batch(predictor, tree, model="another").waiting) == 3
    assert len(Batch(predictor, tree, model="another", largest_component=True).waiting) == 3
    assert len(Batch(predictor, tree, model="another", largest_component=True, again=True).waiting) == 3
    assert first.volumes == ALL


def test_results_that_were_not_asked_for_again_go_with_the_segmentation_they_belonged_to(
    predictor: Predictor, tree: Path
):
    first = Batch(predictor, tree, outputs=Outputs(feature_mask=True))
    assert "x/b_feature_mask.nii.gz" in first.volumes and len(first.volumes) == 6
    (tree.parent / "kept_by_me").touch()
    assert Batch(predictor, tree, kind="seg.nrrd").volumes == [name.replace("nii.gz", "seg.nrrd") for name in ALL]


def test_a_list_that_names_files_elsewhere_takes_none_of_them_away(predictor: Predictor, tree: Path):
    done = Batch(predictor, tree)
    path = done.output / LIST_NAME
    (tree.parent / "mine.txt").touch()
    path.write_text(path.read_text(encoding="utf-8").replace(ALL[0], f"../mine.txt|{ALL[0]}"), encoding="utf-8")
    assert Batch(predictor, tree, again=True).problem is None
    assert (tree.parent / "mine.txt").exists()


def test_one_failure_does_not_end_the_rest_and_is_tried_again(predictor: Predictor, tree: Path, image: Volume):
    whole = (tree / "x" / "b.nrrd").read_bytes()
    (tree / "x" / "b.nrrd").write_bytes(whole[:900])
    broken = Batch(predictor, tree)
    assert broken.states == ["done", "failed", "done"]
    assert isinstance(broken.problem, InputError) and "b.nrrd" in str(broken.problem)
    remark = broken.rows["x/b.nrrd"]["remark"]
    assert "cannot be read" in remark and str(tree) not in remark
    (tree / "x" / "b.nrrd").write_bytes(whole)
    mended = Batch(predictor, tree)
    assert mended.waiting == ["x/b.nrrd"] and set(mended.states) == {"done"}


@pytest.mark.parametrize("by_file", [False, True])
def test_a_stop_leaves_whole_cases_and_the_next_call_goes_on(
    predictor: Predictor, tree: Path, by_file: bool, monkeypatch: pytest.MonkeyPatch
):
    if by_file:
        # somebody puts the file there while the second volume is read
        read, names = batch.read_volume, []
        from GlobalLocalAlignmentLib.batches import batchsearch

        def noting(path: Path, slices=()):
            names.append(path.name)
            if path.name == "b.nrrd" and len(names) == 2:
                (tree.parent / "out" / "stop").touch()
            return read(path, slices)

        monkeypatch.setattr(batchsearch, "read_volume", noting)
        stopped = Batch(predictor, tree)
    else:
        # asked before a volume and after each three of its eight slices: within the second one
        stopped = Batch(predictor, tree, stop_at=7)
    assert isinstance(stopped.problem, StopRequested)
    assert stopped.states == ["done", "waiting", "waiting"] and stopped.volumes == ALL[:1]
    assert not list(stopped.output.rglob(".*"))
    again = Batch(predictor, tree)
    assert again.waiting == ["x/b.nrrd", "x/y/c.mha"] and set(again.states) == {"done"}


def test_a_stop_file_and_half_results_of_a_killed_process_are_swept_away(predictor: Predictor, tree: Path):
    left = tree.parent / "out" / "x" / ".part_abc"
    left.mkdir(parents=True)
    (left / "b_segmentation.nii.gz").touch()
    (tree.parent / "out" / "stop").touch()
    assert Batch(predictor, tree).problem is None
    assert not left.exists()


def test_two_batches_do_not_write_into_one_folder_at_a_time(predictor: Predictor, tree: Path):
    (tree.parent / "out").mkdir()
    lock = RunLock(tree.parent / "out", "written")
    lock.acquire()
    try:
        with pytest.raises(InputError, match="is being written by another process"):
            Batch(predictor, tree)
    finally:
        lock.release()
    assert Batch(predictor, tree).problem is None


def test_a_file_of_the_name_of_the_list_that_is_none_is_left_alone(predictor: Predictor, tree: Path):
    (tree.parent / "out").mkdir()
    (tree.parent / "out" / LIST_NAME).write_text("day,patients\nmonday,7\n")
    with pytest.raises(InputError, match="is no list of a batch"):
        Batch(predictor, tree)
    assert (tree.parent / "out" / LIST_NAME).read_text() == "day,patients\nmonday,7\n"


def test_cases_of_another_call_stay_in_the_list(predictor: Predictor, tree: Path):
    Batch(predictor, tree)
    (tree / "a.nii.gz").unlink()
    assert list(Batch(predictor, tree).rows) == ["x/b.nrrd", "x/y/c.mha", "a.nii.gz"]


@pytest.mark.parametrize("kind", ["nrrd", "seg.nrrd"])
def test_the_formats_hold_the_same_voxels_at_the_same_place(predictor: Predictor, tree: Path, image: Volume, kind: str):
    done = Batch(predictor, tree, kind=kind, outputs=Outputs(feature_mask=True))
    read = read_labelmap(done.output / f"a_segmentation.{kind}")
    assert np.array_equal(read.array, predictor.predict(image).labelmap.array)
    assert np.allclose(read.ijk_to_ras, image.ijk_to_ras, atol=1e-4)
    assert read_volume(done.output / "x" / "b_feature_mask.nrrd").shape == image.shape


def dicom_tree(folder: Path, image: Volume, name: str = "study") -> Path:
    """The phantom as an oblique DICOM series; its slices are stored from the last to the first."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.ijk_to_ras
    directions = lps[:3, :3] / image.spacing
    numbers = range(image.shape[2])[::-1]
    places = [tuple((lps @ (0, 0, number, 1))[:3].round(8)) for number in numbers]
    planes = np.stack([image.array[..., number].T for number in numbers])
    text = "\\".join(f"{value:.10f}" for value in [*directions[:, 0], *directions[:, 1]])
    header = {"0020|0011": "3", "0028|1053": "1", "0028|1052": "0", "0020|0052": "1.2.99", "0008|0020": "20200101"}
    write_series(folder / name, places, "1.2.7", directions=text, header=header, planes=planes, spacing=image.spacing)
    return folder


def test_a_dicom_segmentation_refers_to_its_series_and_holds_structures_with_codes_and_colours(
    predictor: Predictor, tmp_path: Path, image: Volume
):
    highdicom = pytest.importorskip("highdicom")
    tree = dicom_tree(tmp_path / "in", image)
    done = Batch(predictor, tree, kind="dicom-seg")
    assert done.problem is None and done.volumes == ["study_segmentation.dcm"]
    written = highdicom.seg.segread(done.output / "study_segmentation.dcm")
    # it names the patient and the study, which is what the format is for
    assert (written.PatientID, written.StudyInstanceUID) == ("P-4711", "1.2.4")
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.7"
    assert len(written.get_source_image_uids()) == image.shape[2] and written.SeriesNumber == 103
    labels = predictor.bundle.card.labels
    assert [segment.SegmentLabel for segment in written.SegmentSequence] == [label.name for label in labels]
    kidney = next(segment for segment in written.SegmentSequence if segment.SegmentLabel == "right kidney")
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == ("64033007", "SCT", "Kidney")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert kidney.SegmentAlgorithmType == "AUTOMATIC"
    color = highdicom.color.CIELabColor.from_dicom_value(kidney.RecommendedDisplayCIELabValue).to_rgb()
    expected = next(label.color for label in labels if label.name == "right kidney")
    assert np.allclose(color, expected, atol=2)
    # in the geometry of highdicom's own volume, whatever the order of the frames
    volume = written.get_volume(combine_segments=True)
    expected_labels = predictor.predict(read_volume(tree / "study")).labelmap
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    values = np.array([0, *(label.value for label in labels)])
    for index in ((0, 0, 0), (3, 10, 20), (7, 31, 39), (5, 16, 9)):
        place = to_lps @ volume.affine @ (*index, 1)
        voxel = np.linalg.solve(expected_labels.ijk_to_ras, place)[:3]
        assert np.allclose(voxel, voxel.round(), atol=1e-3)
        assert values[volume.array[index]] == expected_labels.array[tuple(voxel.round().astype(int))]


def test_a_dicom_segmentation_of_a_volume_that_is_no_series_is_a_failure_of_that_case(predictor: Predictor, tree: Path):
    pytest.importorskip("highdicom")
    dicom_tree(tree, read_volume(tree / "a.nii.gz"))
    done = Batch(predictor, tree, kind="dicom-seg")
    assert sorted(done.states) == ["done", "failed", "failed", "failed"]
    assert done.rows["a.nii.gz"]["remark"].startswith("is no DICOM series")


def test_without_highdicom_the_format_is_refused_with_what_to_install(
    untrained_model: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(dicomsegmentation, "PACKAGE", "no_such_package")
    words = ["predict", "-m", str(untrained_model), "-i", str(tree), "-o", str(tree.parent / "out")]
    assert run([*words, "--format", "dicom-seg"]) == 2
    assert "pip install highdicom" in capsys.readouterr().err
    assert run([*words, "--format", "stl"]) == 2
    assert "--format stl: is not known; choose one of nii.gz, nrrd, seg.nrrd, dicom-seg" in capsys.readouterr().err
    assert not (tree.parent / "out").exists()


def test_no_name_of_a_patient_comes_into_the_list_or_the_other_formats(
    predictor: Predictor, tmp_path: Path, image: Volume
):
    tree = dicom_tree(tmp_path / "in", image)
    write_series(tree / "scout", [(0.0, 0.0, 0.0)], "1.2.8")
    done = Batch(predictor, tree, kind="seg.nrrd")
    assert done.states == ["done", "passed over"]
    for path in done.output.rglob("*"):
        assert path.is_dir() or not any(word in path.read_bytes() for word in (b"Muster", b"P-4711", b"1.2.7"))


def test_the_command_says_what_was_kept_what_failed_and_what_was_passed_over(
    untrained_model: Path, tree: Path, capsys: pytest.CaptureFixture
):
    output = tree.parent / "out"
    words = ["predict", "-m", str(untrained_model), "-i", str(tree), "-o", str(output), "--device", "cpu"]
    assert run([*words, "--case", "a"]) == 0
    assert f"1 segmented into {output.name}; the list is batch.csv there" in capsys.readouterr().out
    (tree / "x" / "b.nrrd").write_bytes(b"nothing")
    write_series(tree / "scout", [(0.0, 0.0, 0.0)])
    assert run(words) == 2
    said = capsys.readouterr()
    text = " ".join(said.out.split())
    assert (
        f"1 segmented into {output.name}, 1 were done before (--again segments them too), 1 failed, 1 passed over"
        in text
    )
    assert "scout: passed over, a series without a number has 1 slices, too few" in text
    assert "b.nrrd" in said.err


def test_nothing_to_do_needs_no_networks(
    untrained_model: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    words = ["predict", "-m", str(untrained_model), "-i", str(tree), "-o", str(tree.parent / "out"), "--device", "cpu"]
    assert run(words) == 0
    monkeypatch.setattr("GlobalLocalAlignmentLib.bundle.load_bundle", None)
    assert run(words) == 0
    assert "0 segmented" in capsys.readouterr().out


def test_a_dicom_segmentation_is_refused_where_the_slices_lie_elsewhere(
    predictor: Predictor, tmp_path: Path, image: Volume
):
    pytest.importorskip("highdicom")
    tree = dicom_tree(tmp_path / "in", image)
    volume = read_volume(tree / "study")
    moved = Volume(volume.array.astype(np.uint8), volume.ijk_to_ras.copy())
    moved.ijk_to_ras[:3, 3] += 500
    with pytest.raises(InputError, match="the slices lie elsewhere"):
        dicomsegmentation.write_dicom_segmentation(
            moved, predictor.bundle.card.labels, tmp_path / "s.dcm", sorted((tree / "study").iterdir())
        )
    assert not (tmp_path / "s.dcm").exists()
