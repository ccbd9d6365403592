"""What a training will take is measured without data: the right kinds of iterations, timed and counted right."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path

import pytest
import torch
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.training import estimate as module
from GlobalLocalAlignmentLib.training.estimate import Enough, Estimate, Pace, Stopwatch, kinds_of
from GlobalLocalAlignmentLib.training.memory import PeakMemory, total_memory
from GlobalLocalAlignmentLib.training.segmentation import SegmentationStage
from GlobalLocalAlignmentLib.training.synthesis import SynthesisStage

NO_DISCRIMINATORS = {"feature_discriminator": False, "output_discriminator": False}


@pytest.fixture
def arguments(tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that estimate a tiny training without volumes, from two iterations of each kind."""
    monkeypatch.setattr(module, "SECONDS", 1e-9)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    settings = {key: value for key, value in tiny_settings.items() if key not in ("source", "target")}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(configuration(settings).dump()))
    return ["estimate", "--config", str(file)]


def watched(capsys: pytest.CaptureFixture, arguments: list[str]) -> list[dict]:
    """Events of a command that goes well."""
    capsys.readouterr()
    assert run(["--events", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"synthesis": 6, "warm_up": 2, "aligned": 6}),
        ({"segmentation": {"style_transfer": False}}, {"warm_up": 2, "aligned": 6}),
        ({"synthesis": {"model": "model.safetensors"}}, {"warm_up": 2, "aligned": 6}),
        ({"segmentation": {"warm_up": 0}}, {"synthesis": 6, "aligned": 8}),
        ({"segmentation": {"warm_up": 8, "ramp": 0}}, {"synthesis": 6, "warm_up": 8}),
        ({"segmentation": NO_DISCRIMINATORS}, {"synthesis": 6, "segmentation": 8}),
    ],
)
def test_a_training_has_the_kinds_of_iterations_that_its_switches_leave(
    tiny_settings: dict, changes: dict, expected: dict
):
    kinds = kinds_of(configuration(merge(tiny_settings, changes)))
    assert {name: kind.iterations for name, kind in kinds.items()} == expected


def test_each_kind_is_measured_by_iterations_of_that_kind_and_its_pace_stands_for_all_of_them(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    done = []
    for stage in (SynthesisStage, SegmentationStage):

        def step(self, iteration, original=stage.step):
            values = original(self, iteration)
            done.append((self.name, getattr(self, "aligned", None)))
            return values

        monkeypatch.setattr(stage, "step", step)
        monkeypatch.setattr(stage, "preview", None)
    entries = watched(capsys, arguments)
    assert done == [("synthesis", None)] * 2 + [("segmentation", False)] * 2 + [("segmentation", True)] * 2
    result = next(entry for entry in entries if entry["event"] == "estimate")
    assert {name: kind["iterations"] for name, kind in result["kinds"].items()} == {
        "synthesis": 6,
        "warm_up": 2,
        "aligned": 6,
    }
    seconds = [kind["iterations"] / kind["rate"] for kind in result["kinds"].values()]
    assert [kind["seconds"] for kind in result["kinds"].values()] == pytest.approx(seconds)
    assert result["seconds"] == pytest.approx(sum(seconds))
    assert result["device"].startswith("cpu") and result["precision"] == "32"
    assert 0 <= result["memory_bytes"] < result["device_memory_bytes"] == total_memory(torch.device("cpu"))
    shares = [entry["iteration"] for entry in entries if entry["event"] == "progress"]
    assert shares == sorted(shares) and shares[-1] == entries[0]["of"] == 3
    # what was written for the measurement is gone
    assert list((tmp_path / "temporary").iterdir()) == []


def test_labels_need_not_be_known(arguments: list[str], capsys: pytest.CaptureFixture):
    entries = watched(capsys, [*arguments, "--set", "labels=[]"])
    assert any(entry["event"] == "estimate" for entry in entries)


def test_a_person_reads_a_line_for_each_kind(arguments: list[str], capsys: pytest.CaptureFixture):
    assert run([*arguments, "--set", "segmentation.style_transfer=false"]) == 0
    lines = capsys.readouterr().out.splitlines()[-5:]
    words = ("stage two, warming up", "stage two, aligned", "total", "memory", "device")
    assert all(line.startswith(word) for line, word in zip(lines, words, strict=True)), lines


def test_too_little_memory_is_said():
    estimate = Estimate("cpu", "32", 60.0, 3 * 2**30, 2 * 2**30, {"aligned": Pace("stage two, aligned", 60, 1.0, 60.0)})
    assert "memory              3.0 GiB of 2.0 GiB, too little" in estimate.lines()


def timed(durations: list[float]) -> Stopwatch:
    """Stopwatch that has seen iterations of these durations, as many as it wanted to see."""
    times = iter([sum(durations[:count]) for count in range(len(durations) + 1)])
    stopwatch = Stopwatch(lambda share: None, lambda: next(times))
    stopwatch({"event": "stage_started"})
    try:
        for _ in durations:
            stopwatch({"event": "progress"})
    except Enough:
        return stopwatch
    raise AssertionError("the stage was not ended")


def test_the_first_iteration_is_not_counted():
    assert timed([100, 2]).rate == pytest.approx(0.5)


def test_a_measurement_ends_with_its_time():
    assert len(timed([4, 4, 4, 4]).times) == 3


def test_a_measurement_ends_with_its_iterations():
    assert len(timed([0.01] * 50).times) == module.ITERATIONS


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_a_line_that_says_what_to_lower(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, error: Exception
):
    def fail(self: SegmentationStage, iteration: int) -> None:
        raise error

    monkeypatch.setattr(SegmentationStage, "step", fail)
    capsys.readouterr()
    assert run(["--events", *arguments]) == 2
    out, err = capsys.readouterr()
    assert err == (
        "error: device cpu: has too little memory for stage two, warming up with batches of 2 slices of 32 x 40; "
        "lower segmentation.batch_size, plane.size or segmentation.width\n"
    )
    assert json.loads(out.splitlines()[-1])["event"] == "failed"


def test_another_error_of_a_stage_is_ours(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    def fail(self: SegmentationStage, iteration: int) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(SegmentationStage, "step", fail)
    assert run(arguments) == 1


def test_a_peak_between_beginning_and_end_is_noticed():
    used, noticed = [100], threading.Event()

    def read() -> int:
        if used[0] == 900:
            noticed.set()
        return used[0]

    with PeakMemory(torch.device("cpu"), read) as memory:
        used[0] = 900
        assert noticed.wait(60)
        used[0] = 300
    assert memory.peak == 800


def test_on_a_cuda_device_the_peak_is_what_was_reserved_there(monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", calls.append)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: calls.append(device) or 12345)
    device = torch.device("cuda:1")
    with PeakMemory(device) as memory:
        assert calls == [device]
    assert (memory.peak, calls) == (12345, [device, device])
