"""No space, no memory, no GPU: one line that says what to do, nothing half-written, a run that goes on."""

from __future__ import annotations

import builtins
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from faults import DEVICE_WITHOUT_SPACE, fill, needs_device_without_space
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.config import configuration
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.machinefaults import Refusal, refusal_of
from GlobalLocalAlignmentLib.prediction import Predictor
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.checkpoints import load_latest, save_checkpoint
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.segmentation import SegmentationStage
from GlobalLocalAlignmentLib.training.synthesis import SynthesisStage

GPU_GONE = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")


@pytest.fixture
def settings_file(tiny_settings: dict, tmp_path: Path) -> Path:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(configuration(tiny_settings).dump()))
    return file


def error_of(arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    """The one line that a command leaves, which ends with the exit code for it."""
    capsys.readouterr()
    assert run(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: ") and ";" in lines[0], lines
    return lines[0]


def events(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def breaks(monkeypatch: pytest.MonkeyPatch, stage: type, error: Exception, at: int) -> None:
    """Let a stage fail at an iteration."""
    step = stage.step

    def fail(self, iteration: int):
        if iteration == at:
            raise error
        return step(self, iteration)

    monkeypatch.setattr(stage, "step", fail)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Refusal.SPACE),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), Refusal.MEMORY),
        (MemoryError(), Refusal.MEMORY),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), Refusal.MEMORY),
        (RuntimeError("CUDA error: out of memory"), Refusal.MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), Refusal.MEMORY),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."), Refusal.MEMORY),
        (getattr(torch, "AcceleratorError", RuntimeError)("CUDA error: device not ready"), Refusal.GPU),
        (RuntimeError("No CUDA GPUs are available"), Refusal.GPU),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), Refusal.GPU),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (RuntimeError("shapes do not match"), None),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Refusal.SPACE),
        (PermissionError(errno.EACCES, "Permission denied"), None),
        (InputError("x.nii", "cannot be read (out of memory)", "copy it again"), None),
    ],
)
def test_what_the_machine_refuses_is_known_by_its_error(error: Exception, refusal: Refusal | None):
    assert refusal_of(error) is refusal


def test_a_checkpoint_that_finds_no_space_leaves_the_one_before_it_and_nothing_else(small_disk: Path):
    """PyTorch's own error on a full disk is that a position is unexpected."""
    save_checkpoint(small_disk, "synthesis", 1, {"x": torch.ones(3)})
    with pytest.raises(OSError, match="synthesis_0000002") as caught:
        save_checkpoint(small_disk, "synthesis", 2, {"x": torch.ones(8 << 20)})
    assert caught.value.errno == errno.ENOSPC
    assert [path.name for path in small_disk.iterdir()] == ["synthesis_0000001.pt"]
    assert load_latest(small_disk, "synthesis", print)[0] == 1


@needs_device_without_space
@pytest.mark.parametrize("name", ["images.f16", "labels.u8", ".index.json.part"])
def test_slices_that_find_no_space_are_no_store(tmp_path: Path, name: str):
    (tmp_path / name).symlink_to(DEVICE_WITHOUT_SPACE)
    case = CaseSlices("a", np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), [0])
    with pytest.raises(OSError, match=name.strip(".").removesuffix(".part")) as caught:
        SliceStore.build(tmp_path, [case], (4, 4), labelled=True)
    assert caught.value.errno == errno.ENOSPC
    assert not SliceStore.exists(tmp_path)


def test_an_event_that_finds_no_space_leaves_no_half_line(small_disk: Path):
    log = EventLog(small_disk)
    log.emit("warning", "prepare", message="short")
    filler = fill(small_disk)
    with pytest.raises(OSError, match=r"events\.jsonl") as caught:
        log.emit("warning", "prepare", message="x" * 9000)
    assert caught.value.errno == errno.ENOSPC
    filler.unlink()
    log.emit("warning", "prepare", message="after")
    assert [event["message"] for event in events(small_disk)] == ["short", "after"]


