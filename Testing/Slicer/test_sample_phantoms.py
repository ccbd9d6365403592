"""The phantoms in Sample Data: offered, made behind a dialog, loaded beside what is there, and what can go wrong."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from GlobalLocalAlignmentLib.formats.segmentationfile import write_segmentation
from GlobalLocalAlignmentLib.knownstructures import KNOWN_STRUCTURES
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.phantoms.phantomcohorts import COHORTS, files_of, patient_seed
from GlobalLocalAlignmentLib.volumes import write_volume
from GlobalLocalAlignmentSlicerLib.samples import phantommaker, samplephantoms
from GlobalLocalAlignmentSlicerLib.samples.samplephantoms import CATEGORY, SETS, cacheFolder, registerPhantoms
from SlicerHost import problems

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120_000
SOURCE, TARGET, TEST = (SETS[name].title for name in ("source", "target", "test"))
TERMS = [structure.terminology for structure in KNOWN_STRUCTURES["abdomen"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small phantoms under the names of the real ones."""
    folder = tmp_path_factory.mktemp("made")
    for cohort in COHORTS.values():
        for index, files in enumerate(files_of(cohort)):
            seed = patient_seed(cohort.seed(), index)
            image, labelmap = render_phantom("abdomen", cohort.modality, seed, (40, 32, 8), (8, 8, 16))
            write_volume(image, folder / files.image)
            if files.segmentation:
                write_segmentation(labelmap, KNOWN_STRUCTURES["abdomen"], folder / files.segmentation)
    return folder


@pytest.fixture
def cache(slicer_host, tmp_path: Path) -> Path:
    """Folder of the phantoms in an empty cache; it is not there yet."""
    slicer.mrmlScene.GetCacheManager().SetRemoteCacheDirectory(str(tmp_path / "Slicer's cache"))
    return cacheFolder()


@pytest.fixture
def sample_data(slicer_host, cache: Path):
    """The panel of Sample Data after a start of Slicer."""
    import SampleData

    slicer_host.load_module(ROOT / "GlobalLocalAlignment" / "GlobalLocalAlignment.py")
    slicer_host.load_module(Path(SampleData.__file__))
    slicer.app.startupCompleted.emit()
    return slicer_host.open_module("SampleData")


@pytest.fixture
def filled(cache: Path, made: Path) -> Path:
    """A cache with all phantoms in it, from which nothing is made."""
    shutil.copytree(made, cache)
    return cache


def click(panel, title: str) -> None:
    slicer.util.findChild(panel.parent, f"{title}PushButton").click()


