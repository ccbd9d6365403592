"""A training whose scene, module or Slicer is closed: it asks, says what is lost, and loses nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import qt
import slicer
from GlobalLocalAlignmentSlicerLib.background import closeguard
from GlobalLocalAlignmentSlicerLib.background.closeguard import CloseGuard
from test_training_module import MODULES, PATIENCE, add_cohorts, panel, start, states, wait_for_the_end

__all__ = ["panel"]


@pytest.fixture
def window(slicer_host, monkeypatch: pytest.MonkeyPatch):
    """A window that stands for the main window, and looks at once whether it has closed."""
    monkeypatch.setattr(closeguard, "LOOK_MILLISECONDS", 1)
    window = qt.QWidget()
    window.show()
    return window


def guarded(window, stopped: list[str], training=lambda: True, canBeLeft=lambda: True) -> CloseGuard:
    guard = CloseGuard(training, canBeLeft, lambda: stopped.append("stop"))
    guard.guard(window)
    return guard


def run_long(panel, tiny_words: str, iterations: int = 400) -> None:
    panel.ui.settingsText.setPlainText(
        tiny_words.replace("synthesis.iterations=6", f"synthesis.iterations={iterations}")
    )


def test_closing_the_scene_leaves_a_training_that_has_its_files_alone(panel, slicer_host):
    add_cohorts(panel)
    start(panel, slicer_host)
    slicer.mrmlScene.Clear(0)
    assert panel.logic.cases.cases == []
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "finished"
    # the scene took the charts along
    panel.ui.showChartButton.click()
    assert panel.logic.curves.chart("synthesis losses").GetNumberOfPlotSeriesNodes() == 5
    slicer.mrmlScene.Clear(0)
    panel.ui.showChartButton.click()
    assert panel.logic.curves.chart("synthesis losses").GetNumberOfPlotSeriesNodes() == 5
    assert "has the model" in panel.ui.statusLabel.text


def test_a_scene_that_is_closed_while_cases_are_written_leaves_a_panel_that_says_so_and_works(panel, slicer_host):
    add_cohorts(panel)
    panel.ui.startButton.click()
    inputs = panel.logic.run.inputs
    panel.logic._writing.step()
    slicer.mrmlScene.Clear(0)
    assert panel.ui.statusLabel.text == "The scene was closed before the training began."
    assert panel.ui.startButton.text == "Start" and not panel.ui.progressBar.visible and not inputs.exists()
    add_cohorts(panel)
    start(panel, slicer_host)
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "finished"


def test_a_case_that_cannot_be_looked_at_does_not_keep_the_others_from_it(panel, monkeypatch: pytest.MonkeyPatch):
    from GlobalLocalAlignmentSlicerLib.training import scenecases

    finish = scenecases.finishCheck

    def short_of_memory(case, voxels) -> None:
        if case.name == "MR 1":
            raise MemoryError
        finish(case, voxels)

    monkeypatch.setattr(scenecases, "finishCheck", short_of_memory)
    add_cohorts(panel)
    assert states(panel)[0] == "cannot be looked at: MemoryError"
    assert all(state.startswith("good") for state in states(panel)[1:])


def test_closing_slicer_while_cases_are_written_asks_and_does_not_offer_to_leave_them(panel, slicer_host, window):
    add_cohorts(panel)
    panel.ui.startButton.click()
    panel.logic._writing.step()
    guard = panel._closeGuard
    guard.guard(window)
    slicer_host.answers.give(qt.QMessageBox.Cancel)
    assert not window.close()
    (question,) = slicer_host.answers.asked
    assert "nothing of it is left" in question.text
    assert question.widget.button(qt.QMessageBox.Yes) is None
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "finished"
    # over: nothing to ask about
    assert window.close()


def test_a_training_that_is_left_is_found_again_and_finishes_without_slicer(panel, slicer_host, tiny_words: str):
    add_cohorts(panel)
    panel.ui.settingsText.setPlainText(tiny_words.replace("synthesis.iterations=6", "synthesis.iterations=100"))
    start(panel, slicer_host)
    slicer_host.wait_until(lambda: panel.logic.run.state.stage == "synthesis", PATIENCE)
    folder = panel.logic.run.folder
    slicer_host.answers.give(qt.QMessageBox.Yes)
    guard = panel._closeGuard
    assert not guard.eventFilter(None, qt.QEvent(qt.QEvent.Close))
    # the module is unloaded and loaded again, as in another session with the same settings
    remembered = slicer.app.settings().value("GlobalLocalAlignmentTraining/Run")
    slicer_host.unload_module("GlobalLocalAlignmentTraining")
    slicer_host.load_module(MODULES[1])
    later = slicer_host.open_module("GlobalLocalAlignmentTraining")
    assert later.logic.run.folder == folder == Path(remembered)
    # started by this Slicer, so its end is asked about as before
    slicer_host.wait_until(lambda: later.logic.trainsHere, PATIENCE)
    assert not later.logic.run.ours
    slicer_host.wait_until(lambda: later.logic.run.status == "finished", PATIENCE)
    assert not later.logic.trainsHere and later.ui.segmentButton.enabled
    assert later.logic.curves.chart("segmentation losses") is not None


@pytest.mark.parametrize(
    ("answer", "stays", "stops"), [("Cancel", True, False), ("No", False, True), ("Yes", False, False)]
)
def test_closing_slicer_asks_while_a_training_runs(slicer_host, window, answer: str, stays: bool, stops: bool):
    stopped: list[str] = []
    guard = guarded(window, stopped)
    slicer_host.answers.give(getattr(qt.QMessageBox, answer))
    assert window.close() is not stays
    # it may still be that the user stays after all
    assert stopped == []
    slicer.app.aboutToQuit.emit()
    assert stopped == (["stop"] if stops else [])
    guard.release()
    window.show()
    assert window.close()


def test_an_event_that_comes_twice_is_asked_about_once(slicer_host, window):
    guard = guarded(window, [])
    nested = []

    def answer(question) -> int:
        nested.append(guard.eventFilter(window, qt.QEvent(qt.QEvent.Close)))
        return qt.QMessageBox.Yes

    slicer_host.answers.give(answer)
    assert window.close()
    # one that comes before the answer must not close the window
    assert nested == [True]
    assert not guard.eventFilter(window, qt.QEvent(qt.QEvent.Close))
    guard.release()


def test_who_stays_in_the_question_of_slicer_keeps_the_training_and_is_asked_again(slicer_host, window):
    stopped: list[str] = []
    guard = guarded(window, stopped)
    slicer_host.answers.give(qt.QMessageBox.No)
    assert not guard.eventFilter(window, qt.QEvent(qt.QEvent.Close))
    # while Slicer asks whether to save the scene the answer is kept
    box = qt.QMessageBox(window)
    box.setModal(True)
    box.show()
    slicer_host.process_events(20)
    assert not guard.eventFilter(window, qt.QEvent(qt.QEvent.Close))
    box.done(0)
    slicer_host.wait_until(lambda: not guard._answer)
    slicer.app.aboutToQuit.emit()
    assert stopped == []
    slicer_host.answers.give(qt.QMessageBox.Cancel)
    assert not window.close()
    guard.release()


def test_a_training_that_is_to_stop_stops_when_slicer_quits(panel, slicer_host, window, tiny_words: str):
    add_cohorts(panel)
    run_long(panel, tiny_words)
    start(panel, slicer_host)
    run = panel.logic.run
    slicer_host.wait_until(lambda: run.status == "running", PATIENCE)
    panel._closeGuard.guard(window)
    slicer_host.answers.give(qt.QMessageBox.No)
    assert window.close() and run.status == "running"
    slicer_host.quit()
    # a later Slicer finds it stopped
    slicer_host.load_module(MODULES[1])
    later = slicer_host.open_module("GlobalLocalAlignmentTraining")
    slicer_host.wait_until(lambda: later.logic.run.status == "stopped", PATIENCE)
    assert later.logic.run.folder == run.folder and later.ui.resumeButton.enabled