def test_a_training_on_a_full_disk_ends_with_a_line_and_goes_on_once_there_is_space(
    settings_file: Path, small_disk: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    folder = small_disk / "run"
    filler = []

    def fill_at(self, iteration: int, step=SynthesisStage.step):
        if iteration == 4 and not filler:
            filler.append(fill(small_disk))
        return step(self, iteration)

    monkeypatch.setattr(SynthesisStage, "step", fill_at)
    line = error_of(["train", "--config", str(settings_file), "--output", str(folder)], capsys)
    assert "no space is left" in line and str(folder) in line and "make space" in line and "--resume" in line
    filler[0].unlink()
    assert not list(folder.rglob("*.part"))
    assert run(["train", "--resume", "--output", str(folder)]) == 0
    said = events(folder)
    assert [event["resumed"] for event in said if event["event"] == "run_started"] == [False, True]
    # from the checkpoint after iteration 3
    assert [event["iteration"] for event in said if event["event"] == "stage_started" and "iteration" in event][1] == 3
    assert said[-1]["event"] == "run_finished"


def refuse_syncs(monkeypatch: pytest.MonkeyPatch, number: int, after: int) -> None:
    """Let the disk say an error where a file is synced, as disks of a network do, after so many that went well."""
    count = iter(range(after))

    def sync(file: int, sync=os.fsync) -> None:
        if next(count, None) is None:
            raise OSError(number, os.strerror(number))
        sync(file)

    monkeypatch.setattr(os, "fsync", sync)


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE])
def test_a_checkpoint_that_the_disk_refuses_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    save_checkpoint(tmp_path, "synthesis", 1, {"x": torch.ones(3)})
    refuse_syncs(monkeypatch, number, 0)
    with pytest.raises(OSError, match="synthesis_0000002") as caught:
        save_checkpoint(tmp_path, "synthesis", 2, {"x": torch.ones(3)})
    assert caught.value.errno == number
    assert [path.name for path in tmp_path.iterdir()] == ["synthesis_0000001.pt"]
    assert load_latest(tmp_path, "synthesis", print)[0] == 1


