"""``gla ablate``: rows, seeds and directions over one data set, what is shared, tables, masks."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.commands.options import own_settings
from GlobalLocalAlignmentLib.comparison import atonce
from GlobalLocalAlignmentLib.comparison.ablation import run_ablation
from GlobalLocalAlignmentLib.comparison.masks import score_mask
from GlobalLocalAlignmentLib.comparison.methods import METHODS as ALL_METHODS
from GlobalLocalAlignmentLib.comparison.plan import AblationPlan, prepare
from GlobalLocalAlignmentLib.comparison.results import Results, statistics
from GlobalLocalAlignmentLib.comparison.tables import latex, markdown
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.evaluation import ClassScore
from GlobalLocalAlignmentLib.phantom import write_cohort
from GlobalLocalAlignmentLib.report.ablation import write_ablation_report
from GlobalLocalAlignmentLib.settings import Refinement
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.lock import RunLock
from GlobalLocalAlignmentLib.volumes import Volume, read_labelmap, write_volume
from safetensors.torch import load_file

METHODS = ("no_adaptation", "style_transfer", "ours", "supervised")
ROWS = len(METHODS) * 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three MR and three CT phantoms with labels."""
    folder = tmp_path_factory.mktemp("both")
    write_cohort(folder / "mr", "abdomen", "MR", 3, 1, (40, 32, 8), (8, 8, 16))
    write_cohort(folder / "ct", "abdomen", "CT", 3, 2, (40, 32, 8), (8, 8, 16))
    return folder


def plan_of(data: Path, tiny_settings: dict, **changes) -> AblationPlan:
    domains = {
        role: {"images": [data / name / "images"], "labelmaps": [data / name / "labels"]}
        for role, name in (("source", "mr"), ("target", "ct"))
    }
    values = {"source_test": ("case_00",), "target_test": ("case_02",), "methods": METHODS, "seeds": (0,)} | changes
    return AblationPlan(configuration(merge(tiny_settings, domains)), **values)


@pytest.fixture(scope="module")
def finished(data: Path, tiny_settings: dict, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict]]:
    """Folder of an ablation of both directions, and its events."""
    output, events = tmp_path_factory.mktemp("ablation") / "output", []
    run_ablation(output, plan_of(data, tiny_settings), [events.append])
    return output, events


def test_each_row_is_scored_on_the_test_cases_of_its_target(finished: tuple[Path, list[dict]]):
    output, events = finished
    for direction, case in (("mr_to_ct", "case_02"), ("ct_to_mr", "case_00")):
        for method in METHODS:
            with open(output / direction / "seed_0" / "scores" / f"{method}.csv", newline="") as stream:
                assert {row["case"] for row in csv.DictReader(stream)} == {case}
    assert [entry["iteration"] for entry in events if entry["event"] == "row"] == list(range(1, ROWS + 1))


def test_no_training_sees_a_test_case_and_target_labels_are_for_the_upper_bound_alone(data: Path, tiny_settings: dict):
    plan = plan_of(data, tiny_settings)
    for direction, tests in zip(
        prepare(plan, EventLog(None)), (("case_00", "case_02"), ("case_02", "case_00")), strict=True
    ):
        settings = direction.configuration
        assert settings.source.exclude == [tests[0]]
        assert settings.target.exclude == [tests[1]]
        assert settings.target.labelmaps == []
        assert [case.name for case in direction.cases] == [tests[1]]


