"""Command line: ``gla`` and ``python -m GlobalLocalAlignmentLib``."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .comparison.methods import METHODS, method_title
from .config import Configuration, assignments, configuration, load_file, load_preset, merge, preset_names
from .console import Display, JsonLines, score_table, text_table
from .datasets import DATA_SETS
from .errors import ExitCode, InputError, StopRequested
from .machinefaults import MachineFault, Refusal, machine_fault

UsageError = typer.BadParameter.__base__
"""What typer raises for words it does not know; it has had several homes, its heir is found at one place."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

REMEDIES = {
    Refusal.SPACE: "make space there and give the command again",
    Refusal.MEMORY: "free memory, lower the batch size or choose another --device",
    Refusal.GPU: "give the command again once it is back, or choose another --device",
}

INTERRUPTED = 130
"""What newer versions of typer return after Ctrl-C; older ones raise ``Abort``."""

watched_by_program = False
"""Whether progress goes out as JSON lines; ``--events`` sets it."""

PresetOption = Annotated[str | None, typer.Option(help=f"Settings to start from: {', '.join(preset_names())}.")]
ConfigOption = Annotated[Path | None, typer.Option(help="JSON or YAML file with settings, over the preset.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, over everything else.")]
SourceImagesOption = Annotated[list[Path] | None, typer.Option(help="Labelled images: folder or files.")]
TargetImagesOption = Annotated[list[Path] | None, typer.Option(help="Images of the other modality.")]
ValidationImagesOption = Annotated[list[Path] | None, typer.Option(help="Target images to watch Dice on.")]
LabelsOption = Annotated[list[Path] | None, typer.Option(help="Their labelmaps.")]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]
ModelOption = Annotated[Path, typer.Option("--model", "-m", help="model.safetensors of a training run.")]
InputOption = Annotated[list[Path], typer.Option("--input", "-i", help="Volume, folder or DICOM series; repeatable.")]
CaseOption = Annotated[list[str], typer.Option("--case", help="Only this case; repeatable.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:NUMBER or mps.")]
PrecisionOption = Annotated[str, typer.Option(help="auto, 32 or bf16.")]
DeviceSetting = Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda, cuda:NUMBER or mps.")]
PrecisionSetting = Annotated[str | None, typer.Option("--precision", help="auto, 32 or bf16.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Slices at once.")]


@app.callback()
def common(
    events: Annotated[
        bool, typer.Option("--events", help="Progress as JSON lines on standard output, for programs that watch.")
    ] = False,
) -> None:
    """Train a segmenter for one modality from labels of another, and segment with it."""
    global watched_by_program
    watched_by_program = events


@app.command()
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
    from .training.run import train as run_training

    settings: Configuration | None = None
    volumes = {
        "source": (source_images, source_labels),
        "target": (target_images, None),
        "validation": (validation_images, validation_labels),
    }
    if resume and any([preset, config, set_, precision, *(paths for pair in volumes.values() for paths in pair)]):
        raise InputError("--resume", "goes on with the settings of the run", "give no other option than --device")
    if not resume:
        options = _volume_options(volumes) | _device_options(device, precision)
        settings = gather(preset, config, options, set_ or [])
    with _display() as display, CleanStop() as stop:
        run_training(output, settings, [display], stop, device if resume else None)
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    if rank_zero_only.rank > 0:
        return
    from .report import write_report

    report = write_report(output)
    # where this is a file on a full disk the training is done all the same
    with suppress(OSError):
        console.print(f"model   {output / 'model.safetensors'}\nreport  {report}", markup=False)


@app.command()
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
    from .checking import check_cases, cohort_rows

    volumes = {
        "source": (source_images, source_labels),
        "target": (target_images, None),
        "validation": (validation_images, validation_labels),
    }
    settings = gather(preset, config, _volume_options(volumes), set_ or [])
    with _display() as display:
        cohorts = check_cases(settings, _events(display))
    console.print(text_table(("role", "cases", "modality", "structures"), cohort_rows(cohorts, settings.labels)))


