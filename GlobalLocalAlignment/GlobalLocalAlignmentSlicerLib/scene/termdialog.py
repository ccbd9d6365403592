"""Asks for the term of a structure, with Slicer's own browser of terminologies."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from .terms import NO_TERM, Term

CANCELLED, SELECTED, CLEARED = range(3)
"""What the dialog returns; the first two are those of every QDialog."""
UNKNOWN_COLOR = (127, 127, 127)
"""What Slicer gives a term for which no colour is recommended (``vtkSlicerTerminologyType::INVALID_COLOR``)."""


def canChooseTerm() -> bool:
    """Whether this Slicer has the browser."""
    return hasattr(slicer, "qSlicerTerminologyNavigatorWidget") and hasattr(slicer.modules, "terminologies")


def chooseTerm(structure: str, text: str) -> Term | None:
    """Let the user choose.

    Args:
        structure: what it is called.
        text: Slicer's serialised entry that is shown first, empty for none.

    Returns:
        what was chosen, ``NO_TERM`` where there shall be none, None where the user cancelled.
    """
    # Slicer's own dialog for this cannot be used from Python: what it takes and gives is not wrapped
    dialog = qt.QDialog(slicer.util.mainWindow())
    try:
        dialog.windowTitle = _("Term of {structure}").format(structure=structure)
        browser = _fill(dialog)
        entry = slicer.vtkSlicerTerminologyEntry()
        slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, entry)
        # an empty entry too: the lists stay empty until one is set
        browser.setTerminologyEntry(entry)
        answer = dialog.exec_()
        if answer == CANCELLED:
            return None
        return _chosen(browser) if answer == SELECTED else NO_TERM
    finally:
        dialog.deleteLater()


def _fill(dialog: Any) -> Any:
    """Put the browser and the buttons into the dialog; returns the browser."""
    layout = qt.QVBoxLayout(dialog)
    browser = slicer.qSlicerTerminologyNavigatorWidget()
    # the table of structures has name and colour
    browser.overrideSectionVisible = False
    layout.addWidget(browser)
    buttons = qt.QHBoxLayout()
    layout.addLayout(buttons)
    select, clear, cancel = (qt.QPushButton(text) for text in (_("Select"), _("No term"), _("Cancel")))
    for button in (select, clear, cancel):
        buttons.addWidget(button)
    select.setDefault(True)
    select.enabled = False
    select.toolTip = _("The structure is the one that is marked above.")
    clear.toolTip = _("Take the term of the structure away.")

    def enable(valid: bool) -> None:
        select.enabled = valid

    def acceptIfValid() -> None:
        if select.enabled:
            dialog.accept()

    browser.connect("selectionValidityChanged(bool)", enable)
    for signal in ("typeDoubleClicked()", "colorDoubleClicked()"):
        browser.connect(signal, acceptIfValid)
    select.connect("clicked()", dialog.accept)
    clear.connect("clicked()", lambda: dialog.done(CLEARED))
    cancel.connect("clicked()", dialog.reject)
    return browser


def _chosen(browser: Any) -> Term:
    entry = slicer.vtkSlicerTerminologyEntry()
    # the browser calls its line "none" a valid selection, which has no type
    if not browser.terminologyEntry(entry) or not entry.GetTypeObject().GetCodeValue():
        return NO_TERM
    kind, modifier = entry.GetTypeObject(), entry.GetTypeModifierObject()
    if modifier.GetCodeValue():
        # colour tables do not say so, and both kidneys would get one name
        kind.SetHasModifiers(True)
    colors = [tuple(part.GetRecommendedDisplayRGBValue()) for part in (modifier, kind)]
    text = slicer.modules.terminologies.logic().SerializeTerminologyEntry(entry)
    color = next((color for color in colors if color != UNKNOWN_COLOR), None)
    return Term(text, browser.nameFromTerminology(entry), color)
