"""The name of the next run: suggested, left alone once the user gave one, and never that of a run that is there."""

from __future__ import annotations

from pathlib import Path

import slicer
from test_training_module import add_cohorts, panel, start, wait_for_the_end

__all__ = ["panel"]


def test_a_folder_that_is_there_is_not_trained_over(panel, tmp_path: Path):
    add_cohorts(panel)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    panel.ui.runNameEdit.text = "mine"
    assert "mine is there already" in panel.ui.startButton.toolTip and not panel.ui.startButton.enabled
    panel.ui.runNameEdit.text = "mine too"
    assert panel.ui.startButton.enabled


def test_a_name_and_an_estimate_stay_while_another_module_is_looked_at(panel):
    panel.ui.runNameEdit.text = "kidneys"
    panel.ui.estimateLabel.text = "About 3 min"
    slicer.util.selectModule("GlobalLocalAlignment")
    slicer.util.selectModule("GlobalLocalAlignmentTraining")
    assert (panel.ui.runNameEdit.text, panel.ui.estimateLabel.text) == ("kidneys", "About 3 min")
    # measured for another preset, it says nothing
    panel.ui.presetComboBox.currentText = "abdomen"
    assert (panel.ui.runNameEdit.text, panel.ui.estimateLabel.text) == ("kidneys", "")


def test_a_suggestion_follows_the_preset_and_the_folder(panel, tmp_path: Path):
    assert panel.ui.runNameEdit.text.endswith("_phantom")
    panel.ui.presetComboBox.currentText = "cardiac"
    suggested = panel.ui.runNameEdit.text
    assert suggested.endswith("_cardiac")
    (tmp_path / "other" / suggested).mkdir(parents=True)
    panel.ui.runsButton.directory = str(tmp_path / "other")
    assert panel.ui.runNameEdit.text == f"{suggested}_2"


def test_after_a_run_with_a_name_of_the_users_the_next_one_has_a_name_and_can_start(panel, slicer_host):
    add_cohorts(panel)
    panel.ui.runNameEdit.text = "kidneys"
    start(panel, slicer_host)
    wait_for_the_end(panel, slicer_host)
    assert panel.logic.run.status == "finished" and panel.logic.run.folder.name == "kidneys"
    assert panel.ui.runNameEdit.text == "kidneys_2"
    assert panel.ui.startButton.enabled, panel.ui.startButton.toolTip
