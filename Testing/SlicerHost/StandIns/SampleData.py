"""Stand-in for Slicer's module Sample Data: keeps what modules register, and downloads nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer

Several = str | list[str] | None


@dataclass
class SampleDataSource:
    """One data set."""

    sampleName: str | None = None
    uris: Several = None
    fileNames: Several = None
    nodeNames: Several = None
    customDownloader: Callable[[SampleDataSource], Any] | None = None
    thumbnailFileName: str | None = None
    loadFileTypes: Several = None
    loadFiles: bool | list[bool] | None = None
    loadFileProperties: dict = field(default_factory=dict)
    checksums: Several = None


class SampleDataLogic:
    """What modules call."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **source: Any) -> None:
        """Offer a data set in the section of that name; the same one again changes nothing."""
        if "loadFileType" in source:
            raise TypeError("loadFileType is deprecated, use loadFileTypes")
        sources = SampleDataLogic.sampleDataSourcesByCategory().setdefault(category, [])
        made = SampleDataSource(**source)
        if made not in sources:
            sources.append(made)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        """All data sets by section, or those of one section."""
        known = vars(slicer.modules).setdefault("sampleDataSources", {})
        return known if category is None else known.get(category, [])
