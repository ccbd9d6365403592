"""``gla ablate --at-once``: rows side by side, in the right order, stopped together, with the same results."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from GlobalLocalAlignmentLib.comparison import atonce
from GlobalLocalAlignmentLib.comparison.ablation import run_ablation
from GlobalLocalAlignmentLib.comparison.plan import AblationPlan, prepare
from GlobalLocalAlignmentLib.comparison.rows import Needs, Row, predecessors, rows_of
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.phantom import write_cohort
from GlobalLocalAlignmentLib.training.events import EventLog

METHODS = ("ours", "no_adaptation", "supervised", "style_transfer")


@pytest.fixture(scope="module")
def plan(tiny_settings: dict, tmp_path_factory: pytest.TempPathFactory) -> AblationPlan:
    """Three MR and three CT phantoms, both directions."""
    folder = tmp_path_factory.mktemp("both")
    write_cohort(folder / "mr", "abdomen", "MR", 3, 1, (40, 32, 8), (8, 8, 16))
    write_cohort(folder / "ct", "abdomen", "CT", 3, 2, (40, 32, 8), (8, 8, 16))
    domains = {
        role: {"images": [folder / name / "images"], "labelmaps": [folder / name / "labels"]}
        for role, name in (("source", "mr"), ("target", "ct"))
    }
    return AblationPlan(configuration(merge(tiny_settings, domains)), ("case_00",), ("case_02",), METHODS)


@pytest.fixture(scope="module")
def rows(plan: AblationPlan) -> list[Row]:
    return rows_of(plan, prepare(plan, EventLog(None)))


def name(row: Row) -> str:
    return f"{row.direction.name} {row.method}"


def test_a_row_waits_for_those_that_it_takes_something_over_from(rows: list[Row], tmp_path: Path):
    needed = {
        name(row): tuple({name(rows[other]) for other in others} for others in (needs.stage_one, needs.finished))
        for row, needs in zip(rows, predecessors(rows, tmp_path), strict=True)
    }
    # stage one is trained in the row that is finished soonest, for both directions
    assert needed == {
        "mr_to_ct style_transfer": (set(), set()),
        "mr_to_ct ours": ({"mr_to_ct style_transfer"}, set()),
        "ct_to_mr style_transfer": ({"mr_to_ct style_transfer"}, set()),
        "ct_to_mr ours": ({"mr_to_ct style_transfer"}, set()),
        "mr_to_ct no_adaptation": (set(), set()),
        "ct_to_mr no_adaptation": (set(), set()),
        "mr_to_ct supervised": (set(), {"ct_to_mr no_adaptation"}),
        "ct_to_mr supervised": (set(), {"mr_to_ct no_adaptation"}),
    }


def test_a_row_that_was_begun_goes_on_with_its_own_stage_one(rows: list[Row], tmp_path: Path):
    index = next(index for index, row in enumerate(rows) if name(row) == "mr_to_ct ours")
    begun = rows[index].trainings(tmp_path).run("ours")
    begun.mkdir(parents=True)
    (begun / "config.json").touch()
    needs = predecessors(rows, tmp_path)
    assert needs[index] == Needs()
    waiting = {name(row) for row, needed in zip(rows, needs, strict=True) if needed.stage_one == {index}}
    assert waiting == {"mr_to_ct style_transfer", "ct_to_mr style_transfer", "ct_to_mr ours"}


def test_translators_that_serve_one_direction_wait_for_nobody(plan: AblationPlan, tmp_path: Path):
    rows = rows_of(replace(plan, methods=("cycada",)), prepare(plan, EventLog(None)))
    assert predecessors(rows, tmp_path) == [Needs(), Needs()]


@pytest.fixture
def pool(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[str]]]:
    """Does all rows at once, each by a function in the place of its training; says what was begun and done."""

    def run(
        work: Callable[[Row, Path, list, Callable[[], bool]], None],
        at_once: int = 3,
        stop_asked: Callable[[], bool] = lambda: False,
    ) -> dict[str, list[str]]:
        # what takes the place of the training is known to a process that was forked alone
        monkeypatch.setattr(atonce, "START", "fork")
        monkeypatch.setattr(Row, "run", lambda row, output, listeners, stop: work(row, output, listeners, stop))
        said = {"begun": [], "done": [], "told": []}
        atonce.run_at_once(
            tmp_path,
            rows,
            at_once,
            [lambda entry: said["told"].append((entry["training"], entry["event"]))],
            stop_asked,
            lambda row: said["begun"].append(name(row)),
            lambda row: said["done"].append(name(row)),
        )
        return said

    return run


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def test_as_many_rows_as_wanted_are_under_way_and_each_after_its_predecessors(
    pool: Callable, rows: list[Row], tmp_path: Path
):
    def work(row: Row, output: Path, listeners: list, stop_asked: Callable[[], bool]) -> None:
        listeners[0]({"event": "stage_started"})
        mark, full = output / f"{name(row)}.running", output / "full"
        mark.touch()
        # the first ones wait for each other, however busy the machine is
        for _ in range(1000):
            under_way = len(list(output.glob("*.running")))
            if under_way == 3:
                full.touch()
            if full.exists():
                break
            time.sleep(0.01)
        (output / f"{name(row)}.beside").write_text(str(under_way))
        time.sleep(0.1)
        mark.unlink()

    said = pool(work)
    assert sorted(said["done"]) == sorted(said["begun"]) == sorted(map(name, rows))
    assert sorted(said["told"]) == sorted((row.title, "stage_started") for row in rows)
    for row, needs in zip(rows, predecessors(rows, tmp_path), strict=True):
        others = needs.stage_one | needs.finished
        assert all(said["done"].index(name(rows[other])) < said["done"].index(name(row)) for other in others)
    under_way = [int(path.read_text()) for path in tmp_path.glob("*.beside")]
    assert len(under_way) == len(rows) and max(under_way) == 3


def test_a_row_waits_for_stage_one_of_another_and_not_for_the_rest_of_it(pool: Callable, tmp_path: Path):
    def work(row: Row, output: Path, listeners: list, stop_asked: Callable[[], bool]) -> None:
        (output / name(row)).touch()
        if name(row) != "mr_to_ct style_transfer":
            return
        # long enough for the others to be begun, if they did not wait
        time.sleep(0.5)
        waiting = ("mr_to_ct ours", "ct_to_mr ours", "ct_to_mr style_transfer")
        assert not any((output / other).exists() for other in waiting)
        listeners[0]({"event": "stage_started", "stage": "translation"})
        # it is not done before all of those are that wait for its stage one
        for _ in range(1000):
            if all((output / other).exists() for other in waiting):
                return
            time.sleep(0.01)
        raise AssertionError("nobody took over what stage one made")

    assert len(pool(work, 2)["done"]) == 8


def until_asked(stop_asked: Callable[[], bool]) -> None:
    for _ in range(1000):
        if stop_asked():
            raise StopRequested
        time.sleep(0.01)
    raise AssertionError("nobody asked to stop")


def test_all_rows_stop_cleanly_and_none_is_begun_after_that(pool: Callable, tmp_path: Path):
    def work(row: Row, output: Path, listeners: list, stop_asked: Callable[[], bool]) -> None:
        (output / name(row)).touch()
        until_asked(stop_asked)

    with pytest.raises(StopRequested):
        pool(work, 2, lambda: len(list(tmp_path.iterdir())) == 2)
    assert len(list(tmp_path.iterdir())) == 2


def refused(row: Row) -> None:
    raise InputError(row.title, "does not fit", "mend it")


def killed(row: Row) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def faulty(row: Row) -> None:
    raise ZeroDivisionError("of ours")


@pytest.mark.parametrize(
    ("ends", "error", "words"),
    [
        (refused, InputError, "ours, seed 0: does not fit; mend it"),
        (killed, InputError, "no adaptation, seed 0: its process was killed; see its log"),
        (faulty, RuntimeError, r"(?s)no adaptation, seed 0: Traceback.*ZeroDivisionError: of ours"),
    ],
)
def test_where_one_fails_the_others_are_stopped_and_it_is_said_which(
    pool: Callable, tmp_path: Path, ends: Callable[[Row], None], error: type[Exception], words: str
):
    failing = "ct_to_mr ours" if ends is refused else "mr_to_ct no_adaptation"

    def work(row: Row, output: Path, listeners: list, stop_asked: Callable[[], bool]) -> None:
        if name(row) == failing:
            ends(row)
        if name(row) == "mr_to_ct style_transfer":
            return
        (output / f"{name(row)} begun").touch()
        try:
            until_asked(stop_asked)
        except StopRequested:
            (output / f"{name(row)} stopped").touch()
            raise

    with pytest.raises(error, match=words):
        pool(work, 8)
    begun, stopped = (
        {path.name.removesuffix(end) for path in tmp_path.glob(f"*{end}")} for end in (" begun", " stopped")
    )
    assert begun == stopped and begun


def test_rows_reach_a_process_that_was_not_forked(rows: list[Row]):
    assert pickle.loads(pickle.dumps((atonce._work, rows))) == (atonce._work, rows)


def test_torchrun_and_processes_of_its_own_exclude_each_other(
    plan: AblationPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="without torchrun"):
        run_ablation(tmp_path / "new", plan, at_once=2)