@app.command()
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

    Ends with what to type next. docs/data.md says what each data set is and what is not known of it.
    """
    from .datasets.prepare import prepare_data_set

    with _display() as display:
        done = prepare_data_set(data_set, source, output, paper_protocol, _events(display))
    kept = f", {done.kept} kept from an earlier call" if done.kept else ""
    console.print(f"{done.written} cases written into {output}{kept}", markup=False, soft_wrap=True)
    for line in done.next:
        console.print(line, markup=False, soft_wrap=True)
    done.errors.raise_all()


@app.command()
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
    from .training.estimate import estimate_training

    settings = gather(preset, config, _device_options(device, precision), set_ or [])
    with _display() as display:
        result = estimate_training(settings, _events(display))
    console.print("\n".join(result.lines()), markup=False)


@app.command()
def predict(
    model: ModelOption,
    input_: InputOption,
    output: OutputOption,
    case: CaseOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    feature_mask: Annotated[bool, typer.Option("--feature-mask", help="Also the local feature mask.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also one volume a structure.")] = False,
    synthesized: Annotated[bool, typer.Option("--synthesized", help="Also the input in source style.")] = False,
    largest_component: Annotated[bool, typer.Option(help="Keep the largest part of each structure alone.")] = False,
    batch_size: BatchOption = 16,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Segment volumes: x.nii.gz -> x_segmentation.nii.gz in the geometry of x."""
    from .batch import choose_cases, predict_files
    from .prediction import Outputs

    cases = choose_cases(input_, case)
    predictor = _predictor(model, device, precision, batch_size, largest_component)
    with _display() as display:
        predict_files(predictor, cases, output, Outputs(feature_mask, probabilities, synthesized), _events(display))
    console.print(f"{len(cases)} segmented into {output}", markup=False)


@app.command()
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
    from .batch import choose_cases, synthesize_files

    if to not in ("source", "target"):
        raise InputError(f"--to {to}", "is not a domain", "choose source or target")
    cases = choose_cases(input_, case)
    predictor = _predictor(model, device, precision, batch_size, False)
    with _display() as display:
        synthesize_files(predictor, cases, output, to, _events(display))
    console.print(f"{len(cases)} written into {output}", markup=False)


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Option(help="Folder with label maps that were predicted.")],
    references: Annotated[Path, typer.Option(help="Folder with label maps that are true.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file for the scores.")],
    model: Annotated[Path | None, typer.Option("--model", "-m", help="Model that names the labels.")] = None,
) -> None:
    """Dice, ASD (two definitions, voxel and mm) and HD95 of each case and structure."""
    from .bundle import read_card
    from .errors import InputErrors
    from .evaluation import evaluate_folders, references_left_out, summarize, write_scores

    names = read_card(model).names if model is not None else None
    with _display() as display:
        scores, failures = evaluate_folders(predictions, references, names, _case_progress(display))
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


@app.command()
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
    set_: SetOption = None,
    device: DeviceSetting = None,
    precision: PrecisionSetting = None,
) -> None:
    """Train and score the method, its parts, its bounds and other methods: Tables I to III on any data set.

    Goes on where an earlier call with the same output stopped, and may add methods, seeds and the other direction.
    Ends with OUTPUT/report.html, table.md, table.csv and table.tex, which are written anew after each row.
    """
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    from .comparison.ablation import AblationPlan, run_ablation
    from .comparison.results import Results, statistics
    from .comparison.tables import write_tables
    from .report.ablation import write_ablation_report

    volumes = {"source": (source_images, source_labels), "target": (target_images, target_labels)}
    settings = gather(preset, config, _volume_options(volumes) | _device_options(device, precision), set_ or [])
    plan = AblationPlan(
        settings, tuple(source_test), tuple(target_test), tuple(method or METHODS), tuple(seed), not one_direction
    )

    def write(results: Results) -> None:
        write_tables(results, output)
        write_ablation_report(results, output)

    with _display() as display, CleanStop() as stop:
        results = run_ablation(output, plan, [display], stop, write)
    if rank_zero_only.rank > 0:
        return
    write(results)
    for direction, methods in results.scores.items():
        numbers = {method_title(name): statistics(runs, "dice") for name, runs in methods.items()}
        rows = {title: {name: 100 * cell.mean for name, cell in cells.items()} for title, cells in numbers.items()}
        columns = list(next(iter(rows.values())))
        console.print(score_table(f"{direction}: Dice (%), mean over runs", rows, columns))
    console.print(f"tables  {output / 'table.md'}\nreport  {output / 'report.html'}", markup=False)


@app.command()
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

    from .comparison.sweep import Candidate, SweepPlan, run_sweep
    from .comparison.sweeptables import heads_and_rows, verdict, write_sweep_tables
    from .report.sweep import write_sweep_report

    volumes = {
        "source": (source_images, source_labels),
        "target": (target_images, None),
        "validation": (validation_images, validation_labels),
    }
    settings = gather(preset, config, _volume_options(volumes) | _device_options(device, precision), set_ or [])

    def write(candidates: list[Candidate]) -> None:
        write_sweep_tables(candidates, output)
        write_sweep_report(candidates, output)

    with _display() as display, CleanStop() as stop:
        candidates = run_sweep(output, SweepPlan(settings, varied(vary), method), [display], stop, write)
    if rank_zero_only.rank > 0:
        return
    heads, rows = heads_and_rows(candidates)
    console.print(text_table(tuple(heads), [tuple(row) for row in rows]))
    console.print(verdict(candidates), markup=False)
    console.print(f"tables  {output / 'table.md'}\nreport  {output / 'report.html'}", markup=False)


