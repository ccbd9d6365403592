"""Finding GPUs without PyTorch: the driver's tool as it answers, fails, hangs or is not there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from GlobalLocalAlignmentSlicerLib.background import devicefinder
from GlobalLocalAlignmentSlicerLib.background.devicefinder import DeviceFinder, Gpu, parseGpus, torchBuild, visible

GIB = 1 << 30
TWO = "NVIDIA RTX 6000, Ada Generation, 49140, 24570\nGRID T4-4Q, 4096, [N/A]\n"


@pytest.fixture(autouse=True)
def no_choice_of_devices(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


class Timer:
    """Calls ``poll`` when the test says so."""

    def __init__(self) -> None:
        self.function, self.running = None, False

    def __call__(self, function, milliseconds: int):
        self.function, self.running = function, True
        return self.stop

    def stop(self) -> None:
        self.running = False

    def run(self) -> None:
        until = time.monotonic() + 60
        while self.running and time.monotonic() < until:
            self.function()
            time.sleep(0.01)


def tool(code: str) -> list[str]:
    """A command that stands in for the driver's tool."""
    return [sys.executable, "-c", code]


def answer(code: str) -> tuple[list, Timer]:
    timer, found = Timer(), []
    finder = DeviceFinder(timer, tool(code))
    finder.find(found.append)
    assert found == [] and timer.running
    timer.run()
    assert not timer.running
    return found, timer


def test_gpus_are_read_with_their_memory():
    found, _ = answer(f"print({TWO!r}, end='')")
    (devices,) = found
    assert devices.cuda == (
        Gpu("NVIDIA RTX 6000, Ada Generation", 49140 << 20, 24570 << 20),
        Gpu("GRID T4-4Q", 4 * GIB, None),
    )


@pytest.mark.parametrize(
    "code",
    [
        "print('NVIDIA-SMI has failed because it could not communicate with the driver.'); raise SystemExit(9)",
        f"print({TWO!r}); raise SystemExit(9)",
        "print('No devices were found')",
    ],
)
def test_a_driver_in_trouble_is_no_gpu(code: str):
    found, _ = answer(code)
    assert found[0].cuda == ()


def test_a_tool_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(devicefinder, "PATIENCE_SECONDS", 0.2)
    found, _ = answer("import time; time.sleep(600)")
    assert found[0].cuda == ()


@pytest.mark.parametrize("command", [None, ["/nowhere/nvidia-smi"]])
def test_without_the_tool_the_answer_comes_at_once(monkeypatch, command):
    monkeypatch.setattr(devicefinder, "findTool", lambda: [])
    found = []
    DeviceFinder(Timer(), command).find(found.append)
    assert found[0].cuda == ()


def test_one_question_serves_all_who_ask_and_is_fresh_for_a_while(monkeypatch, tmp_path: Path):
    timer, found = Timer(), []
    code = f"open({str(tmp_path / 'asked')!r}, 'a').write('x'); print('GPU, 10, 5')"
    finder = DeviceFinder(timer, tool(code))
    finder.find(found.append)
    finder.find(found.append)
    timer.run()
    finder.find(found.append)
    assert found == [found[0]] * 3 and (tmp_path / "asked").read_text() == "x"
    monkeypatch.setattr(devicefinder, "FRESH_SECONDS", 0.0)
    finder.find(found.append)
    timer.run()
    assert len(found) == 4 and (tmp_path / "asked").read_text() == "xx"


def test_nobody_is_called_after_the_end():
    timer, found = Timer(), []
    finder = DeviceFinder(timer, tool("import time; time.sleep(600)"))
    finder.find(found.append)
    finder.close()
    assert not timer.running and found == []


def test_only_gpus_that_the_user_leaves_to_cuda_count():
    gpus = parseGpus("a, 1, 1\nb, 2, 2\n")
    assert visible(gpus, {}) == gpus
    assert visible(gpus, {"CUDA_VISIBLE_DEVICES": "1"}) == gpus[1:]
    assert visible(gpus, {"CUDA_VISIBLE_DEVICES": "1,-1,0"}) == gpus[1:]
    assert visible(gpus, {"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert visible(gpus, {"CUDA_VISIBLE_DEVICES": "GPU-8a2"}) == gpus


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("cuda: Optional[str] = None\nhip: Optional[str] = None\n", "cpu"),
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", "cuda"),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.2.41133'\n", "rocm"),
        ("nothing\n", ""),
    ],
)
def test_the_build_of_pytorch_is_read_without_importing_it(monkeypatch, tmp_path: Path, text: str, build: str):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "torch" / "version.py").write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert torchBuild() == build


def test_no_pytorch_is_no_build(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert torchBuild() == ""


def test_what_is_found_leaves_out_gpus_that_are_kept_from_cuda(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    found, _ = answer(f"print({TWO!r}, end='')")
    assert [gpu.name for gpu in found[0].cuda] == ["GRID T4-4Q"]
