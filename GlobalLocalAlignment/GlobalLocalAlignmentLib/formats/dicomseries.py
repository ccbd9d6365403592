"""DICOM series of a folder tree: what each is, and which one of a study is segmented."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from .volumechecks import unheard

LEAST_SLICES = 5
"""A series of fewer is no volume that is worth a segmentation: localizers, single pictures, key images."""

SCREEN_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"
"""Start of the classes of pictures that were taken from a screen or a film."""

NO_IMAGES = frozenset(("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "SR", "PR", "KO", "REG", "FID", "RWV", "DOC"))
"""Modalities of what was made from images."""

SERIES_TAG, STUDY_TAG, PATIENT_TAG = "0020|000e", "0020|000d", "0010|0020"
"""UIDs of series and study, and the ID of the patient, since careless pseudonyms may give two patients one study."""


@dataclass(frozen=True)
class Series:
    """A DICOM series. ``study`` tells studies apart and is kept nowhere.

    Attributes:
        folder: where its files are; what they share, where they are in several folders.
        uid: of the series, the name of its first file where it has none.
        files: its files, unordered where they come from several folders.
        slices: number of them, in one file or in many.
        number: as the scanner counts the series of a study, -1 where it does not.
        modality: as DICOM names it, empty where the files hold no image.
        unsuitable: why it is nothing to segment by what its header says, empty where it is.
    """

    folder: Path
    files: tuple[Path, ...]
    uid: str
    study: tuple[str, ...]
    slices: int
    number: int
    modality: str
    unsuitable: str

    @property
    def too_few(self) -> str:
        """What is said where it has too few slices, else empty."""
        return f"has {self.slices} slices, too few" if self.slices < LEAST_SLICES else ""

    @property
    def title(self) -> str:
        """What it is called towards people; no text of its header, in which names may stand."""
        return f"series {self.number}" if self.number >= 0 else "a series without a number"


def all_series(folders: Mapping[Path, Mapping[str, tuple[str, ...]]], modality: str) -> list[Series]:
    """The series in folders. One whose files lie in several of them, as some archives export it, is one series.

    Args:
        folders: what ``find_series`` gives for each.
        modality: of the volumes that a model segments; a series of another known one is unsuitable.
    """
    places: dict[str, dict[Path, tuple[str, ...]]] = defaultdict(dict)
    for folder, found in folders.items():
        for names in found.values():
            # where pseudonyms took the UID away nothing says that two series are one
            key = _header(names[0]).get(SERIES_TAG) or names[0]
            places[key][folder] = places[key].get(folder, ()) + tuple(names)
    return [_series(where, modality) for where in places.values()]


def chosen_of_study(series: list[Series]) -> Series:
    """The one of several suitable series of a study that is segmented: most slices, then the lowest number."""
    return min(series, key=lambda one: (-one.slices, one.number if one.number >= 0 else 1 << 30, one.uid))


def _series(places: dict[Path, tuple[str, ...]], modality: str) -> Series:
    files = tuple(Path(name) for names in places.values() for name in names)
    header = _header(str(files[0]))
    # likewise of studies
    uid, patient, study = header.get(SERIES_TAG) or files[0].name, header.get(PATIENT_TAG, ""), header.get(STUDY_TAG)
    slices = int(header["slices"]) if len(files) == 1 else len(files)
    own = header.get("0008|0060", "")
    number = header.get("0020|0011", "")
    return Series(
        _common(list(places)),
        files,
        uid,
        (patient, study) if study else (str(files[0]),),
        slices,
        int(number) if number.isdecimal() else -1,
        own,
        _unsuitable(header, own, slices, modality),
    )


def _unsuitable(header: dict[str, str], own: str, slices: int, modality: str) -> str:
    kinds = header.get("0008|0008", "").upper().split("\\")
    wanted = next((known for known in ("CT", "MR") if modality.upper().startswith(known)), "")
    if not slices or own in NO_IMAGES:
        return f"holds no image ({own})" if own else "holds no image"
    if header.get("0008|0016", "").startswith(SCREEN_CAPTURES):
        return "is a picture of a screen"
    if "LOCALIZER" in kinds or "SCOUT" in kinds:
        return "is a localizer"
    if wanted and own and own != wanted:
        return f"is {own}, the model segments {wanted}"
    return ""


def _header(name: str) -> dict[str, str]:
    """Tags of a DICOM file and the number of its slices, which is 0 where it holds no image."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    try:
        with unheard():
            reader.ReadImageInformation()
    except RuntimeError:
        return {"slices": "0"}
    tags = {tag: reader.GetMetaData(tag).strip().strip("\0") for tag in reader.GetMetaDataKeys()}
    size = reader.GetSize()
    return tags | {"slices": str(size[2] if len(size) > 2 else 1)}


def _common(folders: list[Path]) -> Path:
    first, *others = folders
    return next(
        (parent for parent in (first, *first.parents) if all(parent in (one, *one.parents) for one in others)), first
    )
