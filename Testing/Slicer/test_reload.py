"""The module is loaded anew, as developers do, while a segmentation runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import PATIENCE, add_phantom, choose


@pytest.mark.parametrize("early", [True, False])
def test_a_reload_ends_the_segmentation_and_the_new_panel_works(panel, slicer_host, tiny_run: Path, early: bool):
    node, _ = add_phantom("CT")
    choose(panel, tiny_run / "model.safetensors", node)
    panel.ui.applyButton.click()
    if not early:
        slicer_host.wait_until(lambda: panel.logic._job.running, PATIENCE)
    job = panel.logic._job
    process = job._process._process if job._process is not None else None
    slicer.util.reloadScriptedModule("GlobalLocalAlignment")
    fresh = slicer.modules.GlobalLocalAlignmentWidget
    assert fresh is not panel and not panel.logic.running and not fresh.logic.running
    slicer_host.wait_until(lambda: not job.running and not job.folder.exists(), PATIENCE)
    assert process is None or process.poll() is not None
    assert results.findResult(node, results.SEGMENTATION) is None
    choose(fresh, tiny_run / "model.safetensors", node)
    assert fresh.ui.applyButton.text == "Apply" and fresh.ui.applyButton.enabled
    fresh.ui.applyButton.click()
    slicer_host.wait_until(lambda: not fresh.logic.running, PATIENCE)
    assert fresh.ui.statusLabel.text == "1 segmented.", fresh.ui.logText.toPlainText()
    # one panel listens to the scene, not two
    assert panel._parameterNode is None and panel.Observations == []
