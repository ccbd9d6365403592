"""The page of a run."""

from __future__ import annotations

import math
import time
from html import escape
from pathlib import Path
from typing import Any

import yaml

from ..comparison.methods import method_title
from ..evaluation import ClassScore, Summary, summarize
from ..resultfiles import write_text
from ..training.events import duration
from .content import RunContent, read_run
from .figures import curve_figure, score_figure, segmentation_figure, translation_figure
from .frame import frame, picture

TABLES = (
    ("dice", 100.0, "Dice, %", "the larger the better, 100 is perfect"),
    ("assd_voxel", 1.0, "ASD, voxels", "mean of the two directed means; the smaller the better"),
    ("assd_mm", 1.0, "ASD, mm", "mean of the two directed means"),
    ("pooled_asd_voxel", 1.0, "ASD of pooled surfaces, voxels", "mean over the distances of both surfaces together"),
    ("pooled_asd_mm", 1.0, "ASD of pooled surfaces, mm", "mean over the distances of both surfaces together"),
    ("hd95_mm", 1.0, "HD95, mm", "the larger of the two directed 95th percentiles"),
)
REPORT_NAME = "report.html"
FAILED = "the run ended with an error, log.txt in its folder says which"
LARGEST_NUMBER = 1e15
"""Of an event; what is larger is no time, distance or share."""


def write_report(run: Path) -> Path:
    """Write ``run/report.html`` from whatever the run folder holds so far.

    Raises:
        InputError: the page cannot be written.
    """
    content = read_run(run)
    path = run / REPORT_NAME
    write_text(path, _page(content), "make space and run gla report")
    return path


def _page(content: RunContent) -> str:
    title = _title(content)
    sections = [
        _header(content, title),
        _warnings(content),
        _scores(content),
        _translations(content),
        _segmentations(content),
        _curves(content),
        _configuration(content),
    ]
    return frame(title, sections)


def _title(content: RunContent) -> str:
    source, target = (str(content.configuration.get(role, {}).get("modality", role)) for role in ("source", "target"))
    return f"Segmenting {target} with labels of {source} alone"


def _header(content: RunContent, title: str) -> str:
    start, end = content.last("run_started"), content.last("run_finished")
    facts = {
        "preset": content.configuration.get("preset") or "own settings",
        "started": _moment(_number(start, "time")) if start else "not yet",
        "time": duration(_number(end, "seconds")) if end else "not finished",
        "device": f"{start.get('device', '')}, {start.get('precision', '')}" if start else "",
        "seed": content.configuration.get("training", {}).get("seed", ""),
        "model selection": _selection(content),
    }
    boxes = "".join(
        f"<div><b>{escape(name)}</b>{escape(str(value))}</div>" for name, value in facts.items() if value != ""
    )
    chips = "".join(
        f'<span class="chip"><i style="background:rgb({",".join(str(int(part)) for part in label["color"])})"></i>'
        f"{escape(str(label['name']))}</span>"
        for label in content.labels
    )
    method = '<p class="soft">Global-Local Union Alignment</p>'
    return f'<h1>{escape(title)}</h1>{method}<div class="facts">{boxes}</div><p>{chips}</p>'


def _moment(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds or 0))


def _selection(content: RunContent) -> str:
    roles = {role: content.configuration.get(role) or {} for role in ("source", "target", "validation")}
    if roles["source"].get("images") and roles["source"].get("images") == roles["target"].get("images"):
        return "final iteration; trained on labels of the target"
    if (content.configuration.get("training") or {}).get("model_selection") == "paper":
        return "best iteration on labels of the target (the paper's way)"
    if roles["validation"].get("images"):
        return "final iteration; labels of validation cases were watched, they chose nothing"
    return "final iteration, no target label read"


def _warnings(content: RunContent) -> str:
    messages = [
        # the message of a failure may name a file, and by it a patient; the log has it
        str(entry.get("problem") or FAILED if entry["event"] == "failed" else entry.get("message", ""))
        for entry in content.events
        if entry["event"] in ("warning", "adjusted", "failed")
    ]
    return "".join(f'<p class="warning">{escape(message)}</p>' for message in messages[-12:])


def _scores(content: RunContent) -> str:
    if not content.scores:
        return "<h2>Scores</h2><p>No case with ground truth was evaluated in this run.</p>"
    cases = {score.case for scores in content.scores.values() for score in scores}
    summaries = {method: summarize(scores) for method, scores in content.scores.items()}
    tables = [_table(summaries, *table) for table in TABLES]
    return (
        f"<h2>Scores on {len(cases)} labelled target {'case' if len(cases) == 1 else 'cases'}</h2>"
        "<p>No adaptation is the lower bound, supervised on the target the upper one. Each cell is the mean over "
        "volumes ± the standard deviation between volumes, not between trainings.</p>"
        + picture(score_figure(content.scores), "Dice of each structure and method; a point for each volume.")
        + tables[0]
        + _empty(content.scores)
        + f"<details><summary>Surface distances</summary>{''.join(tables[1:])}</details>"
    )


