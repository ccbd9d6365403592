"""Dialogs that a test answers instead of a person."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtWidgets

from SlicerHost.problems import UnansweredDialogError

FILE_DIALOGS = (
    *("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    *("getOpenFileUrl", "getOpenFileUrls", "getSaveFileUrl", "getExistingDirectoryUrl"),
)
MESSAGE_BOXES = ("about", "critical", "information", "question", "warning")
INPUT_DIALOGS = ("getDouble", "getInt", "getItem", "getMultiLineText", "getText")


@dataclass(frozen=True)
class Question:
    """What a dialog asked; with the dialog itself, for an answer that uses what is in it."""

    dialog: str
    title: str
    text: str
    widget: QtWidgets.QDialog | None = field(default=None, compare=False)


class Answers:
    """Answers that a test gives in advance, in order, and the questions that were asked.

    An answer is the value that the dialog returns, or a function of the Question that returns it.
    """

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self.asked: list[Question] = []

    def give(self, *answers: Any) -> None:
        """Answer the next dialogs so."""
        self._waiting.extend(answers)

    def clear(self) -> None:
        """Forget all of it."""
        self._waiting.clear()
        self.asked.clear()

    def unused(self) -> int:
        """Number of answers that nobody asked for."""
        return len(self._waiting)

    def ask(self, question: Question) -> Any:
        """The answer of the test; UnansweredDialogError if it gave none."""
        self.asked.append(question)
        if not self._waiting:
            raise UnansweredDialogError(f"nobody answers {question}")
        answer = self._waiting.popleft()
        return answer(question) if callable(answer) else answer


answers = Answers()


def _execute(dialog: QtWidgets.QDialog) -> int:
    text = getattr(dialog, "text", "") or getattr(dialog, "labelText", "")
    result = answers.ask(Question(dialog.className(), dialog.windowTitle, text, dialog))
    # closes it and sends accepted, rejected and finished as a click would
    dialog.done(int(result))
    return int(result)


def _asking(name: str) -> Callable:
    """Stand-in for a static method that opens a dialog: (parent, title, text or folder, ...)."""

    def ask(parent: QtWidgets.QWidget | None = None, title: str = "", text: str = "", *rest: Any) -> Any:
        return answers.ask(Question(name, title, text))

    return staticmethod(ask)


def install() -> None:
    """Let every way to wait for a person ask the test."""
    QtWidgets.QDialog.exec_ = _execute
    QtWidgets.QMenu.exec_ = lambda menu, *position: answers.ask(Question("QMenu", menu.title, ""))
    for kind, names in (
        (QtWidgets.QFileDialog, FILE_DIALOGS),
        (QtWidgets.QMessageBox, MESSAGE_BOXES),
        (QtWidgets.QInputDialog, INPUT_DIALOGS),
    ):
        for name in names:
            setattr(kind, name, _asking(f"{kind.__name__}.{name}"))
