"""CTK widgets that .ui files and Slicer's parameter node wrapper name, with the names of the real ones."""

from __future__ import annotations

import re

from PySide6 import QtCore, QtGui, QtWidgets

HEADER = 24
"""Height in pixels of the header of a collapsible button."""


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows or hides the widgets below it."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, text: str | QtWidgets.QWidget = "", parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(text if parent is None and not isinstance(text, str) else parent)
        self._hidden: list[QtWidgets.QWidget] = []
        self._collapsed = False
        if isinstance(text, str):
            self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.setContentsMargins(0, HEADER, 0, 0)
        self.toggled.connect(lambda checked: self.setCollapsed(not checked))

    def getCollapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        if collapsed:
            self._hide(self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly))
        else:
            for child in self._hidden:
                child.setVisible(True)
            self._hidden = []
        self.setMaximumHeight(HEADER if collapsed else (1 << 24) - 1)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(bool, getCollapsed, setCollapsed)

    def _hide(self, children: list[QtWidgets.QWidget]) -> None:
        for child in children:
            # a child that was hidden before stays so when the contents come back
            if not child.isHidden():
                self._hidden.append(child)
                child.setVisible(False)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        # not when it is added: it is still being made then, and Python would take it for a plain widget ever after
        if event.polished() and self._collapsed and event.child().isWidgetType():
            self._hide([event.child()])

    def sizeHint(self) -> QtCore.QSize:
        hint = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text) + 2 * HEADER, HEADER)
        if self.layout() is None or self._collapsed:
            return hint
        return self.layout().totalSizeHint().expandedTo(hint)

    minimumSizeHint = sizeHint

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, HEADER - 2)
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, 5, 12, 12)
        kind = QtWidgets.QStyle.PE_IndicatorArrowRight if self._collapsed else QtWidgets.QStyle.PE_IndicatorArrowDown
        painter.drawPrimitive(kind, arrow)
        painter.drawText(QtCore.QRect(HEADER, 0, self.width, HEADER - 2), QtCore.Qt.AlignVCenter, self.text)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < HEADER


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A checkable group box whose check mark shows or hides the contents."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.setCheckable(True)
        self.toggled.connect(self._show)

    def _show(self, shown: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly):
            child.setVisible(shown)

    def getCollapsed(self) -> bool:
        return not self.isChecked()

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, getCollapsed, setCollapsed)


class ctkFlowLayout(QtWidgets.QVBoxLayout):
    """Widgets side by side as there is place; here one below the other."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._directions = QtCore.Qt.Orientations()

    def _set_directions(self, directions: QtCore.Qt.Orientations) -> None:
        self._directions = directions

    preferredExpandingDirections = QtCore.Property(object, lambda self: self._directions, _set_directions)


class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """A spin box for real numbers."""


class ctkDoubleSlider(QtWidgets.QWidget):
    """A slider for real numbers."""

    valueChanged = QtCore.Signal(float)
    STEPS = 100000

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._minimum, self._maximum, self._value, self._single_step, self._page_step = 0.0, 99.0, 0.0, 1.0, 10.0
        self._bar = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._bar.setRange(0, self.STEPS)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._bar)
        self._bar.sliderMoved.connect(
            lambda step: self.setValue(self._minimum + step * (self._maximum - self._minimum) / self.STEPS)
        )

    def getMinimum(self) -> float:
        return self._minimum

    def setMinimum(self, minimum: float) -> None:
        self.setRange(minimum, max(minimum, self._maximum))

    def getMaximum(self) -> float:
        return self._maximum

    def setMaximum(self, maximum: float) -> None:
        self.setRange(min(maximum, self._minimum), maximum)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = float(minimum), float(maximum)
        self.setValue(self._value)

    def getValue(self) -> float:
        return self._value

    def setValue(self, value: float) -> None:
        value = min(max(float(value), self._minimum), self._maximum)
        width = self._maximum - self._minimum
        if 0 < width < float("inf"):
            self._bar.setValue(round((value - self._minimum) / width * self.STEPS))
        if value != self._value:
            self._value = value
            self.valueChanged.emit(value)

    def getSingleStep(self) -> float:
        return self._single_step

    def setSingleStep(self, step: float) -> None:
        self._single_step = float(step)

    def getPageStep(self) -> float:
        return self._page_step

    def setPageStep(self, step: float) -> None:
        self._page_step = float(step)

    minimum = QtCore.Property(float, getMinimum, setMinimum)
    maximum = QtCore.Property(float, getMaximum, setMaximum)
    value = QtCore.Property(float, getValue, setValue)
    singleStep = QtCore.Property(float, getSingleStep, setSingleStep)
    pageStep = QtCore.Property(float, getPageStep, setPageStep)


class ctkSliderWidget(ctkDoubleSlider):
    """A slider with a spin box beside it."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        self.layout().addWidget(self._spin)
        self._spin.valueChanged.connect(self.setValue)
        self.valueChanged.connect(self._spin.setValue)
        self._tracking = True
        self.setRange(0.0, 99.0)

    def setRange(self, minimum: float, maximum: float) -> None:
        super().setRange(minimum, maximum)
        self._spin.setRange(minimum, maximum)

    def getDecimals(self) -> int:
        return self._spin.decimals

    def setDecimals(self, decimals: int) -> None:
        self._spin.setDecimals(decimals)

    def setSingleStep(self, step: float) -> None:
        super().setSingleStep(step)
        self._spin.setSingleStep(step)

    def getSuffix(self) -> str:
        return self._spin.suffix

    def setSuffix(self, suffix: str) -> None:
        self._spin.setSuffix(suffix)

    def getPrefix(self) -> str:
        return self._spin.prefix

    def setPrefix(self, prefix: str) -> None:
        self._spin.setPrefix(prefix)

    def getTracking(self) -> bool:
        return self._tracking

    def setTracking(self, tracking: bool) -> None:
        self._tracking = tracking

    decimals = QtCore.Property(int, getDecimals, setDecimals)
    singleStep = QtCore.Property(float, ctkDoubleSlider.getSingleStep, setSingleStep)
    suffix = QtCore.Property(str, getSuffix, setSuffix)
    prefix = QtCore.Property(str, getPrefix, setPrefix)
    tracking = QtCore.Property(bool, getTracking, setTracking)


