"""Files that no reader should trust: every one is refused in a line or read right, whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from badfiles import BadFile, all_cases, truth
from badfiles.case import AFFINE
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.volumes import read_volume

LONG = ("640 MB", "million lines", "without an end", "dicom:")
"""What takes longer than the others; Testing/Benchmarks/fault_corpus.py has all of them."""

CASES = all_cases()
QUICK = [case for case in CASES if not any(words in case.name for words in LONG)]
SERIES = [
    *("two series", "a slice missing", "a slice twice", "a slice cut within its header", "RLE", "deflated"),
    *("4 GB in an unknown element in every slice", "sequences twenty thousand deep", "spacing zero"),
    *("directions parallel", "more rows than pixels", "a pipe among them", "JPEG 2000 that is none"),
]


def found_wrong(case: BadFile, folder: Path, capfd: pytest.CaptureFixture) -> str:
    """What is wrong with how a file of the corpus is read, empty where nothing is."""
    path = case.make(folder, truth())
    try:
        volume = read_volume(path)
    except InputError as error:
        text = str(error)
        if case.readable:
            return f"refused: {text}"
        return "" if text.isprintable() and capfd.readouterr() == ("", "") else f"more than a line: {text!r}"
    if case.readable is False:
        return "read"
    same = volume.shape == truth().shape and np.array_equal(volume.array, truth())
    return "" if same and np.allclose(volume.ijk_to_ras, AFFINE, atol=1e-3) else "read wrong"


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd", "place"])
def test_every_file_is_refused_in_a_line_or_read_right(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture):
    wrong = {}
    for number, case in enumerate(case for case in QUICK if case.name.startswith(f"{kind}: ")):
        folder = tmp_path / str(number)
        folder.mkdir()
        if problem := found_wrong(case, folder, capfd):
            wrong[case.name] = problem
    assert wrong == {}


@pytest.mark.parametrize("name", SERIES)
def test_every_series_is_refused_in_a_line_or_read_right(name: str, tmp_path: Path, capfd: pytest.CaptureFixture):
    (case,) = (case for case in CASES if case.name == f"dicom: {name}")
    assert found_wrong(case, tmp_path, capfd) == ""


def test_no_data_file_outside_of_the_folder_of_its_header_is_opened(tmp_path: Path):
    outside = [case for case in QUICK if "data file" in case.name and ("folder" in case.name or "Windows" in case.name)]
    assert len(outside) == 6
    for number, case in enumerate(outside):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(InputError, match="outside of its folder"):
            read_volume(case.make(tmp_path / str(number), truth()))
