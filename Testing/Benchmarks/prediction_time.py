"""A whole CT volume segmented and written back: time from file to file against the time in the networks.

    python Testing/Benchmarks/prediction_time.py --data FOLDER [--model model.safetensors]

Without a model the untrained networks of the preset are used: their time is the same. The result is read back with
SimpleITK and nibabel and must lie where the input lies.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from environment import describe
from GlobalLocalAlignmentLib.batches.batch import predict_files, result_path
from GlobalLocalAlignmentLib.bundle import load_bundle
from GlobalLocalAlignmentLib.cases import find_volumes
from GlobalLocalAlignmentLib.devices import resolve_device, resolve_precision
from GlobalLocalAlignmentLib.prediction import Outputs, Predictor
from GlobalLocalAlignmentLib.training.events import EventLog
from untrained import write_untrained_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--preset", default="abdomen-cpu")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(describe())
    images = find_volumes([options.data / "ct"], "image")
    # the volume with the most slices
    case = max(images, key=lambda name: nibabel.load(images[name]).shape[2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or write_untrained_model(options.preset, folder / "model.safetensors")
        device = resolve_device("auto")
        predictor = Predictor(load_bundle(model), device, resolve_precision("auto", device))
        print(f"{images[case].name}, {' x '.join(map(str, nibabel.load(images[case]).shape))} voxels")
        for wanted in (Outputs(), Outputs(feature_mask=True)):
            ratios = [_measure(predictor, case, images[case], folder, wanted) for _ in range(options.repeats + 1)]
            # the first pass warms up
            kind = "label map and mask" if wanted.feature_mask else "label map"
            whole, networks = np.median(ratios[1:], axis=0)
            print(f"{kind}: {whole:.2f} s, networks alone {networks:.2f} s, ratio {whole / networks:.2f}")
        _check(images[case], result_path(folder, images[case], "segmentation"))


def _measure(predictor: Predictor, case: str, image: Path, folder: Path, wanted: Outputs) -> tuple[float, float]:
    started = time.perf_counter()
    seconds = predict_files(predictor, {case: image}, folder, wanted, EventLog(None))
    return time.perf_counter() - started, seconds[case]


def _check(image: Path, result: Path) -> None:
    first, second = sitk.ReadImage(str(image)), sitk.ReadImage(str(result))
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        if not np.allclose(getattr(first, name)(), getattr(second, name)(), atol=1e-4):
            raise SystemExit(f"SimpleITK: {name} differs")
    before, after = nibabel.load(image), nibabel.load(result)
    if before.shape != after.shape or not np.allclose(before.affine, after.affine, atol=1e-4):
        raise SystemExit("nibabel: the geometry differs")
    print("the result has the input's geometry in SimpleITK and in nibabel")


if __name__ == "__main__":
    main()
