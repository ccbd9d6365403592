"""The crop that related work does with the labels of its target: off unless somebody asks for it in so many words.

It leaves the slices near the structures alone and so tells a network, by labels of the target that an unsupervised
method must not read, where the structures are and where they are not.
"""

from __future__ import annotations

import numpy as np
from nibabel.orientations import io_orientation

from ..errors import InputError
from ..slicegrid import SLICE_AXIS
from ..volumes import Volume
from .published import LabelledCase

MARGIN = 2
"""Slices without labels that are kept on each side, as DAR-UNet's preparation of BTCV keeps them."""


def crop_by_labels(case: LabelledCase, orientation: str, name: str) -> LabelledCase:
    """A case cut to the slices between its first and its last labelled one, and a few more.

    Args:
        case: image and labels.
        orientation: plane of the slices, ``axial`` or ``coronal``.
        name: of the case, for messages.

    Raises:
        InputError: no slice is labelled.
    """
    world = io_orientation(case.image.ijk_to_ras)[:, 0].astype(int)
    axis = int(np.flatnonzero(world == SLICE_AXIS[orientation])[0])
    others = tuple(other for other in range(3) if other != axis)
    labelled = np.flatnonzero(case.labelmap.array.any(axis=others))
    if not len(labelled):
        raise InputError(f"case {name}", "has no labelled slice to crop to", "prepare it without the paper's protocol")
    first = max(0, int(labelled[0]) - MARGIN)
    kept = [slice(None)] * 3
    kept[axis] = slice(first, int(labelled[-1]) + MARGIN + 1)
    ijk_to_ras = case.image.ijk_to_ras.copy()
    ijk_to_ras[:3, 3] += first * ijk_to_ras[:3, axis]
    image, labelmap = (Volume(volume.array[tuple(kept)], ijk_to_ras) for volume in (case.image, case.labelmap))
    return LabelledCase(image, labelmap, case.remarks)
