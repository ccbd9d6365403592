"""Segmenting several volumes through the core's process: results and messages come back to the right volume."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.volumes import write_volume
from GlobalLocalAlignmentSlicerLib.segmenting.segmentationjob import (
    SegmentationJob,
    SegmentationOptions,
    SegmentationOutcome,
)

PATIENCE_SECONDS = 90.0

pytestmark = pytest.mark.usefixtures("forked_core")


class Session:
    """A job with everything that it reported and what its files held at the end."""

    def __init__(self, model: Path, **options) -> None:
        self.progress: list[tuple[float, float | None]] = []
        self.text: list[str] = []
        self.outcome: SegmentationOutcome | None = None
        self.arrays: dict[str, dict[str, np.ndarray]] = {}
        self.job = SegmentationJob(
            SegmentationOptions(model, device="cpu", **options),
            lambda share, seconds: self.progress.append((share, seconds)),
            self.text.append,
            self._finish,
            startTimer=lambda function, milliseconds: lambda: None,
        )
        self.job.prepare()
        self.folder = self.job.folder

    def _finish(self, outcome: SegmentationOutcome) -> None:
        self.outcome = outcome
        for identifier, files in outcome.files.items():
            self.arrays[identifier] = {
                kind: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for kind, path in files.items()
            }
        self.job.discard()

    def run(self) -> SegmentationOutcome:
        self.job.start()
        end = time.monotonic() + PATIENCE_SECONDS
        while self.outcome is None:
            assert time.monotonic() < end, self.text
            self.job.poll()
            time.sleep(0.01)
        assert not self.job.running
        return self.outcome


@pytest.fixture
def session(tiny_run: Path) -> Iterator[Session]:
    session = Session(tiny_run / "model.safetensors", featureMask=True)
    yield session
    session.job.stop()
    session.job.discard()


def write_phantom(session: Session, identifier: str, seed: int) -> tuple[int, ...]:
    volume = render_phantom("abdomen", "CT", seed, (40, 32, 8), (8, 8, 16))[0]
    write_volume(volume, session.job.imagePath(identifier, identifier))
    return tuple(reversed(volume.shape))


def test_results_come_back_to_their_volumes_and_nothing_stays_on_disk(session: Session):
    shapes = {name: write_phantom(session, name, seed) for seed, name in enumerate(("Müller's CT", "Kopf: 2"))}
    outcome = session.run()
    assert outcome.files.keys() == shapes.keys()
    assert outcome.messages == {} and outcome.problem == "" and not outcome.stopped
    for name, shape in shapes.items():
        assert session.arrays[name].keys() == {"segmentation", "feature_mask"}
        assert all(array.shape == shape for array in session.arrays[name].values())
    shares = [share for share, _ in session.progress]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert not session.folder.exists()


def test_one_bad_volume_has_its_message_and_the_others_their_results(session: Session):
    write_phantom(session, "good", 0)
    path = session.job.imagePath("id of bad", "bad")
    values = np.full((8, 32, 40), np.nan, np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    outcome = session.run()
    assert outcome.files.keys() == {"good"}
    assert outcome.messages.keys() == {"id of bad"}
    assert outcome.messages["id of bad"].startswith("bad: ") and "case" not in outcome.messages["id of bad"]
    assert outcome.problem == ""


def test_the_log_names_volumes_whatever_the_folder_of_their_files_is_called(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "Jane Doe (ä)"
    home.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    session = Session(tiny_run / "model.safetensors")
    path = session.job.imagePath("id of one", "Head 1")
    sitk.WriteImage(sitk.GetImageFromArray(np.full((8, 32, 40), np.nan, np.float32)), str(path))
    outcome = session.run()
    said = [*session.text, *outcome.messages.values()]
    assert any("Head 1" in line for line in session.text)
    assert not [line for line in said if "Jane" in line or "case0000" in line or "id of" in line]


def test_a_model_that_cannot_be_used_is_one_problem(session: Session, tmp_path: Path):
    write_phantom(session, "volume", 0)
    session.job.options = SegmentationOptions(tmp_path / "no.safetensors")
    outcome = session.run()
    assert "no.safetensors" in outcome.problem
    assert outcome.messages == {"volume": "failed"} and outcome.files == {}


def test_a_stopped_job_says_so_and_leaves_nothing(session: Session):
    write_phantom(session, "volume", 0)
    session.job.start()
    session.job.stop()
    end = time.monotonic() + PATIENCE_SECONDS
    while session.outcome is None:
        assert time.monotonic() < end
        session.job.poll()
        time.sleep(0.01)
    assert session.outcome.stopped and session.outcome.problem == ""
    assert session.outcome.messages in ({"volume": "stopped"}, {})
    assert not session.folder.exists()


def test_options_become_the_words_of_the_command():
    options = SegmentationOptions(Path("m"), True, True, True, True, 4, "cuda:1", "bf16")
    words = options.arguments(Path("in"), Path("out"))
    assert words[:7] == ["predict", "--model", "m", "--input", "in", "--output", "out"]
    assert words[words.index("--device") + 1] == "cuda:1" and words[words.index("--batch-size") + 1] == "4"
    assert {"--feature-mask", "--synthesized", "--probabilities", "--largest-component"} <= set(words)
    plain = SegmentationOptions(Path("m")).arguments(Path("i"), Path("o"))
    assert not [word for word in plain if "mask" in word or "shifts" in word]
    fast = SegmentationOptions(Path("m"), shifts="1").arguments(Path("i"), Path("o"))
    assert fast[fast.index("--shifts") + 1] == "1"
