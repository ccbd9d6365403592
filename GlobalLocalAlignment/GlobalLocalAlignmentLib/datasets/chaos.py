"""CHAOS 2019, abdominal MR (T2-SPIR) as its site publishes it: DICOM slices, and a PNG of labels for each.

``Train_Sets/MR/<case>/T2SPIR/DICOM_anon/*.dcm`` and ``Train_Sets/MR/<case>/T2SPIR/Ground/*.png``. Test sets, which have
no labels, the T1 series and the CT are passed over. Voxels and geometry alone are taken from the DICOM files: no text
of their headers goes anywhere.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import ErrorCollector, InputError
from ..formats.volumereaders import is_dicom_file, read_slices
from ..volumes import Volume
from .published import LabelledCase, LabelTable, PublishedCase

LABELS = LabelTable(classes={63: 1, 126: 2, 189: 3, 252: 4}, background=(), slips={})
SERIES, IMAGES, TRUTH = "T2SPIR", "DICOM_anon", "Ground"

WANTED = f"folders {SERIES} with {IMAGES} and {TRUTH}"
GEOMETRY = "from the headers of the DICOM files"


def find(source: Path, collector: ErrorCollector) -> list[PublishedCase]:
    """All labelled cases below a folder, by name."""
    folders = [source, *source.rglob(SERIES)] if source.name == SERIES else sorted(source.rglob(SERIES))
    return [
        PublishedCase(f"mr_{folder.parent.name}", "MR", folder, partial(_read, folder))
        for folder in folders
        if (folder / IMAGES).is_dir() and not ("Test_Sets" in folder.parts and not (folder / TRUTH).exists())
    ]


def _read(folder: Path) -> LabelledCase:
    slices = [path for path in _listed(folder / IMAGES) if is_dicom_file(path)]
    truths = [path for path in _listed(folder / TRUTH) if path.suffix.lower() == ".png"]
    if not slices:
        raise InputError(folder / IMAGES, "holds no DICOM file", "download it again")
    if len(slices) != len(truths):
        raise InputError(
            folder, f"has {len(slices)} DICOM slices and {len(truths)} label images", "download the case again"
        )
    slices, truths = sorted(slices, key=_number), sorted(truths, key=_number)
    if [_number(path) for path in slices] != [_number(path) for path in truths]:
        raise InputError(folder, "has label images with other numbers than its DICOM slices", "download it again")
    array, ijk_to_ras, order = read_slices(folder / IMAGES, slices)
    planes, remarks = zip(*(_labels(truths[place], array.shape[:2]) for place in order), strict=True)
    labels = Volume(np.stack(planes, axis=-1), ijk_to_ras)
    return LabelledCase(Volume(array, ijk_to_ras), labels, tuple(dict.fromkeys(sum(remarks, ()))))


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(folder, "does not exist", "download the case again")
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


def _number(path: Path) -> int:
    """The last number in a name: ``IMG-0004-00012.dcm`` and ``IMG-0004-00012.png`` are the same slice."""
    numbers = re.findall(r"\d+", path.stem)
    if not numbers:
        raise InputError(path, "has no number in its name that would tell its slice", "download the case again")
    return int(numbers[-1])


def _labels(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, tuple[str, ...]]:
    """(columns, rows) uint8 of one label image."""
    try:
        # the same order of rows and columns as in the DICOM slice, first row at the top in both
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T
    except RuntimeError as error:
        raise InputError(path, "cannot be read, it is damaged or cut short", "download it again") from error
    if array.shape != size:
        raise InputError(path, f"is no gray image of {size[0]} x {size[1]} as its slice", "download the case again")
    return LABELS.apply(array, path)
