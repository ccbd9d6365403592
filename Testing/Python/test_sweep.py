"""``gla sweep``: other values of some settings, judged on validation cases."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.comparison.sweep import Candidate, SweepPlan, best, run_sweep
from GlobalLocalAlignmentLib.comparison.sweeptables import verdict
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.evaluation import ClassScore
from GlobalLocalAlignmentLib.phantom import write_cohort

RATES = {"segmentation.learning_rate": ["1e-3", "1e-2"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two MR and two CT phantoms, and one CT phantom to choose by."""
    folder = tmp_path_factory.mktemp("sweep")
    for name, modality, count, seed in (("source", "MR", 2, 1), ("target", "CT", 2, 2), ("validation", "CT", 1, 3)):
        write_cohort(folder / name, "abdomen", modality, count, seed, (40, 32, 8), (8, 8, 16))
    return folder


def domains(data: Path) -> dict:
    return {
        "source": {"images": [data / "source" / "images"], "labelmaps": [data / "source" / "labels"]},
        "target": {"images": [data / "target" / "images"]},
        "validation": {"images": [data / "validation" / "images"], "labelmaps": [data / "validation" / "labels"]},
    }


@pytest.fixture(scope="module")
def plan(data: Path, tiny_settings: dict) -> SweepPlan:
    return SweepPlan(configuration(merge(tiny_settings, domains(data))), RATES)


@pytest.fixture(scope="module")
def finished(plan: SweepPlan, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Candidate], list[dict]]:
    output, events = tmp_path_factory.mktemp("sweep") / "output", []
    return output, run_sweep(output, plan, [events.append]), events


def test_each_value_is_trained_with_it_and_scored_on_the_validation_case(finished):
    output, candidates, events = finished
    for rate, candidate in zip((1e-3, 1e-2), candidates, strict=True):
        settings = json.loads((output / candidate.folder / "runs" / "ours" / "config.json").read_text())
        assert settings["segmentation"]["learning_rate"] == rate
        assert {score.case for score in candidate.scores} == {"case_00"}
    stages = [entry["stage"] for entry in events if entry["event"] == "stage_started"]
    assert (stages.count("synthesis"), stages.count("segmentation")) == (1, 2)


def test_a_second_call_trains_what_is_new_alone(finished, plan: SweepPlan):
    output, candidates, _ = finished
    events: list[dict] = []
    more = replace(plan, values={"segmentation.learning_rate": ["1e-3", "1e-2", "3e-3"]})
    again = run_sweep(output, more, [events.append])
    assert [candidate.scores for candidate in again[:2]] == [candidate.scores for candidate in candidates]
    assert [entry["event"] for entry in events].count("run_started") == 1


def test_a_stop_is_heard_between_trainings(finished, plan: SweepPlan):
    with pytest.raises(StopRequested):
        run_sweep(finished[0], plan, stop_asked=lambda: True)


def test_other_validation_cases_are_not_mixed_in(finished, plan: SweepPlan, data: Path):
    validation = plan.configuration.validation.model_copy(
        update={"images": [data / "target" / "images"], "labelmaps": [data / "target" / "labels"]}
    )
    other = replace(plan, configuration=plan.configuration.model_copy(update={"validation": validation}))
    with pytest.raises(InputError, match="holds a sweep of other cases"):
        run_sweep(finished[0], other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": {"segmentation.learning_rat": ["1"]}}, "learning_rate"),
        ({"values": {"segmentation.batch_size": ["many"]}}, "batch_size"),
        ({"values": {"segmentation.batch_size": []}}, "--vary segmentation.batch_size: names no value"),
        ({"values": {}}, "--vary: is not given"),
        ({"method": "supervised"}, "method supervised: cannot be swept"),
        ({"method": "magic"}, "method magic: cannot be swept"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_anything_is_written(
    plan: SweepPlan, tmp_path: Path, changes: dict, message: str
):
    with pytest.raises(InputError, match=message):
        run_sweep(tmp_path / "output", replace(plan, **changes))
    assert not (tmp_path / "output").exists()


def test_without_cases_to_choose_by_nothing_is_chosen(plan: SweepPlan, tmp_path: Path, tiny_settings: dict, data: Path):
    without = configuration(merge(tiny_settings, {**domains(data), "validation": {}}))
    with pytest.raises(InputError, match="validation cases: are not given"):
        run_sweep(tmp_path / "output", replace(plan, configuration=without))


def test_the_command_says_what_won(data: Path, tiny_settings: dict, tmp_path: Path, capsys):
    settings = {name: tiny_settings[name] for name in ("labels", "plane", "synthesis", "segmentation", "training")}
    (tmp_path / "tiny.json").write_text(json.dumps(settings))
    words = ["sweep", "--preset", "phantom", "--config", tmp_path / "tiny.json", "--output", tmp_path / "output"]
    words += ["--vary", "segmentation.learning_rate=1e-3,1e-2", "--vary", "segmentation.batch_size=2"]
    words += ["--method", "d1_d2"]
    for role in ("source", "target", "validation"):
        words += [f"--{role}-images", data / role / "images"]
        words += [] if role == "target" else [f"--{role}-labels", data / role / "labels"]
    assert run(list(map(str, words))) == 0
    shown = " ".join(capsys.readouterr().out.split())
    with open(tmp_path / "output" / "table.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if (row["structure"], row["metric"]) == ("average", "dice")]
    assert len(rows) == 2
    winner = max(rows, key=lambda row: float(row["mean"]))["settings"].split(", ")
    assert f"{100 * max(float(row['mean']) for row in rows):.1f} %: --set {winner[0]} --set {winner[1]}" in shown
    assert "the figures are no test" in (tmp_path / "output" / "table.md").read_text()
    page = (tmp_path / "output" / "report.html").read_text()
    assert "<img" in page
    assert str(tmp_path) not in page
    words[words.index("segmentation.batch_size=2")] = "segmentation.batch_size"
    assert run(list(map(str, words))) == 2


def test_the_best_is_the_one_with_the_largest_average():
    def candidate(rate: str, dice: float) -> Candidate:
        return Candidate({"rate": rate}, [ClassScore("a", 1, "liver", dice, *(1.0,) * 5, 10, 10)])

    found = [candidate("1", 0.4), candidate("2", 0.6), Candidate({"rate": "3"}, [])]
    assert best(found) is found[1]
    assert verdict(found) == "Best of 2, with an average Dice of 60.0 %: --set rate=2"
    assert best(found[2:]) is None
