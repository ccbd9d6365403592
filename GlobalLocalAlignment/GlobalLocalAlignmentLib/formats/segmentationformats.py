"""Segmentations as files: label maps, Slicer's own .seg.nrrd with names, colours and terms, DICOM segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..config import Label
from ..errors import InputError
from ..volumes import Volume, write_volume
from .segmentationfile import write_segmentation

NIFTI, NRRD, SEG_NRRD, DICOM_SEG = "nii.gz", "nrrd", "seg.nrrd", "dicom-seg"
FORMATS = (NIFTI, NRRD, SEG_NRRD, DICOM_SEG)


def suffix_of(kind: str) -> str:
    """Suffix of segmentations in a format."""
    return ".dcm" if kind == DICOM_SEG else f".{kind}"


def volume_suffix_of(kind: str) -> str:
    """Suffix of the other volumes beside a segmentation in a format."""
    return ".nrrd" if kind in (NRRD, SEG_NRRD) else ".nii.gz"


def check_format(kind: str) -> None:
    """Refuse a format that is not known or cannot be written here.

    Raises:
        InputError: with what to install, where something is missing.
    """
    if kind not in FORMATS:
        raise InputError(f"--format {kind}", "is not known", f"choose one of {', '.join(FORMATS)}")
    if kind == DICOM_SEG:
        from .dicomsegmentation import check_installed

        check_installed()


def write_in_format(
    labelmap: Volume, labels: Sequence[Label], path: Path, kind: str, slices: Sequence[Path] = ()
) -> None:
    """Write a label map in one of ``FORMATS``; a failure leaves what was there before.

    Args:
        labelmap: uint8 values of the labels, 0 for background.
        labels: of the model.
        path: of the file.
        kind: the format.
        slices: files of the DICOM series that was segmented; a DICOM segmentation is of these.

    Raises:
        InputError: it cannot be written.
    """
    if kind == DICOM_SEG:
        from .dicomsegmentation import write_dicom_segmentation

        write_dicom_segmentation(labelmap, labels, path, slices)
    elif kind == SEG_NRRD:
        write_segmentation(labelmap, labels, path, predicted=True)
    else:
        write_volume(labelmap, path)


def labels_present(labelmap: np.ndarray, labels: Sequence[Label]) -> list[Label]:
    """Labels that occur in a label map, in their order."""
    values = set(np.unique(labelmap).tolist())
    return [label for label in labels if label.value in values]
