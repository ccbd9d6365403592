"""Loads .ui files as Slicer does, but refuses unknown classes, properties, signals and slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar
from xml.etree import ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from SlicerHost.problems import HostError, WrongSignatureError
from SlicerHost.pythonqt import children_stay_children, property_names

DESIGNER_PROPERTIES = {("QLabel", "buddy"), ("Line", "orientation"), ("QWidget", "buttonGroup")}
"""Properties that Designer handles itself."""
DESIGNER_CLASSES = {"Line": QtWidgets.QFrame, "QLayoutWidget": QtWidgets.QWidget}


class UiFileError(HostError):
    """A .ui file asks for something that does not exist."""


class QUiLoader:
    """`qt.QUiLoader().load(file)`."""

    custom_classes: ClassVar[dict[str, type]] = {}
    """Widgets that are not Qt's own, by the name that .ui files use."""

    def load(self, file: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """The widget that a file, opened for reading, describes; connections included."""
        root = ElementTree.fromstring(file.readAll().data())
        for element in root.iter("widget"):
            _check_properties(element)
        flags = _take_flags(root)
        connections = root.find("connections")
        if connections is not None:
            root.remove(connections)
        used = {element.get("class") for element in root.iter("widget")}
        widget = _load_plain(ElementTree.tostring(root), used, parent)
        for name, attribute, value in flags:
            setattr(_named(widget, name), attribute, value)
        for connection in connections if connections is not None else ():
            _connect(widget, *(connection.findtext(part) for part in ("sender", "signal", "receiver", "slot")))
        return widget


def _load_plain(text: bytes, used: set[str | None], parent: QtWidgets.QWidget | None) -> QtWidgets.QWidget:
    loader = QtUiTools.QUiLoader()
    # each takes milliseconds
    for name in used & QUiLoader.custom_classes.keys():
        loader.registerCustomWidget(QUiLoader.custom_classes[name])
    buffer = QtCore.QBuffer()
    buffer.setData(text)
    buffer.open(QtCore.QIODevice.ReadOnly)
    with children_stay_children():
        widget = loader.load(buffer, parent)
    if widget is None:
        raise UiFileError(loader.errorString())
    return widget


def _class_of(element: ElementTree.Element) -> type:
    name = element.get("class")
    kind = QUiLoader.custom_classes.get(name) or DESIGNER_CLASSES.get(name) or getattr(QtWidgets, name, None)
    if kind is None:
        raise UiFileError(f"{element.get('name')}: the host has no widget class {name}")
    return kind


def _check_properties(element: ElementTree.Element) -> None:
    known = property_names(_class_of(element))
    for found in element.findall("property"):
        name = found.get("name")
        if found.get("stdset") == "0" or (element.get("class"), name) in DESIGNER_PROPERTIES:
            continue
        if name not in known:
            raise UiFileError(f"{element.get('name')}: {element.get('class')} has no property {name!r}")


def _take_flags(root: ElementTree.Element) -> list[tuple[str, str, int]]:
    """Remove the properties of our widgets that are flags, which Qt cannot set; return (widget, property, value)."""
    taken = []
    for element in root.iter("widget"):
        if element.get("class") in QUiLoader.custom_classes:
            kind = QUiLoader.custom_classes[element.get("class")]
            for found in element.findall("property"):
                value = found.find("set") if found.find("set") is not None else found.find("enum")
                if value is not None and hasattr(kind, value.text.split("|")[0].rpartition("::")[2]):
                    names = [name.rpartition("::")[2] for name in value.text.split("|")]
                    taken.append((element.get("name"), found.get("name"), sum(int(getattr(kind, n)) for n in names)))
                    element.remove(found)
    return taken


def _named(root: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = root if root.objectName == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise UiFileError(f"nothing is named {name!r}")
    return found


def _connect(root: QtWidgets.QWidget, sender: str, signal: str, receiver: str, slot: str) -> None:
    method = _slot(_named(root, receiver), slot)
    count = len([part for part in slot.partition("(")[2].rstrip(")").split(",") if part])
    _named(root, sender).connect(signal, lambda *arguments: method(*arguments[:count]))


def _slot(receiver: QtCore.QObject, signature: str) -> Callable:
    name = signature.partition("(")[0]
    normal = QtCore.QMetaObject.normalizedSignature(signature).data().decode()
    known = receiver.metaObject().indexOfMethod(normal) >= 0 or normal in getattr(type(receiver), "CPP_SLOTS", ())
    if not known:
        raise WrongSignatureError(f"{receiver.className()} {receiver.objectName!r} has no slot {signature!r}")
    return getattr(receiver, name)
