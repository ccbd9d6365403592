"""Text files of results, whole or not there at all, and rows as CSV: every field of a dataclass is a column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError
from .wholefiles import whole_file

Row = TypeVar("Row")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet computes, or hands to another program."""

TEXT_MARK = "'"
"""Sign before such a cell: a spreadsheet shows the rest as text."""

LARGEST_TABLE = 64 << 20
"""Bytes of a table; one of ten thousand cases has a tenth of it."""


def write_text(path: Path, text: str, remedy: str) -> None:
    """Write a text as a whole; a failure leaves an earlier file as it was. The folder is made.

    Raises:
        InputError: the file cannot be written; ``remedy`` says what to do.
    """
    try:
        with whole_file(path) as stream:
            stream.write(text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", remedy) from error


def write_rows(rows: Iterable[Any], kind: type, path: Path, remedy: str = "choose another --output") -> None:
    """Write rows as CSV; numbers keep all their digits, NaN is an empty cell, no text is a formula.

    Args:
        rows: instances of ``kind``.
        kind: dataclass whose fields are str, int or float.
        path: of the file; its folder is made.
        remedy: what the user can do where it cannot be written.

    Raises:
        InputError: the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(kind)])
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in asdict(row).items()})
    write_text(path, stream.getvalue(), remedy)


def read_rows(kind: type[Row], path: Path, name: str, advice: str) -> list[Row]:
    """Rows that ``write_rows`` wrote.

    Args:
        kind: dataclass of a row.
        path: of the file.
        name: what such a file is called.
        advice: what to do where it is none.

    Raises:
        InputError: not such a file.
    """
    readers = _cell_readers(kind)
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise ValueError(f"it has more than {LARGEST_TABLE >> 20} MiB")
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if reader.fieldnames != list(readers):
                raise ValueError("it has other columns")
            return [_row(kind, readers, cells) for cells in reader]
    except (OSError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise InputError(path, f"is no {name} ({error})", advice) from error


def text_cell(text: str) -> str:
    """Text for a cell that no spreadsheet takes for a formula."""
    return TEXT_MARK + text if text.startswith((*FORMULA, TEXT_MARK)) else text


def _cell(value: str | float) -> str | float:
    if isinstance(value, str):
        return text_cell(value)
    return "" if value != value else value


def _row(kind: type[Row], readers: dict[str, Callable[[str], object]], cells: dict[str | None, str]) -> Row:
    if None in cells:
        raise ValueError("a line has too many cells")
    return kind(**{column: read(cells[column]) for column, read in readers.items()})


def _cell_readers(kind: type) -> dict[str, Callable[[str], object]]:
    """How each column is read, in order."""
    by_type = {"str": _text, "int": int, "float": _number}
    return {field.name: by_type[field.type] for field in fields(kind)}


def _text(cell: str) -> str:
    marked = cell.startswith(TEXT_MARK) and cell[1:].startswith((*FORMULA, TEXT_MARK))
    return cell[1:] if marked else cell


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan
