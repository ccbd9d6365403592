"""Masks of different grids on one, and the process that compares segmentations for Slicer."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.errors import ExitCode
from GlobalLocalAlignmentLib.masks.maskgrids import COMPARED, REFERENCE, on_one_grid, placed, values_on
from GlobalLocalAlignmentLib.masks.segmentcomparison import main
from GlobalLocalAlignmentLib.masks.voxelbits import CORRECT, EXTRA, MISSED
from GlobalLocalAlignmentSlicerLib.background.backgroundprocess import BackgroundProcess

ROOT = Path(__file__).resolve().parents[2]
BROUGHT = {"numpy", "scipy"}
TURNED = np.array([[0, -2, 0, 10], [1, 0, 0, -5], [0, 0, 3, 2], [0, 0, 0, 1.0]])


def box(low: tuple[int, int, int], high: tuple[int, int, int], shape=(8, 8, 8)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(begin, end) for begin, end in zip(low, high, strict=True))] = True
    return mask


def at_origin(mask: np.ndarray, matrix: np.ndarray):
    return placed(mask, np.zeros(3, int), matrix)


def test_axes_in_another_order_are_brought_together_voxel_by_voxel():
    mask = np.random.default_rng(0).random((4, 5, 6)) > 0.5
    # the same voxels, first and second axis exchanged, and one of them the other way round
    other = mask.transpose(1, 0, 2)[::-1]
    matrix = TURNED @ np.array([[0, 1, 0, 0], [-1, 0, 0, 4], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    found = on_one_grid(at_origin(other, matrix), at_origin(mask, TURNED))
    assert found.resampled == COMPARED and np.array_equal(found.compared, found.reference)


def test_the_outermost_half_voxel_is_not_lost_on_a_finer_grid():
    coarse = at_origin(np.ones((2, 2, 2), bool), np.diag([4.0, 4.0, 4.0, 1]))
    fine_matrix = np.eye(4)
    fine_matrix[:3, 3] = -1.5
    fine = at_origin(box((2, 2, 2), (3, 3, 3)), fine_matrix)
    found = on_one_grid(fine, coarse)
    assert (found.resampled, found.reference.sum(), found.spacing) == (REFERENCE, 8**3, (1, 1, 1))
    # the first voxel of the finer grid at -1.5 mm is the first of the coarse one, which begins at -2 mm
    assert (fine_matrix[:3, :3] @ found.first + fine_matrix[:3, 3]).tolist() == [-1.5, -1.5, -1.5]


def test_a_mask_that_falls_between_the_voxels_of_the_other_grid_is_empty_there():
    small = at_origin(np.ones((1, 1, 1), bool), np.diag([0.1, 0.1, 0.1, 1]) + np.eye(4, k=3)[:4, :4] * 0)
    small.matrix[:3, 3] = 2.0
    large = at_origin(np.ones((2, 2, 2), bool), np.diag([4.0, 4.0, 4.0, 1]))
    # the small one has the finer grid, on which the large one has many voxels
    assert on_one_grid(small, large).reference.sum() == 80**3
    found = on_one_grid(placed(np.ones((1, 1, 1), bool), np.zeros(3, int), shifted(4.0, 2.0)), large)
    assert (found.compared.any(), found.resampled) == (True, COMPARED)


def shifted(spacing: float, by: float) -> np.ndarray:
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = by - 1e-3
    return matrix


def test_values_are_those_of_the_nearest_voxels_and_none_beyond_the_volume():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    found = values_on(values, TURNED, np.array([-1, 0, 0]), TURNED, (3, 3, 4))
    assert np.isnan(found[0]).all() and np.array_equal(found[1:], values)
    fine = TURNED @ np.diag([0.5, 0.5, 0.5, 1])
    found = values_on(values, TURNED, np.zeros(3, int), fine, (3, 5, 7))
    assert np.array_equal(found[::2, ::2, ::2], values)
    assert np.isnan(values_on(values, TURNED, np.full(3, 50), TURNED, (2, 2, 2))).all()


def write_job(folder: Path, cases: list[dict], **arrays: np.ndarray) -> Path:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "job.json").write_text(json.dumps({"cases": cases}))
    return folder / "job.json"


def side(file: str, segments: dict[str, tuple[int | None, int]], matrix: np.ndarray = TURNED, first=(0, 0, 0)) -> dict:
    return {
        "layers": [{"file": f"{file}.npy", "first": list(first), "matrix": matrix.tolist()}],
        "segments": segments,
    }


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Two structures, one of which the result lacks, and a mask."""
    truth = np.zeros((6, 7, 8), np.uint8)
    truth[1:4, 1:5, 1:6], truth[4:6, 1:5, 1:6] = 1, 2
    result = np.where(truth == 1, 3, 0).astype(np.uint8)
    result[3] = 0
    mask = np.where(truth == 1, 0.25, 0.75).astype(np.float32)
    case = {
        "compared": side("result", {"liver": (0, 3), "empty": (None, 0)}),
        "reference": side("truth", {"liver": (0, 1), "spleen": (0, 2)}),
        "structures": [["liver", "liver"], [None, "spleen"], ["empty", "spleen"]],
        "mask": {"file": "mask.npy", "matrix": TURNED.tolist()},
    }
    return write_job(tmp_path, [case], result=result, truth=truth, mask=mask)


