"""The data sets, with what is published about them beside their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ErrorCollector, InputError
from . import DATA_SETS, btcv, chaos, mmwhs, sifa
from .published import PublishedCase

HEART_TESTS = {
    "CT": ("ct_1003", "ct_1008", "ct_1014", "ct_1019"),
    "MR": ("mr_1007", "mr_1009", "mr_1018", "mr_1019"),
}
HEART_TESTS_SOURCE = "test cases of SIFA (Chen et al., IEEE TMI 2020): its released CT volumes and its issue 6 for MR"
ABDOMEN_TESTS_SOURCE = (
    "test cases of SIFA (Chen et al., IEEE TMI 2020), from its issue 34; its authors published no others"
)


@dataclass(frozen=True)
class DataSet:
    """A data set and how its cases are used.

    Attributes:
        name: for ``gla prepare``.
        find: finds its cases below a folder; the collector gets what is wrong with single files.
        wanted: what it looks for, for messages.
        preset: paper's settings for it.
        goes_with: data sets whose cases may be the other domain, in the same output folder.
        orientation: plane of the slices in that preset.
        geometry: where voxel sizes and directions come from, and what is not known of them.
        tests: names of the published test cases by modality.
        tests_source: who published them.
        intensities: values that become -1 and 1, by modality, where the values are no longer those of the scanner.
        cropped_by_authors: whether its authors cropped it by labels of both modalities already.
        cautions: what may spoil results on a modality.
    """

    name: str
    find: Callable[[Path, ErrorCollector], list[PublishedCase]]
    wanted: str
    preset: str
    goes_with: tuple[str, ...]
    orientation: str
    geometry: str
    tests: Mapping[str, tuple[str, ...]]
    tests_source: str
    intensities: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    cropped_by_authors: bool = False
    cautions: Mapping[str, str] = field(default_factory=dict)


def data_set(name: str) -> DataSet:
    """A data set by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in DATA_SETS:
        raise InputError(f"data set {name}", "is not known", f"choose from {', '.join(DATA_SETS)}")
    return next(entry for entry in _CATALOG if entry.name == name)


_CATALOG = (
    DataSet(
        name="mmwhs",
        find=mmwhs.find,
        wanted=mmwhs.WANTED,
        preset="cardiac",
        goes_with=("mmwhs",),
        orientation="coronal",
        geometry=mmwhs.GEOMETRY,
        tests=HEART_TESTS,
        tests_source=HEART_TESTS_SOURCE,
    ),
    DataSet(
        name="sifa",
        find=sifa.find,
        wanted=sifa.WANTED,
        preset="cardiac",
        goes_with=("sifa",),
        orientation="coronal",
        geometry=sifa.GEOMETRY,
        tests=HEART_TESTS,
        tests_source=HEART_TESTS_SOURCE,
        intensities=sifa.INTENSITIES,
        cropped_by_authors=True,
        cautions=sifa.CAUTIONS,
    ),
    DataSet(
        name="btcv",
        find=btcv.find,
        wanted=btcv.WANTED,
        preset="abdomen",
        goes_with=("chaos",),
        orientation="axial",
        geometry=btcv.GEOMETRY,
        tests={"CT": ("ct_0001", "ct_0009", "ct_0030", "ct_0032", "ct_0033", "ct_0039")},
        tests_source=ABDOMEN_TESTS_SOURCE,
    ),
    DataSet(
        name="chaos",
        find=chaos.find,
        wanted=chaos.WANTED,
        preset="abdomen",
        goes_with=("btcv",),
        orientation="axial",
        geometry=chaos.GEOMETRY,
        tests={"MR": ("mr_1", "mr_13", "mr_32", "mr_38")},
        tests_source=ABDOMEN_TESTS_SOURCE,
    ),
)
