"""Two trainings at once: never by one panel, and side by side where the first one is watched no longer."""

from __future__ import annotations

import pytest
import slicer
from test_training_module import MODULES, PATIENCE, add_cohorts, panel, start, wait_for_the_end

__all__ = ["panel"]


def test_a_second_training_is_refused_while_one_runs_or_is_watched_and_can_go_on_beside_it(
    panel, slicer_host, tiny_words: str
):
    add_cohorts(panel)
    panel.ui.settingsText.setPlainText(tiny_words.replace("synthesis.iterations=6", "synthesis.iterations=60"))
    start(panel, slicer_host)
    first = panel.logic.run.folder
    panel.ui.runNameEdit.text = "second"
    with pytest.raises(RuntimeError, match="A training is running already"):
        panel.logic.start(panel.options())
    assert panel.ui.startButton.text == "Stop" and panel.logic.run.folder == first
    slicer_host.wait_until(lambda: panel.logic.run.state.stage == "synthesis", PATIENCE)
    # as in a later Slicer: the run is watched, and nothing of it was started there
    slicer_host.unload_module("GlobalLocalAlignmentTraining")
    slicer_host.load_module(MODULES[1])
    later = slicer_host.open_module("GlobalLocalAlignmentTraining")
    slicer_host.wait_until(lambda: later.logic.busy, PATIENCE)
    with pytest.raises(RuntimeError, match="A training is running already"):
        later.logic.start(later.options())
    assert later.ui.openButton.text == "Watch no longer"
    later.ui.openButton.click()
    assert later.logic.run is None and later.ui.startButton.text == "Start"
    later.ui.settingsText.setPlainText(tiny_words)
    later.ui.presetComboBox.currentText = "phantom"
    later.ui.runsButton.directory = str(first.parent)
    later.ui.runNameEdit.text = "second"
    later.takeOverCases()
    later.logic.finishLooking()
    start(later, slicer_host)
    wait_for_the_end(later, slicer_host)
    assert later.logic.run.status == "finished" and later.logic.run.folder.name == "second"
    slicer_host.wait_until((first / "model.safetensors").is_file, PATIENCE)
    assert slicer.util.selectedModule() == "GlobalLocalAlignmentTraining"
