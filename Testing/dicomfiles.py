"""DICOM series as a scanner exports them, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

STACK = [(-10.0, 20.0, height) for height in (0.0, 3.0, 6.0, 9.0, 12.0)]
"""Places of five slices (LPS, mm)."""


def write_series(
    folder: Path,
    origins: list[tuple[float, float, float]],
    series: str = "1.2.3",
    columns: int = 8,
    directions: str = r"1\0\0\0\1\0",
    header: Mapping[str, str] | None = None,
    planes: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (0.8, 0.9, 3.0),
) -> None:
    """CT slices of six rows and so many columns at the given places (LPS, mm).

    Args:
        folder: is made where it is not there.
        origins: places of the slices.
        series: UID.
        columns: of noise, where no planes are given.
        directions: of rows and columns, as DICOM writes them.
        header: further tags, or others than those of a CT.
        planes: (N, rows, columns) values.
        spacing: along columns and rows, and thickness, mm.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index, origin in enumerate(origins):
        plane = np.random.default_rng(index).integers(-900, 900, (6, columns)) if planes is None else planes[index]
        image = sitk.GetImageFromArray(plane[None].astype(np.int16))
        image.SetSpacing(spacing)
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{series}.{plane.shape[1]}.{index + 1}",
            "0008|0060": "CT",
            "0008|103e": f"Series {series}",
            "0010|0010": "Muster^Erika",
            "0010|0020": "P-4711",
            "0020|000d": "1.2.4",
            "0020|000e": series,
            "0020|0013": str(index + 1),
            "0020|0032": "\\".join(map(str, origin)),
            "0020|0037": directions,
        }
        for tag, value in (tags | dict(header or {})).items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}_{plane.shape[1]}_{index}.dcm"))
        writer.Execute(image)
