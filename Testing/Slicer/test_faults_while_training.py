"""The panel of the training module where the machine gives up: one line that says what to do, and Resume."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from faults import (
    DEVICE_WITHOUT_SPACE,
    FILLER_NAME,
    GPU_GONE,
    GPU_MEMORY,
    NO_MEMORY,
    break_processes,
    fill,
    full,
    mend_processes,
    needs_device_without_space,
)
from test_training_module import add_cohorts, panel, start, wait_for_the_end
from test_training_on_disk import cases_on_disk

__all__ = ["cases_on_disk", "panel"]


def failure_of(panel, slicer_host) -> str:
    """The one line that the panel shows of a run that could not go on, which it offers to resume."""
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "failed" and panel.ui.resumeButton.enabled, panel.ui.logText.toPlainText()
    line, *warnings = panel.ui.statusLabel.text.splitlines()
    assert all("goes on from iteration" in warning for warning in warnings), warnings
    return line


def resume(panel, slicer_host) -> None:
    panel.ui.resumeButton.click()
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "finished", panel.ui.logText.toPlainText()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (GPU_MEMORY, ("memory ran out on the GPU", "narrower networks", "plane.size", "preset")),
        (NO_MEMORY, ("memory ran out;", "narrower networks", "plane.size", "preset")),
    ],
)
def test_a_training_that_the_machine_ends_says_why_and_can_be_resumed(
    cases_on_disk, slicer_host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, words: tuple[str, ...]
):
    panel = cases_on_disk
    break_processes(monkeypatch, tmp_path / "broken", fault, after=120)
    start(panel, slicer_host)
    line = failure_of(panel, slicer_host)
    assert all(word in line for word in (str(panel.logic.run.folder), *words)), line
    assert list((panel.logic.run.folder / "checkpoints").iterdir())
    mend_processes(tmp_path / "broken")
    resume(panel, slicer_host)


def test_a_training_whose_disk_is_full_says_where_and_goes_on_once_there_is_space(
    cases_on_disk, slicer_host, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    panel = cases_on_disk
    panel.ui.runsButton.directory = str(small_disk)
    break_processes(monkeypatch, tmp_path / "broken", full(small_disk), after=120)
    start(panel, slicer_host)
    line = failure_of(panel, slicer_host)
    assert "no space" in line.lower() and str(panel.logic.run.folder) in line and "make space" in line
    mend_processes(tmp_path / "broken")
    (small_disk / FILLER_NAME).unlink()
    resume(panel, slicer_host)


def test_slices_that_find_no_space_are_cut_again_from_the_volumes_of_the_scene(panel, slicer_host, small_disk: Path):
    add_cohorts(panel)
    panel.ui.runsButton.directory = str(small_disk)
    # enough for the settings and the first events
    filler = fill(small_disk, left=32 << 10)
    start(panel, slicer_host)
    inputs = panel.logic.run.inputs
    line = failure_of(panel, slicer_host)
    assert "slices" in line and "no space is left" in line and "--resume" in line
    filler.unlink()
    assert inputs.is_dir()
    resume(panel, slicer_host)
    assert not inputs.exists()


def test_volumes_of_a_training_that_is_not_resumed_do_not_stay(panel, slicer_host, small_disk: Path):
    add_cohorts(panel)
    panel.ui.runsButton.directory = str(small_disk)
    fill(small_disk, left=32 << 10)
    start(panel, slicer_host)
    inputs = panel.logic.run.inputs
    failure_of(panel, slicer_host)
    panel.logic.closeRun()
    assert not inputs.exists()


@needs_device_without_space
def test_a_volume_that_finds_no_space_is_named_and_nothing_is_left(panel, slicer_host):
    add_cohorts(panel)
    panel.ui.startButton.click()
    inputs = panel.logic.run.inputs
    images = inputs / "source" / "images"
    images.mkdir(parents=True)
    (images / "scene0001.nrrd").symlink_to(DEVICE_WITHOUT_SPACE)
    wait_for_the_end(panel, slicer_host)
    assert panel.ui.statusLabel.text == f"MR 2 cannot be written to {images}; make space there"
    assert not inputs.exists()
    assert panel.ui.startButton.enabled and not panel.ui.resumeButton.enabled


def test_settings_that_find_no_space_are_a_line_too(
    cases_on_disk, slicer_host, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    panel = cases_on_disk
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    filler = fill(small_disk)
    panel.ui.startButton.click()
    wait_for_the_end(panel, slicer_host)
    assert panel.ui.statusLabel.text == f"{small_disk}: no space is left; make space there and start again"
    assert list(small_disk.iterdir()) == [filler]
    assert panel.ui.startButton.enabled and not panel.ui.resumeButton.enabled


def test_a_run_whose_gpu_is_gone_goes_on_with_the_device_that_is_chosen(
    cases_on_disk, slicer_host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    panel = cases_on_disk
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    break_processes(monkeypatch, tmp_path / "broken", GPU_GONE, after=120)
    start(panel, slicer_host)
    line = failure_of(panel, slicer_host)
    words = (str(panel.logic.run.folder), "the GPU does not answer any longer", "--resume", "another --device")
    assert all(word in line for word in words), line
    assert list((panel.logic.run.folder / "checkpoints").iterdir())
    mend_processes(tmp_path / "broken")
    path = panel.logic.run.folder / "config.json"
    settings = json.loads(path.read_text())
    settings["training"]["device"] = "cuda"
    path.write_text(json.dumps(settings))
    panel.ui.resumeButton.click()
    line = failure_of(panel, slicer_host)
    assert "device cuda: is not there" in line and "choose another --device" in line
    panel.ui.deviceComboBox.currentText = "cpu"
    resume(panel, slicer_host)
