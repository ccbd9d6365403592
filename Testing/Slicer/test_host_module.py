"""A scripted module with a .ui file in the host: loading, parameter node and widgets in both directions, its life."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import qt
import slicer
from slicer.parameterNodeWrapper import Default, FloatRange, Minimum, parameterNodeWrapper, parameterPack
from SlicerHost import problems
from SlicerHost.problems import HostError, WrongSignatureError
from SlicerHost.uiloader import UiFileError

SAMPLE = Path(__file__).parent / "Sample" / "HostSample.py"
UI = SAMPLE.parent / "Resources" / "UI" / "HostSample.ui"


class Device(enum.Enum):
    AUTO = 1
    CPU = 2


@parameterPack
class Point:
    x: float = 1.0
    name: str = "p"


@parameterNodeWrapper
class Parameters:
    count: Annotated[int, Minimum(1), Default(3)]
    folder: Path
    device: Device
    nodes: list[slicer.vtkMRMLNode]
    names: list[str]
    sizes: dict[str, int]
    point: Point
    limits: FloatRange
    either: slicer.vtkMRMLScalarVolumeNode | slicer.vtkMRMLLabelMapVolumeNode | None


@pytest.fixture
def module(slicer_host):
    """The object of the widget class of the sample module, its panel open."""
    slicer_host.load_module(SAMPLE)
    return slicer_host.open_module("HostSample")


@pytest.fixture
def volume():
    """A volume of the values 0 to 23."""
    return slicer.util.addVolumeFromArray(np.arange(24.0).reshape(2, 3, 4), name="ramp")


def test_a_module_is_found_where_slicer_has_it(slicer_host):
    slicer_host.load_module(SAMPLE)
    module = slicer.modules.hostsample
    assert (module.title, module.categories, module.name) == ("Host sample", ["Segmentation"], "HostSample")
    assert slicer.util.modulePath("HostSample") == str(SAMPLE)
    assert slicer.util.getModule("HostSample") is module
    assert not hasattr(slicer.modules, "HostSampleWidget")
    assert slicer.util.getModuleWidget("HostSample") is slicer.modules.HostSampleWidget
    assert slicer.util.getModuleLogic("HostSample") is slicer.modules.HostSampleWidget.logic
    assert slicer.util.getModuleLogic("Segmentations").GetClassName() == "vtkSlicerSegmentationsModuleLogic"


def test_a_module_cannot_set_what_slicer_does_not_know(slicer_host):
    module = slicer_host.load_module(SAMPLE)
    with pytest.raises(AttributeError):
        module.catgories = ["Segmentation"]


def test_the_parameter_node_sets_the_widgets(module, volume):
    parameters, ui = module._parameterNode, module.ui
    assert (ui.thresholdSlider.value, ui.thresholdSlider.maximum, ui.modeBox.currentText) == (50, 200, "above")
    parameters.inputVolume, parameters.threshold, parameters.mode = volume, 12.5, "below"
    parameters.exact, parameters.comment = False, "seen"
    assert ui.inputSelector.currentNode() is volume
    assert (ui.thresholdSlider.value, ui.modeBox.currentText, ui.exactBox.checked) == (12.5, "below", False)
    assert ui.commentEdit.text == "seen"
    assert ui.applyButton.enabled


def test_the_widgets_set_the_parameter_node(module, volume):
    parameters, ui = module._parameterNode, module.ui
    ui.inputSelector.setCurrentNode(volume)
    ui.thresholdSlider.value = 20
    ui.modeBox.currentIndex = 1
    ui.exactBox.click()
    ui.commentEdit.text = "typed"
    assert parameters.inputVolume is volume
    values = (parameters.threshold, parameters.mode, parameters.exact, parameters.comment)
    assert values == (20, "below", False, "typed")


def test_a_disconnected_widget_no_longer_follows(module):
    parameters, ui = module._parameterNode, module.ui
    module.setParameterNode(None)
    parameters.threshold = 7
    ui.commentEdit.text = "alone"
    assert (ui.thresholdSlider.value, parameters.comment) == (50, "none")


@pytest.mark.parametrize(("name", "value"), [("threshold", 201), ("threshold", "1"), ("mode", "beside"), ("exact", 1)])
def test_a_value_that_will_not_do_is_refused(module, name: str, value: object):
    with pytest.raises((TypeError, ValueError)):
        setattr(module._parameterNode, name, value)


def test_a_button_does_the_work_of_the_logic(module, volume):
    module._parameterNode.inputVolume = volume
    module._parameterNode.threshold = 20
    module.ui.applyButton.click()
    assert module.ui.resultLabel.text == "3 voxels"


def test_parameters_survive_a_saved_scene(module, volume, tmp_path):
    module._parameterNode.inputVolume, module._parameterNode.threshold = volume, 33.5
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    module._parameterNode.threshold = 1
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    module.enter()
    assert module.ui.thresholdSlider.value == 33.5
    assert module.ui.inputSelector.currentNode().GetName() == "ramp"


def test_closing_the_scene_disconnects_and_connects_again(module, volume):
    module._parameterNode.inputVolume = volume
    slicer.mrmlScene.Clear(0)
    assert module.ui.inputSelector.currentNode() is None
    assert not module.ui.applyButton.enabled
    module.ui.commentEdit.text = "after"
    assert module._parameterNode.comment == "after"


def test_a_removed_volume_leaves_the_selector(module, volume):
    module._parameterNode.inputVolume = volume
    slicer.mrmlScene.RemoveNode(volume)
    assert module.ui.inputSelector.currentNode() is None
    assert not module.ui.applyButton.enabled


def test_another_module_can_be_selected(module, slicer_host):
    assert slicer.util.selectedModule() == "HostSample"
    module.exit()
    slicer.util.selectModule(slicer.modules.hostsample)
    assert module._parameterNode is not None
    with pytest.raises(RuntimeError):
        slicer.util.selectModule("NoSuchModule")


def test_a_reloaded_module_has_a_new_panel(module):
    slicer.util.reloadScriptedModule("HostSample")
    assert slicer.modules.HostSampleWidget is not module
    slicer.modules.HostSampleWidget.ui.commentEdit.text = "new"
    assert slicer.modules.HostSampleWidget._parameterNode.comment == "new"


def test_slicer_quitting_cleans_up(module, slicer_host):
    ends = []
    slicer.app.aboutToQuit.connect(lambda: ends.append(True))
    slicer_host.quit()
    assert ends == [True]
    assert module._parameterNode is None
    assert not hasattr(slicer.modules, "hostsample")


def test_the_tests_of_a_module_run(slicer_host):
    slicer_host.load_module(SAMPLE)
    slicer.modules.HostSampleInstance.runTest(msec=0)
    slicer.selfTests["HostSample"]()


def test_sample_data_is_registered_when_slicer_has_started(slicer_host):
    from SampleData import SampleDataLogic

    slicer_host.load_module(SAMPLE)
    slicer.app.startupCompleted.emit()
    assert [source.fileNames for source in SampleDataLogic.sampleDataSourcesByCategory("HostSample")] == [["ramp.nrrd"]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "a source of the name Ramp"),
        ({"sampleName": "x", "checksums": None}, "nothing says what is downloaded"),
        ({"sampleName": "x", "thumbnailFileName": "no.png"}, "no.png is no picture"),
        ({"sampleName": "x", "uris": None}, "needs uris"),
        ({"sampleName": "x", "uris": ["a"], "fileNames": ["a"], "nodeNames": ["a", "b"], "checksums": None}, "length"),
        ({"sampleName": "x", "uris": ["file:///a", "file:///b"]}, "must be a list"),
        ({"sampleName": "x", "customDownloader": "name"}, "no function"),
        ({"sampleName": "x", "loadFileType": "VolumeFile"}, "takes no loadFileType"),
    ],
)
def test_sample_data_that_slicer_could_not_show_or_serve_are_refused(slicer_host, changes: dict, words: str):
    if slicer_host.genuine:
        pytest.skip("Slicer's own Sample Data takes them")
    from SampleData import SampleDataLogic

    slicer_host.load_module(SAMPLE)
    slicer.app.startupCompleted.emit()
    source = {"sampleName": "Ramp", "uris": "https://example.org/other.nrrd", "fileNames": "other.nrrd"}
    with pytest.raises((TypeError, ValueError), match=words):
        SampleDataLogic.registerCustomSampleDataSource("Others", **source | {"checksums": "SHA256:0"} | changes)


def test_a_folder_that_was_on_the_path_before_a_module_stays(slicer_host, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(SAMPLE.parent), *sys.path])
    slicer_host.load_module(SAMPLE)
    slicer_host.unload_module("HostSample")
    assert str(SAMPLE.parent) in sys.path
    sys.path.remove(str(SAMPLE.parent))
    slicer_host.load_module(SAMPLE)
    slicer_host.unload_module("HostSample")
    assert str(SAMPLE.parent) not in sys.path


def test_connections_of_a_ui_file_are_made(module):
    assert module.ui.commentEdit.enabled
    module.ui.exactBox.click()
    assert not module.ui.commentEdit.enabled


def test_flags_and_lists_of_a_ui_file_are_set(module):
    edit = module.ui.modelEdit
    assert edit.nameFilters == ("Models (*.safetensors)",)
    assert edit.filters == edit.Files | edit.Readable


def test_children_are_found_by_name_but_are_no_attributes_of_the_widget(module):
    panel = module.layout.itemAt(0).widget()
    assert slicer.util.findChild(panel, "applyButton").text == "Apply"
    assert module.ui.formLayout.rowCount() > 3
    with pytest.raises(AttributeError):
        panel.applyButton  # noqa: B018


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("QLineEdit", "QLineEditt", UiFileError),
        ('"noneEnabled"', '"nonEnabled"', UiFileError),
        ("<signal>toggled(bool)", "<signal>togled(bool)", WrongSignatureError),
        ("<slot>setEnabled(bool)", "<slot>setEnabled(int)", WrongSignatureError),
        ("<receiver>commentEdit", "<receiver>comentEdit", UiFileError),
    ],
)
def test_a_mistake_in_a_ui_file_raises(tmp_path, old: str, new: str, error: type[HostError]):
    text = UI.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "wrong.ui").write_text(text.replace(old, new), encoding="utf-8")
    with problems.expected("."), pytest.raises(error):
        slicer.util.loadUI(str(tmp_path / "wrong.ui"))


def test_parameters_of_many_types(slicer_host, volume, tmp_path):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(node)
    assert (parameters.count, parameters.device, list(parameters.names)) == (3, Device.AUTO, [])
    parameters.folder, parameters.device, parameters.either = tmp_path, Device.CPU, volume
    parameters.names.append("liver")
    parameters.nodes = [volume]
    parameters.sizes["spleen"] = 5
    parameters.point.x = 2.5
    parameters.limits = FloatRange(-1, 4)
    again = Parameters(node)
    assert (again.folder, again.device, again.either) == (tmp_path, Device.CPU, volume)
    assert (list(again.names), list(again.nodes), dict(again.sizes)) == (["liver"], [volume], {"spleen": 5})
    assert (again.point.x, again.getValue("point.name"), again.limits.maximum) == (2.5, "p", 4)
    with pytest.raises(ValueError):
        parameters.count = 0


def test_sizes_and_pictures_of_a_panel(module, slicer_host, tmp_path):
    slicer_host.grab(slicer.modules.hostsample.widgetRepresentation(), tmp_path / "panel.png", 420)
    image = qt.QImage(str(tmp_path / "panel.png"))
    colors = {image.pixel(x, y) for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)}
    assert (image.width(), image.height() > 200, len(colors) > 20) == (420, True, True)


def test_the_genuine_python_of_slicer_is_used_exactly_if_its_sources_are_named(slicer_host):
    import SegmentStatistics
    import slicer.i18n
    import slicer.packaging
    import slicer.parameterNodeWrapper
    import slicer.ScriptedLoadableModule

    modules = (
        slicer.ScriptedLoadableModule,
        slicer.parameterNodeWrapper,
        slicer.packaging,
        slicer.i18n,
        SegmentStatistics,
    )
    genuine = ["StandIns" not in module.__file__ for module in modules]
    assert genuine == [slicer_host.genuine] * 5 == [bool(os.environ.get("SLICER_SOURCE_DIR"))] * 5


def test_a_folder_that_is_no_checkout_of_slicer_is_refused(tmp_path):
    environment = os.environ | {"SLICER_SOURCE_DIR": str(tmp_path), "PYTHONPATH": str(SAMPLE.parents[2])}
    command = [sys.executable, "-c", "from SlicerHost.host import start; start()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "is no checkout of Slicer" in done.stderr


def test_requirements_are_installed_after_the_user_agreed(slicer_host, tmp_path):
    from slicer.packaging import load_requirements, pip_ensure

    (tmp_path / "requirements.txt").write_text("# ours\nsurely-not-a-package>=1\nnumpy>=1\n", encoding="utf-8")
    requirements, installed = load_requirements(tmp_path / "requirements.txt"), []
    slicer_host.run_pip = installed.append
    slicer_host.answers.give(qt.QMessageBox.Cancel)
    with pytest.raises(RuntimeError):
        pip_ensure(requirements, requester="Sample")
    assert installed == []
    slicer_host.answers.give(qt.QMessageBox.Ok)
    pip_ensure(requirements, requester="Sample", show_progress=False)
    assert ["surely-not-a-package>=1" in command for command in installed] == [True]
