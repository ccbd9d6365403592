"""Prediction in the geometry of the input, and the model file."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.batches.batch import choose_cases, predict_files, synthesize_files
from GlobalLocalAlignmentLib.bundle import load_bundle, read_card
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.prediction import Outputs, Predictor, keep_largest_components
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.volumes import Volume, read_volume, write_volume

EVERYTHING = Outputs(feature_mask=True, probabilities=True, synthesized=True)


@pytest.fixture(scope="module")
def predictor(tiny_run: Path) -> Predictor:
    return Predictor(load_bundle(tiny_run / "model.safetensors"), torch.device("cpu"), batch_size=3)


@pytest.fixture
def volume() -> Volume:
    return render_phantom("abdomen", "CT", 7, (40, 32, 8), (8, 8, 16), oblique=True)[0]


def test_all_results_have_the_geometry_of_the_input(predictor: Predictor, volume: Volume):
    prediction = predictor.predict(volume, EVERYTHING)
    results = [prediction.labelmap, prediction.feature_mask, prediction.synthesized, *prediction.probabilities.values()]
    assert len(results) == 8
    assert all(result.shape == volume.shape for result in results)
    assert all(np.array_equal(result.ijk_to_ras, volume.ijk_to_ras) for result in results)


def test_probabilities_add_to_one_and_the_label_is_the_most_probable(predictor: Predictor, volume: Volume):
    prediction = predictor.predict(volume, EVERYTHING)
    shares = np.stack([prediction.probabilities[value].array for value in sorted(prediction.probabilities)])
    assert np.allclose(shares.sum(axis=0), 1, atol=1e-4)
    assert np.array_equal(prediction.labelmap.array, shares.argmax(axis=0))


def test_the_mask_lies_between_zero_and_one(predictor: Predictor, volume: Volume):
    mask = predictor.predict(volume, EVERYTHING).feature_mask.array
    assert mask.min() >= 0
    assert 0 < mask.max() <= 1


def test_the_prediction_takes_the_path_with_the_mask(predictor: Predictor, volume: Volume, tiny_run: Path):
    plain = load_bundle(tiny_run / "model.safetensors")
    plain.feature_discriminator = None
    shares = [
        p.predict(volume, Outputs(probabilities=True)).probabilities[1].array
        for p in (predictor, Predictor(plain, torch.device("cpu")))
    ]
    assert not np.allclose(*shares)


def test_the_batch_size_does_not_change_the_result(predictor: Predictor, volume: Volume):
    other = Predictor(predictor.bundle, torch.device("cpu"), batch_size=8)
    first, second = (p.predict(volume, EVERYTHING).probabilities[1].array for p in (predictor, other))
    assert np.allclose(first, second, atol=1e-5)


def test_a_volume_stored_along_other_axes_gives_the_same_labels(predictor: Predictor):
    volume = render_phantom("abdomen", "CT", 7, (40, 32, 8), (8, 8, 16))[0]
    turned = Volume(np.ascontiguousarray(volume.array.transpose(2, 0, 1)[:, ::-1]), np.eye(4))
    matrix = volume.ijk_to_ras[:, [2, 0, 1, 3]].copy()
    matrix[:, 3] += matrix[:, 1] * (turned.shape[1] - 1)
    matrix[:, 1] *= -1
    labels = predictor.predict(Volume(turned.array, matrix)).labelmap.array
    expected = predictor.predict(volume).labelmap.array.transpose(2, 0, 1)[:, ::-1]
    assert (labels == expected).mean() > 0.999


def test_a_style_transferred_volume_has_the_values_of_its_new_domain(predictor: Predictor, volume: Volume):
    to_ct = predictor.synthesize(volume, "target").array
    to_mr = predictor.synthesize(volume, "source").array
    assert to_ct.min() >= -350
    assert to_ct.min() < 0
    assert to_mr.min() >= 0
    assert to_mr.max() <= 1000


def test_only_the_largest_part_of_each_structure_is_kept():
    labels = np.zeros((8, 8, 3), np.uint8)
    labels[0:3, 0:3], labels[6:8, 6:8], labels[5, 0] = 1, 1, 2
    kept = keep_largest_components(labels)
    assert (kept[0:3, 0:3] == 1).all()
    assert (kept[6:8, 6:8] == 0).all()
    assert (kept[5, 0] == 2).all()


def test_one_bad_file_does_not_stop_the_batch_and_leaves_nothing(predictor: Predictor, volume: Volume, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.nii.gz").write_bytes(b"broken")
    write_volume(volume, tmp_path / "in" / "b.nrrd")
    cases = choose_cases([tmp_path / "in"])
    with pytest.raises(InputError, match="a.nii.gz"):
        predict_files(predictor, cases, tmp_path / "out", EVERYTHING, EventLog(None))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"b_{name}.nii.gz"
        for name in (
            "segmentation", "feature_mask", "synthesized", "probability_background", "probability_liver",
            "probability_right_kidney", "probability_left_kidney", "probability_spleen",
        )
    }  # fmt: skip
    written = read_volume(tmp_path / "out" / "b_feature_mask.nii.gz")
    assert np.allclose(written.ijk_to_ras, volume.ijk_to_ras, atol=1e-4)


def test_results_are_named_after_the_file_of_the_image(predictor: Predictor, volume: Volume, tmp_path: Path):
    write_volume(volume, tmp_path / "image_07.nrrd")
    predict_files(predictor, choose_cases([tmp_path]), tmp_path / "out", Outputs(), EventLog(None))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["image_07_segmentation.nii.gz"]


@pytest.mark.parametrize("eight_bit", [False, True])
def test_a_volume_of_another_kind_than_the_training_volumes_is_segmented_with_a_warning(
    predictor: Predictor, volume: Volume, tmp_path: Path, eight_bit: bool
):
    export = Volume(np.clip((volume.array + 350) * (255 / 700), 0, 255).astype(np.uint8), volume.ijk_to_ras)
    write_volume(volume, tmp_path / "in" / "units.nii.gz")
    write_volume(export, tmp_path / "in" / "export.nii.gz")
    target = predictor.bundle.card.target.model_copy(update={"eight_bit": eight_bit})
    card = predictor.bundle.card.model_copy(update={"target": target})
    other = Predictor(replace(predictor.bundle, card=card), predictor.device)
    heard: list[dict] = []
    predict_files(other, choose_cases([tmp_path / "in"]), tmp_path / "out", Outputs(), EventLog(None, [heard.append]))
    warnings = [entry["message"] for entry in heard if entry["event"] == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith("units.nii.gz: " if eight_bit else "export.nii.gz: ")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_case_that_is_not_there_is_refused(volume: Volume, tmp_path: Path):
    write_volume(volume, tmp_path / "b.nrrd")
    with pytest.raises(InputError, match="case x: is not among the inputs"):
        choose_cases([tmp_path], ["x"])


def test_synthesis_writes_one_volume_a_case(predictor: Predictor, volume: Volume, tmp_path: Path):
    write_volume(volume, tmp_path / "b.nrrd")
    synthesize_files(predictor, choose_cases([tmp_path]), tmp_path / "out", "source", EventLog(None))
    assert read_volume(tmp_path / "out" / "b_source_style.nii.gz").shape == volume.shape


def rewrite_card(source: Path, path: Path, change: dict) -> Path:
    """Copy of a model whose card has other values."""
    content = source.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header["__metadata__"]["card"])
    header["__metadata__"]["card"] = json.dumps({**card, **change})
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


def test_a_model_file_holds_its_card_and_the_weights(tiny_run: Path, predictor: Predictor, volume: Volume):
    card = read_card(tiny_run / "model.safetensors")
    assert card.names == {1: "liver", 2: "right kidney", 3: "left kidney", 4: "spleen"}
    assert card.provenance["source_cases"] == 2
    again = Predictor(load_bundle(tiny_run / "model.safetensors"), torch.device("cpu"), batch_size=3)
    assert np.array_equal(again.predict(volume).labelmap.array, predictor.predict(volume).labelmap.array)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_model_is_refused(tiny_run: Path, tmp_path: Path, share: float):
    content = (tiny_run / "model.safetensors").read_bytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="truncated or not a model"):
        load_bundle(path)


def test_a_model_of_a_newer_format_is_refused(tiny_run: Path, tmp_path: Path):
    path = rewrite_card(tiny_run / "model.safetensors", tmp_path / "m.safetensors", {"format_version": 99})
    with pytest.raises(InputError, match="format 99.*update the program"):
        load_bundle(path)


def test_a_model_whose_card_does_not_fit_its_weights_is_refused(tiny_run: Path, tmp_path: Path):
    labels = [{"value": 1, "name": "liver"}]
    path = rewrite_card(tiny_run / "model.safetensors", tmp_path / "m.safetensors", {"labels": labels})
    with pytest.raises(InputError, match="no fitting weights"):
        load_bundle(path)


def test_a_pickled_model_is_refused_unread(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="pickled"):
        load_bundle(path)


def test_a_model_of_another_program_is_refused(tmp_path: Path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not a model of this program"):
        read_card(tmp_path / "model.safetensors")
