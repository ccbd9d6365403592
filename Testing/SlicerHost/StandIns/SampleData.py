"""Stand-in for Slicer's module Sample Data: its panel, its sources and its loading of files; nothing is downloaded.

It does what Slicer's own file does, so that the same tests run with both, and refuses what Slicer takes and cannot
show: pictures that are not there, two sources of one name, and sources that only a network could serve.
"""

from __future__ import annotations

import logging
import os
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

FIELDS = ("uris", "fileNames", "nodeNames", "loadFiles", "loadFileTypes", "checksums")
"""What a source has once for each of its files."""


class SampleData(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Sample Data")


class SampleDataSource:
    """One data set; lists have one entry for each file."""

    def __init__(
        self,
        sampleName: str | None = None,
        sampleDescription: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        checksums: Any = None,
        loadFiles: Any = None,
        customDownloader: Callable[[SampleDataSource], Any] | None = None,
        thumbnailFileName: str | None = None,
        loadFileTypes: Any = None,
        loadFileProperties: dict | None = None,
    ) -> None:
        given = (uris, fileNames, nodeNames, loadFiles, loadFileTypes, checksums)
        if uris is None:
            raise TypeError("a source needs uris, also where a customDownloader serves it")
        if customDownloader is not None and not callable(customDownloader):
            raise TypeError(f"customDownloader is no function: {customDownloader!r}")
        if thumbnailFileName is not None and qt.QImage(str(thumbnailFileName)).isNull():
            raise ValueError(f"{thumbnailFileName} is no picture")
        single = isinstance(uris, str)
        for name, value in zip(FIELDS, given, strict=True):
            if single:
                setattr(self, name, [value])
            elif value is None or isinstance(value, str):
                # Slicer repeats a type of file for all, and nothing else
                if isinstance(value, str) and name != "loadFileTypes":
                    raise ValueError(f"{name} of a source of several files must be a list")
                setattr(self, name, [value] * len(uris))
            else:
                setattr(self, name, list(value))
        if len({len(getattr(self, name)) for name in FIELDS}) != 1:
            raise ValueError("All fields of sample data source must have the same length")
        for uri, checksum in zip(self.uris, self.checksums, strict=True):
            if urllib.parse.urlparse(uri).scheme != "file" and checksum is None and customDownloader is None:
                raise ValueError(f"nothing says what is downloaded from {uri}: give a checksum")
        self.sampleName, self.sampleDescription = sampleName, sampleDescription or sampleName
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SampleDataSource) and vars(self) == vars(other)


class SampleDataWidget(ScriptedLoadableModuleWidget):
    """The panel: a group for each category, in it a button for each source, and the log."""

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = SampleDataLogic(self.logMessage)
        self.categoryLayout = qt.QVBoxLayout()
        self.layout.addLayout(self.categoryLayout)
        self.setCategoriesFromSampleDataSources(
            self.categoryLayout, SampleDataLogic.sampleDataSourcesByCategory(), self.logic
        )
        self.log = qt.QTextEdit()
        self.log.readOnly = True
        self.layout.addWidget(self.log)

    @staticmethod
    def setCategoriesFromSampleDataSources(categoryLayout: Any, dataSources: dict, logic: SampleDataLogic) -> None:
        """Make the buttons."""
        for category in sorted(dataSources):
            frame = ctk.ctkCollapsibleGroupBox(categoryLayout.parentWidget())
            categoryLayout.addWidget(frame)
            frame.title = logic.categoryTitle(category)
            frame.name = f"{category}CollapsibleGroupBox"
            frame.setLayout(qt.QVBoxLayout())
            for source in dataSources[category]:
                button = qt.QToolButton()
                button.setText(source.sampleDescription)
                if source.thumbnailFileName:
                    button.setIcon(qt.QIcon(source.thumbnailFileName))
                button.setIconSize(qt.QSize(128, 128))
                button.setToolButtonStyle(qt.Qt.ToolButtonTextUnderIcon)
                button.name = f"{source.sampleName}PushButton"
                frame.layout().addWidget(button)
                # what a custom downloader returns goes nowhere
                serve = source.customDownloader or logic.downloadFromSource
                button.connect("clicked()", lambda one=source, serve=serve: serve(one))

    def logMessage(self, message: str, logLevel: int = logging.DEBUG) -> None:
        """Add a line of HTML to the log, and let Slicer's window show it."""
        if logLevel >= logging.WARNING:
            color = "red" if logLevel >= logging.ERROR else "orange"
            message = f'<b><font color="{color}">{message}</font></b>'
        document = qt.QTextDocument()
        document.setHtml(message)
        slicer.util.showStatusMessage(document.toPlainText(), 3000)
        logging.log(logLevel, document.toPlainText())
        self.log.insertHtml(message)
        self.log.insertPlainText("\n")
        slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)


