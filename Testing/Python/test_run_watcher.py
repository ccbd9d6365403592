"""A training followed through its run folder, and a model shown before anything is installed."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from GlobalLocalAlignmentLib.bundle import read_card
from GlobalLocalAlignmentSlicerLib.background.linetail import CHUNK_BYTES, LONGEST_BYTES, LineTail
from GlobalLocalAlignmentSlicerLib.models.modelcard import ModelCardError, readModelCard
from GlobalLocalAlignmentSlicerLib.training.runwatcher import MOST_POINTS, MOST_WARNINGS, EvenCurve, RunWatcher


def tell(folder: Path, *events: dict) -> None:
    with open(folder / "events.jsonl", "a", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"schema": 1, "stage": "segmentation", **event}) + "\n" for event in events)


def progress(iteration: int, **values: float | None) -> dict:
    return {"event": "progress", "iteration": iteration, "of": 40, "rate": 2.0, "seconds_left": 5.0, "values": values}


def test_a_finished_run_is_read_from_its_folder_alone(tiny_run: Path):
    watcher = RunWatcher(tiny_run)
    while watcher.poll():
        pass
    state = watcher.state
    assert state.status == "finished" and not state.newer
    # a translator of six iterations moves everything, and the run says so
    assert any("translation has moved" in warning for warning in state.warnings)
    assert [state.curves["segmentation"]["dice"][place][0] for place in (0, -1)] == [2, 8]
    assert state.curves["synthesis"]["cycle"][-1][0] == 6
    assert state.previews.keys() == {"synthesis", "segmentation"}
    assert all(path.is_file() for path in state.previews.values())
    assert watcher.model == tiny_run / "model.safetensors"
    assert watcher.configuration()["preset"] == "phantom"


def test_a_run_is_followed_while_it_grows(tmp_path: Path):
    watcher = RunWatcher(tmp_path)
    assert not watcher.poll() and watcher.state.status == "new" and watcher.model is None
    tell(tmp_path, {"event": "run_started", "device": "cpu, 2 threads"}, progress(10, loss=1.0, nothing=None))
    assert watcher.poll()
    state = watcher.state
    assert (state.status, state.stage, state.iteration, state.of) == ("running", "segmentation", 10, 40)
    assert (state.rate, state.secondsLeft, state.device) == (2.0, 5.0, "cpu, 2 threads")
    tell(tmp_path, progress(20, loss=0.5), {"event": "validation", "iteration": 20, "values": {"liver": 0.75}})
    watcher.poll()
    assert state.curves["segmentation"] == {"loss": [(10, 1.0), (20, 0.5)], "Dice liver": [(20, 0.75)]}
    # a stage that begins has no pace yet: that of the one before would be shown as its own
    tell(tmp_path, {"event": "stage_started", "stage": "segmentation", "iteration": 20, "of": 40})
    watcher.poll()
    assert (state.iteration, state.rate, state.secondsLeft) == (20, 0.0, None)
    tell(tmp_path, {"event": "stopped", "iteration": 20})
    watcher.poll()
    assert state.status == "stopped"
    tell(tmp_path, {"event": "run_started", "device": "cpu"}, {"event": "failed", "message": "disk full"})
    watcher.poll()
    assert (state.status, state.message) == ("failed", "disk full")


def test_each_warning_is_kept_once_whatever_comes_after_it(tmp_path: Path):
    watcher = RunWatcher(tmp_path)
    warnings = [{"event": "warning", "message": text} for text in ("D1 has won", "the mask is flat", "D1 has won")]
    tell(tmp_path, {"event": "run_started"}, *warnings, {"event": "run_finished"})
    watcher.poll()
    assert watcher.state.status == "finished"
    assert watcher.state.warnings == ["D1 has won", "the mask is flat"]


def test_iterations_that_are_done_again_replace_their_first_values(tmp_path: Path):
    tell(tmp_path, progress(10, loss=1.0), progress(20, loss=0.8), progress(30, loss=0.7), progress(20, loss=0.9))
    watcher = RunWatcher(tmp_path)
    watcher.poll()
    assert watcher.state.curves["segmentation"]["loss"] == [(10, 1.0), (20, 0.9)]


def test_a_long_run_is_kept_in_no_more_than_so_many_points_evenly_chosen(tmp_path: Path):
    curve = EvenCurve()
    for iteration in range(1, 30 * MOST_POINTS):
        curve.add(10 * iteration, float(iteration))
        assert curve[-1] == (10 * iteration, iteration)
    assert MOST_POINTS / 4 < len(curve) <= MOST_POINTS
    assert curve[0] == (10, 1.0)
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(curve[:-1])]
    assert max(gaps) <= 3 * min(gaps)
    # a run that has gone back
    half = curve[len(curve) // 2][0]
    curve.add(half, -1.0)
    assert curve[-1] == (half, -1.0) and curve[-2][0] < half


def test_what_had_to_be_changed_is_a_warning_and_only_so_many_are_kept(tmp_path: Path):
    tell(tmp_path, *({"event": "adjusted", "message": f"goes on from {number}"} for number in range(3 * MOST_WARNINGS)))
    watcher = RunWatcher(tmp_path)
    watcher.poll()
    assert len(watcher.state.warnings) == MOST_WARNINGS
    assert watcher.state.warnings[-1] == f"goes on from {3 * MOST_WARNINGS - 1}"


def test_a_file_without_an_end_of_line_is_not_kept_in_memory(tmp_path: Path):
    with open(tmp_path / "log.txt", "wb") as stream:
        stream.write(b"first\n" + (3 * LONGEST_BYTES) * b"x" + b"\nlast\n")
    lines, tail = [], LineTail(tmp_path / "log.txt")
    while found := tail.read(1):
        lines += found
        assert len(tail._rest) <= LONGEST_BYTES + CHUNK_BYTES
    assert (lines[0], lines[-1]) == ("first", "last")
    assert max(map(len, lines)) <= LONGEST_BYTES + CHUNK_BYTES and sum(map(len, lines)) == 3 * LONGEST_BYTES + 9


def test_events_of_a_newer_version_and_broken_ones_do_no_harm(tmp_path: Path):
    tell(
        tmp_path,
        {"event": "progress", "iteration": "many", "of": None, "values": {"loss": "small"}},
        {"event": "progress"},
        {"event": "validation", "iteration": 3, "values": [1]},
        {"event": "something_new", "schema": 2},
    )
    (tmp_path / "events.jsonl").open("a").write('{"event": "prog')
    watcher = RunWatcher(tmp_path)
    watcher.poll()
    assert watcher.state.newer and watcher.state.status == "running"
    assert not any(watcher.state.curves.values())


def test_no_picture_outside_the_run_folder_is_opened(tmp_path: Path):
    for file in ("../secret.png", "/etc/passwd", "previews/a.svg"):
        tell(tmp_path, {"event": "preview", "file": file})
    watcher = RunWatcher(tmp_path)
    watcher.poll()
    assert watcher.state.previews == {}


def test_a_run_is_asked_to_stop_wherever_it_runs(tmp_path: Path):
    RunWatcher(tmp_path).askToStop()
    assert (tmp_path / "stop").exists()


def test_the_card_is_that_of_the_core(tiny_run: Path):
    path = tiny_run / "model.safetensors"
    card, expected = readModelCard(path), read_card(path)
    assert [(label.value, label.name, label.color) for label in card.labels] == [
        (label.value, label.name, label.color) for label in expected.labels
    ]
    assert (card.source, card.target) == (expected.source.modality, expected.target.modality)
    assert (card.orientation, card.spacing, card.size) == (
        expected.plane.orientation,
        expected.plane.spacing,
        expected.plane.size,
    )
    assert list(card.networks) == expected.networks and card.hasFeatureMask and card.hasSynthesis
    assert card.provenance == expected.provenance


def with_card(path: Path, change: dict) -> Path:
    """The model file with other entries in its card."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["card"] = json.dumps(json.loads(header["__metadata__"]["card"]) | change)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "newer version"),
        ({"labels": [{"value": 1}]}, "damaged"),
        ({"labels": [{"value": 1, "name": "a", "color": [1, 2, 300], "terminology": ""}]}, "damaged"),
        ({"plane": None}, "damaged"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_in_a_line(tiny_run: Path, tmp_path: Path, change: dict, words: str):
    path = with_card(Path(shutil.copy(tiny_run / "model.safetensors", tmp_path / "other.safetensors")), change)
    with pytest.raises(ModelCardError, match=f"other.safetensors .*{words}"):
        readModelCard(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_model_has_no_card(tiny_run: Path, tmp_path: Path, share: float):
    content = (tiny_run / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelCardError, match=r"cut.safetensors is no model"):
        readModelCard(tmp_path / "cut.safetensors")


@pytest.mark.parametrize("content", [b"\xff" * 64, struct.pack("<Q", 2) + b"[]", b"PK\x03\x04 and more of a pickle"])
def test_another_file_is_no_model(tmp_path: Path, content: bytes):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelCardError, match="no model"):
        readModelCard(tmp_path / "x.safetensors")
    with pytest.raises(ModelCardError, match="cannot be read"):
        readModelCard(tmp_path / "missing.safetensors")


def test_the_scene_side_needs_nothing_that_slicer_lacks():
    """The names are imported where neither torch nor any other dependency of the core can be."""
    program = (
        "import sys\n"
        "for name in ('torch', 'pydantic', 'yaml', 'safetensors', 'lightning_fabric', 'nibabel', 'rich', 'typer',"
        " 'matplotlib', 'psutil', 'GlobalLocalAlignmentLib'):\n"
        "    sys.modules[name] = None\n"
        "from GlobalLocalAlignmentSlicerLib.background import backgroundprocess, linetail\n"
        "from GlobalLocalAlignmentSlicerLib.models import modelcard\n"
        "from GlobalLocalAlignmentSlicerLib.training import runwatcher\n"
    )
    folder = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
