"""The class decorator parameterNodeWrapper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk

from . import packs
from .annotations import Default, split
from .connectors import Connector, SlicerParameterNamePropertyName, connector_for
from .kinds import ObservedDict, ObservedList

RESERVED = (
    *("allParameters", "connectGui", "connectParametersToGui", "dataType", "default", "disconnectGui"),
    *("getValue", "isCached", "setValue", "StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"),
)


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """Turn a class with typed members into a view of a vtkMRMLScriptedModuleNode, given to its constructor."""
    return _wrap(cls) if cls is not None else _wrap


def isParameterNodeWrapper(thing: Any) -> bool:
    """True for a class that parameterNodeWrapper made, and for its objects."""
    return getattr(thing, "_is_parameter_node_wrapper", False)


def _wrap(cls: type) -> type:
    fields = packs.fields_of(cls)
    taken = set(RESERVED) & (set(fields) | set(vars(cls)))
    if taken:
        raise ValueError(f"a parameterNodeWrapper has members of its own named {sorted(taken)}")
    for name in fields:
        setattr(cls, name, _member(name))
    members = {name: value for name, value in vars(_Wrapper).items() if name not in ("__dict__", "__weakref__")}
    for name, value in members.items():
        if name not in ("__module__", "__qualname__", "__doc__"):
            setattr(cls, name, value)
    cls.allParameters = fields
    cls._is_parameter_node_wrapper = True
    return cls


def _member(name: str) -> property:
    def read(self: _Wrapper) -> Any:
        return self.allParameters[name].kind.read(self.parameterNode, self._prefix + name)

    def write(self: _Wrapper, value: Any) -> None:
        field = self.allParameters[name]
        # `wrapper.names += [...]` assigns the very list that has written itself back already
        if isinstance(value, (ObservedList, ObservedDict)) and value == read(self):
            return
        field.check(value)
        with slicer.util.NodeModify(self.parameterNode):
            field.kind.write(self.parameterNode, self._prefix + name, value)

    return property(read, write)


class _Wrapper:
    """Methods that every wrapped class gets."""

    def __init__(self, parameterNode: slicer.vtkMRMLScriptedModuleNode, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._connected: dict[int, tuple[dict[str, Connector], int]] = {}
        self._updating = False
        for name, field in self.allParameters.items():
            if not field.kind.is_in(parameterNode, self._prefix + name):
                setattr(self, name, field.default.value)

    def default(self, name: str) -> Default:
        """The default of a parameter."""
        self.dataType(name)
        return self.allParameters[name].default

    @classmethod
    def dataType(cls, name: str) -> Any:
        """The type of a parameter, annotations included."""
        return packs.data_type(cls, name)

    def isCached(self, name: str) -> bool:
        """What Slicer would say; the stand-in reads the node each time."""
        return not packs.isParameterPack(split(self.dataType(name))[0])

    def getValue(self, name: str) -> Any:
        """A parameter by name; a dot goes into a pack."""
        return packs._walk(self, name)

    def setValue(self, name: str, value: Any) -> None:
        """Set a parameter by name; a dot goes into a pack."""
        packs._set_by_path(self, name, value)

    def connectGui(self, gui: Any) -> int:
        """Connect all widgets that have the property SlicerParameterName; return a tag for disconnectGui."""
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else vars(gui).values()
        named = ((widget.property(SlicerParameterNamePropertyName), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Connect widgets, given by parameter name; return a tag for disconnectGui."""
        connectors = {name: connector_for(widget, self.dataType(name)) for name, widget in mapping.items()}
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.listen(self._writer(name, connector))
        observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *event: self._update_widgets())
        tag = max(self._connected, default=-1) + 1
        self._connected[tag] = (connectors, observer)
        return tag

    def disconnectGui(self, tag: int) -> None:
        """Undo a connection; of an unknown tag nothing comes."""
        connectors, observer = self._connected.pop(tag, ({}, None))
        for connector in connectors.values():
            connector.ignore()
        if observer is not None:
            self.parameterNode.RemoveObserver(observer)

    def _writer(self, name: str, connector: Connector) -> Callable[[], None]:
        def write() -> None:
            if not self._updating:
                self.setValue(name, connector.read())

        return write

    def _update_widgets(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            for connectors, _ in list(self._connected.values()):
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> int:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: int, callback: Callable, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()