def _table(summaries: dict[str, list[Summary]], metric: str, factor: float, title: str, note: str) -> str:
    names = [summary.name for summary in next(iter(summaries.values()))]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f'<tr class="{"ours" if method == "ours" else ""}"><th>{escape(method_title(method))}</th>'
        + "".join(f"<td>{_cell(summary.mean[metric], summary.deviation[metric], factor)}</td>" for summary in entries)
        + "</tr>"
        for method, entries in summaries.items()
    )
    caption = f"<caption><b>{title}</b> ({note})</caption>"
    return f'<div class="wide"><table>{caption}<tr><th></th>{head}</tr>{rows}</table></div>'


def _cell(mean: float, deviation: float, factor: float) -> str:
    if math.isnan(mean):
        return "–"
    text = f"{factor * mean:.{1 if factor > 1 else 2}f}"
    return text if math.isnan(deviation) else f"{text} ± {factor * deviation:.{1 if factor > 1 else 2}f}"


def _empty(scores: dict[str, list[ClassScore]]) -> str:
    counts = {method: summarize(entries)[-1].empty for method, entries in scores.items()}
    found = ", ".join(f"{escape(method_title(method))}: {count}" for method, count in counts.items() if count)
    return f"<p>Structures that were not found at all (Dice 0, no distance): {found}.</p>" if found else ""


def _translations(content: RunContent) -> str:
    if not content.translations:
        return ""
    figures = "".join(
        picture(translation_figure(arrays), f"{direction.replace('_', ' ')}. Target slices are of other patients.")
        for direction, arrays in content.translations.items()
    )
    return (
        "<h2>Global alignment: translated slices</h2>"
        "<p>Each row: a source slice, the same slice in the style of the target, and a real target slice to compare "
        "with. The anatomy must stay, the look must change. Reconstructed and cycled slices should equal the source."
        f"</p>{_displacement(content.last('displacement'))}{figures}"
    )


def _displacement(event: dict[str, Any]) -> str:
    """How far the translation moves edges; nothing where it was not measured."""
    distance, share = _number(event, "median_mm"), _number(event, "moved_share")
    if distance is None or share is None:
        return ""
    return (
        "<p>Edges of the slices and of their translations fit best at a distance of "
        f"{distance:.1f} mm (median over {_number(event, 'windows') or 0:.0f} places); "
        f"{100 * share:.0f} % of the places are moved by more than a pixel and a half.</p>"
    )


def _number(event: dict[str, Any], name: str) -> float | None:
    """A number of an event, None where it is something else: anybody may have written the line."""
    value = event.get(name)
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER
    return float(value) if known else None


def _segmentations(content: RunContent) -> str:
    if not content.segmentations:
        return ""
    return (
        "<h2>Local alignment: mask and segmentation</h2>"
        "<p>The local feature mask is bright where features of the target are far from those of the source; there the "
        "segmenter is made to look harder. Colours are those of the structures above.</p>"
        + picture(segmentation_figure(content.segmentations, content.labels), "One slice of each case.")
    )


def _curves(content: RunContent) -> str:
    parts = []
    for stage, title, note in (
        ("synthesis", "Stage one: synthesis", "Neither side of the adversarial game should win for good."),
        (
            "segmentation",
            "Stage two: segmentation",
            "D1 says 0 for source and 1 for target features. Lines that come together mean aligned domains; lines that "
            "stay at 0 and 1 mean that D1 tells them apart and the mask is the same everywhere.",
        ),
    ):
        curves = curve_figure(stage, content.curves.get(stage, {}))
        if curves is not None:
            parts.append(f"<h2>{title}</h2><p>{note}</p>" + picture(curves, "Raw values faint, smoothed ones strong."))
    return "".join(parts) or "<h2>Curves</h2><p>Nothing was recorded yet.</p>"


def _configuration(content: RunContent) -> str:
    if not content.configuration:
        return ""
    shown: dict[str, Any] = {key: value for key, value in content.configuration.items()}
    for role in ("source", "target", "validation"):
        # the page may be passed on: folders of this computer stay here
        shown[role] = {k: v for k, v in shown.get(role, {}).items() if k not in ("images", "labelmaps")}
    shown["synthesis"] = {k: v for k, v in shown.get("synthesis", {}).items() if k != "model"}
    text = escape(yaml.safe_dump(shown, sort_keys=False))
    return f"<h2>Configuration</h2><details><summary>All settings of this run</summary><pre>{text}</pre></details>"
