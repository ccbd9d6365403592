"""Find the volumes of a folder, name their cases, and pair images with label maps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .errors import InputError
from .formats.volumereaders import DICOM_SUFFIXES, VOLUME_SUFFIXES, is_dicom_file

IMAGE_WORDS = ("image", "images", "img", "volume")
LABEL_WORDS = ("label", "labels", "labelmap", "segmentation", "seg", "mask", "gt", "truth")
LABEL_FOLDERS = frozenset(LABEL_WORDS)
EXTRA_NAMES = re.compile(r".+_(feature_mask|synthesized|source_style|target_style|probability_[a-z0-9_]+)", re.I)
"""What a prediction writes beside a segmentation; in a folder these are never inputs."""

_ANY_WORD = "|".join(IMAGE_WORDS + LABEL_WORDS)
WORD_AT_AN_END = re.compile(rf"(?:{_ANY_WORD})[_\-. ]+(?P<after>.+)|(?P<before>.+?)[_\-. ]+(?:{_ANY_WORD})", re.I)

Role = Literal["image", "labelmap"]


def find_volumes(inputs: Sequence[Path], role: Role) -> dict[str, Path]:
    """Volumes among files and folders, by case name, in natural order.

    A folder gives its volume files and those of its folders that hold a DICOM series; a folder of DICOM files is
    itself a case. Where a folder mixes images and label maps, their names tell them apart (``image_07``,
    ``label_07``, ``x_segmentation``).

    Raises:
        InputError: an input does not exist, or two files have the same case name.
    """
    found: dict[str, Path] = {}
    for path in inputs:
        for entry in _entries(Path(path), role):
            name = case_name(entry)
            if name in found and found[name] != entry:
                raise InputError(
                    entry,
                    f"has the same case name ({name}) as {found[name]}",
                    "rename one or name the files one by one",
                )
            found[name] = entry
    return dict(sorted(found.items(), key=lambda item: natural_order(item[0])))


def find_volumes_below(root: Path, role: Role) -> dict[str, Path]:
    """Volumes of a folder and of all folders below it, by case name and the folders that lead there: ``clinic/07``.

    A folder that is called by what it holds, ``images`` or ``labels``, is no part of a name, so that a result and its
    reference have the same. For the rest see ``find_volumes``.

    Raises:
        InputError: the folder does not exist or cannot be read, or two files have the same name.
    """
    if not Path(root).is_dir() or _is_series(root):
        return find_volumes([root], role)
    found: dict[str, Path] = {}
    for folder, entries in _volumes_below(root, role).items():
        above = [part for part in folder.relative_to(root).parts if part.lower() not in IMAGE_WORDS + LABEL_WORDS]
        for entry in entries:
            name = "/".join([*above, case_name(entry)])
            if name in found:
                raise InputError(entry, f"has the same case name ({name}) as {found[name]}", "rename one of them")
            found[name] = entry
    return dict(sorted(found.items(), key=lambda item: natural_order(item[0])))


def _volumes_below(root: Path, role: Role) -> dict[Path, list[Path]]:
    """Volumes by the folder that they lie in; where some lie in folders of label maps, those alone for that role."""
    found: dict[Path, list[Path]] = {}
    waiting, seen = [root], set()
    while waiting:
        folder = waiting.pop(0)
        real = folder.resolve()
        if real in seen:
            # a link that leads back
            continue
        seen.add(real)
        found[folder] = _entries(folder, role)
        waiting += [entry for entry in visible(folder) if entry.is_dir() and not _is_series(entry)]
    labelled = {folder for folder in found if {part.lower() for part in folder.relative_to(root).parts} & LABEL_FOLDERS}
    if role == "labelmap" and any(found[folder] for folder in labelled):
        return {folder: entries for folder, entries in found.items() if folder in labelled}
    return found


def pair_cases(images: dict[str, Path], labelmaps: dict[str, Path]) -> dict[str, tuple[Path, Path]]:
    """Image and label map of each case; label maps without an image are left out.

    Raises:
        InputError: a case without its label, or no case at all.
    """
    if not images:
        raise InputError("images", "hold no case", "name a folder with volumes")
    missing = [name for name in images if name not in labelmaps]
    if missing:
        raise without_labelmap(missing[0], images[missing[0]], len(missing) - 1)
    return {name: (path, labelmaps[name]) for name, path in images.items()}


def without_labelmap(name: str, image: Path, more: int = 0) -> InputError:
    """The error of a case, and so many more, that should have a label map and has none."""
    rest = f" and {more} more" if more else ""
    return InputError(image, f"has no label map for case {name}{rest}", f"add label_{name} or exclude the case")


def case_name(path: Path) -> str:
    """File name without suffix and without image or label words at either end: ``image_07.nii.gz`` -> ``07``."""
    name = stem(path)
    while shorter := WORD_AT_AN_END.fullmatch(name):
        name = shorter["after"] or shorter["before"]
    return name


def _entries(path: Path, role: Role) -> list[Path]:
    try:
        return _chosen(path, role)
    except OSError as error:
        raise InputError(
            error.filename or path, f"cannot be read ({error.strerror})", "check its permissions"
        ) from error


def _chosen(path: Path, role: Role) -> list[Path]:
    if not path.exists():
        raise InputError(path, "does not exist", "check the path")
    if path.is_file() or _is_series(path):
        return [path]
    volumes = [entry for entry in visible(path) if is_volume(entry) or _is_series(entry)]
    volumes = [entry for entry in volumes if not EXTRA_NAMES.fullmatch(stem(entry))]
    labels = [entry for entry in volumes if named_as_label(entry)]
    if role == "image":
        images = [entry for entry in volumes if entry not in labels]
        return images or volumes
    return labels or volumes


def named_as_label(path: Path) -> bool:
    """Whether a name begins or ends with a word for labels."""
    parts = re.split(r"[_\-. ]+", stem(path).lower())
    return len(parts) > 1 and (parts[0] in LABEL_WORDS or parts[-1] in LABEL_WORDS)


def visible(folder: Path) -> list[Path]:
    """Entries of a folder that are not hidden, sorted."""
    return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]


def is_volume(path: Path) -> bool:
    """Whether a path is a file with the suffix of a volume."""
    return path.is_file() and path.name.lower().endswith(VOLUME_SUFFIXES)


def _is_series(path: Path) -> bool:
    """A folder with a DICOM file and without volume files; a text or a DICOMDIR beside them does not count."""
    if not path.is_dir():
        return False
    files = [entry for entry in visible(path) if entry.is_file() and entry.name.upper() != "DICOMDIR"]
    return not any(map(is_volume, files)) and any(map(is_dicom_file, files))


def stem(path: Path) -> str:
    """File name without the suffix of a volume; the name of a folder."""
    lowered = path.name.lower()
    for suffix in VOLUME_SUFFIXES:
        if lowered.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem if path.suffix.lower() in DICOM_SUFFIXES else path.name


def natural_order(name: str) -> list[tuple[int, str]]:
    """Key to sort names by: case 9 before case 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
