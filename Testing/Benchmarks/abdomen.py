"""Real abdomens, CT to MR and MR to CT: no adaptation, style transfer alone, ours, supervised on the target.

    python Testing/Benchmarks/abdomen.py --data FOLDER --output RESULTS

FOLDER holds ``ct`` and ``mr`` with ``image_NN`` and ``label_NN`` (1 liver, 2 right kidney, 3 left kidney, 4 spleen).
Validation cases are in no training: neither their labels nor, as unlabelled target slices, their images. Labels of the
target's training cases are read by ``supervised`` alone. A call with the same output goes on where the last one was.

The segmenter of no adaptation in one direction is that of supervised in the other: both train on the labelled slices
of one modality with the same seed, so it is trained once. Both directions take one synthesis network.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from environment import describe
from GlobalLocalAlignmentLib.batch import result_path
from GlobalLocalAlignmentLib.bundle import load_bundle, save_bundle
from GlobalLocalAlignmentLib.cohort import Case, check_cohort
from GlobalLocalAlignmentLib.comparison import compare, train_method
from GlobalLocalAlignmentLib.config import Configuration, Domain, assignments, configuration, load_preset, merge
from GlobalLocalAlignmentLib.console import Display
from GlobalLocalAlignmentLib.evaluation import ClassScore, score_labelmaps, summarize
from GlobalLocalAlignmentLib.prediction import keep_largest_components
from GlobalLocalAlignmentLib.report import write_report
from GlobalLocalAlignmentLib.training.run import MODEL_NAME
from GlobalLocalAlignmentLib.volumes import read_labelmap
from rich.console import Console

MODALITIES = {"ct": "CT", "mr": "MR"}
VALIDATION = {"ct": ["25", "26", "27", "29"], "mr": ["34", "36", "37", "39"]}
DIRECTIONS = {"ct_to_mr": ("ct", "mr"), "mr_to_ct": ("mr", "ct")}
METHODS = ("ours", "style_transfer", "no_adaptation", "supervised")


def main() -> None:
    options = _options()
    display = Display(Console())
    settings = {name: _settings(name, options) for name in DIRECTIONS}
    for name in options.directions:
        source, target = DIRECTIONS[name]
        opposite = f"{target}_to_{source}"
        folder = options.output / name
        if "supervised" in options.methods:
            plain = train_method(options.output / opposite, settings[opposite], "no_adaptation", [], [display])
            _take_over(plain, folder / "runs" / "supervised" / MODEL_NAME)
        changes = settings[name]
        ours = options.output / opposite / "runs" / "ours" / MODEL_NAME
        if changes.synthesis.model is None and ours.is_file() and not (folder / "runs" / "ours").exists():
            changes = changes.model_copy(update={"synthesis": changes.synthesis.model_copy(update={"model": ours})})
        test = _domain(options.data / target, target, labelled=True, include=VALIDATION[target])
        scores = compare(folder, changes, test, [options.data / target], options.methods, [display])
        write_report(folder / "runs" / options.methods[0])
        cases = check_cohort(test, "test", changes.labels, changes.intensity_by_modality).cases
        largest = {method: _largest_parts(folder, method, cases, changes) for method in options.methods}
        table = _table(name, scores, largest, options)
        (folder / "results.md").write_text(table, encoding="utf-8")
        print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--preset", default="abdomen-cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value")
    parser.add_argument("--directions", nargs="+", choices=DIRECTIONS, default=list(DIRECTIONS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    return parser.parse_args()


def _domain(folder: Path, name: str, labelled: bool, **cases: list[str]) -> Domain:
    return Domain(modality=MODALITIES[name], images=[folder], labelmaps=[folder] if labelled else [], **cases)


def _settings(direction: str, options: argparse.Namespace) -> Configuration:
    source, target = DIRECTIONS[direction]
    changes = {
        "source": _domain(options.data / source, source, labelled=True, exclude=VALIDATION[source]).model_dump(),
        "target": _domain(options.data / target, target, labelled=False, exclude=VALIDATION[target]).model_dump(),
        "training": {"seed": options.seed},
        "validation": _domain(options.data / target, target, labelled=True, include=VALIDATION[target]).model_dump(),
    }
    return configuration(merge(merge(load_preset(options.preset), changes), assignments(options.set)))


def _take_over(model: Path, supervised: Path) -> None:
    """The segmenter of a modality as a model for that same modality."""
    if supervised.is_file():
        return
    bundle = load_bundle(model)
    supervised.parent.mkdir(parents=True, exist_ok=True)
    card = bundle.card.model_copy(update={"target": bundle.card.source})
    save_bundle(supervised, card, {"segmenter": bundle.segmenter})


def _largest_parts(folder: Path, method: str, cases: list[Case], settings: Configuration) -> list[ClassScore]:
    """Scores of the predictions with the largest part of each structure alone, as ``--largest-component``."""
    scores: list[ClassScore] = []
    names = {label.value: label.name for label in settings.labels}
    for case in cases:
        predicted = read_labelmap(result_path(folder / "predictions" / method, case.image, "segmentation"))
        truth = read_labelmap(case.labelmap)
        scores += score_labelmaps(
            case.name, keep_largest_components(predicted.array), truth.array, names, truth.spacing
        )
    return scores


def _table(
    direction: str,
    scores: dict[str, list[ClassScore]],
    largest: dict[str, list[ClassScore]],
    options: argparse.Namespace,
) -> str:
    target = DIRECTIONS[direction][1]
    scores = scores | {f"{method}, largest parts": entries for method, entries in largest.items()}
    summaries = {method: summarize(entries) for method, entries in scores.items()}
    names = [summary.name for summary in next(iter(summaries.values()))]
    lines = [
        f"{direction}, preset {options.preset}, seed {options.seed}, changed settings {json.dumps(options.set)}, "
        f"validation cases {', '.join(VALIDATION[target])}; {describe()}",
        "",
        f"| Dice % / ASD voxels / ASD mm | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for method, entries in summaries.items():
        cells = [
            f"{100 * entry.mean['dice']:.1f} / {entry.mean['assd_voxel']:.2f} / {entry.mean['assd_mm']:.2f}"
            for entry in entries
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
