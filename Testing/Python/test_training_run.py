"""A training as the scene side sees it: begun, left, found interrupted; what it leaves in temporary folders."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from GlobalLocalAlignmentLib.training.lock import LOCK_NAME, RunLock
from GlobalLocalAlignmentSlicerLib.training.trainingrun import (
    INPUTS_PREFIX,
    SILENT_SECONDS,
    TrainingRun,
    inputsOf,
    trainedByAProcess,
)


class Timers:
    """Timers that run when a test says so."""

    def __init__(self) -> None:
        self.functions: list = []

    def start(self, function, milliseconds: int):
        self.functions.append(function)
        return lambda: self.functions.remove(function) if function in self.functions else None

    def tick(self) -> None:
        for function in list(self.functions):
            function()


def write_run(folder: Path, *events: dict, configuration: dict | None = None) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(configuration or {}))
    lines = [json.dumps({"schema": 1, "time": 0, "stage": "synthesis"} | event) for event in events]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))


def watched(folder: Path, alive: bool | None) -> tuple[TrainingRun, Timers]:
    timers = Timers()
    run = TrainingRun(folder, lambda: None, print, timers.start, isTrained=lambda folder: alive)
    run.watch()
    timers.tick()
    timers.tick()
    return run, timers


RUNNING = {"event": "progress", "iteration": 4, "of": 9, "values": {}}


@pytest.mark.parametrize(
    ("alive", "status", "resumable"), [(True, "running", False), (False, "interrupted", True), (None, "running", False)]
)
def test_a_run_that_says_it_runs_is_interrupted_where_nobody_trains_it(
    tmp_path: Path, alive: bool | None, status: str, resumable: bool
):
    write_run(tmp_path / "run", {"event": "run_started"}, RUNNING)
    run, timers = watched(tmp_path / "run", alive)
    assert (run.status, run.resumable) == (status, resumable)
    assert bool(timers.functions) is (alive is not False)


def test_a_run_that_is_over_is_read_to_its_end_and_watched_no_longer(tmp_path: Path):
    write_run(tmp_path / "run", *({**RUNNING, "iteration": n} for n in range(1200)), {"event": "run_finished"})
    run, timers = watched(tmp_path / "run", False)
    for _ in range(4):
        timers.tick()
    assert run.status == "finished" and timers.functions == []


def test_a_run_that_is_watched_is_stopped_through_its_folder(tmp_path: Path):
    write_run(tmp_path / "run", RUNNING)
    run, _ = watched(tmp_path / "run", True)
    run.stop()
    assert (tmp_path / "run" / "stop").is_file() and run.status == "stopping"


def test_a_process_that_cannot_be_started_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = TrainingRun(tmp_path / "run", lambda: None, print, Timers().start, python=str(tmp_path / "no python"))
    inputs = run.prepareInputs()
    with pytest.raises(OSError, match="no python"):
        run.begin(["--config", "x"])
    assert not inputs.exists() and not run.ours
    assert list(tmp_path.iterdir()) == []


def resumed(folder: Path, script: str, *events: dict, stop: bool = False) -> TrainingRun:
    """A run of these events that was taken up again by a process that does what a shell script says, and has ended."""
    write_run(folder, *events)
    python = folder.parent / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    timers = Timers()
    run = TrainingRun(folder, lambda: None, print, timers.start, str(python), isTrained=lambda folder: False)
    run.resume()
    if stop:
        run.stop()
    run._process._process.wait()
    while run.ours:
        timers.tick()
    return run


@pytest.mark.parametrize(
    ("script", "status"), [("echo 'error: run: is full; make space'", "failed"), ("", "interrupted")]
)
def test_a_run_that_could_not_note_its_end_has_failed_where_its_process_says_why(
    tmp_path: Path, script: str, status: str
):
    run = resumed(tmp_path / "run", f"{script}\nexit 2", RUNNING)
    assert (run.status, run.resumable) == (status, True)
    assert len(run.problems) == 1 and ("is full" in run.problems[0]) is (status == "failed")


def test_a_run_whose_process_was_ended_by_the_user_was_stopped_and_not_interrupted(tmp_path: Path):
    run = resumed(tmp_path / "run", "sleep 600", RUNNING, stop=True)
    assert (run.status, run.resumable, run.problems) == ("stopped", True, [])


def test_a_process_that_could_not_say_why_it_failed_has_noted_it_in_the_run(tmp_path: Path):
    run = resumed(tmp_path / "run", "exit 2", RUNNING, {"event": "failed", "message": "run: is full; make space"})
    assert run.status == "failed" and run.problems == [] and run.state.message == "run: is full; make space"


def test_a_training_that_is_left_at_once_still_finds_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    python = tmp_path / "python"
    heard = tmp_path / "heard"
    # as a Python that takes its time: it reads its words when the test lets it
    # "-u -m PACKAGE @FILE": the fourth word names the file
    waits = f'while [ ! -e "{tmp_path}/go" ]; do :; done'
    python.write_text(f'#!/bin/sh\n{waits}\ncat "${{4#@}}" > "{heard}"\n')
    python.chmod(0o755)
    run = TrainingRun(tmp_path / "run", lambda: None, print, Timers().start, python=str(python))
    run.begin(["--config", "x"])
    process = run._process._process
    run.leave()
    (tmp_path / "go").touch()
    assert process.wait() == 0
    assert heard.read_text().splitlines()[:2] == ["--events", "train"]


def test_images_of_an_earlier_session_are_removed_once_the_run_has_its_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{INPUTS_PREFIX}abc"
    (left / "source" / "images").mkdir(parents=True)
    settings = {"source": {"images": [str(left / "source" / "images"), str(tmp_path / "mine" / "images")]}}
    (tmp_path / "mine" / "images").mkdir(parents=True)
    write_run(tmp_path / "run", {"event": "run_started", "stage": "prepare"}, configuration=settings)
    watched(tmp_path / "run", True)
    assert left.is_dir()
    write_run(tmp_path / "run", {"event": "run_started", "stage": "prepare"}, RUNNING, configuration=settings)
    watched(tmp_path / "run", True)
    assert not left.exists()
    assert (tmp_path / "mine" / "images").is_dir()


def test_no_folder_but_those_made_here_is_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    places = [
        tmp_path / "elsewhere" / f"{INPUTS_PREFIX}x" / "source" / "images",
        tmp_path / "data" / "source" / "images",
        tmp_path / f"{INPUTS_PREFIX}x" / ".." / "source" / "images",
    ]
    assert inputsOf({"source": {"images": [str(place) for place in places]}, "target": None}) == set()


def test_who_trains_a_run_is_told_by_its_lock_and_without_locks_by_its_silence(tmp_path: Path):
    write_run(tmp_path, RUNNING)
    assert trainedByAProcess(tmp_path) is None
    long_ago = time.time() - 2 * SILENT_SECONDS
    os.utime(tmp_path / "events.jsonl", (long_ago, long_ago))
    assert trainedByAProcess(tmp_path) is False
    lock = RunLock(tmp_path)
    lock.acquire()
    assert (tmp_path / LOCK_NAME).is_file()
    assert trainedByAProcess(tmp_path) is True
    lock.release()
    assert trainedByAProcess(tmp_path) is False
