"""The outcomes of a command that are not success, each with its exit code."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Signs that steer a terminal, turn the direction of writing, or stand for bytes of a file name that are no text."""


def one_line(text: str) -> str:
    """Text from a file or of its name as one line that any screen and any file can take."""
    return UNSEEN.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


class ExitCode(IntEnum):
    """Process exit codes of every command."""

    DONE = 0
    INTERNAL_ERROR = 1
    INPUT_ERROR = 2
    STOPPED = 3


class InputError(Exception):
    """The user's input cannot be used. Its text is one line: which file, what is wrong, what to do.

    Args:
        subject: the file, folder or setting that is at fault.
        problem: what is wrong with it.
        remedy: what the user can do about it.
    """

    def __init__(self, subject: str | Path, problem: str, remedy: str) -> None:
        self.subject, self.problem, self.remedy = str(subject), problem, remedy
        super().__init__(one_line(f"{self.subject}: {problem}; {remedy}"))


class StopRequested(Exception):
    """The run was asked to stop; a checkpoint was written and the run can be resumed."""


class InputErrors(InputError):
    """Several inputs cannot be used: one line for each."""

    def __init__(self, errors: list[InputError]) -> None:
        self.errors = errors
        Exception.__init__(self, "\n".join(str(error) for error in errors))


class ErrorCollector:
    """Lets the rest of a batch go on: collects the errors of single inputs and raises them together at the end."""

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    def __enter__(self) -> ErrorCollector:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, InputError):
            return False
        found = error.errors if isinstance(error, InputErrors) else [error]
        for single in found:
            # the frames of a traceback hold the volume that could not be used, and there may be many of them
            single.__traceback__ = single.__cause__ = single.__context__ = None
        self.errors += found
        return True

    def raise_all(self) -> None:
        """Raise what was collected, if anything was."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise InputErrors(self.errors)
