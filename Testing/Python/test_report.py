"""The page of a run: whole at every age of the run, without outside resources, with everything from files escaped."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.evaluation import ClassScore, write_scores
from GlobalLocalAlignmentLib.report import write_report

PNG = b"\x89PNG\r\n\x1a\n"


class Page(HTMLParser):
    """Tags with their attributes, text, and whether every tag was closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def pictures(self) -> list[bytes]:
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        return [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in sources]


def score(case: str, name: str, dice: float, label: int = 1) -> ClassScore:
    distance = math.nan if dice == 0 else 1.25
    return ClassScore(case, label, name, dice, distance, distance, 2.5, 2.5, 7.5, 100, 0 if dice == 0 else 90)


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A finished run with scores and panels of three methods."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    chance = np.random.default_rng(0)
    for method, dice in (("no_adaptation", 0.0), ("ours", 0.75), ("supervised", 0.875)):
        scores = [score(case, name, dice, label) for case in "ab" for label, name in ((1, "liver"), (2, "spleen"))]
        write_scores(scores, run / "scores" / f"{method}.csv")
        labels = chance.integers(0, 3, (2, 32, 40)).astype(np.uint8)
        arrays = {"image": chance.uniform(-1, 1, (2, 32, 40)), "prediction": labels, "truth": labels}
        if method == "ours":
            arrays["mask"] = chance.uniform(0, 1, (2, 32, 40))
        (run / "panels").mkdir(exist_ok=True)
        np.savez(run / "panels" / f"segmentation_{method}.npz", cases=np.array(["a", "b"]), **arrays)
    return run


def test_a_finished_run_shows_scores_slices_curves_and_settings(run: Path):
    page = Page(write_report(run))
    assert not page.open
    headings = [text for text in page.text if text.startswith(("Scores", "Global", "Local", "Stage", "Configuration"))]
    assert [heading.split(":")[0] for heading in headings] == [
        "Global-Local Union Alignment",
        "Scores on 2 labelled target cases",
        "Global alignment",
        "Local alignment",
        "Stage one",
        "Stage two",
        "Configuration",
    ]
    # bars of the scores, translations, segmentations and the curves of both stages
    assert len(page.pictures) == 5
    assert all(picture.startswith(PNG) and len(picture) > 3000 for picture in page.pictures)


def test_the_table_holds_the_means_of_each_method_in_order(run: Path):
    text = write_report(run).read_text(encoding="utf-8")
    table = re.search(r"<table><caption><b>Dice.*?</table>", text).group()
    rows = re.findall(r"<th>([^<]*)</th><td>([\d.]+)", table)
    assert rows == [("no adaptation", "0.0"), ("ours", "75.0"), ("supervised on the target", "87.5")]
    assert "Structures that were not found at all (Dice 0, no distance): no adaptation: 4." in text


def test_the_page_needs_nothing_from_outside_and_runs_nothing(run: Path):
    page = Page(write_report(run))
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "href" for name in attributes)
        assert attributes.get("src", "data:").startswith("data:")


def test_text_from_files_is_escaped(run: Path):
    configuration = json.loads((run / "config.json").read_text())
    configuration["labels"][0]["name"] = configuration["preset"] = "<script>alert(1)</script>"
    (run / "config.json").write_text(json.dumps(configuration))
    with open(run / "events.jsonl", "a", encoding="utf-8") as stream:
        stream.write(json.dumps({"event": "warning", "message": "<img src=x onerror=alert(1)>"}) + "\n")
    for method in ("ours", "<i>"):
        write_scores([score("a", "<b>liver</b>", 0.5)], run / "scores" / f"{method}.csv")
    for method in ("no_adaptation", "supervised"):
        (run / "scores" / f"{method}.csv").unlink()
    page = Page(write_report(run))
    assert "script" not in {tag for tag, _ in page.tags}
    assert all("onerror" not in attributes for _, attributes in page.tags)
    text = " ".join(page.text)
    for raw in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>liver</b>", "<i>"):
        assert raw in text


def test_the_page_names_no_folder_of_this_computer(run: Path, cohorts: Path):
    text = write_report(run).read_text(encoding="utf-8")
    assert str(cohorts) not in text
    assert str(run) not in text


@pytest.mark.parametrize("content", [{}, {"events.jsonl": '{"event": "run_st', "metrics.csv": "stage,iteration\nx\n"}])
def test_a_run_without_results_has_a_page_that_says_so(tmp_path: Path, content: dict[str, str]):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    page = Page(write_report(tmp_path))
    assert "No case with ground truth was evaluated in this run." in page.text
    assert "Nothing was recorded yet." in page.text


def test_damaged_panels_and_scores_are_left_out(run: Path):
    (run / "panels" / "segmentation_ours.npz").write_bytes(b"PK\x03\x04 cut off")
    (run / "scores" / "ours.csv").write_text("not,a,table\n1,2,3\n")
    text = write_report(run).read_text(encoding="utf-8")
    assert "supervised on the target" in text
    assert "<th>ours</th>" not in text


def test_a_page_that_cannot_be_written_keeps_the_one_that_was_there(run: Path, monkeypatch: pytest.MonkeyPatch):
    before = write_report(run).read_bytes()

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_report(run)
    assert (run / "report.html").read_bytes() == before
