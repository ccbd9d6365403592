"""Which phantoms the demo is made of: the same ones are Slicer's sample data. Needs the standard library alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PhantomCohort:
    """Phantoms that are used together.

    Attributes:
        name: what they are for: ``source``, ``target`` or ``test``.
        modality: of all of them.
        count: how many.
        number: of the cohort; cohorts of another number are of other patients.
    """

    name: str
    modality: Literal["CT", "MR"]
    count: int
    number: int

    def seed(self, demo_seed: int = 0) -> int:
        """Seed of the cohort in a demo with a seed of its own."""
        return 10 * demo_seed + self.number


def patient_seed(cohort_seed: int, index: int) -> int:
    """Seed of one patient of a cohort."""
    return 1000 * cohort_seed + index


COHORTS = {
    cohort.name: cohort
    for cohort in (
        PhantomCohort("source", "MR", 8, 0),
        PhantomCohort("target", "CT", 8, 1),
        PhantomCohort("test", "CT", 4, 2),
    )
}
"""Labels of the source are learnt from, those of the target are not; no training sees the test cases."""


@dataclass(frozen=True)
class PhantomFiles:
    """Names of one phantom's files in the folder of Slicer's sample data.

    Attributes:
        image: of the volume.
        segmentation: of its ground truth, empty for a cohort of the target, which is used without.
    """

    image: str
    segmentation: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Both."""
        return tuple(filter(None, (self.image, self.segmentation)))


def files_of(cohort: PhantomCohort) -> list[PhantomFiles]:
    """Names of the files of a cohort, in the order of its patients."""
    stems = [f"{cohort.name}_{cohort.modality}_{index + 1}" for index in range(cohort.count)]
    return [PhantomFiles(f"{stem}.nrrd", "" if cohort.name == "target" else f"{stem}_truth.seg.nrrd") for stem in stems]
