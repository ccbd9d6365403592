"""What the readers of all data sets give: cases that are found first and read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..volumes import Volume, check_same_geometry, read_labelmap, read_volume


@dataclass(frozen=True)
class LabelledCase:
    """A case that was read.

    Attributes:
        image: as published.
        labelmap: uint8, values 0 (background) to 4, in the geometry of the image.
        remarks: what a user should know of it; the same words for the same thing, so that cases can be counted.
    """

    image: Volume
    labelmap: Volume
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedCase:
    """A case that was found and not read yet.

    Attributes:
        name: in our folders.
        modality: ``CT`` or ``MR``.
        path: file or folder it comes from, for messages.
        read: reads it; raises InputError where it cannot be used.
        validation: whether its site calls it a validation case; such cases get a folder of their own.
    """

    name: str
    modality: str
    path: Path
    read: Callable[[], LabelledCase]
    validation: bool = False


@dataclass(frozen=True)
class LabelTable:
    """What the label values of a data set become.

    Attributes:
        classes: published value -> 1 to 4.
        background: other published values, which become 0.
        slips: values that the site does not list and that occur: value -> (1 to 4 or 0, what is done with it).
    """

    classes: Mapping[int, int]
    background: tuple[int, ...]
    slips: Mapping[int, tuple[int, str]]

    def apply(self, array: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
        """Label values as uint8 of the same shape, and a remark for each slip.

        Raises:
            InputError: a value that is in no list.
        """
        result, remarks = np.zeros(array.shape, np.uint8), []
        for value in map(int, np.unique(array)):
            if value in self.classes:
                result[array == value] = self.classes[value]
            elif value in self.slips:
                replacement, words = self.slips[value]
                result[array == value] = replacement
                remarks.append(f"label value {value}, which is not documented, is taken as {words}")
            elif value and value not in self.background:
                known = ", ".join(map(str, sorted({0, *self.classes, *self.background, *self.slips})))
                raise InputError(path, f"holds label value {value}", f"this data set has {known}; download it again")
        return result, tuple(remarks)


def read_pair(image: Path, labelmap: Path, table: LabelTable) -> LabelledCase:
    """A case whose image and label map are volume files.

    Raises:
        InputError: one of them is missing or cannot be used, or they do not belong together.
    """
    if not labelmap.is_file():
        raise InputError(image, f"has no label map {labelmap.name}", f"put it into {labelmap.parent}")
    volume, labels = read_volume(image), read_labelmap(labelmap)
    check_same_geometry(volume, labels)
    values, remarks = table.apply(labels.array, labelmap)
    return LabelledCase(volume, Volume(values, volume.ijk_to_ras), remarks)
