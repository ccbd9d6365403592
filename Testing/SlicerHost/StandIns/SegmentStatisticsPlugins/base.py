"""Stand-in for the base class of plugins, with the options that Slicer shows of each."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk


class SegmentStatisticsPluginBase:
    """A plugin sets name, title, keys and defaultKeys, and says how to compute and describe its measurements."""

    def __init__(self) -> None:
        self.name = self.title = ""
        self.keys: list[str] = []
        self.defaultKeys: list[str] = []
        self.requestedKeysCheckboxes: dict[str, qt.QCheckBox] = {}
        self.parameterNode: slicer.vtkMRMLScriptedModuleNode | None = None
        self.parameterNodeObserver: int | None = None

    def __del__(self) -> None:
        self._unobserve()

    def computeStatistics(self, segmentID: str) -> dict[str, Any]:
        """Measurements of one segment, by short key."""
        raise NotImplementedError

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        """Name, title, description and units of a measurement."""
        raise NotImplementedError

    @staticmethod
    def createCodedEntry(codeValue: str, codingScheme: str, codeMeaning: str, returnAsString: bool = False) -> Any:
        """A vtkCodedEntry, or its text."""
        entry = slicer.vtkCodedEntry()
        entry.SetValueSchemeMeaning(codeValue, codingScheme, codeMeaning)
        return entry.GetAsString() if returnAsString else entry

    @staticmethod
    def createMeasurementInfo(
        name: str,
        title: str,
        description: str,
        units: str,
        quantityDicomCode: str | None = None,
        unitsDicomCode: str | None = None,
        measurementMethodDicomCode: str | None = None,
        derivationDicomCode: str | None = None,
        componentNames: list[str] | None = None,
    ) -> dict[str, Any]:
        """What getMeasurementInfo returns."""
        codes = {
            "DICOM.QuantityCode": quantityDicomCode,
            "DICOM.UnitsCode": unitsDicomCode,
            "DICOM.MeasurementMethodCode": measurementMethodDicomCode,
            "DICOM.DerivationCode": derivationDicomCode,
        }
        for code in filter(None, codes.values()):
            if not isinstance(code, str) or not slicer.vtkCodedEntry().SetFromString(code):
                raise ValueError(f"{name}: {code!r} is no text of a coded entry")
        info = {"name": name, "title": title, "description": description, "units": units}
        info |= {"componentNames": componentNames} if componentNames else {}
        return info | {key: code for key, code in codes.items() if code}

    def toLongKey(self, key: str) -> str:
        """The key that the logic uses."""
        return f"{type(self).__name__}.{key}"

    def toShortKey(self, key: str) -> str:
        """The key that the plugin uses; empty for one of another plugin."""
        return key.removeprefix(self.toLongKey("")) if key.startswith(self.toLongKey("")) else ""

    def setDefaultParameters(
        self, parameterNode: slicer.vtkMRMLScriptedModuleNode, overwriteExisting: bool = False
    ) -> None:
        """Switch the plugin on where nothing was said yet, and its default measurements."""
        if not parameterNode.GetParameter(self._enabled()):
            parameterNode.SetParameter(self._enabled(), "True")
        for key in self.keys:
            if overwriteExisting or not parameterNode.GetParameter(self._enabled(key)):
                parameterNode.SetParameter(self._enabled(key), str(key in self.defaultKeys))

    def setParameterNode(self, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        if self.parameterNode is parameterNode:
            return
        self._unobserve()
        self.parameterNode = parameterNode
        if parameterNode is not None:
            self.setDefaultParameters(parameterNode)
            self.parameterNodeObserver = parameterNode.AddObserver(
                vtk.vtkCommand.ModifiedEvent, self.updateGuiFromParameterNode
            )
        self.createDefaultOptionsWidget()
        self.updateGuiFromParameterNode()

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode | None:
        return self.parameterNode

    def getRequestedKeys(self) -> list[str]:
        """Short keys of the measurements that are switched on."""
        node = self.parameterNode
        return [key for key in self.keys if node and node.GetParameter(self._enabled(key)) == "True"]

    def createDefaultOptionsWidget(self) -> None:
        """Make optionsWidget: the plugin on or off, buttons for all measurements, and each of them."""
        self.optionsWidget = qt.QWidget()
        form = qt.QFormLayout(self.optionsWidget)
        self.pluginCheckbox = qt.QCheckBox(f"{self.title} plugin enabled")
        self.pluginCheckbox.checked = True
        self.pluginCheckbox.connect("stateChanged(int)", self.updateParameterNodeFromGui)
        form.addRow(self.pluginCheckbox)
        buttons = qt.QFrame(self.optionsWidget)
        buttons.setLayout(qt.QHBoxLayout())
        for text, slot in (("all", self.requestAll), ("none", self.requestNone), ("default", self.requestDefault)):
            button = qt.QPushButton(text, self.optionsWidget)
            button.connect("clicked()", slot)
            buttons.layout().addWidget(button)
        form.addRow(buttons)
        self.requestedKeysCheckboxes = {}
        for key in self.keys:
            info = self.getMeasurementInfo(key)
            box = qt.QCheckBox(info["name"], self.optionsWidget)
            box.checked = key in self.getRequestedKeys()
            box.setToolTip(f"{key}: {info['description']} ({info['units'] or 'n/a'})")
            box.connect("stateChanged(int)", self.updateParameterNodeFromGui)
            form.addRow(box)
            self.requestedKeysCheckboxes[key] = box

    def updateGuiFromParameterNode(self, caller: Any = None, event: Any = None) -> None:
        if self.parameterNode is None:
            return
        enabled = self.parameterNode.GetParameter(self._enabled()) != "False"
        self.pluginCheckbox.checked = enabled
        for key, box in self.requestedKeysCheckboxes.items():
            before = box.blockSignals(True)
            box.checked = key in self.getRequestedKeys()
            box.enabled = enabled
            box.blockSignals(before)

    def updateParameterNodeFromGui(self) -> None:
        if self.parameterNode is None:
            return
        self.parameterNode.SetParameter(self._enabled(), str(self.pluginCheckbox.checked))
        for key, box in self.requestedKeysCheckboxes.items():
            self.parameterNode.SetParameter(self._enabled(key), str(box.checked))

    def requestAll(self) -> None:
        self._request(self.keys)

    def requestNone(self) -> None:
        self._request([])

    def requestDefault(self) -> None:
        self._request(self.defaultKeys)

    def _request(self, keys: list[str]) -> None:
        for key in self.keys if self.parameterNode is not None else ():
            self.parameterNode.SetParameter(self._enabled(key), str(key in keys))

    def _enabled(self, key: str = "") -> str:
        """Name of the parameter that switches a measurement, or the plugin, on."""
        return f"{self.toLongKey(key) if key else type(self).__name__}.enabled"

    def _unobserve(self) -> None:
        if self.parameterNode is not None and self.parameterNodeObserver is not None:
            self.parameterNode.RemoveObserver(self.parameterNodeObserver)
