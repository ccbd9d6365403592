"""The page: HTML without scripts or outside resources; everything that comes from files is escaped."""

from __future__ import annotations

import base64
import math
import os
import time
from html import escape
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..evaluation import ClassScore, Summary, summarize
from ..training.events import duration
from .content import RunContent, method_name, read_run
from .figures import curve_figure, score_figure, segmentation_figure, translation_figure

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6676; --line: #d9dee6; --paper: #ffffff; --band: #f4f6f9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #a3adba; --line: #39424f; --paper: #171b21; --band: #20262e; }
  figure img { background: #fff; border-radius: 4px; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p { margin: .4rem 0; max-width: 78ch; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 1rem 0; }
.facts div { background: var(--band); border-radius: 6px; padding: 8px 12px; }
.facts b { display: block; font-size: .78rem; font-weight: 600; color: var(--soft); }
.chip { display: inline-block; margin: 0 .8rem .2rem 0; white-space: nowrap; }
.chip i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; font-size: .95rem; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; }
tr.ours td, tr.ours th { font-weight: 650; background: var(--band); }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.warning { border-left: 4px solid #d98c1f; background: var(--band); padding: 6px 12px; margin: .5rem 0; }
pre { overflow-x: auto; background: var(--band); padding: 12px; font-size: .82rem; line-height: 1.4; }
summary { cursor: pointer; }
/* panels side by side shrunk to a telephone show nothing: there they are moved sideways instead */
@media screen and (max-width: 700px) { .wide > img { max-width: none; width: 700px; } }
@media print { body { font-size: 11px; } figure, table { break-inside: avoid; } }
"""

TABLES = (
    ("dice", 100.0, "Dice, %", "the larger the better, 100 is perfect"),
    ("assd_voxel", 1.0, "ASD, voxels", "mean of the two directed means; the smaller the better"),
    ("assd_mm", 1.0, "ASD, mm", "mean of the two directed means"),
    ("pooled_asd_voxel", 1.0, "ASD of pooled surfaces, voxels", "mean over the distances of both surfaces together"),
    ("pooled_asd_mm", 1.0, "ASD of pooled surfaces, mm", "mean over the distances of both surfaces together"),
    ("hd95_mm", 1.0, "HD95, mm", "the larger of the two directed 95th percentiles"),
)
REPORT_NAME = "report.html"


def write_report(run: Path) -> Path:
    """Write ``run/report.html`` from whatever the run folder holds so far.

    Raises:
        InputError: the page cannot be written.
    """
    content = read_run(run)
    page = _page(content)
    path = run / REPORT_NAME
    temporary = run / f".{REPORT_NAME}.part"
    try:
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", "make space and run gla report") from error
    finally:
        temporary.unlink(missing_ok=True)
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
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def _title(content: RunContent) -> str:
    source, target = (str(content.configuration.get(role, {}).get("modality", role)) for role in ("source", "target"))
    return f"Segmenting {target} with labels of {source} alone"


def _header(content: RunContent, title: str) -> str:
    start, end = content.last("run_started"), content.last("run_finished")
    facts = {
        "preset": content.configuration.get("preset") or "own settings",
        "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(start["time"])) if start else "not yet",
        "time": duration(end.get("seconds")) if end else "not finished",
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


def _selection(content: RunContent) -> str:
    roles = {role: content.configuration.get(role) or {} for role in ("source", "target", "validation")}
    if roles["source"].get("images") and roles["source"].get("images") == roles["target"].get("images"):
        return "final iteration; trained on labels of the target"
    if roles["validation"].get("images"):
        return "final iteration; labels of validation cases were watched, they chose nothing"
    return "final iteration, no target label read"


def _warnings(content: RunContent) -> str:
    messages = [
        str(entry.get("message", "")) for entry in content.events if entry.get("event") in ("warning", "failed")
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
        + _image(score_figure(content.scores), "Dice of each structure and method; a point for each volume.")
        + tables[0]
        + _empty(content.scores)
        + f"<details><summary>Surface distances</summary>{''.join(tables[1:])}</details>"
    )


def _table(summaries: dict[str, list[Summary]], metric: str, factor: float, title: str, note: str) -> str:
    names = [summary.name for summary in next(iter(summaries.values()))]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f'<tr class="{"ours" if method == "ours" else ""}"><th>{escape(method_name(method))}</th>'
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
    found = ", ".join(f"{escape(method_name(method))}: {count}" for method, count in counts.items() if count)
    return f"<p>Structures that were not found at all (Dice 0, no distance): {found}.</p>" if found else ""


def _translations(content: RunContent) -> str:
    if not content.translations:
        return ""
    figures = "".join(
        _image(translation_figure(arrays), f"{direction.replace('_', ' ')}. Target slices are of other patients.")
        for direction, arrays in content.translations.items()
    )
    return (
        "<h2>Global alignment: translated slices</h2>"
        "<p>Each row: a source slice, the same slice in the style of the target, and a real target slice to compare "
        "with. The anatomy must stay, the look must change. Reconstructed and cycled slices should equal the source."
        f"</p>{figures}"
    )


def _segmentations(content: RunContent) -> str:
    if not content.segmentations:
        return ""
    return (
        "<h2>Local alignment: mask and segmentation</h2>"
        "<p>The local feature mask is bright where features of the target are far from those of the source; there the "
        "segmenter is made to look harder. Colours are those of the structures above.</p>"
        + _image(segmentation_figure(content.segmentations, content.labels), "One slice of each case.")
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
        picture = curve_figure(stage, content.curves.get(stage, {}))
        if picture is not None:
            parts.append(f"<h2>{title}</h2><p>{note}</p>" + _image(picture, "Raw values faint, smoothed ones strong."))
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


def _image(picture: bytes, caption: str) -> str:
    data = base64.b64encode(picture).decode("ascii")
    return (
        f'<figure><div class="wide"><img alt="{escape(caption)}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
