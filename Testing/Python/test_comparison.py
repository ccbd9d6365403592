"""The method beside its bounds: what is trained, what is taken up again, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.comparison.compare import compare
from GlobalLocalAlignmentLib.comparison.methods import METHODS as ALL_METHODS
from GlobalLocalAlignmentLib.comparison.methods import changed
from GlobalLocalAlignmentLib.comparison.trainings import Trainings
from GlobalLocalAlignmentLib.config import Configuration, Domain, configuration, merge
from GlobalLocalAlignmentLib.errors import InputError

METHODS = ("ours", "no_adaptation", "supervised")


@pytest.fixture
def test_cases(cohorts: Path) -> Domain:
    return Domain(images=[cohorts / "target" / "images"], labelmaps=[cohorts / "target" / "labels"])


@pytest.fixture
def settings(tiny_settings: dict) -> Configuration:
    return configuration(tiny_settings)


def test_every_method_is_scored_and_a_second_call_trains_nothing(
    settings: Configuration, test_cases: Domain, cohorts: Path, tmp_path: Path
):
    trainings = Trainings(tmp_path, settings, [cohorts / "target" / "labels"])
    scores = compare(trainings, test_cases, METHODS)
    assert {method: {entry.case for entry in entries} for method, entries in scores.items()} == dict.fromkeys(
        METHODS, {"case_00", "case_01"}
    )
    with np.load(tmp_path / "runs" / "ours" / "panels" / "segmentation_ours.npz") as panel:
        assert {"image", "mask", "prediction", "truth"} <= set(panel)
    stages: list[str] = []
    again = compare(trainings, test_cases, METHODS, [lambda entry: stages.append(entry["stage"])])
    assert [entry.dice for entry in again["ours"]] == pytest.approx([e.dice for e in scores["ours"]], nan_ok=True)
    assert set(stages) <= {"prepare"}


def test_runs_of_other_settings_are_not_taken_for_these(
    settings: Configuration, tiny_settings: dict, test_cases: Domain, tmp_path: Path
):
    compare(Trainings(tmp_path, settings, []), test_cases, ("no_adaptation",))
    other = configuration(merge(tiny_settings, {"training": {"seed": 7}}))
    with pytest.raises(InputError, match="begun with training.seed 0, not 7"):
        compare(Trainings(tmp_path, other, []), test_cases, ("no_adaptation",))


def test_labels_of_the_target_are_read_by_supervised_alone(settings: Configuration, cohorts: Path, tmp_path: Path):
    labels = [cohorts / "target" / "labels"]
    trainings = Trainings(tmp_path, settings, labels)
    for name, method in ALL_METHODS.items():
        found = trainings.settings(method)
        assert found.source.labelmaps == (labels if name == "supervised" else settings.source.labelmaps)
        assert found.target.labelmaps == []


@pytest.mark.parametrize(
    ("name", "style_transfer", "feature", "output", "translator"),
    [
        ("no_adaptation", False, False, False, "ours"),
        ("cyclegan", True, False, False, "cyclegan"),
        ("cycada", True, True, False, "cycada"),
        ("munit", True, False, False, "munit"),
        ("drit", True, False, False, "drit"),
        ("style_transfer", True, False, False, "ours"),
        ("style_transfer_d1", True, True, False, "ours"),
        ("style_transfer_d2", True, False, True, "ours"),
        ("d1_d2", False, True, True, "ours"),
        ("stargan_v2_d1_d2", True, True, True, "stargan_v2"),
        ("cyclegan_d1_d2", True, True, True, "cyclegan"),
        ("ours", True, True, True, "ours"),
    ],
)
def test_the_rows_are_those_of_the_tables(
    settings: Configuration,
    tmp_path: Path,
    name: str,
    style_transfer: bool,
    feature: bool,
    output: bool,
    translator: str,
):
    found = Trainings(tmp_path, settings, []).settings(ALL_METHODS[name])
    parts = found.segmentation
    assert (parts.style_transfer, parts.feature_discriminator, parts.output_discriminator) == (
        style_transfer,
        feature,
        output,
    )
    assert found.synthesis.translator == translator
    assert parts.local_feature_mask is (name != "cycada")


def test_a_network_that_is_lent_to_ours_is_not_taken_for_another_translator(settings: Configuration, tmp_path: Path):
    lent = settings.model_copy(update={"synthesis": settings.synthesis.model_copy(update={"model": tmp_path / "ours"})})
    trainings = Trainings(tmp_path, lent, [])
    assert trainings.settings(ALL_METHODS["cyclegan_d1_d2"]).synthesis.model is None
    assert trainings.settings(ALL_METHODS["ours"]).synthesis.model == tmp_path / "ours"


def test_a_translator_that_learns_from_labels_is_not_lent_to_the_other_direction(
    settings: Configuration, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainings = Trainings(tmp_path / "there", settings, [], Trainings(tmp_path / "back", settings, []))
    model = trainings.opposite.model("cycada")
    model.parent.mkdir(parents=True)
    model.write_bytes((tiny_run / "model.safetensors").read_bytes())
    original = read_card(model)
    for name, lent in (("cycada", None), ("cyclegan", model)):
        card = original.model_copy(update={"synthesis": changed(settings, ALL_METHODS[name]).synthesis})
        monkeypatch.setattr("GlobalLocalAlignmentLib.comparison.trainings.read_card", lambda _, card=card: card)
        assert trainings.settings(ALL_METHODS[name]).synthesis.model == lent


def test_a_run_that_is_not_done_lends_what_its_stage_one_made(settings: Configuration, tiny_run: Path, tmp_path: Path):
    lent = tmp_path / "runs" / "style_transfer" / "synthesis.safetensors"
    lent.parent.mkdir(parents=True)
    lent.write_bytes((tiny_run / "synthesis.safetensors").read_bytes())
    assert Trainings(tmp_path, settings, []).settings(ALL_METHODS["ours"]).synthesis.model == lent
    # half of it, as a disk leaves it that was pulled out: the run will write it again
    lent.write_bytes(lent.read_bytes()[:2000])
    assert Trainings(tmp_path, settings, []).settings(ALL_METHODS["ours"]).synthesis.model is None


def test_a_synthesis_network_of_other_settings_is_not_lent(
    settings: Configuration, tiny_settings: dict, tiny_run: Path, tmp_path: Path
):
    model = tmp_path / "runs" / "style_transfer" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_bytes((tiny_run / "model.safetensors").read_bytes())
    assert Trainings(tmp_path, settings, []).settings(ALL_METHODS["ours"]).synthesis.model == model
    other = configuration(merge(tiny_settings, {"synthesis": {"iterations": 7}}))
    assert Trainings(tmp_path, other, []).settings(ALL_METHODS["ours"]).synthesis.model is None
