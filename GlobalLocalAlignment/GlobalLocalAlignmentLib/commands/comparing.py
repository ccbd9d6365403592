"""Commands that train many times and compare: ablate, sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..comparison.methods import METHODS, method_title
from ..console import score_table, text_table
from .options import (
    ConfigOption,
    DeviceSetting,
    LabelsOption,
    OutputOption,
    PrecisionSetting,
    PresetOption,
    SetOption,
    SourceImagesOption,
    TargetImagesOption,
    device_options,
    gather,
    own_settings,
    varied,
    volume_options,
)
from .screen import CleanStop, console, progress_display


def ablate(
    output: OutputOption,
    preset: PresetOption = None,
    config: ConfigOption = None,
    source_images: SourceImagesOption = None,
    source_labels: LabelsOption = None,
    source_test: Annotated[list[str], typer.Option(help="Source case that no training sees; repeatable.")] = [],  # noqa: B006
    target_images: TargetImagesOption = None,
    target_labels: Annotated[
        list[Path] | None,
        typer.Option(help="Labelmaps of all target cases, for scores and for the row that is supervised on them."),
    ] = None,
    target_test: Annotated[list[str], typer.Option(help="Target case that no training sees; repeatable.")] = [],  # noqa: B006
    method: Annotated[list[str], typer.Option(help=f"One of {', '.join(METHODS)}; repeatable, all if not given.")] = [],  # noqa: B006
    seed: Annotated[list[int], typer.Option(min=0, help="Seed of the trainings; repeatable.")] = [0],  # noqa: B006
    one_direction: Annotated[bool, typer.Option("--one-direction", help="Source to target alone.")] = False,
    at_once: Annotated[
        int, typer.Option(min=1, help="Rows that are trained at once; small networks leave most of a GPU idle.")
    ] = 1,
    set_: SetOption = None,
    set_for: Annotated[
        list[str] | None,
        typer.Option(
            "--set-for", help="METHOD:section.key=value, for that row alone: a schedule it needs; tables say so."
        ),
    ] = None,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
) -> None:
    """Train and score the method, its parts, its bounds and other methods: Tables I to III on any data set.

    Goes on where an earlier call with the same output stopped, and may add methods, seeds and the other direction.
    Ends with OUTPUT/report.html, table.md, table.csv and table.tex, which are written anew after each row.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    from ..comparison.ablation import run_ablation
    from ..comparison.plan import AblationPlan
    from ..comparison.results import Results, statistics
    from ..comparison.tables import write_tables
    from ..report.ablation import write_ablation_report

    volumes = {"source": (source_images, source_labels), "target": (target_images, target_labels)}
    settings = gather(preset, config, volume_options(volumes) | device_options(device, precision), set_ or [])
    methods, own = tuple(method or METHODS), own_settings(set_for or [])
    plan = AblationPlan(settings, tuple(source_test), tuple(target_test), methods, tuple(seed), not one_direction, own)

    def write(results: Results) -> None:
        write_tables(results, output)
        write_ablation_report(results, output)

    with progress_display() as display, CleanStop() as stop:
        results = run_ablation(output, plan, [display], stop, write, at_once)
    if rank_zero_only.rank > 0:
        return
    write(results)
    for direction, methods in results.scores.items():
        numbers = {method_title(name): statistics(runs, "dice") for name, runs in methods.items()}
        rows = {title: {name: 100 * cell.mean for name, cell in cells.items()} for title, cells in numbers.items()}
        columns = list(next(iter(rows.values())))
        console.print(score_table(f"{direction}: Dice (%), mean over runs", rows, columns))
    console.print(f"tables  {output / 'table.md'}\nreport  {output / 'report.html'}", markup=False)


def sweep(
    output: OutputOption,
    preset: PresetOption = None,
    config: ConfigOption = None,
    source_images: SourceImagesOption = None,
    source_labels: LabelsOption = None,
    target_images: TargetImagesOption = None,
    validation_images: Annotated[
        list[Path] | None, typer.Option(help="Labelled target images that the settings are chosen by.")
    ] = None,
    validation_labels: LabelsOption = None,
    vary: Annotated[
        list[str], typer.Option(help="section.key=VALUE,VALUE,...; repeatable: every combination is trained.")
    ] = ["segmentation.learning_rate=2.5e-4,2.5e-3,1e-2"],  # noqa: B006
    method: Annotated[str, typer.Option(help="What is trained: a row of gla ablate.")] = "ours",
    set_: SetOption = None,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
) -> None:
    """Train with other values of some settings and say which did best on validation cases; reads their labels.

    Goes on where an earlier call with the same output stopped, and may add values. Ends with OUTPUT/report.html,
    table.md and table.csv, which are written anew after each training.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    from ..comparison.sweep import Candidate, SweepPlan, run_sweep
    from ..comparison.sweeptables import heads_and_rows, verdict, write_sweep_tables
    from ..report.sweep import write_sweep_report

    volumes = {
        "source": (source_images, source_labels),
        "target": (target_images, None),
        "validation": (validation_images, validation_labels),
    }
    settings = gather(preset, config, volume_options(volumes) | device_options(device, precision), set_ or [])

    def write(candidates: list[Candidate]) -> None:
        write_sweep_tables(candidates, output)
        write_sweep_report(candidates, output)

    with progress_display() as display, CleanStop() as stop:
        candidates = run_sweep(output, SweepPlan(settings, varied(vary), method), [display], stop, write)
    if rank_zero_only.rank > 0:
        return
    heads, rows = heads_and_rows(candidates)
    console.print(text_table(tuple(heads), [tuple(row) for row in rows]))
    console.print(verdict(candidates), markup=False)
    console.print(f"tables  {output / 'table.md'}\nreport  {output / 'report.html'}", markup=False)
