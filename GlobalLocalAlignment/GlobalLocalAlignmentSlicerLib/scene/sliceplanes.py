"""Anatomical planes: in which a volume was taken, and how people call them."""

from __future__ import annotations

import numpy as np

from ..translation import tr as _

THICK_RATIO = 1.5
"""A volume is taken to consist of slices where its voxels are this much longer along one axis."""

NORMALS = ("sagittal", "coronal", "axial")
"""Plane whose normal is R, A or S."""


def planeName(plane: str) -> str:
    """A plane as people read it."""
    return {"sagittal": _("sagittal"), "coronal": _("coronal"), "axial": _("axial")}.get(plane, plane)


def slicePlane(matrix: np.ndarray) -> str:
    """Plane in which a volume was taken, from its matrix to RAS (4, 4); empty where its voxels are nearly cubes."""
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    thick = int(spacing.argmax())
    if spacing[thick] < THICK_RATIO * np.delete(spacing, thick).max():
        return ""
    return NORMALS[int(np.abs(matrix[:3, thick]).argmax())]
