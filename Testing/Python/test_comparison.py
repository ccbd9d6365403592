"""The method beside its bounds: what is trained, what is taken up again, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.comparison import compare, method_configuration
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
    labels = [cohorts / "target" / "labels"]
    scores = compare(tmp_path, settings, test_cases, labels, METHODS)
    assert {method: {entry.case for entry in entries} for method, entries in scores.items()} == dict.fromkeys(
        METHODS, {"case_00", "case_01"}
    )
    with np.load(tmp_path / "runs" / "ours" / "panels" / "segmentation_ours.npz") as panel:
        assert {"image", "mask", "prediction", "truth"} <= set(panel)
    stages: list[str] = []
    again = compare(tmp_path, settings, test_cases, labels, METHODS, [lambda entry: stages.append(entry["stage"])])
    assert [entry.dice for entry in again["ours"]] == pytest.approx([e.dice for e in scores["ours"]], nan_ok=True)
    assert set(stages) <= {"prepare"}


def test_runs_of_other_settings_are_not_taken_for_these(
    settings: Configuration, tiny_settings: dict, test_cases: Domain, tmp_path: Path
):
    compare(tmp_path, settings, test_cases, [], ("no_adaptation",))
    other = configuration(merge(tiny_settings, {"training": {"seed": 7}}))
    with pytest.raises(InputError, match="begun with training.seed 0, not 7"):
        compare(tmp_path, other, test_cases, [], ("no_adaptation",))


def test_labels_of_the_target_are_read_by_supervised_alone(settings: Configuration, cohorts: Path, tmp_path: Path):
    labels = [cohorts / "target" / "labels"]
    for method in ("ours", "style_transfer", "no_adaptation"):
        changed = method_configuration(settings, method, tmp_path, labels)
        assert changed.source.labelmaps == settings.source.labelmaps
        assert changed.target.labelmaps == []
    assert method_configuration(settings, "supervised", tmp_path, labels).source.labelmaps == labels