def test_each_structure_has_scores_voxels_and_the_mask(job: Path, capsys):
    assert main([str(job)]) == ExitCode.DONE
    found = events(capsys.readouterr().out)
    liver, spleen, empty = (one["scores"] for one in found if one["event"] == "structure")
    assert (liver["dice"], liver["reference_voxels"], liver["predicted_voxels"]) == (0.8, 60, 40)
    assert (liver["mask_correct"], liver["mask_wrong"]) == (0.25, 0.25)
    assert spleen["dice"] == 0 and math.isnan(spleen["hd95_mm"]) and math.isnan(spleen["mask_correct"])
    assert spleen["mask_wrong"] == 0.75 and {k: str(v) for k, v in spleen.items()} == {
        k: str(v) for k, v in empty.items()
    }
    assert [one["iteration"] for one in found if one["event"] == "progress"] == [1, 2, 3]
    files = {one["structure"]: one for one in found if one["event"] == "voxels"}
    bits = np.load(job.parent / files[0]["file"])
    assert [(bits == bit).sum() for bit in (MISSED, EXTRA, CORRECT)] == [20, 0, 40] and files[0]["first"] == [1, 1, 1]
    together = np.load(job.parent / files[None]["file"])
    assert [(together == bit).sum() for bit in (MISSED, EXTRA, CORRECT)] == [60, 0, 40]
    (case,) = (one["scores"] for one in found if one["event"] == "case")
    assert (case["mask_correct"], case["mask_wrong"]) == (0.25, pytest.approx((20 * 0.25 + 40 * 0.75) / 60))


def test_voxels_of_structures_on_different_grids_come_together_on_that_of_the_first(tmp_path: Path, capsys):
    first, fine = box((1, 1, 1), (3, 3, 3), (4, 4, 4)), box((0, 0, 0), (2, 2, 2), (2, 2, 2))
    matrix = np.diag([0.5, 0.5, 0.5, 1])
    # the eight fine voxels fill the voxel (3, 3, 3) of the first grid
    matrix[:3, 3] = 2.75
    layers = [
        {"file": "first.npy", "first": [0, 0, 0], "matrix": np.eye(4).tolist()},
        {"file": "fine.npy", "first": [0, 0, 0], "matrix": matrix.tolist()},
    ]
    both = {"layers": layers, "segments": {"a": (0, 1), "b": (1, 1)}}
    nothing = {"layers": [], "segments": {"none": (None, 0)}}
    case = {"compared": nothing, "reference": both, "structures": [["none", "a"], ["none", "b"]], "mask": None}
    job = write_job(tmp_path, [case], first=first.astype(np.uint8), fine=fine.astype(np.uint8))
    assert main([str(job)]) == ExitCode.DONE
    last = events(capsys.readouterr().out)[-1]
    bits = np.load(tmp_path / last["file"])
    places = np.argwhere(bits == MISSED) + last["first"]
    assert places.tolist() == [*(np.argwhere(first)).tolist(), [3, 3, 3]] and last["matrix"] == np.eye(4).tolist()


def test_a_full_disk_is_one_line_and_exit_code_2(job: Path, capsys, monkeypatch):
    import errno

    def full(path, bits):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(np, "save", full)
    assert main([str(job)]) == ExitCode.INPUT_ERROR
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("error: ") and "make space in the folder for temporary files" in lines[-1]


def test_it_needs_nothing_that_slicer_does_not_bring(job: Path):
    code = "\n".join(
        (
            "import sys, numpy, scipy.ndimage; before = set(sys.modules)",
            "from GlobalLocalAlignmentLib.masks.segmentcomparison import main",
            f"code = main([{str(job)!r}])",
            "names = {name.partition('.')[0] for name in set(sys.modules) - before}",
            "print(code, *(names - set(sys.stdlib_module_names)))",
        )
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT / "GlobalLocalAlignment")
    assert set(done.stdout.splitlines()[-1].split()) - BROUGHT == {"0", "GlobalLocalAlignmentLib"}


def test_slicer_calls_it_as_a_module_of_the_core(job: Path, tmp_path: Path):
    seen, codes = [], []
    process = BackgroundProcess(
        [str(job)],
        tmp_path / "output.txt",
        seen.append,
        lambda line: seen.append({"event": line}),
        codes.append,
        startTimer=lambda function, milliseconds: lambda: None,
        module="GlobalLocalAlignmentLib.masks.segmentcomparison",
    )
    process.start()
    process._process.wait(timeout=60)
    while not codes:
        process.poll()
    assert codes == [0] and [one["event"] for one in seen].count("structure") == 3
