"""MMWHS hearts as SIFA and PnP-AdaNet released them: the form in which the paper used them.

- Slices: ``ct_train_tfs/ct_train_slice0.tfrecords`` and so on, one example a file: float32 ``data_vol`` and
  ``label_vol`` of 256 x 256 x 3, of which the middle is the slice and its label. They were cropped around the labels,
  cut at their 98th percentile, z-scored by volume and augmented, in random order: which volume a slice is of is not
  known.
- Test volumes: ``image_ct_1003.nii.gz`` with ``gth_ct_1003.nii.gz``, or what SIFA's scripts make of them, an ``.npz``
  with ``arr_0`` and ``arr_1``; z-scored in the same way, turned by half a turn in the plane against the slices.

Sources: the data sections of github.com/cchen-cc/SIFA and github.com/carrenD/Medical-Cross-Modality-Domain-Adaptation.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import ErrorCollector, InputError
from ..formats.volumechecks import refuse_too_large
from ..volumes import Volume, read_labelmap, read_volume
from .example import read_example
from .published import LabelledCase, LabelTable, PublishedCase
from .tfrecord import read_records

LABELS = LabelTable(
    classes={1: 1, 2: 2, 3: 3, 4: 4},
    background=(),
    slips={5: (0, "background")},
)
INTENSITIES = {"CT": (-2.8, 3.2), "MR": (-1.8, 4.4)}
"""Values that become -1 and 1, by modality, as in SIFA's loader."""

SLICE_TO_RAS = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""Rows run from the left of the patient to the right, columns from the feet to the head; by anatomy, the files do not
say it. Which way the slices of a test volume run is not known, and no size in millimetres: each voxel counts as one."""

RECORD_NAME = re.compile(r".+\.tfrecords?", re.IGNORECASE)
TEST_NAME = re.compile(r"(image_)?(?P<modality>ct|mr)_(?P<number>\d{4})(?P<suffix>\.nii(\.gz)?|\.npz)", re.IGNORECASE)
DEPTH, MIDDLE = 3, 1

WANTED = "TFRecords of SIFA (.tfrecords), nor test volumes named as image_ct_1003.nii.gz with gth_ct_1003.nii.gz"
CAUTIONS = {
    "MR": "the MR slices are of all 20 MR volumes, the four test volumes among them; whether these are in training or "
    "in validation is not published, so the MR test volumes may not be unseen ones"
}
GEOMETRY = (
    "voxels of 1 mm are assumed, the release does not give their size; directions by anatomy; whether the slices of a "
    "test volume run to the front or to the back is not known; each training slice is a volume of its own, as the "
    "release does not say which slices belong together"
)


def find(source: Path, collector: ErrorCollector) -> list[PublishedCase]:
    """All slices and test volumes below a folder: slices of training, slices of validation, volumes.

    Args:
        source: the folder.
        collector: gets what is wrong with the names of single files.
    """
    slices, volumes = [], []
    for path in sorted(source.rglob("[!.]*")):
        if RECORD_NAME.fullmatch(path.name):
            with collector:
                slices.append(_slice(path, source))
        elif match := TEST_NAME.fullmatch(path.name):
            volumes.append(_volume(path, match))
    # SIFA's scripts make the .npz from the .nii, so where both are there they are the same
    published = {case.name for case in volumes if case.path.suffix != ".npz"}
    volumes = [case for case in volumes if case.path.suffix != ".npz" or case.name not in published]
    return sorted(slices, key=lambda case: case.validation) + volumes


def _slice(path: Path, source: Path) -> PublishedCase:
    modality = _said(path, source, {"ct": ("ct",), "mr": ("mr",)})
    part = _said(path, source, {"training": ("train", "training"), "validation": ("val", "validation")})
    if modality is None or part is None:
        raise InputError(
            path, "does not say in its name or folder whether it is ct or mr, train or val", "rename its folder"
        )
    stem = path.name.partition(".")[0]
    name = stem if modality in _words(stem) else f"{modality}_{stem}"
    return PublishedCase(name, modality.upper(), path, partial(_read_slice, path), validation=part == "validation")


def _said(path: Path, source: Path, meanings: dict[str, tuple[str, ...]]) -> str | None:
    """The meaning whose words are in the name of a file or else of a folder it is in; the nearest one decides."""
    for place in (path, *path.parents):
        found = [meaning for meaning, words in meanings.items() if set(words) & _words(place.name.partition(".")[0])]
        if len(found) == 1:
            return found[0]
        if place == source:
            break
    return None


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", name.lower()))


def _read_slice(path: Path) -> LabelledCase:
    records = read_records(path)
    if len(records) != 1:
        raise InputError(path, f"holds {len(records)} examples, those of SIFA hold one", "download it again")
    features = read_example(records[0], path)
    image, labels = (_middle(features, name, size, path) for name, size in (("data_vol", "d"), ("label_vol", "l")))
    return _case(image[..., None], labels[..., None], path)


def _middle(features: dict[str, list], name: str, size: str, path: Path) -> np.ndarray:
    """(rows, columns) float32: the slice in the middle of three."""
    try:
        # the third number is not looked at: SIFA's own reader takes three slices of labels whatever it says
        rows, columns = (abs(features[f"{size}size_dim{axis}"][0]) for axis in range(2))
        return np.frombuffer(features[name][0], "<f4").reshape(rows, columns, DEPTH)[..., MIDDLE]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            path, f"holds no {name} of {DEPTH} slices of float32 ({error})", "name files of SIFA's release"
        ) from error


def _volume(path: Path, match: re.Match[str]) -> PublishedCase:
    read = partial(_read_npz if match["suffix"].lower() == ".npz" else _read_nifti, path)
    return PublishedCase(f"{match['modality'].lower()}_{match['number']}", match["modality"].upper(), path, read)


def _read_nifti(path: Path) -> LabelledCase:
    labelmap = path.with_name("gth_" + re.sub("^image_", "", path.name, flags=re.IGNORECASE))
    if not labelmap.is_file():
        raise InputError(path, f"has no label map {labelmap.name}", f"put it into {labelmap.parent}")
    return _turned(read_volume(path).array, read_labelmap(labelmap).array, path)


def _read_npz(path: Path) -> LabelledCase:
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_too_large(path, sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as arrays:
            image, labels = arrays["arr_0"], arrays["arr_1"]
    except (OSError, EOFError, KeyError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            path, f"holds no arrays arr_0 and arr_1 ({error})", "make it again, or use the .nii"
        ) from error
    return _turned(image, labels, path)


def _turned(image: np.ndarray, labels: np.ndarray, path: Path) -> LabelledCase:
    """A test volume in the orientation of the slices."""
    if image.ndim != 3 or image.shape != labels.shape:
        raise InputError(path, f"has images of {image.shape} and labels of {labels.shape}", "download it again")
    return _case(image[::-1, ::-1], labels[::-1, ::-1], path)


def _case(image: np.ndarray, labels: np.ndarray, path: Path) -> LabelledCase:
    if not np.isfinite(image).all():
        raise InputError(path, "holds NaN or infinite values", "download it again")
    if image.min() == image.max():
        raise InputError(path, f"is constant, every voxel is {image.flat[0]:g}", "leave it out")
    if (labels != np.rint(labels)).any():
        raise InputError(path, "holds labels that are not whole numbers", "download it again")
    values, remarks = LABELS.apply(labels, path)
    image = np.ascontiguousarray(image, np.float32)
    return LabelledCase(Volume(image, SLICE_TO_RAS), Volume(values, SLICE_TO_RAS), remarks)