@app.command()
def inspect(file: Annotated[Path, typer.Argument(help="model.safetensors")]) -> None:
    """Show the model card: labels, preprocessing, training data, scores, versions."""
    import yaml

    from .bundle import read_card

    console.print(yaml.safe_dump(read_card(file).model_dump(mode="json"), sort_keys=False).rstrip(), markup=False)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Write RUN/report.html from what the run has so far."""
    from .report import write_report

    if not (run / "config.json").is_file():
        raise InputError(run, "holds no run", "name the output folder of gla train")
    console.print(str(write_report(run)), markup=False)


@app.command()
def demo(
    output: OutputOption = Path("demo"),
    task: Annotated[str, typer.Option(help="heart or abdomen")] = "abdomen",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: DeviceOption = "auto",
) -> None:
    """The whole job on phantoms: train, segment, evaluate, report, and a scene for Slicer."""
    from .demo import run_demo
    from .scene import write_scene

    with _display() as display, CleanStop() as stop:
        scores, page = run_demo(output, task, seed, device, [display], stop)
    from .evaluation import summarize

    print_scores(scores, summarize)
    console.print(f"report  {page}", markup=False)
    console.print(write_scene(output), markup=False, soft_wrap=True)


def gather(preset: str | None, config: Path | None, options: dict[str, Any], changes: list[str]) -> Configuration:
    """Preset, then file, then options, then ``--set``: each over the one before."""
    from_file = load_file(config) if config is not None else {}
    name = preset or from_file.get("preset")
    base = load_preset(name) if name else {}
    settings = merge(merge(merge(base, from_file), options), assignments(changes))
    return configuration(settings)


def varied(texts: list[str]) -> dict[str, list[str]]:
    """Values of each setting of ``section.key=VALUE,VALUE`` texts."""
    values: dict[str, list[str]] = {}
    for text in texts:
        name, separator, listed = text.partition("=")
        if not separator or not name.strip():
            raise InputError(f"--vary {text}", "is not of the form section.key=VALUE,VALUE", "write the values after =")
        values.setdefault(name.strip(), []).extend(part.strip() for part in listed.split(",") if part.strip())
    return values


def _volume_options(volumes: dict[str, tuple[list[Path] | None, list[Path] | None]]) -> dict[str, Any]:
    """Settings for the images and labelmaps of each role, where they are given."""
    return {
        role: {key: list(map(str, paths)) for key, paths in zip(("images", "labelmaps"), pair, strict=True) if paths}
        for role, pair in volumes.items()
    }


def _device_options(device: str | None, precision: str | None) -> dict[str, Any]:
    """Settings for device and precision, where they are given."""
    return {"training": {k: v for k, v in (("device", device), ("precision", precision)) if v is not None}}


def print_scores(scores: dict[str, list], summarize: Callable) -> None:
    """Tables of Dice and ASD: a row for each method, a column for each structure."""
    summaries = {method: summarize(entries) for method, entries in scores.items()}
    columns = [summary.name for summary in next(iter(summaries.values()))]
    for title, key, factor in (("Dice (%)", "dice", 100.0), ("ASD (mm, mean of both directions)", "assd_mm", 1.0)):
        rows = {
            method.replace("_", " "): {summary.name: factor * summary.mean[key] for summary in entries}
            for method, entries in summaries.items()
        }
        console.print(score_table(title, rows, columns))
    for method, entries in summaries.items():
        if entries[-1].empty:
            name = f"{method.replace('_', ' ')}: " if method else ""
            console.print(f"{name}{entries[-1].empty} structures were not found at all (Dice 0, no distance)")


def _predictor(model: Path, device: str, precision: str, batch_size: int, largest_component: bool):
    from .bundle import load_bundle
    from .devices import resolve_device, resolve_precision
    from .prediction import Predictor

    if precision not in ("auto", "32", "bf16"):
        raise InputError(f"--precision {precision}", "is not known", "choose auto, 32 or bf16")
    chosen = resolve_device(device)
    return Predictor(load_bundle(model), chosen, resolve_precision(precision, chosen), batch_size, largest_component)


def _display() -> Display | JsonLines:
    return JsonLines() if watched_by_program else Display(console)


def _events(display: Display | JsonLines):
    from .training.events import EventLog

    return EventLog(None, [display])


def _case_progress(display: Display | JsonLines) -> Callable[[int, int], None]:
    import time

    events, started = _events(display), time.monotonic()
    events.emit("stage_started", "evaluation")

    def report(done: int, of: int) -> None:
        rate = done / max(time.monotonic() - started, 1e-9)
        events.emit(
            "progress", "evaluation", iteration=done, of=of, rate=rate, seconds_left=(of - done) / rate, values={}
        )

    return report


class CleanStop:
    """Turns the first interrupt or termination signal into a request to stop; the second one ends the process."""

    def __init__(self) -> None:
        self.asked = False
        self.earlier: dict[int, Any] = {}

    def __enter__(self) -> CleanStop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.earlier[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.earlier.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self.asked

    def _ask(self, number: int, frame: object) -> None:
        self.asked = True
        signal.signal(number, self.earlier[number])
        errors.print("stopping after this iteration; once more to stop at once", markup=False)


def main() -> None:
    """Run a command and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code; nothing but the command's own text reaches the screen."""
    try:
        arguments = from_files(arguments)
        # without arguments the help is what was asked for
        code = app(arguments or ["--help"], standalone_mode=False)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
    except typer.Abort:
        return _interrupted(arguments)
    except UsageError as error:
        words = f"gla {_command(arguments)}" if error.ctx and error.ctx.parent else "gla"
        _say(f"error: {' '.join(error.format_message().split()).rstrip('.')}; see {words} --help", "red")
        return ExitCode.INPUT_ERROR
    except StopRequested:
        again = "the same command" if _command(arguments) in ("demo", "ablate", "sweep") else "--resume"
        _say(f"stopped; go on with {again}")
        return ExitCode.STOPPED
    except Exception as error:
        known = error if isinstance(error, InputError) else machine_fault(error, _subject(arguments), REMEDIES)
        return _unexpected(error, arguments) if known is None else _refused(known, arguments)
    return _interrupted(arguments) if code == INTERRUPTED else ExitCode.DONE


