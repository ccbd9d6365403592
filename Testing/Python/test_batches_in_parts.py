"""Batches for which memory does not suffice go in parts, and a step is that of the whole batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentLib.cli import run as run_command
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.devices import make_fabric
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.engine import RunContext, Stage
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.methods import segmentation_stage
from GlobalLocalAlignmentLib.training.parts import Parts, in_parts
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.translators import translator_stage
from safetensors.torch import load_file
from torch import nn

OTHERS = {"style_transfer": False, "feature_discriminator": False, "output_discriminator": False}
STAGES = {
    "ours, stage one": {},
    "ours, stage two": {"segmentation": {"warm_up": 0, "ramp": 0}},
    "cyclegan": {"synthesis": {"translator": "cyclegan"}},
    "cycada": {"synthesis": {"translator": "cycada"}},
    "stargan_v2": {"synthesis": {"translator": "stargan_v2"}},
    "munit": {"synthesis": {"translator": "munit"}},
    "drit": {"synthesis": {"translator": "drit"}},
    "synseg_net": {"segmentation": {"method": "synseg_net", **OTHERS}},
    "sifa": {"segmentation": {"method": "sifa", **OTHERS}},
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[SliceStore, SliceStore]:
    chance = np.random.default_rng(0)
    built = []
    for name in ("source", "target"):
        images = chance.uniform(-1, 1, (8, 32, 40)).astype(np.float32)
        labels = chance.integers(0, 5, images.shape).astype(np.uint8) if name == "source" else None
        folder = tmp_path_factory.mktemp(name)
        case = CaseSlices("a", images, labels, list(range(8)))
        built.append(SliceStore.build(folder, [case], (32, 40), labelled=labels is not None))
    return built[0], built[1]


def stage_of(name: str, settings: dict, stores: tuple[SliceStore, SliceStore], folder: Path) -> tuple[Stage, Parts]:
    changed = configuration(merge(settings, STAGES[name]))
    context = RunContext(folder, changed, make_fabric(torch.device("cpu"), "32"), EventLog(None))
    make = segmentation_stage if "segmentation" in STAGES[name] else translator_stage
    return make(context, *stores), context.parts


def networks_of(stage: Stage) -> dict[str, nn.Module]:
    found = {key: value for key, value in vars(stage).items() if isinstance(value, nn.Module)}
    for key, value in vars(stage).items():
        # those of joint methods are in players, and in a stage of their own
        if hasattr(value, "network") and isinstance(value.network, nn.Module) and key != "average":
            found[key] = value.network
        if isinstance(value, Stage):
            found |= {f"{key}.{name}": network for name, network in networks_of(value).items()}
    return found


def gradients(stage: Stage) -> dict[str, torch.Tensor]:
    return {
        f"{key}.{name}": weight.grad.clone()
        for key, network in networks_of(stage).items()
        for name, weight in network.named_parameters()
        if weight.grad is not None
    }


@pytest.mark.parametrize("name", STAGES)
def test_a_step_in_parts_is_that_of_the_whole_batch(
    name: str, tiny_settings: dict, stores: tuple[SliceStore, SliceStore], tmp_path: Path
):
    results, values = [], []
    for count in (1, 2):
        stage, parts = stage_of(name, tiny_settings, stores, tmp_path)
        for network in networks_of(stage).values():
            # batch norm alone sees the parts one by one
            for layer in network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.eval()
                    layer.train = lambda mode=True: None
        parts.count = count
        values.append({key: float(value) for key, value in stage.step(0).items()})
        results.append(gradients(stage))
    assert values[1] == pytest.approx(values[0], rel=1e-2, abs=1e-3)
    assert results[0].keys() == results[1].keys() and results[0]
    largest = max(whole.norm() for whole in results[0].values())
    for key, whole in results[0].items():
        # rounding is all that is left of some, and after the first of several steps it is in the weights
        assert (results[1][key] - whole).norm() <= 0.05 * whole.norm() + 0.005 * largest, key


def test_networks_that_are_trained_see_no_more_than_a_part(
    tiny_settings: dict, stores: tuple[SliceStore, SliceStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[int] = []

    def forward(layer: nn.Conv2d, images: torch.Tensor, convolve=nn.Conv2d.forward) -> torch.Tensor:
        if torch.is_grad_enabled():
            seen.append(len(images))
        return convolve(layer, images)

    monkeypatch.setattr(nn.Conv2d, "forward", forward)
    for name, whole in (("ours, stage one", 4), ("ours, stage two", 2)):
        stage, parts = stage_of(name, tiny_settings, stores, tmp_path)
        for parts.count in (1, 2):
            seen.clear()
            stage.step(0)
            assert max(seen) == whole // parts.count


def test_batch_norm_of_equal_parts_is_that_of_the_whole_batch_and_counts_once():
    images = torch.rand(2, 1, 8, 8).repeat(2, 1, 1, 1)
    results = []
    for count in (1, 2):
        torch.manual_seed(0)
        network, parts = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)), Parts()
        in_parts(network, parts)
        parts.count = count
        output = network(images)
        output.square().sum().backward()
        results.append((output, network[0].weight.grad, network[1].running_mean))
    for whole, divided in zip(*results, strict=True):
        assert torch.allclose(whole, divided, atol=1e-5)


def test_what_was_frozen_or_followed_no_statistics_on_the_way_in_is_so_on_the_way_back():
    network, parts = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)), Parts()
    in_parts(network, parts)
    parts.count = 2
    images = torch.rand(4, 1, 8, 8, requires_grad=True)
    network.requires_grad_(False)
    network[1].track_running_stats = False
    before = network[1].running_mean.clone()
    output = network(images)
    network.requires_grad_(True)
    network[1].track_running_stats = True
    output.square().sum().backward()
    assert images.grad.abs().sum() > 0 and network[0].weight.grad is None
    assert torch.equal(network[1].running_mean, before)
    assert network[1].track_running_stats and network[0].weight.requires_grad and network[1].momentum == 0.1


def little_memory(monkeypatch: pytest.MonkeyPatch, slices: int, error: Exception) -> None:
    """Let convolutions that are trained take no more than so many slices at once."""

    def forward(layer: nn.Conv2d, images: torch.Tensor, convolve=nn.Conv2d.forward) -> torch.Tensor:
        if torch.is_grad_enabled() and len(images) > slices:
            raise error
        return convolve(layer, images)

    monkeypatch.setattr(nn.Conv2d, "forward", forward)


def adjusted(run: Path) -> list[dict]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "adjusted"]


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_a_training_whose_memory_does_not_suffice_goes_on_in_parts_and_remembers_it(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    little_memory(monkeypatch, 2, error)
    settings = configuration(merge(tiny_settings, {"segmentation": {"batch_size": 4}}))
    model = train(tmp_path / "run", settings)
    told = adjusted(tmp_path / "run")
    assert [(event["stage"], event["iteration"], event["parts"]) for event in told] == [
        ("synthesis", 0, 2),
        ("segmentation", 0, 2),
    ]
    assert "memory ran out at iteration 1" in told[0]["message"] and "batch norm" in told[0]["message"]
    assert [entry["parts"] for entry in read_card(model).provenance["adjustments"]] == [2, 2]
    if isinstance(error, torch.cuda.OutOfMemoryError):
        asked = iter([False] * 9 + [True])
        with pytest.raises(StopRequested):
            train(tmp_path / "stopped", settings, stop_asked=lambda: next(asked, False))
        again = train(tmp_path / "stopped", None)
        assert len(adjusted(tmp_path / "stopped")) == 2
        first, second = read_card(model), read_card(again)
        assert first == second
        expected, found = load_file(model), load_file(again)
        assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_training_for_which_memory_does_not_suffice_even_in_parts_stops_with_a_line(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    little_memory(monkeypatch, 0, MemoryError())
    (tmp_path / "settings.json").write_text(json.dumps(configuration(tiny_settings).dump()))
    capsys.readouterr()
    assert run_command(["train", "--config", str(tmp_path / "settings.json"), "--output", str(tmp_path / "run")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "memory ran out" in line and "plane.size" in line
    assert [event["parts"] for event in adjusted(tmp_path / "run")] == [2]


def test_damaged_adjustments_are_named(tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    little_memory(monkeypatch, 2, MemoryError())
    with pytest.raises(StopRequested):
        train(tmp_path / "run", configuration(tiny_settings), stop_asked=lambda: True)
    (tmp_path / "run" / "checkpoints" / "adjustments.json").write_text("[{}]")
    with pytest.raises(InputError, match=r"adjustments\.json: cannot be read"):
        train(tmp_path / "run", None)
