"""On a CUDA device the core computes what it computes on the processor, waits for nothing within a step, and finds its
way where the memory of the device is really short. Left out where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.cli import run as run_command
from GlobalLocalAlignmentLib.config import Augmentation, configuration, merge
from GlobalLocalAlignmentLib.devices import make_fabric, moved, resolve_precision
from GlobalLocalAlignmentLib.errors import StopRequested
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.batches import DomainBatches
from GlobalLocalAlignmentLib.training.engine import RunContext, Stage
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.methods import segmentation_stage
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.translators import translator_stage
from GlobalLocalAlignmentLib.volumes import read_labelmap
from safetensors.torch import load_file

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

ALIGNED = {"segmentation": {"warm_up": 0, "ramp": 0}}
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[SliceStore, SliceStore]:
    chance = np.random.default_rng(0)
    built = []
    for name in ("source", "target"):
        coarse = chance.uniform(-1, 1, (8, 8, 10)).astype(np.float32)
        images = coarse.repeat(4, 1).repeat(4, 2)
        labels = np.digitize(images, (-0.6, -0.2, 0.2, 0.6)).astype(np.uint8) if name == "source" else None
        case = CaseSlices("a", images, labels, list(range(8)))
        built.append(SliceStore.build(tmp_path_factory.mktemp(name), [case], (32, 40), labelled=labels is not None))
    return built[0], built[1]


def stage_of(kind: str, settings: dict, stores: tuple[SliceStore, SliceStore], folder: Path, device: str) -> Stage:
    make = {"synthesis": translator_stage, "segmentation": segmentation_stage}[kind]
    fabric = make_fabric(torch.device(device), "32")
    return make(RunContext(folder, configuration(merge(settings, ALIGNED)), fabric, EventLog(None)), *stores)


def numbers(values: dict) -> dict[str, float]:
    return {name: float(torch.as_tensor(value).detach()) for name, value in values.items()}


def test_batches_are_those_of_the_processor(stores: tuple[SliceStore, SliceStore]):
    changes = Augmentation(elastic=1.0, appearance=0.7, bias_field=0.8, intensity=0, flip=True)
    (images, labels), (images_there, labels_there) = drawn(stores[0], changes)
    # the appearance has convolutions, which a GPU rounds in its own way
    assert (images - images_there).abs().mean() < 2e-3
    assert (labels == labels_there).float().mean() > 0.995


def test_noise_alone_is_another_one_and_as_strong(stores: tuple[SliceStore, SliceStore]):
    (images, labels), (images_there, labels_there) = drawn(stores[0], Augmentation(intensity=0.5))
    assert (labels == labels_there).float().mean() > 0.995
    # the difference of two noises of 0.04 each, less what was cut off at the ends of the range
    assert 0.03 < (images - images_there).std() < 0.08


def drawn(store: SliceStore, changes: Augmentation) -> list[list[torch.Tensor]]:
    """A batch on the processor, and the same one of the device."""
    batches = (
        DomainBatches(store, 4, changes, (7,), make_fabric(torch.device(device), "32")) for device in ("cpu", "cuda")
    )
    return [[part.cpu() for part in one.draw(3)] for one in batches]


@pytest.mark.parametrize("kind", ["synthesis", "segmentation"])
def test_first_steps_are_those_of_the_processor(
    kind: str, tiny_settings: dict, stores: tuple[SliceStore, SliceStore], tmp_path: Path
):
    here, there = (stage_of(kind, tiny_settings, stores, tmp_path, device) for device in ("cpu", "cuda"))
    for iteration in range(2):
        assert numbers(there.step(iteration)) == pytest.approx(numbers(here.step(iteration)), rel=0.02, abs=0.01)


@pytest.mark.parametrize("kind", ["synthesis", "segmentation"])
def test_a_step_never_waits_for_the_device(
    kind: str, tiny_settings: dict, stores: tuple[SliceStore, SliceStore], tmp_path: Path
):
    stage = stage_of(kind, tiny_settings, stores, tmp_path, "cuda")
    stage.step(0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        stage.step(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_what_is_moved_is_what_was_given():
    values = torch.arange(100_000).reshape(100, 1000)
    there = [moved(values + step, torch.device("cuda")) for step in range(20)]
    assert all(torch.equal(found.cpu(), values + step) for step, found in enumerate(there))


def on_cuda(settings: dict, **changes: dict) -> dict:
    training = {"device": "cuda", **changes.pop("training", {})}
    return merge(settings, {"training": training, **changes})


def test_a_training_is_stopped_resumed_and_its_model_used_on_both_devices(
    tiny_settings: dict, cohorts: Path, tmp_path: Path
):
    # stopped between two reports: numbers of the iterations since the last one are in the checkpoint
    asked, settings = iter([False] * 9 + [True]), on_cuda(tiny_settings, training={"report_every": 3})
    with pytest.raises(StopRequested):
        train(tmp_path / "run", configuration(settings), stop_asked=lambda: next(asked, False))
    model = train(tmp_path / "run", None)
    assert all(value.isfinite().all() for value in load_file(model).values() if value.is_floating_point())
    (image, *_) = sorted((cohorts / "target" / "images").iterdir())
    found = {}
    for device in ("cpu", "cuda"):
        words = ["predict", "-m", str(model), "-i", str(image), "-o", str(tmp_path / device)]
        finer = ["--shifts", "2", "--slice-smoothing", "0.2"]
        assert run_command([*words, *finer, "--device", device, "--precision", "32"]) == 0
        found[device] = read_labelmap(tmp_path / device / "case_00_segmentation.nii.gz").array
    assert (found["cpu"] == found["cuda"]).mean() > 0.99


def test_reduced_precision_is_chosen_where_the_device_computes_in_it():
    device = torch.device("cuda")
    expected = "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "32"
    assert resolve_precision("auto", device) == expected


@pytest.fixture
def little_memory() -> Iterator[list]:
    """All memory of the device but some is in use. Nothing else may run there meanwhile: ``pytest -n 0``."""
    torch.cuda.empty_cache()
    left = 1536 * MEBIBYTE
    free, _ = torch.cuda.mem_get_info()
    taken = [torch.empty(free - left, dtype=torch.uint8, device="cuda")]
    yield taken
    taken.clear()
    torch.cuda.empty_cache()


def test_where_memory_is_really_short_the_batches_go_in_parts(little_memory: list, tiny_settings: dict, tmp_path: Path):
    large = {"width": 16, "batch_size": 32}
    settings = on_cuda(
        tiny_settings,
        plane={"spacing": 2.0, "size": [128, 160]},
        synthesis={**large, "iterations": 2},
        segmentation={**large, "iterations": 2, "warm_up": 0},
    )
    train(tmp_path / "run", configuration(settings))
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    told = [event for event in events if event["event"] == "adjusted"]
    assert told and all("memory ran out" in event["message"] for event in told)
    assert max(event["parts"] for event in told) > 1
