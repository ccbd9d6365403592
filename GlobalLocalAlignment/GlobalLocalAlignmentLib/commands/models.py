"""Commands that apply a model and judge what it gives: predict, synthesize, evaluate, inspect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError
from .options import BatchOption, CaseOption, DeviceOption, InputOption, ModelOption, OutputOption, PrecisionOption
from .screen import CleanStop, case_progress, console, errors, events_of, print_scores, progress_display

if TYPE_CHECKING:
    from ..batches.predictionbatch import PredictionBatch
    from ..bundle import ModelCard
    from ..prediction import Predictor
    from ..settings import Refinement


def predict(
    model: ModelOption,
    input_: InputOption,
    output: OutputOption,
    case: CaseOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    format_: Annotated[
        str, typer.Option("--format", "-f", help="Of the segmentations: nii.gz, nrrd, seg.nrrd or dicom-seg.")
    ] = "nii.gz",
    feature_mask: Annotated[bool, typer.Option("--feature-mask", help="Also the local feature mask.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also one volume a structure.")] = False,
    synthesized: Annotated[bool, typer.Option("--synthesized", help="Also the input in source style.")] = False,
    largest_component: Annotated[bool, typer.Option(help="Keep the largest part of each structure alone.")] = False,
    shifts: Annotated[
        int | None,
        typer.Option(
            help="Passes along each axis, as in the model unless given: 2 takes 4, 4 takes 16 times as long as 1."
        ),
    ] = None,
    slice_smoothing: Annotated[
        float | None,
        typer.Option(help="Weight of each neighbouring slice, 0 to 0.33, as in the model unless given."),
    ] = None,
    all_series: Annotated[
        bool, typer.Option("--all-series", help="Every series of a DICOM study, not that of most slices alone.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also what the list of the output folder says is done.")
    ] = False,
    batch_size: BatchOption = 16,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Segment volumes: x.nii.gz -> x_segmentation.nii.gz in the geometry of x, DICOM studies and whole trees too.

    The same command goes on where it was stopped: batch.csv in the output folder says what is done.
    """
    from ..batches.batchsearch import search
    from ..batches.predictionbatch import BatchModel, BatchRequest, PredictionBatch, fingerprint
    from ..bundle import read_card
    from ..formats.segmentationformats import check_format
    from ..prediction import Outputs, check_outputs

    check_format(format_)
    card, outputs = read_card(model), Outputs(feature_mask, probabilities, synthesized)
    check_outputs(card, outputs)
    found = search(input_, output, card.target.modality, all_series, case)
    refinement = _refinement(card, shifts, slice_smoothing)
    request = BatchRequest(outputs, format_, largest_component, again, refinement)
    with CleanStop("stopping; the volume in hand will be segmented anew") as stop, progress_display() as display:
        batch = PredictionBatch(found, output, BatchModel(card, fingerprint(model)), request, events_of(display), stop)
        with batch.open():
            try:
                if batch.waiting:
                    batch.run(_predictor(model, device, precision, batch_size, largest_component, refinement))
            finally:
                _say_how_it_went(batch, output)


def _say_how_it_went(batch: PredictionBatch, output: Path) -> None:
    from ..batches.batchlist import LIST_NAME

    counts = batch.counts()
    parts = [f"{counts['done'] - batch.kept} segmented into {output.name or output}"]
    if batch.kept:
        parts.append(f"{batch.kept} were done before (--again segments them too)")
    parts += [f"{counts[state]} {state}" for state in ("failed", "passed over", "waiting") if counts[state]]
    console.print(f"{', '.join(parts)}; the list is {LIST_NAME} there", markup=False, soft_wrap=True)


def synthesize(
    model: ModelOption,
    input_: InputOption,
    output: OutputOption,
    to: Annotated[str, typer.Option(help="Style of the result: source or target.")],
    case: CaseOption = [],  # noqa: B006
    batch_size: BatchOption = 16,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Write volumes of one domain in the style of the other."""
    from ..batches.batch import choose_cases, synthesize_files

    if to not in ("source", "target"):
        raise InputError(f"--to {to}", "is not a domain", "choose source or target")
    cases = choose_cases(input_, case)
    predictor = _predictor(model, device, precision, batch_size)
    with progress_display() as display:
        synthesize_files(predictor, cases, output, to, events_of(display))
    console.print(f"{len(cases)} written into {output}", markup=False)


def evaluate(
    predictions: Annotated[Path, typer.Option(help="Folder with label maps that were predicted.")],
    references: Annotated[Path, typer.Option(help="Folder with label maps that are true.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file for the scores.")],
    model: Annotated[Path | None, typer.Option("--model", "-m", help="Model that names the labels.")] = None,
) -> None:
    """Dice, ASD (two definitions, voxel and mm) and HD95 of each case and structure."""
    from ..bundle import read_card
    from ..errors import InputErrors
    from ..evaluation import evaluate_folders, references_left_out, summarize, write_scores

    names = read_card(model).names if model is not None else None
    with progress_display() as display:
        scores, failures = evaluate_folders(predictions, references, names, case_progress(display))
    if scores:
        write_scores(scores, output)
        print_scores({"": scores}, summarize)
        console.print(f"scores  {output}", markup=False)
        left_out = references_left_out(predictions, references)
        if left_out:
            errors.print(
                f"warning: {len(left_out)} references have no prediction and no score: {', '.join(left_out)}",
                markup=False,
                soft_wrap=True,
                style="yellow",
            )
    if failures:
        raise InputErrors(failures)


def inspect(file: Annotated[Path, typer.Argument(help="model.safetensors")]) -> None:
    """Show the model card: labels, preprocessing, training data, scores, versions."""
    import yaml

    from ..bundle import read_card

    console.print(yaml.safe_dump(read_card(file).model_dump(mode="json"), sort_keys=False).rstrip(), markup=False)


def _refinement(card: ModelCard, shifts: int | None, slice_smoothing: float | None) -> Refinement | None:
    """What is asked for in the place of what the model says; None where that is the same."""
    from ..config import configuration

    options = {"shifts": shifts, "slice_smoothing": slice_smoothing}
    given = {name: value for name, value in options.items() if value is not None}
    wanted = configuration({"refinement": card.refinement.model_dump() | given}).refinement
    return None if wanted == card.refinement else wanted


def _predictor(
    model: Path,
    device: str,
    precision: str,
    batch_size: int,
    largest_component: bool = False,
    refinement: Refinement | None = None,
) -> Predictor:
    from ..bundle import load_bundle
    from ..devices import resolve_device, resolve_precision
    from ..prediction import Predictor

    if precision not in ("auto", "32", "bf16"):
        raise InputError(f"--precision {precision}", "is not known", "choose auto, 32 or bf16")
    chosen = resolve_device(device)
    reduced = resolve_precision(precision, chosen)
    return Predictor(load_bundle(model), chosen, reduced, batch_size, largest_component, refinement)
