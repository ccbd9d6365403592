"""What a batch segments: volumes and DICOM studies anywhere below the folders that are named."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ..cases import EXTRA_NAMES, LABEL_WORDS, case_name, is_volume, named_as_label, natural_order, stem, visible
from ..errors import InputError
from ..formats.dicomseries import Series, all_series, chosen_of_study
from ..formats.volumereaders import find_series, is_dicom_file, refuse_damaged_slices
from ..volume import volume_suffix
from ..volumes import Volume, read_volume

DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels are in a file beside them."""


@dataclass(frozen=True)
class BatchCase:
    """One volume of a batch.

    Attributes:
        file: what the list calls it: its path below the folder that was named, with ``/``.
        path: of the file, or of the folder of a series.
        result: its results without kind and suffix, below the output folder.
        slices: files of a DICOM series, empty for other volumes.
        shared: whether the folder of the series holds others too.
        remark: what is to be said of it.
        problem: why it cannot be read, where that is known already.
    """

    file: str
    path: Path
    result: PurePosixPath
    slices: tuple[Path, ...] = ()
    shared: bool = False
    remark: str = ""
    problem: InputError | None = None

    def read(self) -> Volume:
        """The volume.

        Raises:
            InputError: it cannot be read or used.
        """
        if self.problem is not None:
            raise self.problem
        if self.slices and (self.shared or len(self.slices) == 1):
            return read_volume(*self.slices) if len(self.slices) == 1 else read_volume(self.path, self.slices)
        return read_volume(self.path)

    def fingerprint(self) -> str:
        """Changes with the names, sizes and times of its files; empty where they cannot be looked at."""
        files = self.slices or (self.path,)
        if volume_suffix(self.path) in DETACHED and not self.slices:
            files = tuple(sorted(self.path.parent.glob(f"{stem(self.path)}.*")))
        digest = hashlib.blake2b(digest_size=8)
        try:
            for path in sorted(files):
                state = path.stat()
                digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode(errors="replace"))
        except OSError:
            return ""
        return digest.hexdigest()


@dataclass
class BatchSearch:
    """What was found.

    Attributes:
        cases: to segment, in natural order.
        passed_over: why each of the others is left out, by what the list calls it.
        labels: number of files that are left out because they are named as label maps.
    """

    cases: list[BatchCase] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)
    labels: int = 0


def search(
    inputs: Sequence[Path],
    output: Path,
    modality: str = "",
    every_series: bool = False,
    names: Sequence[str] = (),
) -> BatchSearch:
    """Look for volumes and DICOM series among files and folders, with all that is below them.

    Hidden entries and the output folder are left out, and what is named as a label map or lies in a folder ``labels``,
    unless there is nothing else. Of a study one series is taken: of those that are volumes of the modality that with
    most slices. A folder that was named itself and holds nothing but one series is always taken.

    Args:
        inputs: files and folders.
        output: folder for the results, which mirrors the tree of the inputs.
        modality: of the volumes that the model segments, ``CT`` or ``MR``; other words choose nothing.
        every_series: take every suitable series of a study.
        names: cases to take, by case name or by path without suffix; all where none is given.

    Raises:
        InputError: an input does not exist, nothing was found, a named case is not there, or two would have the same
            results.
    """
    found = BatchSearch()
    for path in map(Path, inputs):
        if not path.exists():
            raise InputError(path, "does not exist", "check the path")
        if path.is_file():
            found.cases.append(_of_file(path, path.parent))
        else:
            _search_folder(path, output, modality, every_series, found)
    found.cases = sorted(set(found.cases), key=lambda case: (natural_order(str(case.result)), case.file))
    if names:
        found = _named(found, names)
    if not found.cases and not found.passed_over:
        raise InputError(inputs[0] if inputs else "input", "holds no volume", "name a file, a folder or a DICOM series")
    _refuse_same_results(found.cases)
    return found


def _search_folder(root: Path, output: Path, modality: str, every_series: bool, found: BatchSearch) -> None:
    volumes: list[Path] = []
    with_dicom: list[Path] = []
    folders = list(_folders(root, output.resolve(), found))
    for folder, entries in folders:
        here = [entry for entry in entries if is_volume(entry) and not EXTRA_NAMES.fullmatch(stem(entry))]
        files = [entry for entry in entries if entry.is_file() and entry.name.upper() != "DICOMDIR"]
        volumes += here
        if not any(map(is_volume, files)):
            with_dicom += [folder] if any(map(is_dicom_file, files)) else []
        elif any(map(is_dicom_file, (file for file in files if not is_volume(file)))):
            found.passed_over[_below(folder, root)] = "DICOM files beside volume files; give them a folder of their own"
    labels = [path for path in volumes if _is_label(path, root)]
    if len(labels) < len(volumes) or with_dicom:
        volumes = [path for path in volumes if path not in set(labels)]
        found.labels += len(labels)
    found.cases += [_of_file(path, root) for path in volumes]
    scanned = {folder: find_series(folder) for folder in with_dicom}
    alone = len(folders) == 1 and all(len(series) == 1 for series in scanned.values())
    _take_series(root, scanned, "" if alone else modality, every_series or alone, alone, found)


