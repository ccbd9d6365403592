"""The whole job on phantoms: MR with labels, CT without, three segmenters, scores, a report and pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .comparison.compare import compare
from .comparison.methods import NO_ADAPTATION, OURS, SUPERVISED
from .comparison.trainings import Trainings
from .config import Configuration, Domain, configuration, load_preset, merge
from .devices import resolve_device
from .errors import InputError
from .evaluation import ClassScore
from .knownstructures import KNOWN_STRUCTURES
from .phantom import PHANTOM_LABELS, write_cohort
from .phantoms.phantomcohorts import COHORTS
from .report import write_report
from .report.content import read_run
from .report.figures import segmentation_figure, translation_figure
from .training.events import Listener
from .wholefiles import whole_file

DEMO_NAME = "demo.json"
METHODS = (OURS, NO_ADAPTATION, SUPERVISED)


def run_demo(
    output: Path,
    task: str,
    seed: int,
    device: str,
    listeners: list[Listener],
    stop_asked: Callable[[], bool],
) -> tuple[dict[str, list[ClassScore]], Path]:
    """Make the phantoms, train the three segmenters, evaluate them and write ``output/report.html``.

    A demo that was stopped goes on where it was when it is called again with the same output.

    Returns:
        scores by method, and the report.
    """
    if task not in PHANTOM_LABELS:
        raise InputError(f"--task {task}", "is not known", f"choose {' or '.join(PHANTOM_LABELS)}")
    resolve_device(device)
    data = output / "data"
    _begin(output, {"task": task, "seed": seed})
    for name, cohort in COHORTS.items():
        if not (data / name / "labels" / f"case_{cohort.count - 1:02d}.nii.gz").is_file():
            write_cohort(data / name, task, cohort.modality, cohort.count, cohort.seed(seed))
    settings = demo_configuration(data, task, seed, device)
    test = Domain(images=[data / "test" / "images"], labelmaps=[data / "test" / "labels"])
    trainings = Trainings(output, settings, [data / "target" / "labels"])
    scores = compare(trainings, test, METHODS, listeners, stop_asked)
    run = trainings.run(OURS)
    page = output / "report.html"
    shutil.copyfile(write_report(run), page)
    _write_overviews(run, output)
    return scores, page


def _begin(output: Path, asked: dict[str, Any]) -> None:
    """Make the folder of a demo, or go on with the one that was asked for in the same words."""
    note = output / DEMO_NAME
    try:
        if not output.exists() or (output.is_dir() and not any(output.iterdir())):
            with whole_file(note) as stream:
                stream.write(json.dumps(asked).encode("utf-8"))
        begun = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(output, "is not the folder of a demo", "choose another --output") from error
    if begun != asked:
        words = ", ".join(f"{name} {value}" for name, value in begun.items())
        raise InputError(output, f"holds another demo ({words})", "choose another --output, or call it as then")


def demo_configuration(data: Path, task: str, seed: int, device: str) -> Configuration:
    """Preset ``phantom`` for the cohorts in a folder."""
    names = PHANTOM_LABELS[task]
    labels = [asdict(structure) | {"name": names[structure.value]} for structure in KNOWN_STRUCTURES[task]]
    changes = {
        "labels": labels,
        "source": {"images": [data / "source" / "images"], "labelmaps": [data / "source" / "labels"]},
        "target": {"images": [data / "target" / "images"]},
        "training": {"seed": seed, "device": device},
    }
    return configuration(merge(load_preset("phantom"), changes))


def _write_overviews(run: Path, output: Path) -> None:
    content = read_run(run)
    for arrays in content.translations.values():
        (output / "translations.png").write_bytes(translation_figure(arrays))
    if content.segmentations:
        (output / "segmentations.png").write_bytes(segmentation_figure(content.segmentations, content.labels))
