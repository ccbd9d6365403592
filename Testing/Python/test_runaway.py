"""Numbers that run away: seen, gone back from with a lower learning rate, and given up in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.cli import run as run_command
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.report import write_report
from GlobalLocalAlignmentLib.training import runaway
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.runaway import ENOUGH, FAR, PATIENCE, NumberGuard, OptimizerWatch, all_finite
from GlobalLocalAlignmentLib.training.segmentation import SegmentationStage
from GlobalLocalAlignmentLib.training.synthesis import SynthesisStage
from GlobalLocalAlignmentSlicerLib.training.runwatcher import RunWatcher


def blocks(guard: NumberGuard, *values: float, first: int = 0, name: str = "cycle") -> list:
    """What a guard says after each block of two iterations with these values."""
    said = []
    for index, value in enumerate(values, first):
        guard.add({name: value})
        guard.add({name: torch.tensor(value)})
        said.append(guard.look(2 * index + 2))
    return said


def test_a_loss_that_stays_far_above_its_usual_value_runs_away_since_it_left_it():
    said = blocks(NumberGuard(2), *ENOUGH * [2.0], *PATIENCE * [2.1 * FAR])
    assert said[:-1] == (ENOUGH + PATIENCE - 1) * [None]
    assert said[-1].since == 2 * ENOUGH and "cycle has been more than 20 times" in said[-1].reason


@pytest.mark.parametrize(
    ("name", "usual", "later"),
    [
        ("cycle", 2.0, 1.9 * FAR),
        # from nearly nothing to what all losses are like
        ("discriminator", 0.001, 0.9 * FAR),
        ("feature_discriminator_source", 0.1, 100.0),
        ("learning_rate", 1.0, 100.0),
    ],
)
def test_what_goes_up_and_down_as_it_does_in_adversarial_training_does_not_run_away(
    name: str, usual: float, later: float
):
    assert not any(blocks(NumberGuard(2), *ENOUGH * [usual], *2 * PATIENCE * [later], name=name))


def test_a_loss_that_comes_back_in_time_is_suspicious_for_as_long_as_it_is_away():
    guard = NumberGuard(2)
    assert not any(blocks(guard, *ENOUGH * [2.0], *(PATIENCE - 1) * [1e3]))
    assert guard.suspicious
    assert not any(blocks(guard, 2.0, *(PATIENCE - 1) * [1e3], first=ENOUGH + PATIENCE - 1))
    assert not any(blocks(guard, 2.0, first=ENOUGH + 2 * PATIENCE))
    assert not guard.suspicious


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_seen_within_a_block(value: float):
    guard = NumberGuard(10)
    guard.add({"cycle": 1.0})
    guard.add({"cycle": value})
    assert guard.look(2).reason == "cycle is not a number at iteration 2"


def test_a_guard_that_is_taken_up_again_says_what_it_would_have_said():
    whole, first, second = NumberGuard(2), NumberGuard(2), NumberGuard(2)
    values = [*ENOUGH * [2.0], *(PATIENCE - 1) * [99.0]]
    blocks(whole, *values)
    blocks(first, *values)
    for guard in (whole, first):
        guard.add({"cycle": 99.0})
    second.load(json.loads(json.dumps(first.state())))
    said = []
    for guard in (whole, second):
        guard.add({"cycle": 99.0})
        said.append(guard.look(2 * (ENOUGH + PATIENCE)))
    assert said[0] is not None and said[0] == said[1]


@pytest.mark.parametrize(("gradient", "finite"), [(1e30, True), (float("inf"), False), (float("nan"), False)])
def test_the_watch_sees_gradients_and_lowers_the_rate_of_a_step_alone(gradient: float, finite: bool):
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer, watch = torch.optim.SGD([weight], 1.0), OptimizerWatch()
    watch.share = 0.25
    with watch.watching():
        weight.grad = torch.tensor([1.0, gradient])
        optimizer.step()
    assert weight[0].item() == -0.25 and optimizer.param_groups[0]["lr"] == 1.0
    assert all_finite(watch.largest_gradient()) is finite and watch.largest_gradient() == {}
    weight.grad = torch.ones(2)
    optimizer.step()
    assert weight[0].item() == -1.25


def test_a_weight_that_is_not_finite_is_found_wherever_it_is():
    assert all_finite({"a": [torch.ones(2)], "b": ({"c": torch.ones(1, dtype=torch.long)},), "d": float("-inf")})
    assert not all_finite({"a": [{"b": torch.tensor([1.0, float("nan")])}]})


def spoils(monkeypatch: pytest.MonkeyPatch, kind: type, at: int, times: int, spoil: Callable) -> None:
    """Spoil an iteration of a stage, the first so many times that it is done."""
    step, left = kind.step, [times]

    def spoiled(stage, iteration: int):
        if iteration != at or not left[0]:
            return step(stage, iteration)
        left[0] -= 1
        return spoil(stage, lambda: step(stage, iteration))

    monkeypatch.setattr(kind, "step", spoiled)


def infinite_gradient(stage, step: Callable) -> dict:
    weight = next(stage.network.parameters())
    hook = weight.register_hook(lambda gradient: gradient * float("inf"))
    try:
        return step()
    finally:
        hook.remove()


def events(run: Path, kind: str) -> list[dict]:
    found = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event for event in found if event["event"] == kind]


@pytest.mark.parametrize(
    ("kind", "spoil", "reason"),
    [
        (SynthesisStage, infinite_gradient, "a gradient is not finite at iteration 6"),
        (SegmentationStage, lambda stage, step: step() | {"dice": float("nan")}, "dice is not a number at iteration 6"),
    ],
)
def test_a_training_goes_back_with_half_the_learning_rate_and_tells_it_everywhere(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, spoil: Callable, reason: str
):
    spoils(monkeypatch, kind, 4, 1, spoil)
    run = tmp_path / "run"
    model = train(run, configuration(tiny_settings))
    (told,) = events(run, "adjusted")
    assert (told["stage"], told["iteration"], told["learning_rate_share"]) == (kind.name, 3, 0.5)
    assert (
        reason in told["message"]
        and "iteration 3 with 0.5 of the learning rate (time 1 of at most 3)" in told["message"]
    )
    rates = {}
    for event in events(run, "progress"):
        if event["stage"] == kind.name:
            rates.setdefault(event["iteration"], []).append(event["values"]["learning_rate"])
    before, after = rates[6]
    assert after == pytest.approx(before / 2)
    (entry,) = read_card(model).provenance["adjustments"]
    assert (entry["stage"], entry["iteration"], entry["learning_rate_share"]) == (kind.name, 3, 0.5)
    assert reason in write_report(run).read_text()
    watcher = RunWatcher(run)
    while watcher.poll():
        pass
    assert told["message"] in watcher.state.warnings


def test_a_training_whose_numbers_run_away_too_often_stops_with_a_line(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    spoils(monkeypatch, SynthesisStage, 4, 9, lambda stage, step: step() | {"cycle": float("inf")})
    changes = {"training": {"rollbacks": 2, "checkpoint_every": 1}}
    (tmp_path / "settings.json").write_text(json.dumps(configuration(merge(tiny_settings, changes)).dump()))
    run = tmp_path / "run"
    capsys.readouterr()
    assert run_command(["train", "--config", str(tmp_path / "settings.json"), "--output", str(run)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert (
        "cycle is not a number at iteration 5" in line and "did not help 2 times" in line and "--precision 32" in line
    )
    # where the newest checkpoint does not help, the one before it is tried
    assert [(event["iteration"], event["learning_rate_share"]) for event in events(run, "adjusted")] == [
        (4, 0.5),
        (3, 0.25),
    ]
    assert events(run, "failed")[-1]["message"] == line.removeprefix("error: ")


def test_a_training_that_diverges_goes_back_to_before_it_did(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runaway, "ENOUGH", 1)
    monkeypatch.setattr(runaway, "PATIENCE", 2)
    step, rates = SynthesisStage.step, []

    def diverging(stage, iteration: int):
        away = iteration >= 5 and len(rates) < 3
        rates.append(iteration) if away else None
        return step(stage, iteration) | ({"cycle": torch.tensor(1e4)} if away else {})

    monkeypatch.setattr(SynthesisStage, "step", diverging)
    changes = {"training": {"report_every": 2, "checkpoint_every": 1}, "synthesis": {"iterations": 12}}
    train(tmp_path / "run", configuration(merge(tiny_settings, changes)))
    (told,) = events(tmp_path / "run", "adjusted")
    assert "has been more than 20 times its usual value for 4 iterations at iteration 8" in told["message"]
    assert told["iteration"] == 4
    # none was written that might have been the start of it
    saved = [event["iteration"] for event in events(tmp_path / "run", "checkpoint") if event["stage"] == "synthesis"]
    assert saved[:6] == [1, 2, 3, 4, 5, 5]
