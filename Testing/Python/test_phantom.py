"""The phantoms: plausible anatomy, two appearances of one population, the same on every call."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from GlobalLocalAlignmentLib.cases import find_volumes, pair_cases
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS, render_phantom, write_cohort
from GlobalLocalAlignmentLib.phantoms.phantomanatomy import TISSUES, random_anatomy
from GlobalLocalAlignmentLib.volumes import Volume, check_same_geometry, read_labelmap, read_volume

TASKS, MODALITIES = ("abdomen", "heart"), ("CT", "MR")
SHAPE, SPACING = (48, 40, 12), (7.0, 7.0, 12.0)


def phantom(task: str, modality: str, seed: int = 0, **options) -> tuple[Volume, Volume]:
    return render_phantom(task, modality, seed, SHAPE, SPACING, **options)


def voxels(task: str, modality: str, seed: int) -> np.ndarray:
    """Voxels of each label."""
    return np.bincount(phantom(task, modality, seed)[1].array.ravel(), minlength=5)[1:]


def centers_in_ras(labelmap: Volume) -> np.ndarray:
    """(4, 3): centre of each label, millimetres to the right, the front and the head."""
    places = [np.argwhere(labelmap.array == label).mean(axis=0) for label in (1, 2, 3, 4)]
    return nibabel.affines.apply_affine(labelmap.ijk_to_ras, np.array(places))


def mean_values(task: str, modality: str) -> np.ndarray:
    """Mean value of each label over a few patients."""
    pairs = [phantom(task, modality, seed) for seed in range(4)]
    return np.mean(
        [[image.array[labels.array == label].mean() for label in (1, 2, 3, 4)] for image, labels in pairs], axis=0
    )


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_every_structure_is_in_every_patient(task: str, modality: str):
    assert min(voxels(task, modality, seed).min() for seed in range(12)) > 20
    assert set(np.unique(phantom(task, modality)[1].array)) == {0, *PHANTOM_LABELS[task]}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_the_same_seed_is_the_same_patient(task: str, modality: str):
    first, second = (phantom(task, modality, 5) for _ in range(2))
    assert all(np.array_equal(one.array, other.array) for one, other in zip(first, second, strict=True))


def test_seeds_and_modalities_are_different_patients():
    labelmaps = [phantom("abdomen", modality, seed)[1].array for modality in MODALITIES for seed in (0, 1)]
    pairs = [(a, b) for a in range(4) for b in range(a)]
    assert not any(np.array_equal(labelmaps[a], labelmaps[b]) for a, b in pairs)


@pytest.mark.parametrize("task", TASKS)
def test_a_patient_is_the_same_at_any_resolution(task: str):
    fine, coarse = (random_anatomy(task, shape, np.random.default_rng(1), 1.0) for shape in ((48, 36, 12), (16, 12, 4)))
    # the middle of three fine voxels is the centre of a coarse one
    assert (fine.labels[1::3, 1::3, 1::3] == coarse.labels).mean() > 0.999
    assert (fine.tissues[1::3, 1::3, 1::3] == coarse.tissues).mean() > 0.999


@pytest.mark.parametrize("seed", range(4))
def test_the_organs_of_the_abdomen_lie_where_they_belong(seed: int):
    liver, right_kidney, left_kidney, spleen = centers_in_ras(phantom("abdomen", "CT", seed)[1])
    assert liver[0] > 20 and right_kidney[0] > 20
    assert spleen[0] < left_kidney[0] < -20
    assert max(right_kidney[1], left_kidney[1], spleen[1]) < liver[1]
    assert max(right_kidney[2], left_kidney[2]) < min(liver[2], spleen[2])
    assert voxels("abdomen", "CT", seed).argmax() == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_of_the_heart_lie_where_they_belong(seed: int):
    myocardium, atrium, ventricle, aorta = centers_in_ras(phantom("heart", "MR", seed)[1])
    assert ventricle[0] < min(atrium[0], aorta[0])
    assert atrium[1] < min(ventricle[1], aorta[1])
    assert aorta[2] > max(ventricle[2], atrium[2])
    assert np.linalg.norm(myocardium - ventricle) < 25


@pytest.mark.parametrize("seed", range(4))
def test_the_left_ventricle_is_enclosed_by_myocardium_and_opens_to_the_atrium(seed: int):
    labels = render_phantom("heart", "CT", seed)[1].array
    cavity = labels == 3
    around = [np.roll(labels, step, axis)[cavity] for axis in range(3) for step in (1, -1)]
    beside = np.bincount(np.concatenate(around), minlength=5) / sum((values != 3).sum() for values in around)
    assert beside[1] > 0.6
    assert beside[2] > 0.02
    assert beside[0] < 0.2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_no_structure_lies_outside_the_body(task: str, modality: str):
    anatomy = random_anatomy(task, SHAPE, np.random.default_rng(2), 1.0)
    assert not (anatomy.labels > 0)[anatomy.tissues == TISSUES.index("air")].any()


@pytest.mark.parametrize("task", TASKS)
def test_the_structures_are_as_large_in_both_modalities(task: str):
    sizes = [np.mean([voxels(task, modality, seed) for seed in range(16)], axis=0) for modality in MODALITIES]
    assert np.allclose(sizes[0] / sizes[1], 1, atol=0.3)


def test_ct_has_hounsfield_units():
    image, labels = phantom("abdomen", "CT")
    assert image.array.min() == pytest.approx(-1024, abs=5)
    assert np.median(image.array[0]) == pytest.approx(-1000, abs=20)
    assert image.array.max() > 350
    assert image.array[labels.array == 1].mean() == pytest.approx(105, abs=35)
    assert 130 < mean_values("abdomen", "CT")[1] < 220


@pytest.mark.parametrize("task", TASKS)
def test_mr_has_positive_values_of_a_gain_of_its_own(task: str):
    images = [phantom(task, "MR", seed)[0].array for seed in range(8)]
    assert all(image.min() >= 0 and 400 < image.max() < 2000 for image in images)
    brightness = [np.percentile(image, 99) for image in images]
    assert max(brightness) / min(brightness) > 1.15


def test_liver_and_spleen_look_alike_in_ct_and_differ_in_mr():
    ct, mr = mean_values("abdomen", "CT"), mean_values("abdomen", "MR")
    assert abs(ct[3] - ct[0]) < 40
    assert mr[3] > 1.4 * mr[0]


@pytest.mark.parametrize("task", TASKS)
def test_values_of_one_modality_mean_something_else_in_the_other(task: str):
    def scaled(modality: str) -> np.ndarray:
        """Mean of each label in the range that a network sees."""
        if modality == "CT":
            return np.clip(mean_values(task, "CT") / 350, -1, 1)
        top = np.mean([np.percentile(phantom(task, "MR", seed)[0].array, 99.8) for seed in range(4)])
        return mean_values(task, "MR") / top * 2 - 1

    assert np.abs(scaled("CT") - scaled("MR")).max() > 0.5


def test_a_plain_volume_is_stored_to_the_left_back_and_head():
    image, labels = phantom("heart", "MR")
    assert nibabel.aff2axcodes(image.ijk_to_ras) == ("L", "P", "S")
    assert image.spacing == pytest.approx(SPACING)
    middle = nibabel.affines.apply_affine(image.ijk_to_ras, (np.array(SHAPE) - 1) / 2)
    assert np.allclose(middle, 0)
    check_same_geometry(image, labels)


def test_an_oblique_volume_is_the_same_patient_tilted():
    (plain, _), (oblique, _) = phantom("heart", "MR"), phantom("heart", "MR", oblique=True)
    assert np.array_equal(plain.array, oblique.array)
    assert oblique.spacing == pytest.approx(SPACING)
    directions = oblique.ijk_to_ras[:3, :3] / SPACING
    assert np.allclose(directions.T @ directions, np.eye(3))
    assert np.abs(directions).max() < 0.999


def test_a_cohort_is_written_as_pairs_that_read_back(tmp_path: Path):
    write_cohort(tmp_path, "abdomen", "MR", 2, 3, SHAPE, SPACING)
    pairs = pair_cases(find_volumes([tmp_path / "images"], "image"), find_volumes([tmp_path / "labels"], "labelmap"))
    assert list(pairs) == ["case_00", "case_01"]
    images, labelmaps = zip(
        *((read_volume(image), read_labelmap(labels)) for image, labels in pairs.values()), strict=True
    )
    assert not np.array_equal(images[0].array, images[1].array)
    assert all(set(np.unique(labels.array)) == {0, 1, 2, 3, 4} for labels in labelmaps)
    assert images[0].spacing == pytest.approx(SPACING)


def test_cohorts_of_different_seeds_share_no_patient(tmp_path: Path):
    for seed in (0, 1):
        write_cohort(tmp_path / str(seed), "heart", "CT", 2, seed, (16, 12, 6), (20, 20, 24))
    arrays = [read_labelmap(path).array for path in sorted(tmp_path.glob("*/labels/*"))]
    assert len(arrays) == 4
    assert not any(np.array_equal(arrays[a], arrays[b]) for a in range(4) for b in range(a))
