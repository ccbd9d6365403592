"""What makes adversarial training fail is seen and said: discriminators that have won, masks that say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.config import Segmentation, configuration, merge
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.report import write_report
from GlobalLocalAlignmentLib.training import run as run_module
from GlobalLocalAlignmentLib.training.displacement import Displacement, displacement
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.stability import (
    PATIENCE,
    StabilityWatch,
    segmentation_symptoms,
    translation_symptoms,
)

WELL = {
    "feature_discriminator_source": 0.4,
    "feature_discriminator_target": 0.6,
    "output_discriminator_source": 0.45,
    "output_discriminator_target": 0.5,
    "mask_mean": 0.5,
    "mask_deviation": 0.1,
}


def told(symptoms: list, values: dict[str, float], reports: int = PATIENCE) -> list[str]:
    watch = StabilityWatch(symptoms)
    return [message for _ in range(reports) for message in watch.look(values)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"feature_discriminator_source": 0.02, "feature_discriminator_target": 0.97}, ("D1", "feature_weight")),
        ({"output_discriminator_source": 0.05, "output_discriminator_target": 0.99}, ("D2", "output_weight")),
        ({"mask_mean": 0.01}, ("zero nearly everywhere", "feature_weight")),
        ({"mask_mean": 0.75, "mask_deviation": 0.005}, ("near one everywhere", "warm_up")),
    ],
)
def test_each_symptom_of_stage_two_is_told_with_what_to_change(values: dict[str, float], words: tuple[str, ...]):
    (message,) = told(segmentation_symptoms(Segmentation()), WELL | values)
    assert all(word in message for word in words)


def test_a_training_that_goes_well_is_told_nothing():
    assert told(segmentation_symptoms(Segmentation()), WELL) == []
    assert told(translation_symptoms(), {"discriminator": 0.4, "adversarial": 0.5}) == []


def test_a_discriminator_of_images_that_has_won_is_told():
    (message,) = told(translation_symptoms(), {"discriminator": 0.005, "adversarial": 0.95})
    assert "synthesis.learning_rate" in message


def test_with_the_printed_polarity_d1_has_won_at_the_other_labels():
    symptoms = segmentation_symptoms(Segmentation(mask_target="source"))
    values = {"feature_discriminator_source": 0.97, "feature_discriminator_target": 0.02}
    assert "D1" in told(symptoms, WELL | values)[0]
    assert told(symptoms, WELL | {"feature_discriminator_source": 0.02, "feature_discriminator_target": 0.97}) == []


def test_a_symptom_is_told_once_and_not_before_it_lasts():
    bad = WELL | {"mask_mean": 0.0}
    watch = StabilityWatch(segmentation_symptoms(Segmentation()))
    assert not any(watch.look(bad) for _ in range(PATIENCE - 1))
    assert watch.look(WELL) == []
    assert not any(watch.look(bad) for _ in range(PATIENCE - 1))
    assert len(watch.look(bad)) == 1
    assert not any(watch.look(values) for values in (bad, WELL) for _ in range(2 * PATIENCE))


def test_without_discriminators_and_while_warming_up_there_is_nothing_to_see():
    assert told(segmentation_symptoms(Segmentation()), {"cross_entropy": 0.1, "dice": 0.1}) == []


def test_a_warning_of_the_watch_reaches_the_run(tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("GlobalLocalAlignmentLib.training.stability.PATIENCE", 2)
    monkeypatch.setattr("GlobalLocalAlignmentLib.training.stability.NO_MASK", 1.0)
    events: list[dict] = []
    train(tmp_path / "run", configuration(tiny_settings), [events.append])
    warnings = [entry["message"] for entry in events if entry["event"] == "warning"]
    assert [message for message in warnings if "zero nearly everywhere" in message] == warnings[-1:]


def slices(modality: str) -> np.ndarray:
    """Slices of one anatomy in the look of a modality, (8, 96, 112) in [-1, 1]."""
    image, _ = render_phantom("abdomen", modality, 3, (112, 96, 8), (3, 3, 16))
    values = image.array.T.astype(np.float32)
    low, high = np.percentile(values, [1, 99])
    return (2 * (values - low) / (high - low) - 1).clip(-1, 1)


def test_slices_and_the_same_anatomy_in_another_look_lie_where_they_are():
    found = displacement(slices("MR"), 1 - 2 * (slices("MR") / 2 + 0.5) ** 2, 3.0)
    assert found.windows > 50
    assert found.median_mm == 0
    assert not found.suspicious


@pytest.mark.parametrize("pixels", [2, 4])
def test_slices_that_moved_are_found_out_by_how_much_they_did(pixels: int):
    found = displacement(slices("MR"), np.roll(-slices("MR"), pixels, axis=2), 3.0)
    assert found.median_mm == pytest.approx(3 * pixels)
    assert found.suspicious


def test_slices_of_other_anatomies_do_not_fit():
    found = displacement(slices("MR"), np.roll(slices("MR"), 4, axis=0), 3.0)
    assert found.suspicious


def test_slices_without_an_edge_say_nothing():
    flat = np.zeros((2, 64, 64), np.float32)
    assert displacement(flat, flat, 1.0).windows == 0
    assert not displacement(flat, flat, 1.0).suspicious


def test_a_run_says_how_far_its_translation_moves_structures(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_module, "displacement", lambda *words: Displacement(9.0, 0.62, 40))
    events: list[dict] = []
    settings = configuration(merge(tiny_settings, {"segmentation": {"iterations": 4, "warm_up": 1, "ramp": 1}}))
    train(tmp_path / "run", settings, [events.append])
    (measured,) = [entry for entry in events if entry["event"] == "displacement"]
    assert (measured["median_mm"], measured["windows"]) == (9.0, 40)
    assert any("62 %" in entry["message"] for entry in events if entry["event"] == "warning")
    assert "distance of 9.0 mm" in write_report(tmp_path / "run").read_text()
