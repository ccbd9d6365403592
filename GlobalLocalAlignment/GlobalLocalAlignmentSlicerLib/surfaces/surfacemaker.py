"""Segmentations shown in 3D: their surfaces are made in a process of their own, and only handed in by the window."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..background.backgroundprocess import BackgroundProcess, reasonOf
from ..background.diskspace import describe
from ..background.steps import Beside, Steps
from .closedsurfaces import WHOLE, writeTask
from .segmentsurfaces import SegmentationSource, handIn, hasSurfaces, readSource, whyNotHere

MODULE = "GlobalLocalAlignmentSlicerLib.surfaces.closedsurfaces"

Finished = Callable[[list[str]], None]


class SurfaceMaker:
    """Makes the surfaces of segmentations in the background, one call after the other.

    Whatever happens to them, the segmentations stay as they are; Slicer's own button makes what is missing.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[list[str], Callable[[str], None], Finished]] = []
        self._steps: Steps | None = None

    @property
    def running(self) -> bool:
        """Whether surfaces are still to come."""
        return self._steps is not None and self._steps.running

    def make(
        self,
        segmentationNodes: list,
        onText: Callable[[str], None] = lambda line: None,
        onFinished: Finished = lambda messages: None,
    ) -> None:
        """Have the surfaces of segmentations made; those that are shown in 3D already are left as they are.

        Args:
            segmentationNodes: vtkMRMLSegmentationNode, which may be changed or removed before their surfaces are there.
            onText: called with each line for the log.
            onFinished: called with a line for each segmentation that has none; not after ``stop``.
        """
        self._waiting.append(([node.GetID() for node in segmentationNodes], onText, onFinished))
        if not self.running:
            self._steps = Steps(self._all())

    def stop(self) -> None:
        """Make no further surfaces; those that are there stay."""
        self._waiting = []
        if self._steps is not None:
            self._steps.cancel()

    def _all(self) -> Generator[None, None, None]:
        while self._waiting:
            identifiers, onText, onFinished = self._waiting.pop(0)
            messages: list[str] = []
            try:
                with tempfile.TemporaryDirectory(prefix="gla-", ignore_cleanup_errors=True) as folder:
                    yield from self._make(Path(folder), identifiers, onText, messages)
            except OSError as error:
                reason = describe(error, Path(tempfile.gettempdir()))
                messages.append(_("No surfaces: {reason}").format(reason=reason))
            onFinished(messages)

    def _make(
        self, folder: Path, identifiers: list[str], onText: Callable[[str], None], messages: list[str]
    ) -> Generator[None, None, None]:
        sources: list[tuple[str, SegmentationSource]] = []
        for identifier in identifiers:
            yield
            node = _there(identifier)
            if node is None or hasSurfaces(node):
                continue
            reason = whyNotHere(node)
            if reason:
                messages.append(_("No surfaces: {reason}; the button in Results makes them.").format(reason=reason))
                continue
            source, number = readSource(node), len(sources)
            sources.append((identifier, source))
            yield from _beside(lambda source=source, number=number: writeTask(folder, number, source.task()))
        if not sources:
            return
        call = _Call(folder, len(sources), onText)
        call.start()
        try:
            for number, (identifier, source) in enumerate(sources):
                while number not in call.done and call.code is None:
                    yield
                if number not in call.done:
                    raise OSError(call.error or reasonOf(call.code, folder, lower=_("the number of volumes")))
                surfaces = yield from _beside(lambda source=source, number=number: source.readSurfaces(folder, number))
                node = _there(identifier)
                if node is None or hasSurfaces(node):
                    continue
                if source.isThatOf(node.GetSegmentation()):
                    yield from handIn(node, source, surfaces)
                elif not any(identifier in waiting for waiting, *_rest in self._waiting):
                    text = _("{name} was changed while its surfaces were made; the button in Results makes them.")
                    messages.append(text.format(name=node.GetName()))
        finally:
            call.end()


class _Call:
    """The process that makes the surfaces, and what it has said."""

    def __init__(self, folder: Path, count: int, onText: Callable[[str], None]) -> None:
        self.done: set[int] = set()
        self.code: int | None = None
        self.error = ""
        self._folder, self._onText = folder, onText
        words = [str(folder), str(count)]
        output = folder / "output.txt"
        self._process = BackgroundProcess(words, output, self._take, self._hear, self._finish, module=MODULE)

    def start(self) -> None:
        self._process.start()

    def end(self) -> None:
        """End the process where it still runs."""
        self._process.stop()

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == WHOLE:
            self.done.add(event["number"])

    def _hear(self, line: str) -> None:
        if line.startswith("error: "):
            self.error = line.removeprefix("error: ")
        self._onText(line)

    def _finish(self, code: int) -> None:
        self.code = code
        if self._process.stopAsked:
            # nobody waits for it any longer: what it has still written goes too
            shutil.rmtree(self._folder, ignore_errors=True)


def _there(identifier: str) -> Any | None:
    return slicer.mrmlScene.GetNodeByID(identifier)


def _beside(function: Callable[[], Any]) -> Generator[None, None, Any]:
    working = Beside(function)
    while not working.done:
        yield
    return working.result()
