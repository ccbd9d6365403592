"""Where the wrong voxels of segmentations lie: at the surface of a structure, far from it, or beyond its ends.

    python Testing/Benchmarks/error_places.py --labels FOLDER --names liver "right kidney" ... PREDICTIONS [...]

PREDICTIONS are output folders of gla predict, or of a row of gla ablate (``RESULTS/ct_to_mr/seed_0/predictions/ours``).
Every wrong voxel of a structure, taken for it or left out of it, is counted once: near its true surface (twice the
spacing of the slices that abdomen-cpu learns from, unless told otherwise), far outside of it in a transverse slice that
shows it, far outside in one that does not, or far within it. What each kind costs is given in points of Dice, as means
over the cases, which add up to what Dice lacks of 100.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from environment import describe
from GlobalLocalAlignmentLib.cases import find_volumes_below, pair_cases
from GlobalLocalAlignmentLib.volume import Volume
from GlobalLocalAlignmentLib.volumes import check_same_geometry, read_labelmap
from scipy.ndimage import distance_transform_edt

COLUMNS = ("Dice %", "volume / true", "near", "far outside", "beyond its ends", "far within")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path, nargs="+")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the true label maps")
    parser.add_argument("--names", nargs="+", required=True, help="of the structures, from label value 1 on")
    parser.add_argument("--near", type=float, default=5.5, help="millimetres from the true surface (default 5.5)")
    parser.add_argument("--each", action="store_true", help="also every case by itself")
    options = parser.parse_args()
    print(describe())
    truths = find_volumes_below(options.labels, "labelmap")
    for folder in options.predictions:
        print(f"\n{folder}\n\n| structure | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
        rows: dict[str, list[list[float]]] = {name: [] for name in options.names}
        for case, (path, truth) in pair_cases(find_volumes_below(folder, "labelmap"), truths).items():
            prediction, reference = read_labelmap(path), read_labelmap(truth)
            check_same_geometry(reference, prediction)
            for value, name in enumerate(options.names, start=1):
                if (reference.array == value).any():
                    rows[name].append(places(prediction.array, reference, value, options.near))
                    if options.each:
                        _print(f"{case} {name}", rows[name][-1])
        means = {name: np.mean(found, axis=0) for name, found in rows.items() if found}
        for name, mean in means.items():
            _print(name, mean)
        _print("average", np.mean(list(means.values()), axis=0))


def places(prediction: np.ndarray, reference: Volume, value: int, near: float) -> list[float]:
    """The columns for a structure that a case has.

    Args:
        prediction: label values (I, J, K).
        reference: the true ones on the same grid.
        value: of the structure.
        near: millimetres from its true surface within which an error is one of the border.
    """
    true, found = reference.array == value, prediction == value
    wrong, both = true != found, int(true.sum()) + int(found.sum())
    # to the nearest voxel on the other side of the surface
    distance = np.where(true, *(distance_transform_edt(part, reference.spacing) for part in (true, ~true)))
    far = wrong & (distance > near)
    slices = int(np.abs(reference.ijk_to_ras[2, :3] / reference.spacing).argmax())
    shown = true.any(axis=tuple(axis for axis in range(3) if axis != slices), keepdims=True)
    parts = (wrong & ~far, far & found & shown, far & found & ~shown, far & true)
    dice = 200 * int((true & found).sum()) / both
    return [dice, int(found.sum()) / int(true.sum()), *(100 * int(part.sum()) / both for part in parts)]


def _print(name: str, values: list[float] | np.ndarray) -> None:
    digits = [1, 2, 1, 1, 1, 1]
    print(f"| {name} | {' | '.join(f'{value:.{places}f}' for value, places in zip(values, digits, strict=True))} |")


if __name__ == "__main__":
    main()
