"""Widgets that show and change a parameter."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, get_args

import ctk
import qt
import slicer

from .annotations import Choice, Decimals, Maximum, Minimum, RangeBounds, SingleStep, WithinRange, first, split
from .kinds import node_types
from .packs import FloatRange

SlicerParameterNamePropertyName = "SlicerParameterName"
INTEGERS = (-(2**31), 2**31 - 1)
"""What a spin box for whole numbers can hold."""


@dataclass
class Connector:
    """How one widget is read, written and listened to."""

    widget: Any
    signal: str | None
    read: Callable[[], Any]
    write: Callable[[Any], None]
    slot: Callable[[], None] | None = None

    def listen(self, slot: Callable[[], None]) -> None:
        """Call slot() when the user changes the widget."""
        self.slot = lambda: slot()
        if self.signal is not None:
            getattr(self.widget, self.signal).connect(self.slot)

    def ignore(self) -> None:
        """Listen no more."""
        if self.signal is not None:
            getattr(self.widget, self.signal).disconnect(self.slot)


def _attribute(
    widget: Any, name: str, signal: str | None, convert: Callable[[Any], Any] = lambda value: value
) -> Connector:
    """A connector to one property of a widget; convert turns the property into the value."""
    shown = str if convert in (str,) or isinstance(convert, type) and issubclass(convert, PurePath) else convert

    def write(value: Any) -> None:
        # a text that is the same already keeps its cursor
        if getattr(widget, name) != shown(value):
            setattr(widget, name, shown(value))

    return Connector(widget, signal, lambda: convert(getattr(widget, name)), write)


def _number(widget: Any, kind: type, annotations: list) -> Connector:
    has_decimals = type(widget) not in (qt.QSlider, qt.QSpinBox, ctk.ctkDoubleSlider)
    decimals, step = first(annotations, Decimals), first(annotations, SingleStep)
    if has_decimals and (decimals is not None or kind is int):
        widget.decimals = 0 if kind is int else decimals.value
    if step is not None:
        widget.singleStep = step.value
    both = first(annotations, WithinRange)
    low, high = both or first(annotations, Minimum), both or first(annotations, Maximum)
    unlimited = INTEGERS if isinstance(widget, (qt.QSlider, qt.QSpinBox)) else (float("-inf"), float("inf"))
    if isinstance(widget, SLIDERS) and (low is None or high is None):
        raise RuntimeError(f"the slider {widget.objectName!r} needs a number with limits")
    widget.minimum = low.minimum if low is not None else unlimited[0]
    widget.maximum = high.maximum if high is not None else unlimited[1]
    return _attribute(widget, "value", "valueChanged", kind)


def _list(widget: Any, values: list, labels: list[str]) -> Connector:
    widget.clear()
    widget.addItems(labels)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex], write)


def _node(widget: Any, declared: Any) -> Connector:
    widget.nodeTypes = node_types(declared)
    return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)


def _range(widget: Any, annotations: list) -> Connector:
    bounds = first(annotations, RangeBounds)
    if bounds is None:
        raise RuntimeError(f"the range {widget.objectName!r} needs RangeBounds")
    widget.setRange(bounds.minimum, bounds.maximum)

    def write(value: FloatRange) -> None:
        widget.setValues(value.minimum, value.maximum)

    return Connector(widget, "valuesChanged", lambda: FloatRange(widget.minimumValue, widget.maximumValue), write)


def _is_node_type(declared: Any) -> bool:
    allowed = [item for item in get_args(declared) or (declared,) if item is not type(None)]
    return all(isinstance(item, type) and issubclass(item, slicer.vtkMRMLNode) for item in allowed)


NUMBER_WIDGETS = (
    *(qt.QSlider, qt.QSpinBox, qt.QDoubleSpinBox),
    *(ctk.ctkSliderWidget, ctk.ctkDoubleSlider, slicer.qMRMLSliderWidget),
    *(slicer.qMRMLSpinBox, ctk.ctkDoubleSpinBox),
)
SLIDERS = (qt.QSlider, ctk.ctkSliderWidget)
"""Widgets that must have a least and a greatest value."""
RANGES = (ctk.ctkRangeWidget, ctk.ctkDoubleRangeSlider, slicer.qMRMLRangeWidget)


def connector_for(widget: Any, annotated: Any) -> Connector:
    """A connector of a widget to a parameter of a type; RuntimeError if they do not go together."""
    declared, annotations = split(annotated)
    kind = declared if isinstance(declared, type) else object
    # by the exact type, as in Slicer: a subclass of ours might mean something else
    widget_type = type(widget)
    choice = first(annotations, Choice)
    if declared is bool and widget_type in (qt.QCheckBox, ctk.ctkCheckBox):
        return _attribute(widget, "checked", "stateChanged", bool)
    if declared is bool and widget_type in (qt.QPushButton, ctk.ctkCheckablePushButton):
        widget.checkable = True
        return _attribute(widget, "checked", "toggled", bool)
    if declared in (int, float) and widget_type in NUMBER_WIDGETS:
        return _number(widget, declared, annotations)
    if widget_type in (qt.QComboBox, ctk.ctkComboBox) and issubclass(kind, enum.Enum):
        label = getattr(declared, "label", lambda member: member.name)
        return _list(widget, list(declared), [label(member) for member in declared])
    if widget_type in (qt.QComboBox, ctk.ctkComboBox) and declared in (int, float, str, bool):
        if choice is None:
            raise RuntimeError(f"the combo box {widget.objectName!r} needs a parameter with Choice")
        return _list(widget, list(choice.choices), [str(item) for item in choice.choices])
    if declared is str and widget_type is qt.QLineEdit:
        return _attribute(widget, "text", "textChanged")
    if declared is str and widget_type is qt.QLabel:
        return _attribute(widget, "text", None)
    if declared is str and widget_type in (qt.QTextEdit, qt.QPlainTextEdit):
        return _attribute(widget, "plainText", "textChanged")
    if issubclass(kind, PurePath) and widget_type is ctk.ctkPathLineEdit:
        return _attribute(widget, "currentPath", "currentPathChanged", declared)
    if issubclass(kind, PurePath) and widget_type is ctk.ctkDirectoryButton:
        return _attribute(widget, "directory", "directoryChanged", declared)
    if declared is FloatRange and widget_type in RANGES:
        return _range(widget, annotations)
    if widget_type is slicer.qMRMLNodeComboBox and _is_node_type(declared):
        return _node(widget, declared)
    raise RuntimeError(f"a {widget.className()} cannot show a parameter of type {declared}")
