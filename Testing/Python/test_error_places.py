"""What each kind of error is said to cost: together all that Dice lacks, each where it lies."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.volume import Volume

PROGRAM = Path(__file__).resolve().parents[1] / "Benchmarks" / "error_places.py"
DICE, RATIO, NEAR, OUTSIDE, BEYOND, WITHIN = range(6)


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest):
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(PROGRAM.parent))
    request.addfinalizer(patch.undo)
    spec = importlib.util.spec_from_file_location("error_places", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.places


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize(
    "kind, box, voxels",
    [
        # the structure fills 10 to 29 along all three axes, of voxels of 1, 2 and 5 mm
        (NEAR, np.s_[34:35, 10:30, 10:30], 400),
        (NEAR, np.s_[10:30, 10:30, 30:31], 400),
        (OUTSIDE, np.s_[36:38, 12:14, 12:14], 8),
        (OUTSIDE, np.s_[12:14, 33:34, 12:14], 4),
        (BEYOND, np.s_[12:14, 12:14, 31:34], 12),
        (WITHIN, np.s_[18:20, 18:20, 18:20], 8),
    ],
)
def test_an_error_costs_dice_where_it_lies(places, kind: int, box: tuple[slice, ...], voxels: int, axis: int):
    reference, prediction = np.zeros((2, 40, 40, 40), np.uint8)
    reference[10:30, 10:30, 10:30] = 3
    prediction[:] = reference
    prediction[box] = 1 if kind == WITHIN else 3
    # transverse slices lie along the axis that points to the head, whichever it is
    order = [2, 1, 0] if axis == 0 else [0, 1, 2]
    affine = np.eye(4)
    # tilted by 30 degrees about the axis across, as scans of the heart are
    tilt = np.array([[1, 0, 0], [0, 0.866, -0.5], [0, 0.5, 0.866]])
    affine[:3, :3] = (tilt * [1, 2, 5])[:, order]
    row = places(prediction.transpose(order), Volume(reference.transpose(order), affine), 3, 5.5)
    both = int((reference == 3).sum()) + int((prediction == 3).sum())
    assert row[kind] == pytest.approx(100 * voxels / both)
    assert sum(row[NEAR:]) == pytest.approx(row[kind]) == pytest.approx(100 - row[DICE])
    assert row[RATIO] == pytest.approx((prediction == 3).sum() / (reference == 3).sum())