class SampleDataLogic:
    """What modules call."""

    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        """Title of a section."""
        vars(slicer.modules).setdefault("sampleDataSourceCategories", {})[category] = {"title": title}

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **source: Any) -> None:
        """Offer a data set in a section; the same one again changes nothing."""
        for refused in ("loadFileType", "sampleDescription"):
            if refused in source:
                raise TypeError(f"registerCustomSampleDataSource takes no {refused}, or no longer")
        made = SampleDataSource(**source)
        if SampleDataLogic.isSampleDataSourceRegistered(category, made):
            return
        known = SampleDataLogic.sampleDataSourcesByCategory()
        if any(made.sampleName == other.sampleName for others in known.values() for other in others):
            raise ValueError(f"a source of the name {made.sampleName} is there: the first one would be found by it")
        known.setdefault(category, []).append(made)

    @staticmethod
    def categoryTitle(category: str) -> str:
        """What a section is called."""
        titles = vars(slicer.modules).get("sampleDataSourceCategories", {})
        return titles.get(category, {}).get("title", category)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        """All data sets by section, or those of one section."""
        known = vars(slicer.modules).setdefault("sampleDataSources", {})
        return known if category is None else known.get(category, [])

    @staticmethod
    def isSampleDataSourceRegistered(category: str, sampleDataSource: SampleDataSource) -> bool:
        """Whether this very source is there."""
        return sampleDataSource in SampleDataLogic.sampleDataSourcesByCategory(category)

    def __init__(self, logMessage: Callable[..., None] | None = None) -> None:
        if logMessage:
            self.logMessage = logMessage

    def logMessage(self, message: str, logLevel: int = logging.DEBUG) -> None:
        """Where there is no panel."""
        logging.log(logLevel, message)

    def sourceForSampleName(self, sampleName: str) -> SampleDataSource | None:
        """The first source of this name."""
        everything = SampleDataLogic.sampleDataSourcesByCategory().values()
        return next((source for sources in everything for source in sources if source.sampleName == sampleName), None)

    def downloadSamples(self, sampleName: str) -> list[Any]:
        """The nodes of a source; as in Slicer, its custom downloader is not asked."""
        source = self.sourceForSampleName(sampleName)
        return self.downloadFromSource(source) if source is not None else []

    def downloadFromSource(self, source: SampleDataSource) -> list[Any]:
        """Load the files of a source, which are in the cache or come from a ``file:`` address."""
        nodes = []
        for uri, file, name, kind in zip(
            source.uris, source.fileNames, source.nodeNames, source.loadFileTypes, strict=True
        ):
            path = f"{slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()}/{file}"
            try:
                if not os.path.exists(path):
                    self._fetch(uri, path)
            except OSError as error:
                self.logMessage(_("Download failed: {errorMessage}").format(errorMessage=error), logging.ERROR)
                continue
            node = self.loadNode(path, name, kind, dict(source.loadFileProperties))
            if node is not None:
                nodes.append(node)
        return nodes

    def loadNode(self, uri: str, name: str | None, fileType: str | None = None, fileProperties: Any = None) -> Any:
        """The first node of a file, without a trace of where the file lies; None where it cannot be read."""
        self.logMessage(f"<b>Requesting load {name} from {uri} ...</b>")
        manager = slicer.app.coreIOManager()
        properties = {**(fileProperties or {}), "fileName": uri} | ({"name": name} if name else {})
        loaded = vtk.vtkCollection()
        if not manager.loadNodes(fileType or manager.fileType(uri), properties, loaded):
            self.logMessage("\tLoad failed!", logging.ERROR)
            return None
        self.logMessage("<b>Load finished</b><p></p>")
        for index in range(loaded.GetNumberOfItems()):
            storage = loaded.GetItemAsObject(index).GetStorageNode()
            if storage is not None:
                slicer.mrmlScene.RemoveNode(storage)
                loaded.GetItemAsObject(index).SetAndObserveStorageNodeID(None)
        return loaded.GetItemAsObject(0) or slicer.mrmlScene

    def _fetch(self, uri: str, path: str) -> None:
        if urllib.parse.urlparse(uri).scheme != "file":
            raise RuntimeError(f"a test wanted to download {uri}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(uri, path)
