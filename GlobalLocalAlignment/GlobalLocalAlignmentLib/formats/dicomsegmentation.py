"""DICOM segmentations (SEG) of a series, by highdicom: an option, its package is not among what the core needs.

Such a file names the patient and the study of the series that it was made of; that is what it is for. Nobody else's
files of this program do.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..config import Label
from ..errors import InputError
from ..volume import LPS_TO_RAS, Volume
from .volumewriters import whole_volume

if TYPE_CHECKING:
    from pydicom import Dataset

PACKAGE = "highdicom"
INSTALL = "pip install highdicom, or choose another format"
MANUFACTURER = PROGRAM = "GlobalLocalAlignment"
PLACE_TOLERANCE = 0.02
"""A slice may lie this share of the distance between slices beside its place: headers are rounded."""

TISSUE = ("SCT", "85756007", "Tissue")
"""Category and type of a structure without a term, as Slicer has it."""

SERIES_NUMBER_OFFSET = 100
"""Added to the number of the series, as Slicer's exporter does."""


def check_installed() -> None:
    """Raise InputError where highdicom is missing, with what to install."""
    if find_spec(PACKAGE) is None:
        raise InputError("DICOM segmentations", f"need {PACKAGE}, which is not installed", INSTALL)


def write_dicom_segmentation(labelmap: Volume, labels: Sequence[Label], path: Path, slices: Sequence[Path]) -> None:
    """Write a segmentation that refers to its series, and compare what can be read of it with what it was made of.

    Its structures are those that were found; all of them, with empty frames, where none was.

    Args:
        labelmap: uint8 values, K along the slices of the series.
        labels: of the model.
        path: of the file.
        slices: files of the series, in any order.

    Raises:
        InputError: highdicom is missing, the series lies elsewhere or lacks a tag, or the file cannot be made.
    """
    from .segmentationformats import labels_present

    check_installed()
    sources = _in_order(_read(slices), labelmap, path)
    shown = labels_present(labelmap.array, labels) or list(labels)
    numbers = np.zeros(256, np.uint8)
    for number, label in enumerate(shown, start=1):
        numbers[label.value] = number
    frames = np.ascontiguousarray(numbers[labelmap.array].transpose(2, 1, 0))
    for source in sources:
        _complete(source, labelmap.spacing[2])
    try:
        segmentation = _segmentation(sources, frames, shown)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        problem = f"cannot be made, a tag of the series is missing or wrong ({error})"
        raise InputError(path.name, problem, "choose another --format") from error
    with whole_volume(path) as place:
        segmentation.save_as(place)
        _compare(place, frames, sources)


def _read(slices: Sequence[Path]) -> list[Dataset]:
    import pydicom

    try:
        return [pydicom.dcmread(name, stop_before_pixels=True) for name in slices]
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise InputError(slices[0], f"cannot be read again ({error})", "copy it again") from error


def _complete(source: Dataset, distance: float) -> None:
    """Fill in what a scanner or a pseudonymisation left out and a segmentation cannot do without."""
    source.SliceThickness = source.get("SliceThickness") or distance
    # the head of the file has to say the same
    source.SOPClassUID = source.get("SOPClassUID") or source.file_meta.MediaStorageSOPClassUID
    source.SOPInstanceUID = source.get("SOPInstanceUID") or source.file_meta.MediaStorageSOPInstanceUID


def _in_order(sources: list[Dataset], labelmap: Volume, path: Path) -> list[Dataset]:
    """Slices in the order of the planes of the volume, by their places and not by their numbers."""
    if len(sources) == 1 and int(sources[0].get("NumberOfFrames", 1)) == labelmap.shape[2]:
        return sources
    ijk_to_lps = LPS_TO_RAS @ labelmap.ijk_to_ras
    places = np.array([[*map(float, source.ImagePositionPatient), 1.0] for source in sources])
    indices = np.linalg.solve(ijk_to_lps, places.T)[:3].T
    planes = np.rint(indices[:, 2]).astype(int)
    if sorted(planes.tolist()) != list(range(labelmap.shape[2])) or np.abs(indices[:, :2]).max() > 1:
        raise InputError(path.name, "cannot be written, the slices lie elsewhere than the volume", "export them again")
    beside = np.abs(indices[:, 2] - planes).max()
    if beside > PLACE_TOLERANCE * labelmap.shape[2]:
        raise InputError(path.name, "cannot be written, the slices are not evenly spaced", "choose another --format")
    return [sources[place] for place in np.argsort(planes)]


def _segmentation(sources: list[Dataset], frames: np.ndarray, labels: Sequence[Label]) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import ExplicitVRLittleEndian

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=PROGRAM, family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    number = sources[0].get("SeriesNumber")
    return highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=frames,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(number, label, algorithm) for number, label in enumerate(labels, start=1)],
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER_OFFSET + int(number or 0),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=PROGRAM,
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description="Segmentation by a model; research software",
        series_description="Segmentation",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _description(number: int, label: Label, algorithm: Any) -> Any:
    import highdicom
    from highdicom.color import CIELabColor
    from pydicom import Sequence as DicomSequence

    category, kind, modifier, region, region_modifier = _codes(label.terminology)
    regions = [region] if region is not None else None
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label.name[:64],
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        anatomic_regions=regions,
        display_color=CIELabColor.from_rgb(*label.color),
    )
    if modifier is not None:
        kinds = description.SegmentedPropertyTypeCodeSequence[0]
        kinds.SegmentedPropertyTypeModifierCodeSequence = DicomSequence([modifier])
    if region is not None and region_modifier is not None:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = DicomSequence([region_modifier])
    return description


def _codes(terminology: str) -> list[Any]:
    """Category, type, its modifier, region and its modifier of a term as Slicer writes it; None for what it has not."""
    from highdicom.sr import CodedConcept

    parts = terminology.split("~")
    found: list[Any] = []
    for part in [parts[place] if place < len(parts) else "" for place in (1, 2, 3, 5, 6)]:
        scheme, _, rest = part.partition("^")
        value, _, meaning = rest.partition("^")
        complete = scheme and value and meaning
        found.append(CodedConcept(value=value, scheme_designator=scheme, meaning=meaning[:64]) if complete else None)
    scheme, value, meaning = TISSUE
    return [one or CodedConcept(value=value, scheme_designator=scheme, meaning=meaning) for one in found[:2]] + found[
        2:
    ]


def _compare(place: Path, frames: np.ndarray, sources: Sequence[Dataset]) -> None:
    """Raise RuntimeError where what can be read of a written file is not what went into it."""
    import highdicom

    written = highdicom.seg.segread(place)
    how = {"combine_segments": True, "assert_missing_frames_are_empty": True, "dtype": np.uint8}
    if len(sources) == 1 and len(frames) > 1:
        numbers = range(1, len(frames) + 1)
        read = written.get_pixels_by_source_frame(sources[0].SOPInstanceUID, numbers, **how)
    else:
        read = written.get_pixels_by_source_instance([source.SOPInstanceUID for source in sources], **how)
    if not np.array_equal(read, frames):
        raise RuntimeError("what was read back is not what was written")
