"""MMWHS 2017, the hearts of the whole heart segmentation challenge, as its site publishes them.

``ct_train_1001_image.nii.gz`` and ``ct_train_1001_label.nii.gz``, the same for ``mr``, in any folders; the unlabelled
``_test_`` volumes are passed over.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ..errors import ErrorCollector
from .published import LabelTable, PublishedCase, read_pair

LABELS = LabelTable(
    classes={205: 1, 420: 2, 500: 3, 820: 4},
    background=(550, 600, 850),
    slips={421: (2, "420, the left atrium")},
)
IMAGE_NAME = re.compile(r"(?P<modality>ct|mr)_train_(?P<number>\d+)_image(?P<suffix>\.nii(\.gz)?)", re.IGNORECASE)

WANTED = "files named as ct_train_1001_image.nii.gz"
GEOMETRY = "as published"


def find(source: Path, collector: ErrorCollector) -> list[PublishedCase]:
    """All labelled cases below a folder, by name."""
    cases = []
    for path in sorted(source.rglob("*_image.nii*")):
        if match := IMAGE_NAME.fullmatch(path.name):
            labelmap = path.with_name(re.sub("_image(?=.nii)", "_label", path.name, flags=re.IGNORECASE))
            name = f"{match['modality'].lower()}_{match['number']}"
            cases.append(
                PublishedCase(name, match["modality"].upper(), path, partial(read_pair, path, labelmap, LABELS))
            )
    return cases
