"""What the machine refuses: space on disk, memory, an answer of its GPU. Known by its error, said in one line."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from .errors import InputError

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|alloc_failed", re.IGNORECASE)
NO_GPU = re.compile(r"cuda (driver |unknown )?error|no cuda gpus|cud(nn|a)_status|cublas_status", re.IGNORECASE)
OUR_FAULT = "device-side assert"
"""The GPU is well and was given something wrong."""


class Refusal(Enum):
    """What is missing."""

    SPACE = "no space is left"
    MEMORY = "memory ran out"
    GPU = "the GPU does not answer any longer"


class MachineFault(InputError):
    """The machine refuses; nothing is wrong with the input and nothing with the program.

    Args:
        subject: the file, volume, run or command that it happened to.
        refusal: what is missing.
        problem: the same in words.
        remedy: what the user can do about it.
    """

    def __init__(self, subject: str | Path, refusal: Refusal, problem: str, remedy: str) -> None:
        self.refusal = refusal
        super().__init__(subject, problem, remedy)


def refusal_of(error: BaseException) -> Refusal | None:
    """What the machine refuses, None where an error says something else."""
    if isinstance(error, InputError):
        return None
    if disk_error(error) is not None:
        return Refusal.SPACE
    # PyTorch has classes of its own for these on some devices alone, and not in all versions
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or NO_MEMORY.search(str(error)):
        return Refusal.MEMORY
    return Refusal.GPU if NO_GPU.search(str(error)) and OUR_FAULT not in str(error) else None


def machine_fault(error: BaseException, subject: str | Path, remedies: Mapping[Refusal, str]) -> MachineFault | None:
    """An error as one line, None where it is no refusal of the machine or there is no remedy for it.

    Args:
        error: as it was raised.
        subject: what it happened to; a full disk is told of the file, where the error names it.
        remedies: what the user can do about each.
    """
    refusal = refusal_of(error)
    if refusal not in remedies:
        return None
    problem = refusal.value
    if refusal is Refusal.SPACE:
        found = disk_error(error)
        subject = found.filename or subject
        # a quota is made free elsewhere than a disk
        reason = refusal.value if found.errno == errno.ENOSPC else found.strerror or refusal.value
        problem = f"cannot be written ({reason})"
    elif refusal is Refusal.GPU:
        problem = f"{refusal.value} ({str(error).strip().splitlines()[0]})"
    elif "cuda" in str(error).lower():
        problem = f"{refusal.value} on the GPU"
    return MachineFault(subject, refusal, problem, remedies[refusal])


def disk_error(error: BaseException | None) -> OSError | None:
    """The error of a full disk, also where it led to another one: PyTorch's writer says nothing of it in its own."""
    while (found := file_error(error)) is not None and found.errno not in FULL:
        error = found.__cause__ or found.__context__
    return found


def file_error(error: BaseException | None) -> OSError | None:
    """The error of the file system that an error is, or that led to it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def explained(subject: str | Path, remedies: Mapping[Refusal, str]) -> Iterator[None]:
    """Raise ``machine_fault`` in the place of the errors that it knows."""
    try:
        yield
    except Exception as error:
        fault = machine_fault(error, subject, remedies)
        if fault is None:
            raise
        raise fault from error


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give the name of a file to errors of writing it: those of the file system name a file only where it is opened."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
