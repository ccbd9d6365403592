"""What a training and its use leave behind says nothing of whom the images show, nor of the computer it was done on."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicombytes import EXPLICIT, PIXELS, Tag, dicom_bytes, slice_header, write_files
from GlobalLocalAlignmentLib import cli
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.privacy import HiddenFolders
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.volumes import Volume, read_volume, write_volume

PLANTED: dict[Tag, tuple[str, str]] = {
    (0x0008, 0x0050): ("SH", "Accession7Q"),
    (0x0008, 0x0080): ("LO", "Institution7Q"),
    (0x0008, 0x0081): ("ST", "Street7Q"),
    (0x0008, 0x0090): ("PN", "Referrer7Q^Rita"),
    (0x0008, 0x1010): ("SH", "Station7Q"),
    (0x0008, 0x1030): ("LO", "Study7Q"),
    (0x0008, 0x103E): ("LO", "Series7Q"),
    (0x0008, 0x1070): ("PN", "Operator7Q^Olga"),
    (0x0010, 0x0010): ("PN", "Patient7Q^Paula"),
    (0x0010, 0x0020): ("LO", "PatientID7Q"),
    (0x0010, 0x0030): ("DA", "19370307"),
    (0x0010, 0x1000): ("LO", "OtherID7Q"),
    (0x0010, 0x1040): ("LO", "Address7Q"),
    (0x0010, 0x4000): ("LT", "Comment7Q"),
    (0x0018, 0x1000): ("LO", "Device7Q"),
    (0x0020, 0x0010): ("SH", "StudyID7Q"),
    (0x0020, 0x4000): ("LT", "ImageComment7Q"),
    (0x0009, 0x0010): ("LO", "Private7Q"),
}
UIDS = {(0x0020, 0x000D): "1.2.826.0.77.1", (0x0020, 0x000E): "1.2.826.0.77.2", (0x0020, 0x0052): "1.2.826.0.77.3"}
FOLDER_WORD = "Ward7Q"
"""In the name of the folder that all data lie in."""

CHOSEN = "Chosen7Q"
"""In the name of a case, which the user chose."""

WORDS = ["7Q", "19370307", "1.2.826.0.77"]
"""Of each of these no trace may be left, but of what the user called a file."""


def write_identified_series(folder: Path, volume: Volume) -> None:
    """A volume as DICOM with all that identifies its patient."""
    kinds = {tag: kind for tag, (kind, _) in PLANTED.items()} | {(0x0020, 0x0052): "UI"}
    spacing, files = volume.spacing, []
    for k in range(volume.shape[2]):
        header = slice_header(volume.array[..., k].T, k * spacing[2], k + 1, spacing)
        header |= {tag: text for tag, (_, text) in PLANTED.items()} | UIDS
        header[0x0008, 0x0018] = f"1.2.826.0.77.9.{k}"
        header[PIXELS] = volume.array[..., k].T.astype(np.int16)
        files.append(dicom_bytes(header, EXPLICIT, kinds))
    write_files(folder, files)


def write_identified_nifti(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """A NIfTI file whose header and extension name the patient."""
    image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    for field in ("descrip", "aux_file", "db_name", "intent_name"):
        image.header[field] = b"Patient7Q"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Patient7Q^Paula"))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, tiny_words: str) -> Path:
    """Folder with all that a training, a prediction, an evaluation and a report leave behind."""
    home = tmp_path_factory.mktemp("privacy")
    data, results = home / f"{FOLDER_WORD} data", home / "results"
    for index in range(2):
        image, labels = render_phantom("abdomen", "MR", index, (40, 32, 8), (8, 8, 16))
        write_identified_nifti(data / "mr" / f"image_{index}.nii.gz", image.array, image.ijk_to_ras)
        write_identified_nifti(data / "mr" / f"label_{index}.nii.gz", labels.array, labels.ijk_to_ras)
        image, labels = render_phantom("abdomen", "CT", 5 + index, (40, 32, 8), (8, 8, 16))
        name = f"{CHOSEN}_{index}"
        write_identified_series(data / "ct" / name, image)
        seen = read_volume(data / "ct" / name)
        write_identified_nifti(data / "truth" / f"{name}.nii.gz", labels.array, seen.ijk_to_ras)
    words = [word for line in tiny_words.splitlines() for word in ("--set", line)]
    words += ["--set", "synthesis.iterations=2", "--set", "segmentation.iterations=4"]
    source = ["--source-images", str(data / "mr"), "--source-labels", str(data / "mr")]
    target = ["--target-images", str(data / "ct")]
    watched = ["--validation-images", str(data / "ct"), "--validation-labels", str(data / "truth")]
    run = results / "run"
    assert cli.run(["train", "--preset", "phantom", *source, *target, *watched, *words, "--output", str(run)]) == 0
    model = str(run / "model.safetensors")
    everything = ["--feature-mask", "--probabilities", "--synthesized", "--device", "cpu"]
    predicted = results / "predicted"
    assert cli.run(["predict", "-m", model, "-i", str(data / "ct"), "-o", str(predicted), *everything]) == 0
    scores = results / "scores.csv"
    assert (
        cli.run(["evaluate", "--predictions", str(predicted), "--references", str(data / "truth"), "-o", str(scores)])
        == 0
    )
    assert cli.run(["report", str(run)]) == 0
    return results


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what it unpacks to."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                yield entry.filename.encode()
                yield archive.read(entry)


def traces(path: Path, word: str) -> bool:
    """Whether a word is in a file, in letters of one byte or of two."""
    codes = [word.encode(), word.encode("utf-16-le")]
    return any(code in content for content in contents(path) for code in codes)


def test_the_search_finds_what_is_there(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"..Patient7Q..")
    (tmp_path / "b").write_bytes(gzip.compress("Patient7Q".encode("utf-16-le")))
    np.savez_compressed(tmp_path / "c.npz", names=np.array(["Patient7Q"]))
    assert all(traces(tmp_path / name, "7Q") for name in "ab")
    assert traces(tmp_path / "c.npz", "names") and not traces(tmp_path / "a", "7R")


def test_nothing_that_identifies_a_patient_is_in_any_output(left: Path):
    files = [path for path in sorted(left.rglob("*")) if path.is_file()]
    assert {"model.safetensors", "report.html", "events.jsonl", "log.txt", "metrics.csv"} <= {p.name for p in files}
    assert len(files) > 15
    texts = [text for _, text in PLANTED.values()] + list(UIDS.values()) + ["1.2.826.0.77"]
    found = {(path.name, text) for path in files for text in texts if traces(path, text)}
    assert found == set()


def test_no_folder_of_the_computer_is_in_any_output_but_the_settings_that_resume_the_run(left: Path):
    files = [path for path in left.rglob("*") if path.is_file()]
    named = {path.name for path in files if traces(path, FOLDER_WORD) or traces(path, str(left))}
    assert named == {"config.json"}


def test_names_that_the_user_chose_are_where_they_are_needed_alone(left: Path):
    files = [path for path in left.rglob("*") if path.is_file()]
    assert {path.name for path in files if traces(path, CHOSEN)} == {"scores.csv"}
    named = {path.relative_to(left).parts[0] for path in files if CHOSEN in path.name}
    assert named == {"predicted"}
    assert all(WORD not in str(path.relative_to(left)) for path in files for WORD in (FOLDER_WORD, "Patient"))


def test_a_failure_names_the_file_without_its_folders_in_what_is_kept(tmp_path: Path):
    home = tmp_path / f"{FOLDER_WORD} of Jane"
    heard: list[dict] = []
    events = EventLog(tmp_path, [heard.append], hidden=HiddenFolders([home / "ct"]))
    message = f"{home / 'ct' / 'case 1.nii.gz'}: has another geometry than {home / 'mr' / 'x.nii'}; see /data/Roe/y.nii"
    events.emit("failed", "prepare", message=message)
    kept = (tmp_path / "events.jsonl").read_text() + (tmp_path / "log.txt").read_text()
    assert heard[0]["message"] == message
    assert FOLDER_WORD not in kept and "Roe" not in kept
    assert json.loads((tmp_path / "events.jsonl").read_text())["message"].startswith("case 1.nii.gz: has another")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("and/or 1/2 mm, 3.5/s", "and/or 1/2 mm, 3.5/s"),
        ("/home/jane/x.nii: bad", "x.nii: bad"),
        (r"C:\Users\Jane\x.nii: bad", "x.nii: bad"),
        (r"\\server\share\x.nii", "x.nii"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_only_paths_are_taken_out_of_texts(text: str, kept: str):
    assert HiddenFolders()(text) == kept


def test_the_trace_of_a_fault_of_ours_names_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    output, secret = tmp_path / "out", tmp_path / f"{FOLDER_WORD} x"
    output.mkdir()

    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError(f"in {secret / 'case.nii'}")

    monkeypatch.setattr("GlobalLocalAlignmentLib.batch.choose_cases", fail)
    words = ["predict", "-m", str(secret / "m"), "-i", str(secret / "case.nii"), "-o", str(output)]
    assert cli.run(words) == 1
    text = (output / "log.txt").read_text()
    assert "ZeroDivisionError: in case.nii" in text and "GlobalLocalAlignmentLib" in text
    assert FOLDER_WORD not in text and str(tmp_path) not in text and str(Path(__file__).parent) not in text


def test_a_result_does_not_hold_the_name_that_its_image_had(tmp_path: Path):
    """Whoever gives a file another name does not look into its archive for the old one."""
    path = tmp_path / f"{CHOSEN}.nii.gz"
    write_volume(Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4)), path)
    shutil.move(path, tmp_path / "a.nii.gz")
    assert not traces(tmp_path / "a.nii.gz", CHOSEN)