def _interrupted(arguments: list[str]) -> int:
    goes_on = "; go on with the same command" if _command(arguments) == "prepare" else ""
    _say(f"interrupted{goes_on}")
    return ExitCode.STOPPED


def _command(arguments: list[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")


def from_files(arguments: list[str]) -> list[str]:
    """Arguments with the lines of a file in the place of ``@FILE``, for calls too long or too odd for a command line.

    Raises:
        InputError: the file cannot be read.
    """
    expanded: list[str] = []
    for argument in arguments:
        if not argument.startswith("@"):
            expanded.append(argument)
            continue
        path = Path(argument[1:])
        try:
            expanded += path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(path, f"cannot be read ({error})", "write one argument a line in UTF-8") from error
    return expanded


def _output(arguments: list[str]) -> Path | None:
    return next((Path(after) for before, after in pairwise(arguments) if before in ("-o", "--output")), None)


def _subject(arguments: list[str]) -> str:
    """What something happened to that names no file: the folder that the command writes, or the command."""
    return str(_output(arguments) or f"gla {_command(arguments)}")


def _refused(error: InputError, arguments: list[str]) -> int:
    if isinstance(error, MachineFault) and error.refusal is Refusal.GPU:
        # it may still be a fault of ours
        _keep_trace(arguments)
    for line in str(error).splitlines():
        _say(f"error: {line}", "red")
    return ExitCode.INPUT_ERROR


def _unexpected(error: Exception, arguments: list[str]) -> int:
    place = _keep_trace(arguments)
    if place is None:
        _say(traceback.format_exc())
    _say(f"internal error: {type(error).__name__}: {error}; the details are in {place or 'this screen'}", "red")
    return ExitCode.INTERNAL_ERROR


def _keep_trace(arguments: list[str]) -> Path | None:
    """Add the traceback to the log in the output folder; None where there is none that can be written."""
    folder = _output(arguments)
    if folder is None or not folder.is_dir():
        return None
    try:
        with open(folder / "log.txt", "a", encoding="utf-8") as stream:
            stream.write(traceback.format_exc())
    except OSError:
        return None
    return folder / "log.txt"


def _say(text: str, style: str | None = None) -> None:
    """Print to standard error; where that is a file on a full disk the exit code alone says how it ended."""
    with suppress(OSError):
        errors.print(text, markup=False, soft_wrap=True, style=style)
