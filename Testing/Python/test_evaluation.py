"""Dice and surface distances against brute force and an independent library."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.evaluation import (
    ClassScore,
    evaluate_folders,
    read_scores,
    references_left_out,
    score_labelmaps,
    summarize,
    write_scores,
)
from GlobalLocalAlignmentLib.masks.maskscores import dice_score, surface_scores, volume_errors
from GlobalLocalAlignmentLib.volumes import Volume, write_volume
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

SPACING = (0.7, 1.3, 4.0)


def blob(seed: int, shape: tuple[int, int, int] = (9, 8, 6)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2)
    return noise > np.quantile(noise, 0.7)


def surface_points(mask: np.ndarray) -> np.ndarray:
    """Voxels with a face neighbour outside the mask, one by one."""
    padded = np.pad(mask, 1)
    points = []
    for index in np.argwhere(mask):
        neighbours = [
            padded[tuple(index + 1 + step)] for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
        ]
        if not all(neighbours):
            points.append(index)
    return np.array(points, float)


def brute_force(predicted: np.ndarray, true: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float, float]:
    """Mean of directed means, pooled mean and HD95 from all pairs of surface points."""
    first, second = surface_points(predicted) * spacing, surface_points(true) * spacing
    pairs = np.linalg.norm(first[:, None] - second[None], axis=2)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    pooled = (there.sum() + back.sum()) / (len(there) + len(back))
    return (there.mean() + back.mean()) / 2, pooled, max(np.percentile(there, 95), np.percentile(back, 95))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_surface_distances_equal_brute_force(first: int, second: int):
    predicted, true = blob(first), blob(second)
    assd_voxel, pooled_voxel, assd_mm, pooled_mm, hd95 = surface_scores(predicted, true, SPACING)
    assert np.allclose((assd_voxel, pooled_voxel), brute_force(predicted, true, (1, 1, 1))[:2])
    assert np.allclose((assd_mm, pooled_mm, hd95), brute_force(predicted, true, SPACING))


@pytest.mark.parametrize("noise", [float(np.float32(0.7)), np.nextafter(0.7, 0)], ids=["NIfTI", "last digit"])
def test_one_grid_has_one_score_whatever_a_header_makes_of_its_spacing(noise: float):
    predicted, true, noisy = blob(1), blob(2), (noise, *SPACING[1:])
    assert noisy != SPACING
    assert surface_scores(predicted, true, noisy) == surface_scores(predicted, true, SPACING)
    assert volume_errors(predicted, true, noisy) == volume_errors(predicted, true, SPACING)


def test_volume_errors_count_what_one_mask_has_alone():
    predicted, true = np.zeros((2, 3, 4), bool), np.zeros((2, 3, 4), bool)
    predicted[0, 0, :3], true[0, 0, 2], true[1, 1, 1] = True, True, True
    assert volume_errors(predicted, true, (0.5, 1, 4)) == (2.0, 4.0, 2.0)


def test_dice_equals_counting_voxels():
    predicted, true = blob(1), blob(2)
    both = sum(bool(a and b) for a, b in zip(predicted.flat, true.flat, strict=True))
    assert dice_score(predicted, true) == 2 * both / (predicted.sum() + true.sum())


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_those_of_monai(seed: int):
    metrics = pytest.importorskip("monai.metrics", reason="the independent library is not installed")
    predicted, true = blob(seed, (20, 18, 10)), blob(seed + 50, (20, 18, 10))
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (predicted, true)]
    expected_dice = metrics.compute_dice(*pair, include_background=True).item()
    options = {"include_background": True, "spacing": list(SPACING)}
    expected_pooled = metrics.compute_average_surface_distance(*pair, symmetric=True, **options).item()
    expected_hd95 = metrics.compute_hausdorff_distance(*pair, percentile=95, **options).item()
    *_, pooled, hd95 = surface_scores(predicted, true, SPACING)
    assert dice_score(predicted, true) == pytest.approx(expected_dice, rel=1e-5)
    assert pooled == pytest.approx(expected_pooled, rel=1e-4)
    assert hd95 == pytest.approx(expected_hd95, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_both_surface_distances_equal_those_of_medpy(seed: int):
    binary = pytest.importorskip("medpy.metric.binary", reason="the independent library is not installed")
    predicted, true = blob(seed, (20, 18, 10)), blob(seed + 50, (20, 18, 10))
    directed = [binary.asd(*pair, SPACING) for pair in ((predicted, true), (true, predicted))]
    _, _, mean_of_means, pooled, _ = surface_scores(predicted, true, SPACING)
    assert mean_of_means == pytest.approx(np.mean(directed))
    # its own symmetric distance has been the pooled one since version 0.5
    assert pooled == pytest.approx(binary.assd(predicted, true, SPACING))


def test_equal_masks_score_one_and_have_no_distance_between_them():
    mask = blob(0)
    assert dice_score(mask, mask) == 1
    assert surface_scores(mask, mask, SPACING) == (0, 0, 0, 0, 0)


def test_a_shift_by_a_voxel_is_measured_in_voxels_and_millimetres():
    true, predicted = np.zeros((2, 8, 8, 8), bool)
    true[2, 3, 4] = predicted[2, 3, 5] = True
    assert surface_scores(predicted, true, SPACING) == (1, 1, 4, 4, 4)


def test_two_definitions_of_the_average_surface_distance_differ_where_one_surface_is_larger():
    true, predicted = np.zeros((2, 12, 1, 1), bool)
    true[0], predicted[[0, 4, 8]] = True, True
    # to the true point: 0, 4, 8; back: 0
    assert surface_scores(predicted, true, (1, 1, 1))[:2] == ((4 + 0) / 2, 12 / 4)


def test_a_mask_at_the_border_of_the_volume_scores_as_in_a_larger_volume():
    predicted, true = blob(4), blob(5)
    assert predicted[0].any() and predicted[-1].any()
    larger = (np.pad(mask, 3) for mask in (predicted, true))
    assert surface_scores(*larger, SPACING) == surface_scores(predicted, true, SPACING)


def test_an_empty_prediction_scores_zero_and_has_no_distance():
    true = blob(0).astype(int)
    (score,) = score_labelmaps("a", np.zeros_like(true), true, {1: "liver"}, SPACING)
    assert score.dice == 0
    assert math.isnan(score.assd_mm)
    assert summarize([score])[0].empty == 1


def test_a_structure_that_is_in_neither_is_not_averaged():
    true = blob(0).astype(int)
    scores = score_labelmaps("a", true, true, {1: "liver", 2: "spleen"}, SPACING)
    assert math.isnan(scores[1].dice)
    assert summarize(scores)[-1].mean["dice"] == 1


def test_a_structure_that_is_only_predicted_scores_zero():
    predicted = blob(0).astype(int)
    (score,) = score_labelmaps("a", predicted, np.zeros_like(predicted), {1: "liver"}, SPACING)
    assert score.dice == 0
    assert math.isnan(score.hd95_mm)


def test_the_average_is_the_mean_of_the_structures_means():
    true = blob(0).astype(int) + 2 * (blob(3) & ~blob(0))
    predicted = np.roll(true, 1, axis=0)
    scores = score_labelmaps("a", predicted, true, {1: "x", 2: "y"}, SPACING)
    scores += score_labelmaps("b", true, true, {1: "x", 2: "y"}, SPACING)
    summaries = summarize(scores)
    assert summaries[-1].mean["dice"] == pytest.approx(np.mean([summary.mean["dice"] for summary in summaries[:-1]]))
    by_case = [np.mean([score.dice for score in scores if score.case == case]) for case in "ab"]
    assert summaries[-1].deviation["dice"] == pytest.approx(np.std(by_case, ddof=1))


def test_a_score_table_comes_back_exactly(tmp_path: Path):
    true = blob(0).astype(int)
    scores = score_labelmaps('case "1", odd', np.roll(true, 1, 0), true, {1: "liver", 2: "spleen"}, SPACING)
    write_scores(scores, tmp_path / "scores.csv")
    assert repr(read_scores(tmp_path / "scores.csv")) == repr(scores)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), st.floats(), st.integers(0, 10**9))
def test_every_name_and_number_comes_back_from_a_table(tmp_path_factory: pytest.TempPathFactory, name, number, count):
    path = tmp_path_factory.mktemp("tables") / "scores.csv"
    score = ClassScore(name, 3, name, number, math.nan, number, math.inf, 0.1 + 0.2, 5e-324, count, 0)
    write_scores([score, score], path)
    # the text of a number says all of it, and NaN is not equal to itself
    assert repr(read_scores(path)) == repr([score, score])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text.replace("dice", "overlap"),
        lambda text: text.replace("liver,", "liver,much,"),
        lambda text: text.rsplit(",", 2)[0],
        lambda text: text.strip() + ",7",
    ],
    ids=["empty", "another column", "a word", "cut short", "a cell too many"],
)
def test_what_is_no_score_table_is_refused(tmp_path: Path, change: Callable[[str], str]):
    true = blob(0).astype(int)
    path = tmp_path / "scores.csv"
    write_scores(score_labelmaps("a", true, true, {1: "liver"}, SPACING), path)
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match="is no score table"):
        read_scores(path)


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "scores.csv"
    write_scores([], path)
    before = path.read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_scores(score_labelmaps("a", blob(0), blob(1), {1: "liver"}, SPACING), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_one_bad_case_does_not_stop_the_others(tmp_path: Path):
    labels = blob(0).astype(np.uint8)
    for folder, names in (("predictions", "abcd"), ("references", "abd")):
        for name in names:
            write_volume(Volume(labels, np.eye(4)), tmp_path / folder / f"{name}.nii.gz")
    (tmp_path / "predictions" / "a.nii.gz").write_bytes(b"broken")
    write_volume(Volume(labels * 9, np.eye(4)), tmp_path / "predictions" / "d.nii.gz")
    scores, failures = evaluate_folders(tmp_path / "predictions", tmp_path / "references", {1: "liver"})
    assert [score.case for score in scores] == ["b"]
    assert scores[0].dice == 1
    assert [text for text in ("a.nii.gz", "no label map for case c", "label value 9") if text in str(failures)] == [
        "a.nii.gz",
        "no label map for case c",
        "label value 9",
    ]


def write_labels(path: Path, labels: np.ndarray, ijk_to_ras: np.ndarray | None = None) -> None:
    write_volume(Volume(labels.astype(np.uint8), np.eye(4) if ijk_to_ras is None else ijk_to_ras), path)


def test_a_broken_reference_or_another_geometry_does_not_stop_the_others(tmp_path: Path):
    for name in "abc":
        write_labels(tmp_path / "predictions" / f"{name}.nii.gz", blob(0))
        write_labels(tmp_path / "references" / f"{name}.nii.gz", blob(1))
    (tmp_path / "references" / "a.nii.gz").write_bytes(b"broken")
    write_labels(tmp_path / "references" / "b.nii.gz", blob(1), np.diag([2.0, 1, 1, 1]))
    seen = []
    scores, failures = evaluate_folders(
        tmp_path / "predictions", tmp_path / "references", {1: "liver"}, lambda done, of: seen.append((done, of))
    )
    assert [score.case for score in scores] == ["c"]
    assert ["a.nii.gz" in str(failures[0]), "geometry" in str(failures[1])] == [True, True]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_distances_in_folders_are_measured_with_the_spacing_of_the_file(tmp_path: Path):
    predicted, true = blob(0), blob(1)
    matrix = np.diag([-SPACING[0], SPACING[1], SPACING[2], 1])
    write_labels(tmp_path / "predictions" / "a_segmentation.nii.gz", predicted, matrix)
    write_labels(tmp_path / "references" / "label_a.nrrd", true, matrix)
    (score,), _ = evaluate_folders(tmp_path / "predictions", tmp_path / "references", {1: "liver"})
    expected = surface_scores(predicted, true, SPACING)
    assert score.case == "a"
    assert [score.assd_voxel, score.hd95_mm] == pytest.approx([expected[0], expected[4]], rel=1e-5)


def test_without_names_a_structure_that_is_only_predicted_is_scored_too(tmp_path: Path):
    write_labels(tmp_path / "predictions" / "a.nii.gz", np.where(blob(0), 3, 0))
    write_labels(tmp_path / "references" / "a.nii.gz", np.where(blob(0), 1, 0))
    scores, failures = evaluate_folders(tmp_path / "predictions", tmp_path / "references")
    assert [(score.label, score.name, score.dice) for score in scores] == [(1, "label 1", 0), (3, "label 3", 0)]
    assert failures == []


def test_folders_below_are_scored_against_those_of_the_same_way(tmp_path: Path):
    """As a batch leaves them: the tree of its images, whose references lie beside the images."""
    predictions, references = tmp_path / "predictions", tmp_path / "references"
    for clinic, true in (("a", blob(0)), ("b", blob(1))):
        write_labels(predictions / clinic / "images" / "07_segmentation.nii.gz", blob(0))
        write_labels(references / clinic / "labels" / "07.nrrd", true)
        write_labels(references / clinic / "images" / "07.nrrd", blob(1))
    write_labels(references / "c" / "labels" / "07.nrrd", blob(0))
    (references / "a" / "again").symlink_to(references)
    scores, failures = evaluate_folders(predictions, references, {1: "liver"})
    assert failures == [] and [score.case for score in scores] == ["a/07", "b/07"]
    assert scores[0].dice == 1 and scores[1].dice == pytest.approx(dice_score(blob(0), blob(1)))
    assert references_left_out(predictions, references) == ["c/07"]


def test_a_result_whose_reference_lies_elsewhere_is_told_of(tmp_path: Path):
    write_labels(tmp_path / "predictions" / "a" / "07.nii.gz", blob(0))
    write_labels(tmp_path / "references" / "b" / "07.nii.gz", blob(0))
    scores, (failure,) = evaluate_folders(tmp_path / "predictions", tmp_path / "references")
    assert scores == [] and "no label map for case a/07" in str(failure)


def test_two_results_of_one_case_are_refused(tmp_path: Path):
    for folder in ("images", "labels"):
        write_labels(tmp_path / "a" / folder / "07.nii.gz", blob(0))
    (tmp_path / "a" / "labels").rename(tmp_path / "a" / "segmentation")
    write_labels(tmp_path / "a" / "label" / "07.nii.gz", blob(0))
    with pytest.raises(InputError, match=r"same case name \(a/07\)"):
        evaluate_folders(tmp_path, tmp_path)


def test_a_folder_without_predictions_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="holds no label map"):
        evaluate_folders(tmp_path, tmp_path)
