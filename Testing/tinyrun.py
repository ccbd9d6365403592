"""A training that takes seconds, on tiny phantoms: for tests, and for commands that train again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from GlobalLocalAlignmentLib.config import load_preset, merge
from GlobalLocalAlignmentLib.phantom import PHANTOM_LABELS, write_cohort

TINY = {
    "labels": [{"value": value, "name": name} for value, name in PHANTOM_LABELS["abdomen"].items()],
    "plane": {"spacing": 8.0, "size": [32, 40], "center": "volume"},
    "synthesis": {"width": 4, "blocks": 1, "hidden": 16, "discriminator_width": 4, "iterations": 6, "batch_size": 2},
    "segmentation": {
        "width": 4,
        "blocks": [1, 1, 1, 2],
        "feature_discriminator_width": 64,
        "discriminator_width": 4,
        "iterations": 8,
        "batch_size": 2,
        "warm_up": 2,
        "ramp": 2,
    },
    "training": {"precision": "32", "device": "cpu", "report_every": 2, "preview_every": 100, "checkpoint_every": 3},
}


def write_cohorts(folder: Path) -> Path:
    """Write two MR source cases and two CT target cases, each with images and labels, and return the folder."""
    write_cohort(folder / "source", "abdomen", "MR", 2, 1, (40, 32, 8), (8, 8, 16))
    write_cohort(folder / "target", "abdomen", "CT", 2, 2, (40, 32, 8), (8, 8, 16))
    return folder


def settings_of(cohorts: Path) -> dict[str, Any]:
    """Settings of a tiny training on what ``write_cohorts`` wrote."""
    domains = {
        "source": {"images": [cohorts / "source" / "images"], "labelmaps": [cohorts / "source" / "labels"]},
        "target": {"images": [cohorts / "target" / "images"]},
    }
    return merge(merge(load_preset("phantom"), TINY), domains)
