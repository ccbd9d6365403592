"""Model selection: the last networks, or the best ones on labelled target cases where the user says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from GlobalLocalAlignmentLib.bundle import load_bundle
from GlobalLocalAlignmentLib.config import Configuration, configuration, merge
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.report import write_report
from GlobalLocalAlignmentLib.training import run as run_module
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.selection import BestNetworks

BEST = 6


@pytest.fixture
def settings(cohorts: Path, tiny_settings: dict) -> Callable[..., Configuration]:
    """Settings of a tiny run that looks at the validation cases every second iteration."""

    def make(selection: str) -> Configuration:
        changes = {
            "validation": {
                "images": [cohorts / "target" / "images"],
                "labelmaps": [cohorts / "target" / "labels"],
            },
            "segmentation": {"average_decay": 0.0},
            "training": {"preview_every": 2, "checkpoint_every": 2, "model_selection": selection},
        }
        return configuration(merge(tiny_settings, changes))

    return make


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, torch.Tensor]]:
    """Weights of the segmenters that were looked at; the scores are best at iteration ``BEST``."""
    seen: list[dict[str, torch.Tensor]] = []

    def validation(*words):
        def validate(networks) -> dict[str, float]:
            seen.append({name: value.clone() for name, value in networks.segmenter.state_dict().items()})
            return {"liver": 0.9 if 2 * len(seen) == BEST else 0.9 / (1 + len(seen)), "spleen": float("nan")}

        return validate

    monkeypatch.setattr(run_module, "slice_validation", validation)
    return seen


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(("selection", "chosen"), [("paper", BEST // 2 - 1), ("final", -1)])
def test_the_model_is_the_best_one_only_where_the_user_says_so(
    settings: Callable[..., Configuration], kept: list, tmp_path: Path, selection: str, chosen: int
):
    bundle = load_bundle(train(tmp_path / "run", settings(selection)))
    looked_at = kept[:4]
    assert equal(bundle.segmenter.state_dict(), looked_at[chosen])
    assert not equal(looked_at[0], looked_at[-1])
    assert bundle.card.provenance["model_selection"] == selection
    assert bundle.card.provenance.get("selected_iteration") == (BEST if selection == "paper" else None)
    words = {"paper": "best iteration on labels of the target", "final": "they chose nothing"}
    assert words[selection] in write_report(tmp_path / "run").read_text()


def test_a_run_that_is_resumed_after_its_best_iteration_still_ends_with_it(
    settings: Callable[..., Configuration], kept: list, tmp_path: Path
):
    # six iterations of stage one, then the best one of stage two and one more
    calls = iter([False] * (6 + BEST) + [True])
    with pytest.raises(StopRequested):
        train(tmp_path / "run", settings("paper"), stop_asked=lambda: next(calls, False))
    bundle = load_bundle(train(tmp_path / "run", None))
    assert bundle.card.provenance["selected_iteration"] == BEST
    assert equal(bundle.segmenter.state_dict(), kept[BEST // 2 - 1])


def test_choosing_by_scores_without_cases_to_score_is_refused(tiny_settings: dict):
    with pytest.raises(InputError, match=r"validation\.images"):
        configuration(merge(tiny_settings, {"training": {"model_selection": "paper"}}))


def test_networks_that_were_kept_and_are_damaged_are_told_of(tmp_path: Path):
    networks, best = torch.nn.Linear(2, 2), BestNetworks(tmp_path)
    best.offer(networks, {"liver": 0.5}, 3)
    best.path.write_bytes(best.path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"selected_0000003\.safetensors"):
        best.load_into(networks)


def test_worse_networks_and_scores_that_are_no_numbers_change_nothing(tmp_path: Path):
    networks, best = torch.nn.Linear(2, 2), BestNetworks(tmp_path)
    best.offer(networks, {"liver": float("nan")}, 1)
    assert not best.path.exists()
    best.offer(networks, {"liver": 0.5, "spleen": float("nan")}, 2)
    before = best.path.read_bytes()
    best.offer(torch.nn.Linear(2, 2), {"liver": 0.5}, 3)
    assert (best.iteration, best.path.read_bytes()) == (2, before)
