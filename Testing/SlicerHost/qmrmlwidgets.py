"""qMRML widgets that .ui files name, over the real scene, with the properties, signals and slots of the real ones."""

from __future__ import annotations

from collections.abc import Callable

import shiboken6
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.ctkwidgets import ctkRangeWidget, ctkSliderWidget

SET_SCENE = "setMRMLScene(vtkMRMLScene*)"
SCENE_CHANGED = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged(PyObject)"}
ID_ROLE = QtCore.Qt.UserRole
BOX_WIDTH = 60
"""Pixels that a node selector needs at least."""


class Observations:
    """VTK observers of one widget; they fall silent when the widget is deleted."""

    def __init__(self, widget: QtWidgets.QWidget) -> None:
        self._widget = widget
        self._made: list[tuple[vtk.vtkObject, int]] = []

    def add(self, subject: vtk.vtkObject, event: int | str, slot: Callable[[vtk.vtkObject | None], None]) -> None:
        """Call slot(node) for an event of a scene that tells a node, slot(None) for any other event."""

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def with_node(caller: vtk.vtkObject, event: str, node: vtk.vtkObject) -> None:
            if shiboken6.isValid(self._widget):
                slot(node)

        def without_node(caller: vtk.vtkObject, event: str) -> None:
            if shiboken6.isValid(self._widget):
                slot(None)

        tells_node = subject.IsA("vtkMRMLScene") and event in (
            slicer.vtkMRMLScene.NodeAddedEvent,
            slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent,
            slicer.vtkMRMLScene.NodeRemovedEvent,
        )
        self._made.append((subject, subject.AddObserver(event, with_node if tells_node else without_node)))

    def clear(self) -> None:
        """Remove all."""
        for subject, tag in self._made:
            subject.RemoveObserver(tag)
        self._made = []


class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands its scene on."""

    mrmlSceneChanged = QtCore.Signal(object)
    CPP_SIGNALS = SCENE_CHANGED
    CPP_SLOTS = (SET_SCENE,)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not self._scene:
            self._scene = scene
            self._scene_set()
            self.mrmlSceneChanged.emit(scene)

    def _scene_set(self) -> None:
        """The scene is another one."""


class qSlicerWidget(qMRMLWidget):
    """The base of Slicer's own widgets."""


class qMRMLSliderWidget(ctkSliderWidget):
    """A slider that knows the units of the scene."""

    CPP_SLOTS = (SET_SCENE,)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Nothing depends on the scene here."""


class qMRMLSpinBox(QtWidgets.QDoubleSpinBox):
    """A spin box that knows the units of the scene."""

    CPP_SLOTS = (SET_SCENE,)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Nothing depends on the scene here."""


class qMRMLRangeWidget(ctkRangeWidget):
    """A range that knows the units of the scene."""

    CPP_SLOTS = (SET_SCENE,)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """Nothing depends on the scene here."""


