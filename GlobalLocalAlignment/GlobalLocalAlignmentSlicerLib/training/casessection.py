"""The section Cases of the training panel: volumes of the scene and folders on disk that come into the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.images import folders, isImage, volumesOfFolder
from .casestable import CasesTable, roleName
from .scenetrainer import SceneTrainer
from .trainingcases import LABELLED, ROLES, DiskFolder


class CasesSection:
    """What is added to the table, and what is removed from it.

    Args:
        ui: widgets of the panel by name.
        logic: holds the cases and looks at them.
        hasPackages: whether what the core needs is there by now, or was installed.
    """

    def __init__(self, ui: Any, logic: SceneTrainer, hasPackages: Callable[[], bool]) -> None:
        self.ui, self.logic, self.hasPackages = ui, logic, hasPackages
        self.table = CasesTable(ui.casesTable, logic.look)
        for role in ROLES:
            ui.roleComboBox.addItem(roleName(role), role)
        for button, method in (
            (ui.addVolumesButton, self.onAddVolumes),
            (ui.addFolderButton, self.onAddFolder),
            (ui.removeCasesButton, self.onRemove),
            (ui.checkAgainButton, self.onCheckAgain),
        ):
            # without arguments: what "clicked" says is none of theirs
            button.connect("clicked()", method)
        ui.folderComboBox.connect("activated(int)", self.onFolderChosen)

    def show(self) -> None:
        """Show the cases as they are now."""
        self.table.show(self.logic.cases.cases)

    def showFolders(self) -> None:
        """Offer the folders of the subject hierarchy."""
        self.ui.folderComboBox.clear()
        self.ui.folderComboBox.addItem(_("choose a folder of the scene"), 0)
        for item, name in folders().items():
            self.ui.folderComboBox.addItem(name, item)

    @property
    def role(self) -> str:
        """Role that is chosen for what is added next."""
        return self.ui.roleComboBox.itemData(self.ui.roleComboBox.currentIndex)

    def onFolderChosen(self, index: int) -> None:
        item = self.ui.folderComboBox.itemData(index)
        wanted = volumesOfFolder(int(item)) if item else []
        selector = self.ui.volumesSelector
        for node in (*selector.checkedNodes(), *selector.uncheckedNodes()) if wanted else ():
            selector.setCheckState(node, qt.Qt.Checked if node in wanted else qt.Qt.Unchecked)

    def onAddVolumes(self) -> None:
        nodes = [node for node in self.ui.volumesSelector.checkedNodes() if isImage(node)]
        known = self.logic.addVolumes(nodes, self.role)
        for node in nodes:
            self.ui.volumesSelector.setCheckState(node, qt.Qt.Unchecked)
        if not nodes:
            self.say(_("Check volumes first; results and labelmaps are no images to train on."))
        elif known:
            self.say(_("{names}: in the table already.").format(names=", ".join(known)))

    def onAddFolder(self) -> None:
        role = self.role
        window = slicer.util.mainWindow()
        images = qt.QFileDialog.getExistingDirectory(window, _("Folder with the images"))
        if not images:
            return
        labelmaps = None
        if role in LABELLED:
            text = _("Folder with the label maps (the same one, if they lie beside the images)")
            labelmaps = qt.QFileDialog.getExistingDirectory(window, text, images)
            if not labelmaps:
                return
        with slicer.util.tryWithErrorDisplay(_("The folder cannot be looked at.")):
            if not self.hasPackages():
                return
            self.say(_("Looking at {folder} ...").format(folder=images))
            folder = DiskFolder(role, Path(images), Path(labelmaps) if labelmaps else None)
            self.logic.addFolder(folder, self.ui.presetComboBox.currentText, self.say)

    def onRemove(self) -> None:
        self.logic.removeCases(self.table.selected())

    def onCheckAgain(self) -> None:
        # labels may have come into the scene since
        self.table.refill()
        self.logic.lookAtAll()

    def say(self, text: str) -> None:
        """Say what came of what was added."""
        self.ui.casesStatusLabel.text = text
