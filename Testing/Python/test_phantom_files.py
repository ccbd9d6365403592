"""The phantoms of Slicer's sample data: made without what Slicer does not bring, whole files, those of the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.phantoms.phantomcohorts import COHORTS, files_of
from GlobalLocalAlignmentLib.phantoms.phantomfiles import main, write_missing
from GlobalLocalAlignmentLib.volumes import read_labelmap, read_volume

ROOT = Path(__file__).resolve().parents[2]
ONLY_SLICERS = """
import sys
class NothingElse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        brought = {*sys.stdlib_module_names, "numpy", "scipy", "SimpleITK", "GlobalLocalAlignmentLib"}
        if top not in brought and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NothingElse())
from dataclasses import replace
from GlobalLocalAlignmentLib.phantoms.phantomcohorts import COHORTS
COHORTS["test"] = replace(COHORTS["test"], count=1)
from GlobalLocalAlignmentLib.phantoms.phantomfiles import main
sys.exit(main(sys.argv[1:]))
"""


def call(*words: object, program: str | None = None) -> subprocess.CompletedProcess[str]:
    """What Slicer calls; or a program in its place."""
    start = ["-m", "GlobalLocalAlignmentLib.phantoms.phantomfiles"] if program is None else ["-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "GlobalLocalAlignment")}
    command = [sys.executable, *start, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.fixture
def one_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One patient in each cohort."""
    for name, cohort in COHORTS.items():
        monkeypatch.setitem(COHORTS, name, replace(cohort, count=1))


def test_the_phantoms_are_made_with_what_slicer_brings_alone(tmp_path: Path):
    done = call(tmp_path / "cache", "test", program=ONLY_SLICERS)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["iteration"] for line in done.stdout.splitlines()] == [1]
    (files,) = files_of(replace(COHORTS["test"], count=1))
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted(files.names)


def test_a_package_that_is_missing_is_one_line(tmp_path: Path):
    done = call(tmp_path, "test", program=ONLY_SLICERS.replace('"SimpleITK", ', ""))
    assert done.returncode == 2
    assert done.stdout.startswith("error: SimpleITK: cannot be imported") and done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.usefixtures("one_patient")
def test_they_are_the_phantoms_of_the_demo(tmp_path: Path):
    from GlobalLocalAlignmentLib.phantom import write_cohort

    for name in ("source", "test"):
        cohort = COHORTS[name]
        write_missing(tmp_path, name, lambda done, of: None)
        write_cohort(tmp_path / name, "abdomen", cohort.modality, 1, cohort.seed(demo_seed=0))
        (files,) = files_of(cohort)
        for file, kind, read in (
            (files.image, "images", read_volume),
            (files.segmentation, "labels", read_labelmap),
        ):
            made, demo = read(tmp_path / file), read(tmp_path / name / kind / "case_00.nii.gz")
            assert np.array_equal(made.array, demo.array) and made.array.dtype == demo.array.dtype
            assert np.allclose(made.ijk_to_ras, demo.ijk_to_ras, atol=1e-5)


@pytest.mark.usefixtures("one_patient")
def test_only_what_is_missing_is_made(tmp_path: Path):
    told = []
    write_missing(tmp_path, "test", lambda done, of: told.append((done, of)))
    (files,) = files_of(COHORTS["test"])
    (tmp_path / files.segmentation).write_bytes(b"kept")
    write_missing(tmp_path, "test", lambda done, of: told.append((done, of)))
    assert (tmp_path / files.segmentation).read_bytes() == b"kept"
    (tmp_path / files.image).unlink()
    write_missing(tmp_path, "test", lambda done, of: told.append((done, of)))
    assert (tmp_path / files.segmentation).read_bytes() != b"kept"
    assert told == [(1, 1)] * 3


def test_the_target_has_no_labels_and_all_names_differ():
    names = [name for cohort in COHORTS.values() for files in files_of(cohort) for name in files.names]
    assert len(set(names)) == len(names) == 8 * 2 + 8 + 4 * 2
    assert not any(files.segmentation for files in files_of(COHORTS["target"]))


@pytest.mark.usefixtures("one_patient")
def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk: Path, capsys: pytest.CaptureFixture):
    folder = small_disk / "cache"
    folder.mkdir()
    with open(small_disk / "filler", "wb") as filler, pytest.raises(OSError):
        while True:
            os.write(filler.fileno(), bytes(1 << 16))
    assert main([str(folder), "target"]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("error: ") and "target_CT_1.nrrd" in line and "make space" in line
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("one_patient")
def test_a_process_that_is_told_to_end_leaves_whole_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from GlobalLocalAlignmentLib.formats import volumewriters

    def be_ended(*arguments: object) -> None:
        (next(tmp_path.glob(".part_*")) / "half").touch()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(volumewriters, "_write_with_itk", be_ended)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            main([str(tmp_path), "target"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["folder"], ["folder", "others"]])
def test_wrong_words_are_refused(words: list[str], capsys: pytest.CaptureFixture):
    assert main(words) == 2
    assert capsys.readouterr().out == "error: give a folder and one of source, target, test\n"