class ctkRangeWidget(QtWidgets.QWidget):
    """Two spin boxes, lower and upper end of a range."""

    valuesChanged = QtCore.Signal(float, float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._ends = [QtWidgets.QDoubleSpinBox(self), QtWidgets.QDoubleSpinBox(self)]
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for end in self._ends:
            layout.addWidget(end)
            end.valueChanged.connect(self._changed)

    def _changed(self) -> None:
        self.valuesChanged.emit(self._ends[0].value, self._ends[1].value)

    def setRange(self, minimum: float, maximum: float) -> None:
        for end in self._ends:
            end.setRange(minimum, maximum)

    def setValues(self, lower: float, upper: float) -> None:
        for end, value in zip(self._ends, (lower, upper), strict=True):
            end.setValue(value)

    def getDecimals(self) -> int:
        return self._ends[0].decimals

    def setDecimals(self, decimals: int) -> None:
        for end in self._ends:
            end.setDecimals(decimals)

    def getSingleStep(self) -> float:
        return self._ends[0].singleStep

    def setSingleStep(self, step: float) -> None:
        for end in self._ends:
            end.setSingleStep(step)

    decimals = QtCore.Property(int, getDecimals, setDecimals)
    singleStep = QtCore.Property(float, getSingleStep, setSingleStep)
    minimum = QtCore.Property(
        float, lambda self: self._ends[0].minimum, lambda self, value: self.setRange(value, self._ends[0].maximum)
    )
    maximum = QtCore.Property(
        float, lambda self: self._ends[0].maximum, lambda self, value: self.setRange(self._ends[0].minimum, value)
    )
    minimumValue = QtCore.Property(
        float, lambda self: self._ends[0].value, lambda self, value: self._ends[0].setValue(value)
    )
    maximumValue = QtCore.Property(
        float, lambda self: self._ends[1].value, lambda self, value: self._ends[1].setValue(value)
    )


class ctkDoubleRangeSlider(ctkRangeWidget):
    """A range without decimals of its own."""


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    defaultText = QtCore.Property(
        str, lambda self: self.placeholderText, lambda self, text: self.setPlaceholderText(text)
    )


class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box."""


class ctkCheckablePushButton(QtWidgets.QPushButton):
    """A push button that can have a check box of its own."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._controls = False

    def getControls(self) -> bool:
        return self._controls

    def setControls(self, controls: bool) -> None:
        self._controls = controls

    checkBoxControlsButtonToggleState = QtCore.Property(bool, getControls, setControls)


class ctkColorPickerButton(QtWidgets.QPushButton):
    """A button that shows a colour and asks for another."""

    colorChanged = QtCore.Signal(QtGui.QColor)

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._color = QtGui.QColor("black")
        self._display_name = True
        self._show()

    def _show(self) -> None:
        pixels = QtGui.QPixmap(16, 16)
        pixels.fill(self._color)
        self.setIcon(QtGui.QIcon(pixels))
        self.setText(self._color.name() if self._display_name else "")

    def getColor(self) -> QtGui.QColor:
        return self._color

    def setColor(self, color: QtGui.QColor) -> None:
        if color != self._color:
            self._color = QtGui.QColor(color)
            self._show()
            self.colorChanged.emit(self._color)

    def getDisplayName(self) -> bool:
        return self._display_name

    def setDisplayName(self, shown: bool) -> None:
        self._display_name = shown
        self._show()

    color = QtCore.Property(QtGui.QColor, getColor, setColor)
    displayColorName = QtCore.Property(bool, getDisplayName, setDisplayName)


class ctkPathLineEdit(QtWidgets.QWidget):
    """A line for a path, with a history that the settings keep and a button to browse."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    Dirs, Files, Writable, Readable, Executable, Hidden = 0x001, 0x002, 0x020, 0x010, 0x040, 0x100
    NoDotAndDotDot = 0x2000 | 0x4000

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._filters, self._name_filters, self._key = self.Dirs | self.Files, [], ""
        self._valid = False
        self._box = QtWidgets.QComboBox(self)
        self._box.setEditable(True)
        self._box.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button = QtWidgets.QToolButton(self)
        self._button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        layout.addWidget(self._button)
        self._box.currentTextChanged.connect(self._changed)
        self._button.clicked.connect(lambda: self.browse())

    def _changed(self, text: str) -> None:
        """Say what the path is, as ctk does: only where it ends as the name filters want it."""
        ends = [end for name in self._name_filters for end in re.findall(r"\*(\.\w+)", name)]
        was, self._valid = self._valid, text.endswith(tuple(ends)) if ends else bool(text)
        if self._valid:
            self.currentPathChanged.emit(text)
        if self._valid != was:
            self.validInputChanged.emit(self._valid)

    def comboBox(self) -> QtWidgets.QComboBox:
        return self._box

    def getCurrentPath(self) -> str:
        return self._box.currentText

    def setCurrentPath(self, path: str) -> None:
        self._box.setEditText(path)

    def getFilters(self) -> int:
        return self._filters

    def setFilters(self, filters: int) -> None:
        self._filters = filters

    def getNameFilters(self) -> list[str]:
        return self._name_filters

    def setNameFilters(self, filters: list[str]) -> None:
        self._name_filters = list(filters)

    def getSettingKey(self) -> str:
        return self._key

    def setSettingKey(self, key: str) -> None:
        self._key = key
        self.retrieveHistory()

    def retrieveHistory(self) -> None:
        """Offer the paths that the settings keep; the newest becomes the current one."""
        paths = QtCore.QSettings().value(self._key) or []
        self._box.clear()
        self._box.addItems([paths] if isinstance(paths, str) else list(paths))

    def addCurrentPathToHistory(self) -> None:
        """Put the current path first in the list that the settings keep."""
        current = self.getCurrentPath()
        if not self._key or not current:
            return
        paths = QtCore.QSettings().value(self._key) or []
        others = [path for path in ([paths] if isinstance(paths, str) else paths) if path != current]
        QtCore.QSettings().setValue(self._key, [current, *others][:10])
        self._box.blockSignals(True)
        self.retrieveHistory()
        self._box.blockSignals(False)

    def browse(self) -> None:
        """Ask for a file, or for a folder if only folders are wanted."""
        if self._filters & self.Files:
            chosen = QtWidgets.QFileDialog.getOpenFileName(
                self, "", self.getCurrentPath(), ";;".join(self._name_filters)
            )
        else:
            chosen = QtWidgets.QFileDialog.getExistingDirectory(self, "", self.getCurrentPath())
        if chosen:
            self.setCurrentPath(chosen)

    def getShowBrowse(self) -> bool:
        return not self._button.isHidden()

    def setShowBrowse(self, shown: bool) -> None:
        self._button.setVisible(shown)

    currentPath = QtCore.Property(str, getCurrentPath, setCurrentPath)
    filters = QtCore.Property(int, getFilters, setFilters)
    nameFilters = QtCore.Property("QStringList", getNameFilters, setNameFilters)
    settingKey = QtCore.Property(str, getSettingKey, setSettingKey)
    showBrowseButton = QtCore.Property(bool, getShowBrowse, setShowBrowse)


class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and asks for another."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._directory, self._caption = ".", ""
        self._button = QtWidgets.QPushButton(self._directory, self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.clicked.connect(lambda: self.browse())

    def getDirectory(self) -> str:
        return self._directory

    def setDirectory(self, directory: str) -> None:
        absolute = QtCore.QDir(directory).absolutePath()
        if absolute != QtCore.QDir(self._directory).absolutePath():
            self._directory = directory = absolute
            self._button.setText(directory)
            self.directoryChanged.emit(directory)

    def getCaption(self) -> str:
        return self._caption

    def setCaption(self, caption: str) -> None:
        self._caption = caption

    def browse(self) -> None:
        """Ask for a folder."""
        chosen = QtWidgets.QFileDialog.getExistingDirectory(self, self._caption, self._directory)
        if chosen:
            self.setDirectory(chosen)
            self.directorySelected.emit(self._directory)

    directory = QtCore.Property(str, getDirectory, setDirectory)
    caption = QtCore.Property(str, getCaption, setCaption)


class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box that can offer not to come again."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._key = ""

    def getKey(self) -> str:
        return self._key

    def setKey(self, key: str) -> None:
        self._key = key

    dontShowAgainSettingsKey = QtCore.Property(str, getKey, setKey)
