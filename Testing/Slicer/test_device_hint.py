"""What the panel says of the device before a segmentation starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from GlobalLocalAlignmentSlicerLib.background.devicefinder import Devices, Gpu
from GlobalLocalAlignmentSlicerLib.background.devicetext import describeDevice

GIB = 1 << 30
BIG, SMALL, UNKNOWN = Gpu("RTX 4090", 24 * GIB, 20 * GIB), Gpu("T500", 4 * GIB, GIB), Gpu("GRID", None, None)


@pytest.mark.parametrize(
    ("device", "devices", "words"),
    [
        ("auto", Devices(), "No GPU was found: runs on the processor, which takes longer."),
        ("auto", Devices((BIG,)), "Runs on RTX 4090 with 20.0 of 24.0 GB free."),
        ("cuda", Devices((UNKNOWN,)), "Runs on GRID."),
        ("cuda", Devices(), "This computer has no device cuda: choose auto."),
        ("mps", Devices((BIG,)), "This computer has no device mps: choose auto."),
        ("auto", Devices(mps=True), "Runs on the GPU of this Mac."),
        ("auto", Devices((SMALL,)), "T500 with 1.0 of 4.0 GB free, about 2 GB are wanted: close other programs"),
        ("auto", Devices((SMALL, BIG)), "Runs on RTX 4090"),
        ("cuda", Devices((BIG,), torchBuild="cpu"), "RTX 4090 cannot be used: the installed PyTorch is one for"),
        ("auto", Devices(torchBuild="rocm"), ""),
        ("cpu", Devices((SMALL,)), ""),
    ],
)
def test_the_line_on_the_device(device: str, devices: Devices, words: str):
    line = describeDevice(device, devices, 2 * GIB)
    assert line.startswith(words) and bool(line) == bool(words)


def test_the_panel_says_it_before_apply_and_follows_the_choice(panel):
    panel.ui.deviceComboBox.currentText = "auto"
    panel.onDevicesFound(Devices((SMALL,)))
    assert "T500" in panel.ui.deviceHintLabel.text
    panel._deviceFinder._found = Devices((SMALL,))
    panel.ui.deviceComboBox.currentText = "cpu"
    assert panel.ui.deviceHintLabel.text == "" and not panel.ui.deviceHintLabel.visible
    panel.ui.deviceComboBox.currentText = "mps"
    assert panel.ui.deviceHintLabel.text == "This computer has no device mps: choose auto."


def test_the_panel_looks_for_devices_when_it_is_made_and_stops_when_it_goes(slicer_host, monkeypatch):
    from GlobalLocalAlignmentSlicerLib.background import devicefinder
    from segmentpanel import MODULE

    monkeypatch.setattr(devicefinder, "findTool", lambda: [sys.executable, "-c", "import time; time.sleep(600)"])
    slicer_host.load_module(MODULE)
    panel = slicer_host.open_module("GlobalLocalAlignment")
    process = panel._deviceFinder._process
    assert process.poll() is None
    panel.cleanup()
    assert process.poll() is not None


def test_looking_for_devices_does_not_import_pytorch():
    folder = Path(__file__).resolve().parents[2] / "GlobalLocalAlignment"
    code = (
        "from GlobalLocalAlignmentSlicerLib.background.devicefinder import DeviceFinder; import sys;"
        "DeviceFinder(lambda function, milliseconds: lambda: None).find(lambda devices: None);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
