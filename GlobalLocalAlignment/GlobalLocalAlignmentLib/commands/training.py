"""Commands that train: train, estimate, report, demo."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ..config import Configuration
from ..errors import InputError
from .options import (
    ConfigOption,
    DeviceOption,
    DeviceSetting,
    LabelsOption,
    OutputOption,
    PrecisionSetting,
    PresetOption,
    SetOption,
    SourceImagesOption,
    TargetImagesOption,
    ValidationImagesOption,
    device_options,
    gather,
    volume_options,
)
from .screen import CleanStop, console, events_of, print_scores, progress_display


def train(
    output: OutputOption,
    preset: PresetOption = None,
    config: ConfigOption = None,
    source_images: SourceImagesOption = None,
    source_labels: LabelsOption = None,
    target_images: TargetImagesOption = None,
    validation_images: ValidationImagesOption = None,
    validation_labels: LabelsOption = None,
    set_: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
) -> None:
    """Train both stages; ends with OUTPUT/model.safetensors and OUTPUT/report.html."""
    from ..training.run import train as run_training

    settings: Configuration | None = None
    volumes = {
        "source": (source_images, source_labels),
        "target": (target_images, None),
        "validation": (validation_images, validation_labels),
    }
    if resume and any([preset, config, set_, precision, *(paths for pair in volumes.values() for paths in pair)]):
        raise InputError("--resume", "goes on with the settings of the run", "give no other option than --device")
    if not resume:
        options = volume_options(volumes) | device_options(device, precision)
        settings = gather(preset, config, options, set_ or [])
    with progress_display() as display, CleanStop() as stop:
        run_training(output, settings, [display], stop, device if resume else None)
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    if rank_zero_only.rank > 0:
        return
    from ..report import write_report

    report = write_report(output)
    # where this is a file on a full disk the training is done all the same
    with suppress(OSError):
        console.print(f"model   {output / 'model.safetensors'}\nreport  {report}", markup=False)


def estimate(
    preset: PresetOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
) -> None:
    """Measure how long a training takes on this machine and how much memory; needs no data and takes a minute or less.

    Some iterations of each kind are timed on random slices. Preparing and translating the slices, previews and
    checkpoints are not part of the estimate and come on top.
    """
    from ..training.estimate import estimate_training

    settings = gather(preset, config, device_options(device, precision), set_ or [])
    with progress_display() as display:
        result = estimate_training(settings, events_of(display))
    console.print("\n".join(result.lines()), markup=False)


def report(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Write RUN/report.html from what the run has so far."""
    from ..report import write_report

    if not (run / "config.json").is_file():
        raise InputError(run, "holds no run", "name the output folder of gla train")
    console.print(str(write_report(run)), markup=False)


def demo(
    output: OutputOption = Path("demo"),
    task: Annotated[str, typer.Option(help="heart or abdomen")] = "abdomen",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: DeviceOption = "auto",
) -> None:
    """The whole job on phantoms: train, segment, evaluate, report, and a scene for Slicer."""
    from ..demo import run_demo
    from ..scene import write_scene

    with progress_display() as display, CleanStop() as stop:
        scores, page = run_demo(output, task, seed, device, [display], stop)
    from ..evaluation import summarize

    print_scores(scores, summarize)
    console.print(f"report  {page}", markup=False)
    console.print(write_scene(output), markup=False, soft_wrap=True)