def test_a_checkpoint_that_is_too_large_for_the_disk_is_named(tmp_path: Path):
    resource = pytest.importorskip("resource", reason="this system has no limits of a process")
    save_checkpoint(tmp_path, "synthesis", 1, {"x": torch.ones(3)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(OSError, match="synthesis_0000002") as caught:
            save_checkpoint(tmp_path, "synthesis", 2, {"x": torch.ones(1 << 16)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG
    assert load_latest(tmp_path, "synthesis", print)[0] == 1


def test_a_training_whose_quota_is_used_up_ends_with_a_line_and_goes_on_once_there_is_more(
    settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as broken:
        # those of the settings and the slices and of the first checkpoint go well
        refuse_syncs(broken, errno.EDQUOT, 14)
        line = error_of(["train", "--config", str(settings_file), "--output", str(folder)], capsys)
    assert "quota" in line.lower() and str(folder) in line and "make space" in line and "--resume" in line
    assert not list(folder.rglob("*.part"))
    assert events(folder)[-1]["event"] == "failed"
    assert run(["train", "--resume", "--output", str(folder)]) == 0


def refuse_writing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let nothing in a folder be opened to be written, as on a disk that the system has turned read-only."""

    def open_file(path, mode: str = "r", *words, opening=builtins.open, **options):
        if set(mode) & set("wax+") and not isinstance(path, int) and Path(path).is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opening(path, mode, *words, **options)

    monkeypatch.setattr(builtins, "open", open_file)


def test_a_training_whose_folder_turns_read_only_ends_with_a_line_and_goes_on_once_it_is_writable(
    settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as broken:

        def turn(stage, iteration: int, step=SynthesisStage.step):
            if iteration == 4:
                refuse_writing(broken, folder)
            return step(stage, iteration)

        broken.setattr(SynthesisStage, "step", turn)
        line = error_of(["train", "--config", str(settings_file), "--output", str(folder)], capsys)
        words = (str(folder), "cannot be written (Read-only file system)", "writable again", "--resume")
        assert all(word in line for word in words), line
        line = error_of(["train", "--resume", "--output", str(folder)], capsys)
        assert all(word in line for word in words), line
    assert run(["train", "--resume", "--output", str(folder)]) == 0
    started = [event for event in events(folder) if event["event"] == "stage_started" and event["stage"] == "synthesis"]
    assert [event["iteration"] for event in started] == [0, 3]


@pytest.mark.parametrize(
    ("stage", "error", "words"),
    [
        (SynthesisStage, GPU_GONE, ("GPU does not answer", "unspecified launch failure", "--resume", "--device")),
        (SegmentationStage, MemoryError(), ("memory ran out;", "--resume", "segmentation.width", "plane.size")),
        (
            SegmentationStage,
            torch.cuda.OutOfMemoryError("CUDA out of memory."),
            ("memory ran out on the GPU", "preset"),
        ),
    ],
)
def test_a_training_that_the_machine_ends_says_why_and_goes_on(
    settings_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    stage: type,
    error: Exception,
    words: tuple[str, ...],
):
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        breaks(monkeypatch, stage, error, 4)
        line = error_of(["train", "--config", str(settings_file), "--output", str(folder)], capsys)
    assert all(word in line for word in (str(folder), *words)), line
    last = events(folder)[-1]
    # what is kept names no folder of this computer
    assert last["event"] == "failed" and last["message"] == line.removeprefix(f"error: {tmp_path}{os.sep}")
    # the details of what may be a fault of ours
    assert ("Traceback" in (folder / "log.txt").read_text()) is (error is GPU_GONE)
    assert run(["train", "--resume", "--output", str(folder)]) == 0


def test_a_run_whose_gpu_is_gone_goes_on_with_another_device(
    settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as broken:
        breaks(broken, SynthesisStage, GPU_GONE, 4)
        assert run(["train", "--config", str(settings_file), "--output", str(folder)]) == 2
    settings = json.loads((folder / "config.json").read_text())
    settings["training"]["device"] = "cuda"
    (folder / "config.json").write_text(json.dumps(settings))
    line = error_of(["train", "--resume", "--output", str(folder)], capsys)
    assert "device cuda: is not there" in line and "choose another --device" in line
    assert run(["train", "--resume", "--output", str(folder), "--device", "cpu"]) == 0


def predict_words(tiny_run: Path, images: Path, output: Path) -> list[str]:
    model = str(tiny_run / "model.safetensors")
    return ["predict", "-m", model, "-i", str(images), "-o", str(output), "--device", "cpu"]


def breaks_prediction(monkeypatch: pytest.MonkeyPatch, error: Exception, at: int) -> None:
    """Let the prediction of one volume fail."""
    predict, count = Predictor.predict, iter(range(9))

    def fail(self, *arguments):
        if next(count) == at:
            raise error
        return predict(self, *arguments)

    monkeypatch.setattr(Predictor, "predict", fail)


def test_a_volume_that_memory_does_not_suffice_for_is_named_and_the_next_one_is_segmented(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    breaks_prediction(monkeypatch, MemoryError(), 0)
    line = error_of(predict_words(tiny_run, cohorts / "target" / "images", tmp_path / "out"), capsys)
    assert "case_00.nii.gz: memory ran out; lower --batch-size" in line
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["case_01_segmentation.nii.gz"]


def test_a_gpu_that_is_gone_ends_a_batch_with_one_line(
    tiny_run: Path, cohorts: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    breaks_prediction(monkeypatch, GPU_GONE, 1)
    line = error_of(predict_words(tiny_run, cohorts / "target" / "images", tmp_path / "out"), capsys)
    assert "the GPU does not answer any longer" in line and "another --device" in line
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["case_00_segmentation.nii.gz"]
    assert (tmp_path / "out" / "log.txt").is_file()


def test_a_result_that_finds_no_space_is_named_and_nothing_of_it_is_left(
    tiny_run: Path, cohorts: Path, small_disk: Path, capsys: pytest.CaptureFixture
):
    fill(small_disk)
    images = cohorts / "target" / "images" / "case_00.nii.gz"
    line = error_of(predict_words(tiny_run, images, small_disk / "out"), capsys)
    assert "out/batch.csv: cannot be written" in line and "no space" in line.lower()
    assert not list((small_disk / "out").glob("*.nii.gz"))


@needs_device_without_space
def test_a_training_goes_on_where_what_it_prints_finds_no_space(settings_file: Path, tmp_path: Path):
    words = ["--events", "train", "--config", str(settings_file), "--output", str(tmp_path / "run")]
    assert _with_output_on_a_full_disk(words) == 0
    assert (tmp_path / "run" / "model.safetensors").is_file()


@needs_device_without_space
def test_the_exit_code_is_right_where_its_reason_finds_no_space(tmp_path: Path):
    assert _with_output_on_a_full_disk(["train", "--resume", "--output", str(tmp_path / "none")]) == 2


def _with_output_on_a_full_disk(words: list[str]) -> int:
    """Exit code of a command whose output is a file, as the modules start it."""
    package = str(Path(__file__).resolve().parents[2] / "GlobalLocalAlignment")
    with open(DEVICE_WITHOUT_SPACE, "wb") as full:
        command = [sys.executable, "-u", "-m", "GlobalLocalAlignmentLib", *words]
        environment = os.environ | {"PYTHONPATH": package}
        return subprocess.run(command, stdout=full, stderr=full, env=environment, timeout=300).returncode
