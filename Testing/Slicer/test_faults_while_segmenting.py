"""The panel of the segmenting module where the machine gives up: one line with the volume and what to do."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from faults import (
    DEVICE_WITHOUT_SPACE,
    GPU_GONE,
    GPU_MEMORY,
    KILLED,
    NO_MEMORY,
    break_processes,
    fill,
    needs_device_without_space,
)
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import PATIENCE, add_phantom, choose

CONVOLUTIONS = 28
"""Of one small phantom with the tiny model and its feature mask."""


@pytest.fixture
def nodes(panel, tiny_run: Path) -> list:
    """Two volumes, chosen to be segmented."""
    nodes = [add_phantom(name, seed)[0] for seed, name in enumerate(("first", "second"))]
    choose(panel, tiny_run / "model.safetensors", *nodes)
    return nodes


def said(panel, slicer_host) -> list[str]:
    """What the panel says once the segmentation has ended, after which another one can be started."""
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.applyButton.text == "Apply" and panel.ui.applyButton.enabled
    return panel.ui.statusLabel.text.splitlines()


@pytest.mark.parametrize(
    ("fault", "beginning", "words"),
    [
        (GPU_GONE, "", ("the GPU does not answer any longer", "another --device", "(not segmented: second)")),
        (GPU_MEMORY, "second: ", ("memory ran out on the GPU", "lower --batch-size", "--device cpu")),
        (NO_MEMORY, "second: ", ("memory ran out;", "lower --batch-size")),
        (KILLED, "the process was ended from outside", ("memory", "lower the batch size", "(not segmented: second)")),
    ],
)
def test_what_the_machine_ends_is_said_of_its_volume_and_the_one_before_is_kept(
    panel,
    slicer_host,
    nodes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    beginning: str,
    words: tuple[str, ...],
):
    break_processes(monkeypatch, tmp_path / "broken", fault, after=CONVOLUTIONS)
    panel.ui.applyButton.click()
    done, line = said(panel, slicer_host)
    assert done == "1 segmented."
    assert line.startswith(beginning) and all(word in line for word in words), line
    assert [results.findResult(node, results.SEGMENTATION) is not None for node in nodes] == [True, False]


def test_results_that_find_no_space_are_said_with_the_place(
    panel, slicer_host, nodes, small_disk: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: panel.logic._job.running, PATIENCE)
    filler = fill(small_disk)
    (line,) = said(panel, slicer_host)
    assert line.startswith(str(small_disk)) and "no space is left; make space there" in line, line
    assert line.endswith("(not segmented: first, second)")
    assert list(small_disk.iterdir()) == [filler]


@needs_device_without_space
def test_a_volume_that_finds_no_space_is_named_and_the_other_is_segmented(panel, slicer_host, nodes):
    panel.ui.applyButton.click()
    images = panel.logic._job.folder / "images"
    (images / "case0000.nrrd").symlink_to(DEVICE_WITHOUT_SPACE)
    slicer_host.wait_until(lambda: panel.logic._job.running, PATIENCE)
    assert [path.name for path in images.iterdir()] == ["case0001.nrrd"]
    assert said(panel, slicer_host) == ["1 segmented.", f"first cannot be written to {images}; make space there"]
    assert results.findResult(nodes[1], results.SEGMENTATION) is not None


@needs_device_without_space
def test_a_core_that_finds_no_space_for_its_words_is_said_with_the_place(panel, slicer_host, nodes):
    panel.ui.applyButton.click()
    folder = panel.logic._job.folder
    (folder / "call.txt").symlink_to(DEVICE_WITHOUT_SPACE)
    (line,) = said(panel, slicer_host)
    assert line == f"The core cannot be started: {folder}: no space is left; make space there and start again"
    assert not folder.exists()
