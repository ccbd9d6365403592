"""Commands on cases before anything is trained: check, prepare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console import text_table
from ..datasets import DATA_SETS
from .options import (
    ConfigOption,
    LabelsOption,
    PresetOption,
    SetOption,
    SourceImagesOption,
    TargetImagesOption,
    ValidationImagesOption,
    gather,
    volume_options,
)
from .screen import console, events_of, progress_display


def check(
    preset: PresetOption = None,
    config: ConfigOption = None,
    source_images: SourceImagesOption = None,
    source_labels: LabelsOption = None,
    target_images: TargetImagesOption = None,
    validation_images: ValidationImagesOption = None,
    validation_labels: LabelsOption = None,
    set_: SetOption = None,
) -> None:
    """Read every case of a training and say what is wrong with it; trains nothing, writes nothing."""
    from ..checking import check_cases, cohort_rows

    volumes = {
        "source": (source_images, source_labels),
        "target": (target_images, None),
        "validation": (validation_images, validation_labels),
    }
    settings = gather(preset, config, volume_options(volumes), set_ or [])
    with progress_display() as display:
        cohorts = check_cases(settings, events_of(display))
    console.print(text_table(("role", "cases", "modality", "structures"), cohort_rows(cohorts, settings.labels)))


def prepare(
    data_set: Annotated[str, typer.Argument(help=f"One of {', '.join(DATA_SETS)}.")],
    source: Annotated[Path, typer.Argument(help="Folder with the data set as its site publishes it.")],
    output: Annotated[Path, typer.Argument(help="Folder for images and labels; btcv and chaos go into one.")],
    paper_protocol: Annotated[
        bool,
        typer.Option(
            "--paper-protocol-reads-target-labels",
            help="Crop cases to their labelled slices, as related work does. It leaks the labels of the target.",
        ),
    ] = False,
) -> None:
    """Turn a published data set into folders to train on, with its published test cases; goes on where it stopped.

    Ends with what to type next. docs/datasets.md says what each data set is and what is not known of it.
    """
    from ..datasets.prepare import prepare_data_set

    with progress_display() as display:
        done = prepare_data_set(data_set, source, output, paper_protocol, events_of(display))
    kept = f", {done.kept} kept from an earlier call" if done.kept else ""
    console.print(f"{done.written} cases written into {output}{kept}", markup=False, soft_wrap=True)
    for line in done.next:
        console.print(line, markup=False, soft_wrap=True)
    done.errors.raise_all()
