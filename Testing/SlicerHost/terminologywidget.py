"""Stand-in for Slicer's browser of terminologies, over the real logic; it has only what Python reaches in Slicer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from SlicerHost.problems import HostError
from SlicerHost.qmrmlwidgets import qMRMLWidget

NONE = "[ None ]"
NO_MODIFIER = "No type modifier"


class Terminology:
    """What the logic has loaded first."""

    def __init__(self) -> None:
        self._logic, names = slicer.modules.terminologies.logic(), vtk.vtkStringArray()
        self._logic.GetLoadedTerminologyNames(names)
        self.name = names.GetValue(0)

    def categories(self) -> list[Any]:
        count, take = self._logic.GetNumberOfCategoriesInTerminology, self._logic.GetNthCategoryInTerminology
        return self._all(slicer.vtkSlicerTerminologyCategory, count, take)

    def types(self, category: Any) -> list[Any]:
        """Each once, though the file may have it twice."""
        count, take = self._logic.GetNumberOfTypesInTerminologyCategory, self._logic.GetNthTypeInTerminologyCategory
        found = self._all(slicer.vtkSlicerTerminologyType, count, take, category)
        return list({codes(kind): kind for kind in found}.values())

    def modifiers(self, category: Any, kind: Any) -> list[Any]:
        count = self._logic.GetNumberOfTypeModifiersInTerminologyType
        take = self._logic.GetNthTypeModifierInTerminologyType
        return self._all(slicer.vtkSlicerTerminologyType, count, take, category, kind) if kind.GetHasModifiers() else []

    def known(self, category: Any, kind: Any) -> Any:
        """The type with its label and colour; as it is where it is another terminology's."""
        types = self.types(category) if codes(category) in map(codes, self.categories()) else []
        return next((found for found in types if codes(found) == codes(kind)), kind)

    def _all(self, made: type, count: Callable, take: Callable, *where: Any) -> list[Any]:
        found = [made() for _ in range(count(self.name, *where))]
        for index, entry in enumerate(found):
            take(self.name, *where, index, entry)
        return found


def codes(entry: Any) -> tuple[str | None, str | None]:
    return entry.GetCodingSchemeDesignator(), entry.GetCodeValue()


def _require(entry: Any) -> None:
    if not isinstance(entry, slicer.vtkSlicerTerminologyEntry):
        raise TypeError(f"a vtkSlicerTerminologyEntry is wanted, not {entry!r}")


