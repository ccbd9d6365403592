"""The structures of the presets and the phantoms: label values, names, colours and terms.

A term is the text by which Slicer keeps a code (see ``config.Label``). The codes are SNOMED CT, as Slicer's two lists
of segmentation types have them. Neither list has the cavities of the heart without their walls, nor the myocardium: it
is the muscle of the left ventricle there.
"""

from __future__ import annotations

from dataclasses import dataclass

GENERAL_LIST = "Segmentation category and type - 3D Slicer General Anatomy list"
MASTER_LIST = "Segmentation category and type - DICOM master list"
REGION_LIST = "Anatomic codes - DICOM master list"
NOTHING = "^^"
STRUCTURE, TISSUE = "SCT^123037004^Anatomical Structure", "SCT^85756007^Tissue"


@dataclass(frozen=True)
class Structure:
    """One structure; the fields are those of ``config.Label``, ``color`` is red, green and blue from 0 to 255."""

    value: int
    name: str
    color: tuple[int, int, int]
    terminology: str


def _term(types: str, kind: str, modifier: str = NOTHING, category: str = STRUCTURE, region: str = NOTHING) -> str:
    return "~".join((types, category, kind, modifier, REGION_LIST, region, NOTHING))


KNOWN_STRUCTURES: dict[str, tuple[Structure, ...]] = {
    "abdomen": (
        Structure(1, "liver", (221, 130, 101), _term(GENERAL_LIST, "SCT^10200004^Liver")),
        Structure(2, "right kidney", (185, 102, 83), _term(GENERAL_LIST, "SCT^64033007^Kidney", "SCT^24028007^Right")),
        Structure(3, "left kidney", (212, 182, 60), _term(GENERAL_LIST, "SCT^64033007^Kidney", "SCT^7771000^Left")),
        Structure(4, "spleen", (111, 163, 196), _term(GENERAL_LIST, "SCT^78961009^Spleen")),
    ),
    "heart": (
        Structure(
            1,
            "myocardium of the left ventricle",
            (221, 130, 101),
            _term(GENERAL_LIST, "SCT^71616004^Muscle", category=TISSUE, region="SCT^87878005^Left Ventricle"),
        ),
        Structure(2, "left atrium cavity", (152, 189, 207), _term(MASTER_LIST, "SCT^82471001^Left atrium")),
        Structure(3, "left ventricle cavity", (244, 214, 49), _term(MASTER_LIST, "SCT^87878005^Left ventricle")),
        Structure(4, "ascending aorta", (224, 97, 76), _term(MASTER_LIST, "SCT^54247002^Ascending aorta")),
    ),
}
"""By what a preset calls them: ``labels: abdomen``."""
