"""Files that no reader should trust, made by scripts: each is refused in one line or read right.

``all_cases`` gives them; ``Testing/Python/test_fault_corpus.py`` reads them, ``Testing/Benchmarks/fault_corpus.py``
sends them through the commands.
"""

from __future__ import annotations

from .case import BadFile, truth
from .dicoms import dicom_cases
from .headers import metaimage_cases, nrrd_cases
from .niftis import nifti_cases
from .places import place_cases


def all_cases() -> list[BadFile]:
    """Every file of the corpus, each name once."""
    cases = [*nifti_cases(), *nrrd_cases(), *metaimage_cases(), *dicom_cases(), *place_cases()]
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two files of the corpus have one name"
    return cases


__all__ = ["BadFile", "all_cases", "truth"]