class qSlicerTerminologyNavigatorWidget(qMRMLWidget):
    """Browser of one terminology, empty until an entry is set; it has no regions and no colour tables."""

    selectionValidityChanged = QtCore.Signal(bool)
    typeDoubleClicked = QtCore.Signal()
    colorDoubleClicked = QtCore.Signal()
    CPP_SLOTS = ("setOverrideSectionVisible(bool)", "setRegionSectionVisible(bool)")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._terminology: Terminology | None = None
        self._current = slicer.vtkSlicerTerminologyEntry()
        self._listed: list[tuple[Any, Any]] = []
        self._region_visible = False
        # the names are those of Slicer's
        self._categories, self._types = (QtWidgets.QTableWidget(0, 1, self) for _ in range(2))
        self._search, self._modifiers = QtWidgets.QLineEdit(self), QtWidgets.QComboBox(self)
        self._override = QtWidgets.QLineEdit(self)
        for widget, name in (
            (self._categories, "tableWidget_Category"),
            (self._types, "tableWidget_Type"),
            (self._search, "SearchBox_Type"),
            (self._modifiers, "ComboBox_TypeModifier"),
            (self._override, "frame_TerminologyOverride"),
        ):
            widget.setObjectName(name)
        layout = QtWidgets.QGridLayout(self)
        layout.addWidget(self._categories, 0, 0, 3, 1)
        layout.addWidget(self._search, 0, 1)
        layout.addWidget(self._types, 1, 1)
        layout.addWidget(self._modifiers, 2, 1)
        layout.addWidget(self._override, 3, 0, 1, 2)
        for table in (self._categories, self._types):
            table.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
            table.horizontalHeader().setStretchLastSection(True)
            table.horizontalHeader().hide()
            table.verticalHeader().hide()
        self._categories.itemSelectionChanged.connect(self._on_categories)
        self._types.currentItemChanged.connect(lambda item, before: self._on_type(item))
        self._types.cellDoubleClicked.connect(lambda row, column: self.typeDoubleClicked.emit())
        self._modifiers.currentIndexChanged.connect(self._on_modifier)
        self._search.textChanged.connect(lambda text: self._fill_types())

    def getOverrideSectionVisible(self) -> bool:
        return self._override.isVisible()

    def setOverrideSectionVisible(self, visible: bool) -> None:
        self._override.setVisible(visible)

    def getRegionSectionVisible(self) -> bool:
        return self._region_visible

    def setRegionSectionVisible(self, visible: bool) -> None:
        self._region_visible = visible

    overrideSectionVisible = QtCore.Property(bool, getOverrideSectionVisible, setOverrideSectionVisible)
    regionSectionVisible = QtCore.Property(bool, getRegionSectionVisible, setRegionSectionVisible)

    def terminologyEntry(self, entry: slicer.vtkSlicerTerminologyEntry) -> bool:
        """Copy what is selected into an entry; with the line "none" it has no type and the answer is True all the same.

        False while no entry was ever set: nothing is shown then.
        """
        _require(entry)
        if self._terminology is not None:
            entry.Copy(self._current)
            entry.SetTerminologyContextName(self._terminology.name)
        return self._terminology is not None

    def setTerminologyEntry(self, entry: slicer.vtkSlicerTerminologyEntry) -> bool:
        """Show an entry. One without a type is a valid selection too: the line "none"."""
        _require(entry)
        if entry.GetRegionObject().GetCodeValue():
            raise HostError(f"the host has no regions: {entry.GetRegionObject().GetCodeMeaning()}")
        self._terminology = Terminology()
        self._current.Initialize()
        self._fill_categories()
        category, kind, modifier = entry.GetCategoryObject(), entry.GetTypeObject(), entry.GetTypeModifierObject()
        self._current.GetCategoryObject().Copy(category)
        self.selectionValidityChanged.emit(False)
        if kind.GetCodeValue():
            kind = self._terminology.known(category, kind)
            self._current.GetTypeObject().Copy(kind)
            self._mark_type(kind)
            self._fill_modifiers(modifier)
        self.selectionValidityChanged.emit(True)
        return True

    # static in C++; PythonQt calls it on an object all the same, and only there
    def nameFromTerminology(self, entry: slicer.vtkSlicerTerminologyEntry) -> str:
        """Label of the terminology, or what the codes mean; empty without a type."""
        self._require_known(entry)
        kind, modifier = entry.GetTypeObject(), entry.GetTypeModifierObject()
        if not kind.GetCodeValue():
            return ""
        modified = kind.GetHasModifiers() and modifier.GetCodeValue()
        label = modifier.GetSlicerLabel() if modified else kind.GetSlicerLabel()
        meaning = f"{kind.GetCodeMeaning()}, {modifier.GetCodeMeaning()}" if modified else kind.GetCodeMeaning()
        return label or meaning

    def recommendedColorFromTerminology(self, entry: slicer.vtkSlicerTerminologyEntry) -> QtGui.QColor:
        """Of the modifier where the type may have one, grey while none is chosen."""
        self._require_known(entry)
        kind = entry.GetTypeObject()
        kind = entry.GetTypeModifierObject() if kind.GetHasModifiers() else kind
        return QtGui.QColor(*kind.GetRecommendedDisplayRGBValue())

    def _require_known(self, entry: Any) -> None:
        _require(entry)
        kind = entry.GetTypeObject()
        known = Terminology().known(entry.GetCategoryObject(), kind) if kind.GetCodeValue() else kind
        if (known.GetSlicerLabel(), known.GetHasModifiers()) != (kind.GetSlicerLabel(), kind.GetHasModifiers()):
            raise HostError(f"{kind.GetCodeMeaning()}: an entry that was read from a text has neither label nor colour")

    def _fill_categories(self) -> None:
        with QtCore.QSignalBlocker(self._categories):
            self._categories.setRowCount(0)
            for category in self._terminology.categories():
                self._append(self._categories, category.GetCodeMeaning())
            self._categories.selectAll()
        self._fill_types()

    def _fill_types(self) -> None:
        """Types of the categories that are selected; "none" comes first and is marked, unless one is searched for."""
        if self._terminology is None:
            return
        categories = self._terminology.categories()
        chosen = sorted({index.row() for index in self._categories.selectedIndexes()})
        wanted = self._search.text.casefold()
        self._listed = [
            (categories[row], kind)
            for row in chosen
            for kind in self._terminology.types(categories[row])
            if wanted in kind.GetCodeMeaning().casefold()
        ]
        if not wanted:
            self._listed.insert(0, (None, None))
        with QtCore.QSignalBlocker(self._types):
            self._types.setRowCount(0)
            for _, kind in self._listed:
                self._append(self._types, NONE if kind is None else kind.GetCodeMeaning())
        self._types.setCurrentCell(0, 0)

    def _append(self, table: QtWidgets.QTableWidget, text: str) -> None:
        table.setRowCount(table.rowCount + 1)
        table.setItem(table.rowCount - 1, 0, QtWidgets.QTableWidgetItem(text))

    def _mark_type(self, kind: Any) -> None:
        rows = [row for row, (_, listed) in enumerate(self._listed) if listed and codes(listed) == codes(kind)]
        with QtCore.QSignalBlocker(self._types):
            self._types.setCurrentCell(rows[0] if rows else -1, 0)

    def _fill_modifiers(self, chosen: Any = None) -> None:
        category, kind = self._current.GetCategoryObject(), self._current.GetTypeObject()
        known = self._terminology.modifiers(category, kind) if kind.GetCodeValue() else []
        with QtCore.QSignalBlocker(self._modifiers):
            self._modifiers.clear()
            if known:
                self._modifiers.addItems([NO_MODIFIER, *(modifier.GetCodeMeaning() for modifier in known)])
        self._modifiers.setEnabled(bool(known))
        rows = [row for row, found in enumerate(known, 1) if chosen is not None and codes(found) == codes(chosen)]
        self._modifiers.setCurrentIndex(rows[0] if rows else 0)

    def _on_categories(self) -> None:
        if not self._categories.selectedIndexes():
            return
        self._current.Initialize()
        self._fill_types()
        self._fill_modifiers()
        # until a type is chosen
        self.selectionValidityChanged.emit(False)

    def _on_type(self, item: QtWidgets.QTableWidgetItem | None) -> None:
        category, kind = self._listed[item.row()] if item is not None else (None, None)
        self._current.GetTypeModifierObject().Initialize()
        if kind is None:
            # nothing is said of its validity, which stays what it was
            self._current.GetTypeObject().Initialize()
            return
        self._current.GetCategoryObject().Copy(category)
        self._current.GetTypeObject().Copy(kind)
        self._fill_modifiers()
        self.selectionValidityChanged.emit(True)

    def _on_modifier(self, index: int) -> None:
        modifier = self._current.GetTypeModifierObject()
        modifier.Initialize()
        if index > 0:
            category, kind = self._current.GetCategoryObject(), self._current.GetTypeObject()
            modifier.Copy(self._terminology.modifiers(category, kind)[index - 1])
