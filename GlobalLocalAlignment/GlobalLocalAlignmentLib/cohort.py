"""The cases of a domain: chosen, checked all at once before any work, and cut into slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .cases import find_volumes, without_labelmap
from .config import Domain, Intensity, Label, Plane
from .errors import ErrorCollector, InputError
from .formats.segmentationfile import read_structures
from .knownstructures import Structure
from .preprocessing import guess_modality, intensity_limits, is_eight_bit_export
from .slicegrid import SliceGrid
from .slicestore import CaseSlices, SliceStore
from .volumes import Volume, check_same_geometry, read_labelmap, read_volume

BLANK_DEVIATION = 1e-3
"""A slice whose scaled values spread less than this shows nothing and teaches nothing."""


@dataclass(frozen=True)
class Case:
    """Files of one case; ``labelmap`` is None in a domain without labels, or where it is missing."""

    name: str
    image: Path
    labelmap: Path | None = None


@dataclass
class CaseFinding:
    """What the check of one case has found, as far as it came.

    Attributes:
        role: domain of the case.
        name: of the case.
        number: of the case in its domain, counted from 1.
        of: cases of the domain.
        message: what is wrong, in one line; empty for a case that can be used.
        modality: guess from its values alone, empty while the image could not be read.
        eight_bit: whether it is an 8-bit export.
        values: label values that occur, after mapping, background left out.
        structures: what a segmentation of Slicer's calls these values.
    """

    role: str
    name: str
    number: int
    of: int
    message: str = ""
    modality: str = ""
    eight_bit: bool = False
    values: set[int] = field(default_factory=set)
    structures: list[Structure] = field(default_factory=list)


OnFinding = Callable[[CaseFinding], None]
OnCut = Callable[[int, int], None]


@dataclass
class Cohort:
    """Cases of one domain that passed all checks.

    Attributes:
        cases: in the order of their names.
        modality: as configured or guessed from the values of the majority.
        intensity: the rule for that modality.
        values: label values that occur, after mapping, background left out.
        eight_bit: whether most volumes are 8-bit exports.
        structures: what the first segmentation of Slicer's that has a value calls it, by value.
    """

    cases: list[Case]
    modality: str
    intensity: Intensity
    values: set[int] = field(default_factory=set)
    eight_bit: bool = False
    structures: dict[int, Structure] = field(default_factory=dict)


def select_cases(domain: Domain, role: str, labelled: bool) -> list[Case]:
    """Cases that the domain's folders hold and its ``include`` and ``exclude`` leave.

    Raises:
        InputError: no case, no label map at all, or a chosen case that does not exist.
    """
    if not domain.images:
        raise InputError(f"{role} images", "are not given", f"name a folder with --{role}-images")
    images = find_volumes(domain.images, "image")
    wrong = [name for name in (*domain.include, *domain.exclude) if name not in images]
    if wrong:
        known = ", ".join(list(images)[:8]) + (", ..." if len(images) > 8 else "")
        raise InputError(f"case {wrong[0]}", f"is not among the {role} images", f"choose from {known}")
    chosen = {
        name: path
        for name, path in images.items()
        if (not domain.include or name in domain.include) and name not in domain.exclude
    }
    if not chosen:
        raise InputError(f"{role} images", "hold no case", "name a folder with NIfTI, NRRD, MetaImage or DICOM volumes")
    if not labelled:
        return [Case(name, path) for name, path in chosen.items()]
    if not domain.labelmaps:
        raise InputError(f"{role} labels", "are not given", f"name a folder with --{role}-labels")
    labelmaps = find_volumes(domain.labelmaps, "labelmap")
    return [Case(name, path, labelmaps.get(name)) for name, path in chosen.items()]


def check_cohort(
    domain: Domain,
    role: str,
    labels: list[Label] | None,
    intensities: dict[str, Intensity],
    on_case: OnFinding = lambda finding: None,
    learnt: Collection[str] | None = None,
    labelled: Collection[str] | None = None,
) -> Cohort:
    """Read every case once and check it, so that no training starts on data that cannot be used.

    Args:
        domain: what is configured.
        role: ``source``, ``target``, ``validation`` or ``test``.
        labels: structures of the labelmaps, an empty list to accept every value, None for a domain without labels.
        intensities: rule of each modality.
        on_case: called with what was found of each case, right or wrong.
        learnt: names of the cases that labels are learnt from, in which every structure must occur: all those of the
            role ``source`` and none of another, where it is not given.
        labelled: names of the cases that need a labelmap, all of them where it is not given; without ``labels`` none
            does.

    Raises:
        InputError: everything that is wrong with any case, one line each; where all are right, what is wrong with
            them as a whole.
    """
    cases = select_cases(domain, role, labels is not None)
    collector, findings = ErrorCollector(), []
    for number, case in enumerate(cases, start=1):
        finding, before = CaseFinding(role, case.name, number, len(cases)), len(collector.errors)
        with collector:
            if labelled is None or case.name in labelled:
                _check_case(case, domain, labels, intensities, finding)
            else:
                _check_case(Case(case.name, case.image), domain, None, intensities, finding)
        finding.message = " ".join(map(str, collector.errors[before:]))
        findings.append(finding)
        on_case(finding)
    collector.raise_all()
    values = set().union(*(finding.values for finding in findings))
    # a class that is watched or tested for may be missing there, one that is to be learnt may not
    teachers = [one for one in findings if one.name in learnt] if learnt is not None else findings * (role == "source")
    taught = set().union(*(finding.values for finding in teachers))
    missing = [label.name for label in labels or [] if label.value not in taught]
    if missing and teachers:
        raise InputError(
            f"{role} labels",
            f"hold no voxel of {', '.join(missing)} in any case that is learnt from",
            "take it out of the labels, map another value to it, or add cases",
        )
    if labels is not None and not values:
        raise InputError(f"{role} labels", "hold background alone", "name labelmaps in which structures are drawn")
    votes = Counter(finding.modality for finding in findings)
    modality = votes.most_common(1)[0][0] if domain.modality == "automatic" else domain.modality
    rule = _rule(domain, modality, role, intensities)
    exports = sum(finding.eight_bit for finding in findings)
    # in reverse, so that of several names the first one stays
    structures = {one.value: one for finding in reversed(findings) for one in finding.structures}
    return Cohort(cases, modality, rule, values, exports > len(cases) / 2, structures)


def _check_case(
    case: Case, domain: Domain, labels: list[Label] | None, intensities: dict[str, Intensity], finding: CaseFinding
) -> None:
    """Read one case and write down what is found; raise InputError at the first thing that is wrong.

    A function of its own, so that its volumes are gone before the next ones are read.
    """
    if labels is not None and case.labelmap is None:
        raise without_labelmap(case.name, case.image)
    volume = read_volume(case.image)
    finding.modality = guess_modality(volume.array)
    finding.eight_bit = is_eight_bit_export(volume.array)
    modality = finding.modality if domain.modality == "automatic" else domain.modality
    _refuse_blank(volume, case.image, finding.role, domain.intensity or intensities.get(modality))
    if case.labelmap is not None:
        finding.values = _label_values(volume, case.labelmap, domain)
        _refuse_unknown(finding.values, case.labelmap, finding.role, labels)
        structures = [_mapped(structure, domain) for structure in read_structures(case.labelmap)]
        finding.structures = [structure for structure in structures if structure.value in finding.values]


def _refuse_blank(volume: Volume, path: Path, role: str, rule: Intensity | None) -> None:
    """Raise InputError if the intensity rule leaves nothing to be seen of a volume."""
    if rule is None:
        return
    limits = intensity_limits(volume.array, rule)
    if limits.scale(volume.array).std() <= BLANK_DEVIATION:
        raise InputError(
            path,
            f"shows nothing between {limits.low:g} and {limits.high:g}, the limits of its intensity rule",
            f"set {role}.modality or {role}.intensity to what its values are",
        )


def _label_values(volume: Volume, path: Path, domain: Domain) -> set[int]:
    labelmap = read_labelmap(path)
    check_same_geometry(volume, labelmap)
    return {domain.label_mapping.get(value, value) for value in map(int, np.unique(labelmap.array))} - {0}


def _mapped(structure: Structure, domain: Domain) -> Structure:
    return replace(structure, value=domain.label_mapping.get(structure.value, structure.value))


def _refuse_unknown(found: set[int], path: Path, role: str, labels: list[Label]) -> None:
    """Raise InputError if a value belongs to no structure; without structures, if it cannot become one."""
    known = {label.value for label in labels} or set(range(1, 255))
    unknown = sorted(found - known)
    if unknown:
        raise InputError(
            path,
            f"holds label value {unknown[0]}, which no label or mapping knows",
            f"add it to labels or map it, for example --set {role}.label_mapping={{{unknown[0]}: 0}}",
        )


def _rule(domain: Domain, modality: str, role: str, intensities: dict[str, Intensity]) -> Intensity:
    rule = domain.intensity or intensities.get(modality)
    if rule is None:
        raise InputError(
            f"{role} modality {modality}",
            "has no intensity rule",
            f"choose one of {', '.join(intensities)} or set {role}.intensity",
        )
    return rule


def build_store(
    folder: Path,
    cohort: Cohort,
    domain: Domain,
    plane: Plane,
    labels: list[Label],
    on_case: OnCut = lambda done, of: None,
) -> SliceStore:
    """Cut all cases of a cohort into the slices of a store, one volume in memory at a time.

    Blank slices are left out. Class indices count ``labels`` from 1, whatever their values are.
    """
    labelled = cohort.cases[0].labelmap is not None

    def slices() -> Iterator[CaseSlices]:
        for index, case in enumerate(cohort.cases):
            yield _cut(case, cohort, domain, plane, labels)
            on_case(index + 1, len(cohort.cases))

    return SliceStore.build(folder, slices(), plane.size, labelled)


def _cut(case: Case, cohort: Cohort, domain: Domain, plane: Plane, structures: list[Label]) -> CaseSlices:
    volume = read_volume(case.image)
    limits = intensity_limits(volume.array, cohort.intensity)
    grid = SliceGrid.for_volume(volume, plane.orientation, plane.spacing, plane.size, plane.center)
    images = grid.extract(limits.scale(grid.from_volume(volume.array)), "linear", -1.0).numpy()
    kept = np.flatnonzero(images.std(axis=(1, 2)) > BLANK_DEVIATION)
    labels = None
    if case.labelmap is not None:
        values = map_labels(read_labelmap(case.labelmap).array, domain.label_mapping)
        labels = grid.extract(grid.from_volume(class_indices(values, structures)), "nearest", 0).numpy()[kept]
    return CaseSlices(case.name, images[kept], labels, kept.tolist())


def map_labels(array: np.ndarray, mapping: dict[int, int]) -> np.ndarray:
    """Label values after the mapping, as int32; values that it does not name stay as they are."""
    mapped = array.astype(np.int32)
    for value, replacement in mapping.items():
        mapped[array == value] = replacement
    return mapped


def class_indices(values: np.ndarray, labels: list[Label]) -> np.ndarray:
    """Label values as uint8 class indices: 1 for the first of ``labels`` and so on, 0 for everything else."""
    indices = np.zeros(values.shape, np.uint8)
    for index, label in enumerate(labels, start=1):
        indices[values == label.value] = index
    return indices
