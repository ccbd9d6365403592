"""Label maps as Slicer's .seg.nrrd: every structure with its value, name, colour and term."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.cohort import check_cohort
from GlobalLocalAlignmentLib.config import Domain, Label, configuration, load_preset
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.formats.segmentationfile import read_structures, write_segmentation
from GlobalLocalAlignmentLib.training.runcohorts import labels_of_cohort
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, write_volume

TERM = "Mine~99X^1^Größe~99X^2^Übung: a^~^^~Regions~^^~^^"
LABELS = [
    Label(value=7, name="größte Stelle", color=(1, 128, 255), terminology=TERM),
    Label(value=2, name="never found", color=(0, 0, 0)),
]


def labelmap() -> Volume:
    array = np.zeros((4, 5, 6), np.uint8)
    array[1, 2, 3] = 7
    matrix = np.array([[0.0, -2.0, 0.0, 5.0], [-1.5, 0.0, 0.0, 6.0], [0.0, 0.0, 3.0, -7.0], [0.0, 0.0, 0.0, 1.0]])
    return Volume(array, matrix)


def test_a_segmentation_is_a_label_map_too(tmp_path: Path):
    write_segmentation(labelmap(), LABELS, tmp_path / "x.seg.nrrd")
    read = read_labelmap(tmp_path / "x.seg.nrrd")
    assert np.array_equal(read.array, labelmap().array) and read.array.dtype == np.uint8
    assert np.allclose(read.ijk_to_ras, labelmap().ijk_to_ras)


def test_the_header_says_which_value_is_which_structure(tmp_path: Path):
    write_segmentation(labelmap(), LABELS, tmp_path / "x.seg.nrrd")
    header = sitk.ReadImage(str(tmp_path / "x.seg.nrrd"))
    read = [
        [header.GetMetaData(f"Segment{index}_{key}") for key in ("LabelValue", "Name", "Tags", "Extent")]
        for index in range(2)
    ]
    assert read[0] == ["7", "größte Stelle", f"TerminologyEntry:{TERM}|", "0 3 0 4 0 5"]
    assert read[1][:2] == ["2", "never found"] and "Terminology" not in read[1][2]
    colors = [float(part) for part in header.GetMetaData("Segment0_Color").split()]
    assert np.round(np.multiply(colors, 255)).tolist() == [1, 128, 255]


def test_what_was_written_is_read_again_and_other_files_say_nothing(tmp_path: Path):
    write_segmentation(labelmap(), LABELS, tmp_path / "x.seg.nrrd")
    write_volume(labelmap(), tmp_path / "x.nrrd", {"Segment0_ID": "a", "Segment0_Color": "1 2"})
    write_volume(labelmap(), tmp_path / "x.nii.gz")
    read = read_structures(tmp_path / "x.seg.nrrd")
    assert [asdict(structure) for structure in read] == [
        label.model_dump() | {"color": tuple(label.color)} for label in LABELS
    ]
    assert read_structures(tmp_path / "x.nrrd") == read_structures(tmp_path / "x.nii.gz") == []


def test_a_check_says_what_a_segmentation_calls_its_values_after_mapping(tmp_path: Path):
    image = Volume(np.arange(120, dtype=np.int16).reshape(4, 5, 6), labelmap().ijk_to_ras)
    write_volume(image, tmp_path / "image_1.nrrd")
    write_segmentation(labelmap(), LABELS, tmp_path / "label_1.seg.nrrd")
    domain = Domain(images=[tmp_path], labelmaps=[tmp_path], label_mapping={7: 3})
    findings = []
    cohort = check_cohort(domain, "source", [], load_intensities(), findings.append)
    # the structure that no voxel has is left out
    assert [(one.value, one.name) for one in findings[0].structures] == [(3, "größte Stelle")]
    assert labels_of_cohort(cohort) == [LABELS[0].model_copy(update={"value": 3})]
    unnamed = replace(cohort, values={3, 5}, structures={5: replace(cohort.structures[3], value=5, name="")})
    assert [label.name for label in labels_of_cohort(unnamed)] == ["label 3", "label 5"]


def load_intensities() -> dict:
    return configuration(load_preset("phantom")).intensity_by_modality


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="x.seg.nrrd"):
        write_segmentation(labelmap(), LABELS, tmp_path / "file" / "x.seg.nrrd")


def test_a_prediction_from_a_terminal_keeps_names_colours_and_terms(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    model, out = str(tiny_run / "model.safetensors"), tmp_path / "out"
    image = cohorts / "target" / "images" / "case_00.nii.gz"
    words = ["predict", "--model", model, "--input", str(image), "--device", "cpu", "--output"]
    assert run([*words, str(out), "--format", "seg.nrrd"]) == 0
    assert [path.name for path in out.glob("case_*")] == ["case_00_segmentation.seg.nrrd"]
    assert run([*words, str(tmp_path / "plain")]) == 0
    segmented, plain = (
        read_labelmap(folder / f"case_00_segmentation{suffix}")
        for folder, suffix in ((out, ".seg.nrrd"), (tmp_path / "plain", ".nii.gz"))
    )
    assert np.array_equal(segmented.array, plain.array)
    header = sitk.ReadImage(str(out / "case_00_segmentation.seg.nrrd"))
    names = [header.GetMetaData(f"Segment{index}_Name") for index in range(4)]
    assert names == list(read_card(Path(model)).names.values())
    scores = tmp_path / "scores.csv"
    references = str(cohorts / "target" / "labels")
    assert run(["evaluate", "--predictions", str(out), "--references", references, "--output", str(scores)]) == 0
    assert scores.read_text().count("\n") > 4