def _folders(folder: Path, output: Path, found: BatchSearch) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and all below it with their entries; one that links lead to twice comes once."""
    waiting, seen = [folder], set()
    while waiting:
        current = waiting.pop(0)
        real = current.resolve()
        if real in seen or (real == output and current != folder):
            continue
        seen.add(real)
        try:
            entries = visible(current)
        except OSError as error:
            if current == folder:
                raise InputError(current, f"cannot be read ({error.strerror})", "check its permissions") from error
            found.passed_over[_below(current, folder)] = f"cannot be read ({error.strerror})"
            continue
        yield current, entries
        waiting += [entry for entry in entries if entry.is_dir()]


def _take_series(
    root: Path,
    folders: dict[Path, dict[str, tuple[str, ...]]],
    modality: str,
    every: bool,
    alone: bool,
    found: BatchSearch,
) -> None:
    damaged = {folder: problem for folder in folders if (problem := _damage(folder, folders[folder])) is not None}
    for folder in damaged:
        if not folders[folder]:
            found.cases.append(BatchCase(_below(folder, root), folder, _result(folder, root), problem=damaged[folder]))
    studies: dict[tuple[str, ...], list[Series]] = defaultdict(list)
    everything = all_series(folders, modality)
    many = Counter(series.folder for series in everything)

    def called(series: Series) -> str:
        below = _below(series.folder, root)
        return f"{below}#{series.title} {_short(series.uid)}" if many[series.folder] > 1 else below

    for series in everything:
        # where a slice is damaged, too few is not what is wrong
        damage = any(file.parent in damaged for file in series.files)
        reason = series.unsuitable or ("" if damage else series.too_few)
        if reason and not alone:
            found.passed_over[called(series)] = f"{series.title} {reason}"
        else:
            studies[series.study].append(series)
    taken: list[tuple[Series, str]] = []
    for study in studies.values():
        chosen = study if every or len(study) == 1 else [chosen_of_study(study)]
        others = [series for series in study if series not in chosen]
        for series in others:
            reason = f"{series.title} of {series.slices} slices: {chosen[0].title} of the study is segmented"
            found.passed_over[called(series)] = reason
        remark = f"{chosen[0].title} of {chosen[0].slices} slices, of {len(study)} series" if others else ""
        taken += [(series, remark) for series in chosen]
    together = Counter(series.folder for series, _ in taken)
    for series, remark in taken:
        result = _result(series.folder, root)
        if together[series.folder] > 1:
            number = f"{series.number}_" if series.number >= 0 else ""
            result = result.with_name(f"{result.name}_series_{number}{_short(series.uid)}")
        problem = next((damaged[file.parent] for file in series.files if file.parent in damaged), None)
        shared = many[series.folder] > 1 or any(file.parent != series.folder for file in series.files)
        found.cases.append(BatchCase(called(series), series.folder, result, series.files, shared, remark, problem))


def _damage(folder: Path, series: dict[str, tuple[str, ...]]) -> InputError | None:
    """What is wrong with a slice of a folder; nobody knows which of its series it belongs to."""
    try:
        refuse_damaged_slices(folder, series)
    except InputError as error:
        return error
    return None


def _named(found: BatchSearch, names: Sequence[str]) -> BatchSearch:
    by_name: dict[str, list[BatchCase]] = defaultdict(list)
    for case in found.cases:
        for name in {case_name(case.path), str(case.result), case.file}:
            by_name[name].append(case)
    for name in names:
        if name not in by_name:
            known = ", ".join(list(dict.fromkeys(case_name(case.path) for case in found.cases))[:8])
            raise InputError(f"case {name}", "is not among the inputs", f"choose from {known}")
    wanted = {case.file for name in names for case in by_name[name]}
    return replace(found, cases=[case for case in found.cases if case.file in wanted], passed_over={}, labels=0)


def _refuse_same_results(cases: list[BatchCase]) -> None:
    known: dict[str, BatchCase] = {}
    for case in cases:
        # some file systems tell no capitals from small letters
        other = known.setdefault(str(case.result).lower(), case)
        if other is not case:
            raise InputError(
                case.path, f"would have results of the same name as {other.path}", "rename one or leave it out"
            )


def _of_file(path: Path, root: Path) -> BatchCase:
    slices = (path,) if is_dicom_file(path) and not is_volume(path) else ()
    return BatchCase(_below(path, root), path, PurePosixPath(path.relative_to(root).with_name(stem(path))), slices)


def _is_label(path: Path, root: Path) -> bool:
    return named_as_label(path) or any(part.lower() in LABEL_WORDS for part in path.relative_to(root).parts[:-1])


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else root.resolve().name or "."


def _result(folder: Path, root: Path) -> PurePosixPath:
    return PurePosixPath(_below(folder, root))


def _short(uid: str) -> str:
    return hashlib.blake2b(uid.encode(), digest_size=3).hexdigest()
