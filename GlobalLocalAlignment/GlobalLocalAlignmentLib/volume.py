"""A volume in memory: voxels with their place in the patient. Needs nothing but NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Volume:
    """Voxels with their place in the patient.

    Attributes:
        array: (I, J, K) values.
        ijk_to_ras: (4, 4) float64, voxel index to RAS millimetres.
        path: where it was read from, for messages.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    path: Path | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along I, J and K."""
        return self.array.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels along I, J and K."""
        return tuple(float(length) for length in np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0))


def volume_suffix(path: Path) -> str:
    """Suffix in lower case, ``.nii.gz`` as one."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def refuse_name(path: Path) -> None:
    """Raise InputError for a name that is no text: ITK ends the process that gives it one."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(path, "has a name that is no UTF-8, or lies in a folder with one", "rename it") from None