def folder_of(title: str) -> list[str]:
    """Names of the nodes in a folder of the scene, in its order."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = slicer.vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetItemByName(title), items, False)
    return [hierarchy.GetItemName(items.GetId(index)) for index in range(items.GetNumberOfIds())]


def log(panel) -> list[str]:
    return [line for line in panel.log.toPlainText().splitlines() if line.strip()]


def nothing_is_loaded() -> bool:
    return not slicer.util.getNodesByClass("vtkMRMLVolumeNode") and folder_of(TEST) == []


def while_making(act: Callable[[Any], None]) -> None:
    """Do something with the dialog as soon as it is shown."""

    def look() -> None:
        shown = [one for one in slicer.app.topLevelWidgets() if isinstance(one, qt.QProgressDialog) and one.visible]
        if shown:
            timer.stop()
            act(shown[0])

    timer = qt.QTimer(slicer.app)
    timer.connect("timeout()", look)
    timer.start(5)


def cancel(dialog) -> None:
    """Click on the button of the dialog."""
    (button,) = dialog.findChildren(qt.QPushButton)
    button.click()


def test_the_sets_are_offered_with_pictures_once_slicer_has_started(sample_data, slicer_host):
    from SampleData import SampleDataLogic

    sources = SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
    assert [source.sampleName for source in sources] == [SOURCE, TARGET, TEST]
    assert all(Path(source.thumbnailFileName).is_file() for source in sources)
    frame = slicer.util.findChild(sample_data.parent, f"{CATEGORY}CollapsibleGroupBox")
    assert frame.title == "Global-Local Alignment"
    assert all(not button.icon.isNull() for button in frame.findChildren(qt.QToolButton))
    assert registerPhantoms()
    assert len(SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)) == 3


def test_without_sample_data_nothing_is_offered(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    assert not registerPhantoms()


@pytest.mark.usefixtures("filled")
def test_labelled_volumes_come_into_a_folder_with_the_structures_of_the_presets(sample_data):
    click(sample_data, SOURCE)
    names = [name for number in range(1, 9) for name in (f"MR phantom {number}", f"MR phantom {number} labels")]
    assert sorted(folder_of(SOURCE)) == sorted(names)
    for number in (1, 8):
        volume, labels = (slicer.util.getNode(f"MR phantom {number}{end}") for end in ("", " labels"))
        role = labels.GetReferenceImageGeometryReferenceRole()
        assert labels.GetNodeReferenceID(role) == volume.GetID()
        assert volume.GetStorageNode() is None and labels.GetStorageNode() is None
        _image, labelmap = render_phantom("abdomen", "MR", number - 1, (40, 32, 8), (8, 8, 16))
        for index, structure in enumerate(KNOWN_STRUCTURES["abdomen"]):
            segment = labels.GetSegmentation().GetNthSegment(index)
            assert (segment.GetName(), segment.GetTerminology()) == (structure.name, structure.terminology)
            assert np.round(np.multiply(segment.GetColor(), 255)).tolist() == list(structure.color)
            identifier = labels.GetSegmentation().GetNthSegmentID(index)
            inside = slicer.util.arrayFromSegmentBinaryLabelmap(labels, identifier, volume)
            assert np.array_equal(inside > 0, labelmap.array.T == structure.value)


@pytest.mark.usefixtures("filled")
def test_they_are_cases_of_a_training_at_once(sample_data, slicer_host):
    click(sample_data, SOURCE)
    click(sample_data, TARGET)
    slicer_host.load_module(ROOT / "GlobalLocalAlignmentTraining" / "GlobalLocalAlignmentTraining.py")
    panel = slicer_host.open_module("GlobalLocalAlignmentTraining")
    for role, volume in (("source", "MR phantom"), ("target", "CT phantom")):
        panel.ui.roleComboBox.setCurrentIndex(panel.ui.roleComboBox.findData(role))
        for number in (1, 2):
            panel.ui.volumesSelector.setCheckState(slicer.util.getNode(f"{volume} {number}"), 2)
        panel.ui.addVolumesButton.click()
        panel.logic.finishLooking()
    assert all(case.usable for case in panel.logic.cases.cases)
    assert [row.terminology for row in panel.logic.mapping.rows] == TERMS
    assert panel.ui.startButton.enabled, panel.ui.startButton.toolTip


@pytest.mark.usefixtures("filled")
def test_the_first_volume_is_shown_and_the_users_nodes_stay(sample_data):
    users = slicer.util.addVolumeFromArray(np.arange(24.0).reshape(2, 3, 4), name="CT phantom 1")
    click(sample_data, TARGET)
    click(sample_data, TARGET)
    assert [folder_of(title)[1:3] for title in (TARGET, f"{TARGET}_1")] == [
        ["CT phantom 2", "CT phantom 3"],
        ["CT phantom 2_1", "CT phantom 3_1"],
    ]
    assert slicer.util.getNode("CT phantom 1") is users
    assert slicer.util.arrayFromVolume(users).max() == 23
    (first,) = slicer.util.getNodes("CT phantom 1_2").values()
    shown = {node.GetBackgroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
    assert shown == {first.GetID()}


def test_they_are_made_behind_a_dialog_once(sample_data, slicer_host, cache: Path, made: Path, monkeypatch):
    # all but the last patient are there, which is the one that takes time
    shutil.copytree(made, cache)
    last = files_of(COHORTS["test"])[-1]
    for file in last.names:
        (cache / file).unlink()
    seen = []
    while_making(lambda dialog: seen.append((dialog.windowTitle, dialog.maximum, dialog.modal)))
    click(sample_data, TEST)
    assert seen == [(TEST, 4, True)]
    assert len(folder_of(TEST)) == 8
    assert slicer.util.arrayFromVolume(slicer.util.getNode("CT test phantom 4")).shape == (24, 80, 96)
    assert sorted(path.name for path in cache.iterdir()) == sorted(path.name for path in made.iterdir())
    monkeypatch.setattr(phantommaker.PhantomMaker, "make", lambda *words: pytest.fail("made again"))
    click(sample_data, TEST)
    assert len(folder_of(f"{TEST}_1")) == 8


def test_the_making_can_be_cancelled_and_taken_up(sample_data, slicer_host, cache: Path):
    while_making(cancel)
    click(sample_data, TEST)
    assert log(sample_data)[-1] == f"{TEST}: cancelled." and nothing_is_loaded()
    assert not list(cache.glob(".part*"))
    assert not [one for one in slicer.app.topLevelWidgets() if isinstance(one, qt.QProgressDialog) and one.visible]


def test_a_process_that_is_killed_is_one_line(sample_data, cache: Path, monkeypatch: pytest.MonkeyPatch):
    started = []
    start = phantommaker.BackgroundProcess.start

    def watched(process) -> None:
        start(process)
        started.append(process._process.pid)

    monkeypatch.setattr(phantommaker.BackgroundProcess, "start", watched)
    while_making(lambda dialog: os.kill(started[0], signal.SIGKILL))
    click(sample_data, TEST)
    assert log(sample_data)[-1].startswith(f"{TEST} were not made: the process was ended from outside")
    assert nothing_is_loaded()


def test_a_full_disk_is_one_line(sample_data, small_disk: Path):
    slicer.mrmlScene.GetCacheManager().SetRemoteCacheDirectory(str(small_disk))
    with open(small_disk / "filler", "wb") as filler, pytest.raises(OSError):
        while True:
            os.write(filler.fileno(), bytes(1 << 16))
    click(sample_data, TARGET)
    assert log(sample_data)[-1].startswith(f"{TARGET} were not made: ") and "make space" in log(sample_data)[-1]


def test_a_cache_that_nothing_can_be_written_into_is_one_line(sample_data, cache: Path):
    cache.parent.mkdir(exist_ok=True)
    cache.touch()
    click(sample_data, TEST)
    assert log(sample_data)[-1].startswith(f"{TEST} were not made: ")
    assert "cannot be written" in log(sample_data)[-1]


def test_no_place_for_temporary_files_is_one_line(sample_data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(phantommaker.tempfile, "tempdir", str(tmp_path / "gone"))
    click(sample_data, TEST)
    assert log(sample_data)[-1].startswith(f"{TEST} were not made: ") and "gone" in log(sample_data)[-1]


def test_a_damaged_file_is_named_and_removed_and_the_others_are_loaded(sample_data, filled: Path):
    damaged = filled / files_of(COHORTS["target"])[2].image
    damaged.write_bytes(b"NRRD0004\nno more")
    with problems.expected(".*"):
        click(sample_data, TARGET)
    assert len(folder_of(TARGET)) == 7 and not damaged.exists()
    assert any(f"{damaged.name} in Slicer's cache was damaged" in line for line in log(sample_data))


def test_a_second_click_while_they_are_made_is_answered(sample_data, cache: Path):
    def act(dialog) -> None:
        click(sample_data, TARGET)
        cancel(dialog)

    while_making(act)
    click(sample_data, TEST)
    assert f"{TEST} are being loaded: wait for them." in log(sample_data)
    assert nothing_is_loaded()


def test_scripts_get_them_from_sample_data_once_they_were_made(sample_data, filled: Path):
    from SampleData import SampleDataLogic

    nodes = SampleDataLogic().downloadSamples(TEST)
    assert [node.GetName() for node in nodes[:2]] == ["CT test phantom 1", "CT test phantom 1 ground truth"]
    assert len(nodes) == 8


def test_without_its_panel_faults_are_in_slicers_log(slicer_host, cache: Path, monkeypatch, caplog):
    from SampleData import SampleDataLogic

    registerPhantoms()
    monkeypatch.setattr(phantommaker.PhantomMaker, "make", lambda *words: "no <space> & no time")
    (source,) = [one for one in SampleDataLogic.sampleDataSourcesByCategory(CATEGORY) if one.sampleName == TEST]
    with caplog.at_level(logging.ERROR):
        assert samplephantoms.loadPhantoms(source) == []
    assert caplog.messages == [f"{TEST} were not made: no <space> & no time"]


def test_what_the_panel_logs_is_no_html(sample_data, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(phantommaker.PhantomMaker, "make", lambda *words: "no <space> & no time")
    click(sample_data, TEST)
    assert log(sample_data)[-1] == f"{TEST} were not made: no <space> & no time"


def test_another_version_of_the_phantoms_has_a_folder_of_its_own(cache: Path, tmp_path: Path, monkeypatch):
    core = tmp_path / "GlobalLocalAlignmentLib"
    shutil.copytree(samplephantoms.CORE_FOLDER / "GlobalLocalAlignmentLib", core, ignore=shutil.ignore_patterns("*c"))
    monkeypatch.setattr(samplephantoms, "CORE_FOLDER", tmp_path)
    assert cacheFolder() == cache
    with open(core / "phantoms" / "phantomanatomy.py", "a") as stream:
        stream.write("# another anatomy\n")
    assert cacheFolder() != cache and cacheFolder().parent == cache.parent
