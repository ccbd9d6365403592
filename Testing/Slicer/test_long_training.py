"""A training of days in the panel: what is kept of it and shown does not grow with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.lock import RunLock
from GlobalLocalAlignmentSlicerLib.training import runwatcher
from test_training_module import panel

__all__ = ["panel"]


def test_what_the_panel_keeps_of_a_long_training_is_bounded(
    panel, slicer_host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runwatcher, "MOST_POINTS", 20)
    run = tmp_path / "long"
    run.mkdir()
    (run / "config.json").write_text("{}")
    panel.ui.logText.maximumBlockCount = 50
    lock, log = RunLock(run), EventLog(run)
    lock.acquire()
    panel.logic.open(run)
    log.emit("run_started", "prepare", device="cpu")
    for report in range(1, 121):
        log.emit("progress", "synthesis", iteration=10 * report, of=9999, rate=1.0, values={"cycle": 1 / report})
        log.emit("warning", "synthesis", message=f"warning {report}")
        panel.logic.run.poll()
        panel.logic.curves.update(panel.logic.run.state)
    lock.release()
    curve = panel.logic.run.state.curves["synthesis"]["cycle"]
    assert len(curve) <= 20 and curve[0][0] == 10 and curve[-1][0] == 1200
    assert len(panel.ui.statusLabel.text.splitlines()) == 1 + runwatcher.MOST_WARNINGS
    assert "warning 120" in panel.ui.statusLabel.text
    assert len(panel.ui.logText.toPlainText().splitlines()) <= 50
    assert "warning 120" in panel.ui.logText.toPlainText()
    (table,) = slicer.util.getNodesByClass("vtkMRMLTableNode")
    # the newest point is drawn, though the number of points stays the same
    assert table.GetNumberOfRows() <= 20
    assert float(table.GetTable().GetValue(table.GetNumberOfRows() - 1, 0).ToString()) == 1200


def test_that_a_training_goes_on_with_other_settings_is_shown(panel, slicer_host, tmp_path: Path):
    run = tmp_path / "adjusted"
    run.mkdir()
    (run / "config.json").write_text("{}")
    lock, log = RunLock(run), EventLog(run)
    lock.acquire()
    message = "memory ran out at iteration 8; goes on from iteration 5 with each batch in 2 parts"
    log.emit("progress", "synthesis", iteration=7, of=20, rate=1.0, values={"cycle": 0.5})
    log.emit("adjusted", "synthesis", iteration=5, of=20, message=message, parts=2, learning_rate_share=1.0)
    panel.logic.open(run)
    panel.logic.run.poll()
    lock.release()
    assert f"Warning: {message}" in panel.ui.statusLabel.text.splitlines()