class _NodeList(qMRMLWidget):
    """A combo box of the nodes of a scene that are of certain types; base of the two kinds of node selector."""

    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    CPP_SIGNALS = SCENE_CHANGED | {
        f"{name}(vtkMRMLNode*)": f"{name}(PyObject)"
        for name in ("nodeAdded", "nodeAddedByUser", "nodeAboutToBeRemoved")
    }
    LEADING = 0
    """Rows before the first node."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._types: list[str] = []
        self._attributes: dict[str, dict[str, str | None]] = {}
        self._flags = {"addEnabled": True, "removeEnabled": True, "editEnabled": False, "renameEnabled": False}
        self._flags |= {"showHidden": False, "showChildNodeTypes": True, "selectNodeUponCreation": True}
        self._base_name = ""
        self._observations = Observations(self)
        self._names = Observations(self)
        self._box = QtWidgets.QComboBox(self)
        self._box.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        # the names of checked nodes are cut short, as in Slicer, and make no panel wider
        self._box.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        self._box.setMinimumWidth(BOX_WIDTH)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)

    def _flag(name: str) -> QtCore.Property:  # noqa: N805 - it makes the properties below, it is not a method
        def read(self: _NodeList) -> bool:
            return self._flags[name]

        def write(self: _NodeList, value: bool) -> None:
            self._flags[name] = value
            self._refresh()

        return QtCore.Property(bool, read, write)

    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    editEnabled = _flag("editEnabled")
    renameEnabled = _flag("renameEnabled")
    showHidden = _flag("showHidden")
    showChildNodeTypes = _flag("showChildNodeTypes")
    selectNodeUponCreation = _flag("selectNodeUponCreation")
    del _flag

    def _getNodeTypes(self) -> list[str]:
        return self._types

    def _setNodeTypes(self, types: list[str]) -> None:
        self._types = list(types)
        self._refresh()

    def _getBaseName(self) -> str:
        return self._base_name

    def _setBaseName(self, name: str) -> None:
        self._base_name = name

    nodeTypes = QtCore.Property("QStringList", _getNodeTypes, _setNodeTypes)
    baseName = QtCore.Property(str, _getBaseName, _setBaseName)

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """Of this type show only nodes that have the attribute, with this value unless it is None."""
        self._attributes.setdefault(node_type, {})[name] = value
        self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes.get(node_type, {}).pop(name, None)
        self._refresh()

    def nodeCount(self) -> int:
        return len(self._nodes())

    def _nodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        """The nodes shown, in the order of the scene."""
        if self._scene is None:
            return ()
        if len(self._types) == 1:
            found = self._scene.GetNodesByClass(self._types[0])
            # the collection comes with a reference that nobody else gives back
            found.UnRegister(None)
            some_nodes = (found.GetItemAsObject(index) for index in range(found.GetNumberOfItems()))
        else:
            some_nodes = (self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes()))
        return tuple(node for node in some_nodes if self._shows(node))

    def nodeFromIndex(self, index: int) -> slicer.vtkMRMLNode | None:
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addNode(self, node_type: str | None = None) -> slicer.vtkMRMLNode:
        """Make a node as the "create new" entry of the list does."""
        kind = node_type or self._types[0]
        name = self._base_name or self._scene.GetTagByClassName(kind)
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(name))
        for attribute, value in self._attributes.get(kind, {}).items():
            node.SetAttribute(attribute, value or "")
        self._refresh()
        if self._flags["selectNodeUponCreation"]:
            self._select(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _shows(self, node: slicer.vtkMRMLNode) -> bool:
        if node.GetHideFromEditors() and not self._flags["showHidden"]:
            return False
        return any(self._matches(node, kind) for kind in self._types)

    def _matches(self, node: slicer.vtkMRMLNode, kind: str) -> bool:
        if not (node.IsA(kind) if self._flags["showChildNodeTypes"] else node.GetClassName() == kind):
            return False
        wanted = self._attributes.get(kind, {})
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
            for name, value in wanted.items()
        )

    def _scene_set(self) -> None:
        self._observations.clear()
        if self._scene is not None:
            events = slicer.vtkMRMLScene
            self._observations.add(self._scene, events.NodeAddedEvent, self._on_added)
            self._observations.add(self._scene, events.NodeAboutToBeRemovedEvent, self._on_leaving)
            self._observations.add(self._scene, events.NodeRemovedEvent, self._on_removed)
            self._observations.add(self._scene, events.EndBatchProcessEvent, lambda node: self._refresh())
        self._refresh()

    def _on_added(self, node: slicer.vtkMRMLNode) -> None:
        if self._shows(node):
            self._refresh()
            self.nodeAdded.emit(node)

    def _on_leaving(self, node: slicer.vtkMRMLNode) -> None:
        if self._shows(node):
            self.nodeAboutToBeRemoved.emit(node)

    def _on_removed(self, node: slicer.vtkMRMLNode) -> None:
        if self._shows(node):
            self._refresh()

    def _refresh(self) -> None:
        """Fill the list anew."""
        self._names.clear()
        for node in self._nodes():
            self._names.add(node, vtk.vtkCommand.ModifiedEvent, lambda caller: self._fill())
        self._fill()

    def _fill(self) -> None:
        raise NotImplementedError

    def _select(self, node: slicer.vtkMRMLNode) -> None:
        raise NotImplementedError


class qMRMLNodeComboBox(_NodeList):
    """Selector of one node."""

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    CPP_SIGNALS = _NodeList.CPP_SIGNALS | {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged(PyObject)"}
    CPP_SLOTS = (SET_SCENE, "setCurrentNode(vtkMRMLNode*)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._none_enabled, self._none_display, self._current_id = False, "None", ""
        self._box.activated.connect(self._on_chosen)

    def _getNoneEnabled(self) -> bool:
        return self._none_enabled

    def _setNoneEnabled(self, enabled: bool) -> None:
        self._none_enabled = enabled
        self._refresh()

    def _getNoneDisplay(self) -> str:
        return self._none_display

    def _setNoneDisplay(self, text: str) -> None:
        self._none_display = text
        self._refresh()

    def _getCurrentNodeID(self) -> str:
        return self._current_id

    def setCurrentNodeID(self, node_id: str) -> None:
        known = {node.GetID() for node in self._nodes()}
        node_id = node_id if node_id in known else ""
        if node_id == self._current_id:
            return
        self._current_id = node_id
        self._fill()
        self.currentNodeChanged.emit(self.currentNode())
        self.currentNodeIDChanged.emit(node_id)

    noneEnabled = QtCore.Property(bool, _getNoneEnabled, _setNoneEnabled)
    noneDisplay = QtCore.Property(str, _getNoneDisplay, _setNoneDisplay)
    currentNodeID = QtCore.Property(str, _getCurrentNodeID, setCurrentNodeID)

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._current_id) if self._scene is not None and self._current_id else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        """Select a node; one that is not in the list selects none."""
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise TypeError(f"setCurrentNode takes a node or None, not {node!r}")
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def removeCurrentNode(self) -> None:
        """As the "delete current" entry of the list does."""
        self._scene.RemoveNode(self.currentNode())

    def _select(self, node: slicer.vtkMRMLNode) -> None:
        self.setCurrentNode(node)

    def _on_chosen(self, row: int) -> None:
        self.setCurrentNodeID(self._box.itemData(row, ID_ROLE))

    def _refresh(self) -> None:
        super()._refresh()
        # no node is chosen by itself, neither the first that comes nor another for one that goes
        if self._current_id not in {node.GetID() for node in self._nodes()}:
            self.setCurrentNodeID("")

    def _fill(self) -> None:
        self._box.clear()
        if self._scene is not None and self._types:
            self._box.setPlaceholderText(f"Select a {self._scene.GetTagByClassName(self._types[0])}")
        if self._none_enabled:
            self._box.addItem(self._none_display, "")
        for node in self._nodes():
            self._box.addItem(node.GetName(), node.GetID())
        self._box.setCurrentIndex(self._box.findData(self._current_id, ID_ROLE))


class qMRMLCheckableNodeComboBox(_NodeList):
    """Selector of any number of nodes."""

    checkedNodesChanged = QtCore.Signal()
    CPP_SLOTS = (SET_SCENE,)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._checked: set[str] = set()
        self._box.model().itemChanged.connect(self._on_item)

    def checkedNodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        """As PythonQt gives lists of Qt."""
        return tuple(node for node in self._nodes() if node.GetID() in self._checked)

    def uncheckedNodes(self) -> tuple[slicer.vtkMRMLNode, ...]:
        return tuple(node for node in self._nodes() if node.GetID() not in self._checked)

    def checkState(self, node: slicer.vtkMRMLNode) -> QtCore.Qt.CheckState:
        return QtCore.Qt.Checked if node.GetID() in self._checked else QtCore.Qt.Unchecked

    def setCheckState(self, node: slicer.vtkMRMLNode, state: QtCore.Qt.CheckState) -> None:
        checked = self._checked | {node.GetID()} if state == QtCore.Qt.Checked else self._checked - {node.GetID()}
        if checked != self._checked:
            self._checked = checked
            self._fill()
            self.checkedNodesChanged.emit()

    def allChecked(self) -> bool:
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        return not self.checkedNodes()

    def _select(self, node: slicer.vtkMRMLNode) -> None:
        self.setCheckState(node, QtCore.Qt.Checked)

    def _on_item(self, item: QtGui.QStandardItem) -> None:
        node = self._scene.GetNodeByID(item.data(ID_ROLE))
        if node is not None:
            self.setCheckState(node, item.checkState())

    def _refresh(self) -> None:
        super()._refresh()
        gone = self._checked - {node.GetID() for node in self._nodes()}
        if gone:
            self._checked -= gone
            self.checkedNodesChanged.emit()

    def _fill(self) -> None:
        model = self._box.model()
        model.blockSignals(True)
        self._box.clear()
        for node in self._nodes():
            item = QtGui.QStandardItem(node.GetName())
            item.setData(node.GetID(), ID_ROLE)
            item.setCheckable(True)
            item.setCheckState(self.checkState(node))
            model.appendRow(item)
        model.blockSignals(False)
        names = ", ".join(node.GetName() for node in self.checkedNodes())
        self._box.setPlaceholderText(names or "None")
        self._box.setCurrentIndex(-1)


class _NodeTable(QtWidgets.QTableView):
    """A table of what one node holds; base of the two kinds."""

    mrmlSceneChanged = QtCore.Signal(object)
    CPP_SIGNALS = SCENE_CHANGED
    CPP_SLOTS = (SET_SCENE,)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene, self._node = None, None
        self._observations = Observations(self)
        self.setModel(QtGui.QStandardItemModel(self))
        self.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def _set_node(self, node: slicer.vtkMRMLNode | None, *events: int) -> None:
        self._observations.clear()
        self._node = node
        if node is not None:
            for event in (vtk.vtkCommand.ModifiedEvent, *events):
                self._observations.add(node, event, lambda caller: self._fill())
        self._fill()

    def _fill(self) -> None:
        raise NotImplementedError


class qMRMLTableView(_NodeTable):
    """The columns of a table node."""

    CPP_SLOTS = (SET_SCENE, "setMRMLTableNode(vtkMRMLNode*)")

    def mrmlTableNode(self) -> slicer.vtkMRMLTableNode | None:
        return self._node

    def setMRMLTableNode(self, node: slicer.vtkMRMLTableNode | None) -> None:
        self._set_node(node)

    def _fill(self) -> None:
        model = self.model()
        model.clear()
        if self._node is None:
            return
        columns = range(self._node.GetNumberOfColumns())
        model.setHorizontalHeaderLabels([self._node.GetColumnName(column) for column in columns])
        for row in range(self._node.GetNumberOfRows()):
            model.appendRow([QtGui.QStandardItem(self._node.GetCellText(row, column)) for column in columns])


class qMRMLSegmentsTableView(_NodeTable):
    """The segments of a segmentation node: colour, name, visibility."""

    segmentsTableChanged = QtCore.Signal()
    CPP_SLOTS = (SET_SCENE, "setSegmentationNode(vtkMRMLNode*)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self.horizontalHeader().setStretchLastSection(True)

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._node

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        events = slicer.vtkSegmentation
        self._set_node(node, events.SegmentAdded, events.SegmentRemoved, events.SegmentModified)

    def segmentCount(self) -> int:
        return self.model().rowCount()

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        return tuple(index.data(ID_ROLE) for index in self.selectionModel().selectedRows())

    def setSelectedSegmentIDs(self, segment_ids: list[str]) -> None:
        self.clearSelection()
        for row in range(self.model().rowCount()):
            if self.model().item(row, 0).data(ID_ROLE) in segment_ids:
                self.selectionModel().select(
                    self.model().index(row, 0),
                    QtCore.QItemSelectionModel.Select | QtCore.QItemSelectionModel.Rows,
                )

    def _fill(self) -> None:
        model = self.model()
        model.clear()
        model.setHorizontalHeaderLabels(["", "Name"])
        if self._node is not None:
            segmentation = self._node.GetSegmentation()
            for segment_id in segmentation.GetSegmentIDs():
                model.appendRow(_segment_row(segment_id, segmentation.GetSegment(segment_id)))
        self.setColumnWidth(0, 32)
        self.segmentsTableChanged.emit()


def _segment_row(segment_id: str, segment: slicer.vtkSegment) -> list[QtGui.QStandardItem]:
    color, name = QtGui.QStandardItem(), QtGui.QStandardItem(segment.GetName())
    color.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
    color.setData(segment_id, ID_ROLE)
    return [color, name]


class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Shows and hides the surfaces of a segmentation, which it makes when they are missing."""

    CPP_SLOTS = (SET_SCENE, "setSegmentationNode(vtkMRMLNode*)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__("Show 3D", parent)
        self._node = None
        self._observations = Observations(self)
        self.setCheckable(True)
        self.setEnabled(False)
        self.clicked.connect(self._on_clicked)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        """The node tells all that is needed."""

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._node

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        self._observations.clear()
        self._node = node
        if node is not None:
            for event in (slicer.vtkSegmentation.ContainedRepresentationNamesModified, vtk.vtkCommand.ModifiedEvent):
                self._observations.add(node, event, lambda caller: self._refresh())
        self._refresh()

    def _surface(self) -> str:
        return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()

    def _refresh(self) -> None:
        self.setEnabled(self._node is not None)
        shown = self._node is not None and self._node.GetSegmentation().ContainsRepresentation(self._surface())
        self.setChecked(shown)

    def _on_clicked(self, shown: bool) -> None:
        if shown:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()