def test_one_synthesis_network_and_one_plain_segmenter_a_modality_serve_both_directions(
    finished: tuple[Path, list[dict]],
):
    _, events = finished
    started = [entry["stage"] for entry in events if entry["event"] == "stage_started"]
    assert started.count("synthesis") == 1
    # style transfer and ours each way, and a plain segmenter for each modality
    assert started.count("segmentation") == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_rows_that_are_trained_at_once_have_the_same_results(
    finished: tuple[Path, list[dict]],
    data: Path,
    tiny_settings: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    # forked as they are here they need not load their libraries, and have the thread that the others had
    monkeypatch.setattr(atonce, "START", "fork")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    events: list[dict] = []
    run_ablation(tmp_path / "beside", plan_of(data, tiny_settings), [events.append], at_once=3)
    for name in (*finished[0].rglob("model.safetensors"), *finished[0].rglob("scores/*.csv")):
        beside = tmp_path / "beside" / name.relative_to(finished[0])
        if name.suffix == ".csv":
            assert beside.read_text() == name.read_text()
        else:
            again = load_file(beside)
            assert all(torch.equal(value, again[key]) for key, value in load_file(name).items())
    started = [entry["stage"] for entry in events if entry["event"] == "stage_started"]
    assert (started.count("synthesis"), started.count("segmentation")) == (1, 6)
    of_all = [entry for entry in events if entry["stage"] == "ablation" and entry["event"] == "progress"]
    assert [entry["iteration"] for entry in of_all] == list(range(1, ROWS + 1)) and of_all[-1]["seconds_left"] == 0


def test_a_second_call_trains_what_is_new_alone(
    finished: tuple[Path, list[dict]], data: Path, tiny_settings: dict, tmp_path: Path
):
    output = tmp_path / "copy"
    shutil.copytree(finished[0], output)
    events: list[dict] = []
    plan = plan_of(data, tiny_settings, methods=(*METHODS, "style_transfer_d1"), both_directions=False)
    results = run_ablation(output, plan, [events.append])
    assert list(results.scores["MR to CT"]) == [
        "no_adaptation",
        "style_transfer",
        "style_transfer_d1",
        "ours",
        "supervised",
    ]
    assert sum(entry["event"] == "run_started" for entry in events) == 1


def test_a_row_with_settings_of_its_own_is_told_apart(
    finished: tuple[Path, list[dict]], data: Path, tiny_settings: dict, tmp_path: Path
):
    output = tmp_path / "copy"
    shutil.copytree(finished[0], output)
    events: list[dict] = []
    own = {"style_transfer_d1": {"synthesis": {"iterations": 3}, "segmentation": {"weight_decay": 0.125}}}
    plan = plan_of(data, tiny_settings, methods=(*METHODS, "style_transfer_d1"), both_directions=False, own=own)
    results = run_ablation(output, plan, [events.append])
    # the others are left as they are, and their stage one is no longer that of this row
    started = [(entry["stage"], entry["of"]) for entry in events if entry["event"] == "stage_started"]
    assert [of for stage, of in started if stage == "synthesis"] == [3]
    card = read_card(output / "mr_to_ct" / "seed_0" / "runs" / "style_transfer_d1" / "model.safetensors")
    assert (card.synthesis.iterations, card.segmentation.weight_decay) == (3, 0.125)
    iterations = plan.configuration.synthesis.iterations
    own_notes = [note for note in results.notes if "settings of its own" in note]
    assert own_notes == [
        "style transfer + D1 was trained with settings of its own: "
        f"synthesis.iterations 3 (others {iterations}); segmentation.weight_decay 0.125 (others 0.01)."
    ]
    # what another call does not say is not forgotten, and the row is not mixed with others
    assert own_notes[0] in run_ablation(output, plan_of(data, tiny_settings)).notes
    with pytest.raises(InputError, match=r"was begun with synthesis.iterations 3, not"):
        run_ablation(output, replace(plan, own={}))


def test_a_row_with_a_stage_one_of_its_own_is_lent_no_other(data: Path, tiny_settings: dict, finished, tmp_path: Path):
    lent = next(finished[0].rglob("style_transfer/model.safetensors"))
    plan = plan_of(data, merge(tiny_settings, {"synthesis": {"model": lent}}))
    own = {
        "style_transfer": {"synthesis": {"iterations": 3}},
        "cyclegan_d1_d2": {"synthesis": {"model": tmp_path / "lent"}},
        "supervised": {"synthesis": {"model": tmp_path / "lent"}},
    }
    trainings = prepare(replace(plan, own=own), EventLog(None))[0].trainings(tmp_path, 0)
    expected = {"ours": lent, "style_transfer": None, "cyclegan_d1_d2": tmp_path / "lent", "cyclegan": None}
    assert {name: trainings.settings(ALL_METHODS[name]).synthesis.model for name in expected} == expected
    # whatever it is lent, the upper bound learns from the target
    assert trainings.settings(ALL_METHODS["supervised"]).source.labelmaps == [data / "ct" / "labels"]


def test_an_upper_bound_with_settings_of_its_own_is_trained(
    finished: tuple[Path, list[dict]], data: Path, tiny_settings: dict, tmp_path: Path
):
    output = tmp_path / "copy"
    shutil.copytree(finished[0], output)
    supervised = [output / direction / "seed_0" / "runs" / "supervised" for direction in ("mr_to_ct", "ct_to_mr")]
    for run_folder in supervised:
        shutil.rmtree(run_folder)
    own = {"supervised": {"segmentation": {"weight_decay": 0.125}}}
    run_ablation(output, plan_of(data, tiny_settings, methods=("supervised",), own=own))
    for run_folder in supervised:
        assert read_card(run_folder / "model.safetensors").segmentation.weight_decay == 0.125


@pytest.mark.parametrize(
    "texts, problem",
    [
        (["ours.segmentation.width=8"], "is not of the form METHOD:section.key=value"),
        (["sifa:segmentation.width=8"], "are for no row of this call"),
        (["ours:training.seed=3"], "hold training"),
        (["ours:segmentation=3"], "hold segmentation"),
        (["ours:segmentation.feature_discriminator=false"], "it is what makes a row"),
        (["ours:wide"], "--set-for ours:wide.* is not of the form METHOD:section.key=value"),
        (["ours:segmentation.wide=8"], "segmentation.wide"),
    ],
)
def test_settings_of_one_row_that_cannot_be_are_refused(
    texts: list[str], problem: str, data: Path, tiny_settings: dict, tmp_path: Path
):
    with pytest.raises(InputError, match=problem):
        run_ablation(tmp_path / "new", plan_of(data, tiny_settings, own=own_settings(texts)))
    assert not (tmp_path / "new").exists()


def test_the_tables_hold_the_rows_of_earlier_calls_too(
    finished: tuple[Path, list[dict]], data: Path, tiny_settings: dict
):
    results = run_ablation(finished[0], plan_of(data, tiny_settings, methods=("style_transfer",)))
    assert set(results.scores["MR to CT"]) == set(METHODS)


def test_other_test_cases_are_not_mixed_in(finished: tuple[Path, list[dict]], data: Path, tiny_settings: dict):
    with pytest.raises(InputError, match="ablation of other cases"):
        run_ablation(finished[0], plan_of(data, tiny_settings, target_test=("case_01",)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_test": ()}, "target test cases: are not named"),
        ({"target_test": ("case_77",)}, "case_77"),
        ({"methods": ("magic",)}, "method magic: is not known"),
        ({"source_test": ("case_00", "case_01", "case_02")}, "hold no case"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_is_written(
    data: Path, tiny_settings: dict, tmp_path: Path, changes: dict, message: str
):
    with pytest.raises(InputError, match=message):
        run_ablation(tmp_path / "output", plan_of(data, tiny_settings, **changes))
    assert not (tmp_path / "output").exists()


def test_the_command_ends_with_tables_and_a_report(data: Path, tiny_settings: dict, tmp_path: Path):
    settings = {name: tiny_settings[name] for name in ("labels", "plane", "synthesis", "segmentation", "training")}
    (tmp_path / "tiny.json").write_text(json.dumps(settings))
    words = ["ablate", "--preset", "phantom", "--config", tmp_path / "tiny.json", "--output", tmp_path / "output"]
    words += ["--source-images", data / "mr" / "images", "--source-labels", data / "mr" / "labels"]
    words += ["--target-images", data / "ct" / "images", "--target-labels", data / "ct" / "labels"]
    words += ["--target-test", "case_00", "--one-direction", "--method", "d1_d2", "--seed", "3", "--seed", "4"]
    assert run(list(map(str, words))) == 0
    table = (tmp_path / "output" / "table.md").read_text(encoding="utf-8")
    assert "D1 + D2 alone" in table
    assert "seeds 3, 4" in table
    assert "area under the curve" in table
    assert "\\toprule" in (tmp_path / "output" / "table.tex").read_text(encoding="utf-8")
    page = (tmp_path / "output" / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 2
    assert str(tmp_path) not in page


def test_other_methods_are_trained_segmented_and_scored_as_ours(data: Path, tiny_settings: dict, tmp_path: Path):
    methods, output = ("cycada", "sifa"), tmp_path / "output"
    results = run_ablation(output, plan_of(data, tiny_settings, methods=methods, both_directions=False))
    for method in methods:
        assert {found.case for found in results.scores["MR to CT"][method][0]} == {"case_02"}
        # D1 of CyCADA was there for its training alone
        assert not (output / "mr_to_ct" / "seed_0" / "masks" / f"{method}.csv").exists()
    page = write_ablation_report(results, output).read_text()
    assert "CyCADA" in page and "SIFA" in page


def score(case: str, label: int, dice: float) -> ClassScore:
    return ClassScore(case, label, f"label {label}", dice, *(math.nan,) * 5, 10, 10)


def test_deviations_between_runs_and_between_volumes_are_told_apart():
    runs = {
        0: [score("a", 1, 0.6), score("b", 1, 0.8), score("a", 2, 0.4), score("b", 2, 0.6)],
        1: [score("a", 1, 0.8), score("b", 1, 1.0), score("a", 2, 0.6), score("b", 2, 0.8)],
    }
    found = statistics(runs, "dice")
    assert found["label 1"].mean == pytest.approx(0.8)
    assert found["label 1"].between_runs == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert found["label 1"].between_volumes == pytest.approx(np.std([0.7, 0.9], ddof=1))
    assert found["average"].mean == pytest.approx(0.7)
    assert found["average"].between_runs == pytest.approx(np.std([0.6, 0.8], ddof=1))
    assert (found["average"].runs, found["average"].volumes) == (2, 2)


def test_names_of_structures_cannot_break_a_table():
    scores = {"A to B": {"ours": {0: [ClassScore("a", 1, "left|right & 50 %", 0.5, *(math.nan,) * 5, 1, 1)]}}}
    results = Results(scores=scores, largest=scores)
    heads, line, row = markdown(results).strip().splitlines()[2:5]
    assert heads.count("|") == line.count("|") == row.count("|")
    assert r"left|right \& 50 \%" in latex(results)


def test_a_mask_that_is_large_where_the_prediction_is_wrong_scores_one_and_its_opposite_zero():
    truth, prediction = np.zeros((8, 8, 4), int), np.zeros((8, 8, 4), int)
    truth[2:6, 2:6], prediction[3:7, 2:6] = 1, 1
    wrong = truth != prediction
    for mask, area, sign in ((wrong * 0.9, 1.0, 1), (0.9 - wrong * 0.9, 0.0, -1)):
        for found in score_mask("a", mask, prediction, truth, (1, 1, 1), np.ones(truth.shape, bool)):
            assert found.area_under_curve == pytest.approx(area)
            assert found.correlation == pytest.approx(sign)
            assert found.wrong_voxels == wrong.sum()


def test_a_mask_of_one_value_says_nothing():
    truth = np.zeros((4, 4, 4), int)
    truth[1:3] = 1
    (body, _) = score_mask("a", np.full(truth.shape, 0.4), truth * 0, truth, (1, 1, 1), np.ones(truth.shape, bool))
    assert body.area_under_curve == pytest.approx(0.5)
    assert math.isnan(body.correlation)


def test_air_is_in_no_region_and_places_far_from_structures_are_not_near_them():
    truth = np.zeros((60, 4, 4), int)
    truth[:4] = 1
    mask, air = np.zeros(truth.shape), np.zeros(truth.shape, bool)
    mask[40:], air[50:] = 1, True
    mask[50:] = 100
    body, near = score_mask("a", mask, truth * 0, truth, (1, 1, 1), ~air)
    assert body.right == pytest.approx(10 / 46)
    assert near.right == 0


def test_without_any_structure_nothing_is_near_one():
    nothing = np.zeros((4, 4, 4), int)
    _, near = score_mask("a", np.ones(nothing.shape), nothing, nothing, (1, 1, 1), nothing == 0)
    assert (near.wrong_voxels, math.isnan(near.right)) == (0, True)


def test_structures_that_were_not_found_are_counted():
    found = [score("a", 1, 0.8), score("b", 1, 0.0)]
    found[1] = replace(found[1], predicted_voxels=0)
    numbers = statistics({0: found, 1: [score("a", 1, 0.8), score("b", 1, 0.7)]}, "dice")
    assert (numbers["label 1"].not_found, numbers["average"].not_found) == (1, 1)
    assert numbers["label 1"].mean == pytest.approx((0.4 + 0.75) / 2)
    assert "structures not found" in markdown(
        Results(scores={"A to B": {"ours": {0: found}}}, largest={"A to B": {"ours": {0: found}}})
    )


@pytest.fixture
def again(finished: tuple[Path, list[dict]], tmp_path: Path) -> Path:
    """A copy of the ablation, to go on with."""
    output = tmp_path / "copy"
    shutil.copytree(finished[0], output)
    return output


def test_a_model_that_changed_is_scored_anew(again: Path, data: Path, tiny_settings: dict):
    home = again / "mr_to_ct" / "seed_0"
    other = home / "runs" / "style_transfer" / "model.safetensors"
    shutil.copyfile(other, home / "runs" / "ours" / "model.safetensors")
    results = run_ablation(again, plan_of(data, tiny_settings, methods=("ours",)))
    assert results.scores["MR to CT"]["ours"] == results.scores["MR to CT"]["style_transfer"]


def test_another_refinement_is_scored_anew_without_a_new_training(again: Path, data: Path, tiny_settings: dict):
    plan, home = plan_of(data, tiny_settings, methods=("ours",), both_directions=False), again / "mr_to_ct" / "seed_0"

    def found(plan: AblationPlan) -> list[bytes]:
        run_ablation(again, plan)
        return [path.read_bytes() for path in sorted((home / "predictions" / "ours").glob("*_feature_mask.nii.gz"))]

    before = found(plan)
    assert before
    model = home / "runs" / "ours" / "model.safetensors"
    trained = model.stat().st_mtime_ns
    refined = plan.configuration.model_copy(update={"refinement": Refinement(shifts=2, slice_smoothing=0.25)})
    after = found(replace(plan, configuration=refined))
    assert model.stat().st_mtime_ns == trained
    assert len(after) == len(before)
    assert not set(after) & set(before)
    assert found(plan) == before


def test_rows_that_were_segmented_otherwise_are_named_under_the_tables(again: Path, data: Path, tiny_settings: dict):
    plan = plan_of(data, tiny_settings, methods=("style_transfer",), both_directions=False)
    refined = plan.configuration.model_copy(update={"refinement": Refinement(shifts=2)})
    notes = run_ablation(again, replace(plan, configuration=refined)).notes
    assert "Slices were segmented in 4 passes." in notes
    (note,) = (note for note in notes if note.startswith("Segmented in one pass, and not as the others: "))
    assert "ours MR to CT seed 0" in note and "style transfer" not in note
    every = replace(plan, configuration=refined, methods=plan_of(data, tiny_settings).methods)
    assert not [note for note in run_ablation(again, every).notes if note.startswith("Segmented")]


def test_another_mapping_of_the_test_labels_is_scored_anew(again: Path, data: Path, tiny_settings: dict):
    plan = plan_of(data, tiny_settings, methods=("style_transfer",), both_directions=False)
    before = run_ablation(again, plan).scores["MR to CT"]["style_transfer"][0]
    target = plan.configuration.target.model_copy(update={"label_mapping": {1: 2, 2: 1}})
    plan = replace(plan, configuration=plan.configuration.model_copy(update={"target": target}))
    after = run_ablation(again, plan).scores["MR to CT"]["style_transfer"][0]
    assert [entry.reference_voxels for entry in after[:2]] == [entry.reference_voxels for entry in before[1::-1]]


@pytest.mark.parametrize(
    ("methods", "changes", "message"),
    [
        (("ours",), {"source": {"label_mapping": {9: 0}}}, "source.label_mapping"),
        (("ours",), {"target": {"intensity": {"rule": "window", "low": -100, "high": 100}}}, "target.intensity"),
        (
            ("ours",),
            {"training": {"model_selection": "final", "seed": 0}, "segmentation": {"iterations": 9}},
            "iterations",
        ),
        (("supervised",), {"segmentation": {"learning_rate": 0.5}}, "segmentation.learning_rate"),
    ],
)
def test_rows_of_other_settings_are_not_mixed(
    again: Path, data: Path, tiny_settings: dict, methods: tuple, changes: dict, message: str
):
    plan = plan_of(data, merge(tiny_settings, changes), methods=methods)
    with pytest.raises(InputError, match=message):
        run_ablation(again, plan)


def leave_models_alone(home: Path) -> None:
    """All that is left of the runs of a seed are their models, as where they were trained elsewhere."""
    for path in (home / "runs").glob("*/*"):
        if path.name != "model.safetensors":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_models_alone_stand_for_their_runs(again: Path, data: Path, tiny_settings: dict):
    for home in again.glob("*/seed_0"):
        leave_models_alone(home)
    events: list[dict] = []
    run_ablation(again, plan_of(data, tiny_settings), [events.append])
    assert not [entry for entry in events if entry["event"] == "run_started"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthesis": {"learning_rate": 0.5}}, "synthesis.learning_rate"),
        ({"source": {"intensity": {"rule": "window", "low": -100, "high": 100}}}, "source.intensity"),
    ],
)
def test_models_alone_that_were_trained_with_other_settings_are_refused(
    again: Path, data: Path, tiny_settings: dict, changes: dict, message: str
):
    leave_models_alone(again / "mr_to_ct" / "seed_0")
    plan = plan_of(data, merge(tiny_settings, changes), methods=("style_transfer",), both_directions=False)
    with pytest.raises(InputError, match=message):
        run_ablation(again, plan)


def test_a_model_of_the_other_direction_is_refused(again: Path, data: Path, tiny_settings: dict):
    home = again / "mr_to_ct" / "seed_0"
    leave_models_alone(home)
    other = again / "ct_to_mr" / "seed_0" / "runs" / "ours" / "model.safetensors"
    shutil.copyfile(other, home / "runs" / "ours" / "model.safetensors")
    with pytest.raises(InputError, match="was begun with source.intensity"):
        run_ablation(again, plan_of(data, tiny_settings, methods=("ours",), both_directions=False))


def test_how_often_a_training_reports_is_no_other_setting(again: Path, data: Path, tiny_settings: dict):
    changes = {"training": {"report_every": 3, "checkpoint_every": 5, "preview_every": 4}}
    events: list[dict] = []
    run_ablation(again, plan_of(data, merge(tiny_settings, changes)), [events.append])
    assert not [entry for entry in events if entry["event"] == "run_started"]


def test_a_stop_is_heard_between_rows(again: Path, data: Path, tiny_settings: dict):
    with pytest.raises(StopRequested):
        run_ablation(again, plan_of(data, tiny_settings), stop_asked=lambda: True)


def test_two_calls_do_not_write_into_one_folder(again: Path, data: Path, tiny_settings: dict):
    lock = RunLock(again)
    lock.acquire()
    try:
        with pytest.raises(InputError, match="another process"):
            run_ablation(again, plan_of(data, tiny_settings))
    finally:
        lock.release()


def test_what_is_named_twice_is_done_once(data: Path, tiny_settings: dict):
    plan = plan_of(data, tiny_settings, seeds=(1, 0, 1), methods=("ours", "ours"))
    assert (plan.seeds, plan.methods) == ((1, 0), ("ours",))


def test_validation_cases_are_those_of_one_target(data: Path, tiny_settings: dict):
    validation = {"validation": {"images": [str(data / "ct" / "images")], "labelmaps": [str(data / "ct" / "labels")]}}
    there, back = prepare(plan_of(data, merge(tiny_settings, validation)), EventLog(None))
    assert there.configuration.validation.images
    assert not back.configuration.validation.images


def test_a_structure_must_be_in_a_case_that_is_learnt_from(data: Path, tiny_settings: dict, tmp_path: Path):
    shutil.copytree(data / "mr", tmp_path / "mr")
    for name in ("case_01", "case_02"):
        path = tmp_path / "mr" / "labels" / f"{name}.nii.gz"
        labels = read_labelmap(path)
        write_volume(Volume(np.where(labels.array == 1, 0, labels.array), labels.ijk_to_ras), path)
    source = {"images": [tmp_path / "mr" / "images"], "labelmaps": [tmp_path / "mr" / "labels"]}
    plan = plan_of(data, tiny_settings)
    changed = plan.configuration.source.model_copy(update=source)
    plan = replace(plan, configuration=plan.configuration.model_copy(update={"source": changed}))
    with pytest.raises(InputError, match="source labels: hold no voxel of"):
        prepare(plan, EventLog(None))
    prepare(replace(plan, source_test=("case_01", "case_02")), EventLog(None))


def test_target_training_cases_need_labels_only_where_they_are_learnt_from(
    data: Path, tiny_settings: dict, tmp_path: Path
):
    (tmp_path / "labels").mkdir()
    shutil.copy(data / "ct" / "labels" / "case_02.nii.gz", tmp_path / "labels")
    plan = plan_of(data, tiny_settings, methods=("ours",), both_directions=False)
    target = plan.configuration.target.model_copy(update={"labelmaps": [tmp_path / "labels"]})
    plan = replace(plan, configuration=plan.configuration.model_copy(update={"target": target}))
    (direction,) = prepare(plan, EventLog(None))
    assert [case.name for case in direction.cases] == ["case_02"]
    with pytest.raises(InputError, match="case_00"):
        prepare(replace(plan, methods=("ours", "supervised")), EventLog(None))
