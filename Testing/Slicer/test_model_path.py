"""The path of the model: dropped, pasted as an address, long, and with letters of other languages."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
import qt
import slicer
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import PATIENCE, add_phantom, choose


def drop(widget, *paths: Path) -> bool:
    """Drop files on a widget as a file manager does; whether somebody took them."""
    data = qt.QMimeData()
    data.setUrls([qt.QUrl.fromLocalFile(str(path)) for path in paths])
    taken = []
    for kind, place in ((qt.QDragEnterEvent, qt.QPoint(3, 3)), (qt.QDropEvent, qt.QPointF(3, 3))):
        event = kind(place, qt.Qt.CopyAction, data, qt.Qt.LeftButton, qt.Qt.NoModifier)
        event.setAccepted(False)
        slicer.app.sendEvent(widget, event)
        taken.append(event.isAccepted())
        if not taken[-1]:
            break
    return all(taken)


@pytest.mark.parametrize("place", ["applyButton", "logText", "line"])
def test_a_model_can_be_dropped_anywhere_on_the_panel(panel, tiny_run: Path, place: str):
    panel.ui.modelPathEdit.currentPath = "/earlier.safetensors"
    line = panel.ui.modelPathEdit.comboBox().lineEdit()
    target = line if place == "line" else getattr(panel.ui, place)
    assert drop(target, tiny_run / "model.safetensors")
    assert panel.ui.modelPathEdit.currentPath == str(tiny_run / "model.safetensors")
    assert "right kidney" in panel.ui.cardLabel.text


def test_other_files_on_the_panel_are_left_to_slicer(panel, tmp_path: Path):
    assert not drop(panel.ui.applyButton, tmp_path / "ct.nii.gz")


def test_other_files_on_the_path_are_refused_in_one_line(panel, tiny_run: Path, tmp_path: Path):
    panel.ui.modelPathEdit.currentPath = str(tiny_run / "model.safetensors")
    line = panel.ui.modelPathEdit.comboBox().lineEdit()
    assert drop(line, tmp_path / "ct.nii.gz")
    assert panel.ui.statusLabel.text == "ct.nii.gz: drop one model, a file *.safetensors, here."
    assert panel.ui.modelPathEdit.currentPath == str(tiny_run / "model.safetensors")
    assert drop(line, tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert panel.ui.statusLabel.text.startswith("a.safetensors, b.safetensors: drop one model")


def test_a_pasted_address_becomes_a_path(panel, tiny_run: Path, tmp_path: Path):
    folder = tmp_path / "Modelle für CT"
    folder.mkdir()
    shutil.copy(tiny_run / "model.safetensors", folder)
    panel.ui.modelPathEdit.currentPath = f"file://{quote(str(folder))}/model.safetensors"
    assert panel.ui.modelPathEdit.currentPath == str(folder / "model.safetensors")
    assert "right kidney" in panel.ui.cardLabel.text


def test_a_path_that_is_erased_takes_its_card_with_it(panel, tiny_run: Path):
    panel.ui.modelPathEdit.currentPath = str(tiny_run / "model.safetensors")
    panel.ui.modelPathEdit.currentPath = ""
    assert panel.ui.cardLabel.text == "Choose a model."


@pytest.mark.parametrize("folder", ["Lebermodelle für Jürgen " + "ü" * 60 + "/" + "n" * 200, "@home"])
def test_any_folder_can_hold_the_model(panel, slicer_host, tiny_run: Path, tmp_path: Path, folder: str, monkeypatch):
    place = tmp_path / folder
    place.mkdir(parents=True)
    shutil.copy(tiny_run / "model.safetensors", place)
    model = place / "model.safetensors"
    if folder.startswith("@"):
        # a path that itself begins so, as from a folder that Slicer was started in
        monkeypatch.chdir(tmp_path)
        model = model.relative_to(tmp_path)
    node, _ = add_phantom("CT")
    choose(panel, model, node)
    panel.ui.applyButton.click()
    slicer_host.wait_until(lambda: not panel.logic.running, PATIENCE)
    assert panel.ui.statusLabel.text == "1 segmented.", panel.ui.logText.toPlainText()
    assert results.findResult(node, results.SEGMENTATION) is not None
