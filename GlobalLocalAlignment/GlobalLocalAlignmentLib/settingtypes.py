"""Types of single settings, with the limits that keep a file of others from asking for more than a machine has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from .errors import UNSEEN

LONGEST_NAME, LONGEST_TERM = 128, 2000
LARGEST_SLICE = 4096
"""Rows or columns."""


def _seen(text: str) -> str:
    if UNSEEN.search(text):
        raise ValueError("it holds control characters")
    return text


Text = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_seen)]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_seen)]
Term = Annotated[str, Field(max_length=LONGEST_TERM), AfterValidator(_seen)]

DomainName = Annotated[str, Field(pattern=r"^\w[\w .,()+-]*$", max_length=100)]
"""Names of modalities become parts of file names: no separator of folders in them, and no dot at their start."""

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Channels = Annotated[int, Field(gt=0, le=8192)]
Blocks = Annotated[int, Field(gt=0, le=256)]
Extent = Annotated[int, Field(gt=0, le=LARGEST_SLICE)]
Byte = Annotated[int, Field(ge=0, le=255)]
