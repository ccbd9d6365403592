"""BTCV, the abdominal CT of the multi-atlas labelling challenge (Synapse), as its site publishes it.

``img/img0001.nii.gz`` and ``label/label0001.nii.gz`` side by side. Folders ``img`` without a folder ``label`` beside
them, as that of the challenge's test volumes, are passed over.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from ..errors import ErrorCollector
from .published import LabelTable, PublishedCase, read_pair

LABELS = LabelTable(classes={6: 1, 2: 2, 3: 3, 1: 4}, background=(4, 5, 7, 8, 9, 10, 11, 12, 13), slips={})
IMAGE_NAME = re.compile(r"img(?P<number>\d+)(?P<suffix>\.nii(\.gz)?)")

WANTED = "folders img and label with files named as img0001.nii.gz and label0001.nii.gz"
GEOMETRY = "as published"


def find(source: Path, collector: ErrorCollector) -> list[PublishedCase]:
    """All labelled cases below a folder, by name."""
    cases = []
    for path in sorted(source.rglob("img*.nii*")):
        match, labels = IMAGE_NAME.fullmatch(path.name), path.parent.with_name("label")
        if match and path.parent.name == "img" and labels.is_dir():
            labelmap = labels / f"label{match['number']}{match['suffix']}"
            cases.append(PublishedCase(f"ct_{match['number']}", "CT", path, partial(read_pair, path, labelmap, LABELS)))
    return cases
