"""What Apply does where something that the core needs is missing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
import qt
import slicer
import slicer.packaging
from GlobalLocalAlignmentSlicerLib.background.dependencies import REQUIREMENTS, Dependencies, DependencyError
from segmentpanel import add_phantom, choose

YES, NO = qt.QMessageBox.Ok, qt.QMessageBox.Cancel


@pytest.fixture(autouse=True)
def no_progress_dialog(monkeypatch):
    """Slicer's own file waits in a dialog of its own for a process that a test does not start."""

    def install(requirements, constraints=None, *rest) -> None:
        slicer.packaging._pip_install_simple(requirements, constraints)

    monkeypatch.setattr(slicer.packaging, "_pip_install_with_dialog", install, raising=False)


@pytest.fixture
def missing(monkeypatch):
    """Names of packages that nobody finds; a test adds to them."""
    names, version = set(), importlib.metadata.version

    def look(name: str) -> str:
        if name in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", look)
    # Slicer's own file has the name to itself
    monkeypatch.setattr(slicer.packaging, "version", look, raising=False)
    return names


@pytest.fixture
def apply(panel, tiny_run: Path):
    """Press Apply on a volume; what the panel says then."""

    def press() -> str:
        choose(panel, tiny_run / "model.safetensors", add_phantom("CT")[0])
        panel.ui.applyButton.click()
        running, text = panel.logic.running, panel.ui.statusLabel.text
        panel.logic.close()
        assert running == (text == "Starting ...")
        return text

    return press


def test_nothing_is_asked_where_everything_is_there(apply, slicer_host):
    assert apply() == "Starting ..."
    assert slicer_host.answers.asked == []


def test_pytorch_is_not_installed_by_somebody_who_declines(apply, slicer_host, missing):
    missing.add("torch")
    slicer_host.answers.give(NO)
    assert apply().startswith("Not started")
    assert "torch>=2.4" in slicer_host.answers.asked[0].text and len(slicer_host.answers.asked) == 1


def test_pytorch_comes_through_its_extension(apply, slicer_host, missing):
    missing.add("torch")
    installed = []
    slicer_host.run_pip = lambda words: (installed.append(words), missing.clear())
    slicer_host.answers.give(YES)
    assert apply() == "Starting ..."
    assert installed == [["install", "torch>=2.4", "torchvision"]]


def test_a_pytorch_that_is_too_old_is_offered_anew(slicer_host, missing, monkeypatch):
    real = importlib.metadata.version
    old = lambda name: "2.1.0" if name == "torch" else real(name)  # noqa: E731
    monkeypatch.setattr(importlib.metadata, "version", old)
    monkeypatch.setattr(slicer.packaging, "version", old, raising=False)
    slicer_host.answers.give(NO)
    assert not Dependencies("module").ensure()
    assert "torch>=2.4" in slicer_host.answers.asked[0].text


@pytest.mark.parametrize(("agreed", "words"), [(True, "start it again, then Apply"), (False, "")])
def test_the_extension_pytorch_is_offered_where_it_is_missing(slicer_host, missing, monkeypatch, agreed, words):
    missing.add("torch")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    slicer_host.answers.give(agreed)
    if agreed:
        with pytest.raises(DependencyError, match=words):
            Dependencies("module").ensure()
    else:
        assert not Dependencies("module").ensure()
    (question,) = slicer_host.answers.asked
    assert (question.dialog, question.title) == ("installExtensionFromServer", "PyTorch")


def test_the_extension_is_only_named_where_nothing_can_be_installed(slicer_host, missing, monkeypatch):
    missing.add("torch")
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    slicer.app.commandOptions().testingEnabled = True
    with pytest.raises(DependencyError, match="PyTorch is missing"):
        Dependencies("module").ensure()


def test_other_packages_come_from_the_list_after_one_question(apply, slicer_host, missing):
    missing.update({"pydantic", "rich"})
    installed = []
    slicer_host.run_pip = lambda words: (installed.append(words), missing.clear())
    slicer_host.answers.give(YES)
    assert apply() == "Starting ..."
    (words,) = installed
    listed = [str(item) for item in slicer.packaging.load_requirements(str(REQUIREMENTS))]
    wanted = [item for item in listed if item.startswith(("pydantic", "rich"))]
    assert len(wanted) == 2 and set(wanted) <= set(words) and not any(word.startswith("torch") for word in words)
    assert "Global-Local Alignment" in slicer_host.answers.asked[0].title


def test_other_packages_are_not_installed_by_somebody_who_declines(apply, slicer_host, missing):
    missing.add("rich")
    slicer_host.answers.give(NO)
    assert apply().startswith("Not started")


def test_an_installation_that_fails_is_no_wish_of_the_user(slicer_host, missing):
    missing.add("rich")

    def fail(words):
        raise subprocess.CalledProcessError(1, "pip install")

    slicer_host.run_pip = fail
    slicer_host.answers.give(YES)
    with pytest.raises(subprocess.CalledProcessError):
        Dependencies("module").ensure()
