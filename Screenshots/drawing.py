"""What draw_screenshots.py draws with: parts of panels, tables, plots, views, and pictures side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Testing"))

from SlicerHost.host import Host

ROOT = Path(__file__).resolve().parents[1]
PANEL_WIDTH = 480
PLOT_SIZE = (640, 360)
VIEWS_SIZE = (900, 660)
WIDEST = 1200
"""Pixels of pictures side by side together."""

MARGIN = 8
"""Pixels around a part of a panel, and around a table."""


class Pictures:
    """The pictures that are asked for, and where they go.

    Args:
        host: the host.
        output: folder of the pictures.
        only: names of those that are drawn; all if there are none.
        known: all names.

    Raises:
        ValueError: a name is not known.
    """

    def __init__(self, host: Host, output: Path, only: Iterable[str], known: Iterable[str]) -> None:
        self.host, self.output, self.known = host, output, list(known)
        self.only = set(only) or set(self.known)
        unknown = sorted(self.only - set(self.known))
        if unknown:
            raise ValueError(f"no picture is called {', '.join(unknown)}; there are {', '.join(self.known)}")

    def wants(self, *names: str) -> bool:
        """Whether one of these pictures is asked for."""
        return not self.only.isdisjoint(names)

    def path(self, name: str) -> Path:
        """File of a picture."""
        if name not in self.known:
            raise ValueError(f"{name} is not in the list of pictures")
        return self.output / f"{name}.png"

    def panel(self, name: str, panel: Any, *parts: Any) -> None:
        """A whole panel, or what lies from the first to the last of some of its widgets."""
        if not self.wants(name):
            return
        self.host.grab(panel.parent, self.path(name), PANEL_WIDTH)
        if parts:
            self._cut(self.path(name), panel.parent, parts)

    def _cut(self, path: Path, whole: Any, parts: tuple[Any, ...]) -> None:
        import qt

        tops = [part.mapTo(whole, qt.QPoint(0, 0)).y() for part in parts]
        top = max(min(tops) - MARGIN // 2, 0)
        bottom = max(y + part.height for y, part in zip(tops, parts, strict=True)) + MARGIN // 2
        with Image.open(path) as picture:
            cut = picture.crop((0, top, picture.width, min(bottom, picture.height)))
        cut.save(path)

    def views(self, name: str) -> None:
        """The slice views and the 3D view."""
        if self.wants(name):
            self.host.four_up(self.path(name), VIEWS_SIZE)

    def beside(self, name: str, *names: str) -> None:
        """Pictures side by side, as high as the first of them."""
        if not self.wants(name):
            return
        opened = [Image.open(self.path(one)).convert("RGB") for one in names]
        height = opened[0].height
        scaled = [
            one.resize((round(one.width * height / one.height), height), Image.Resampling.LANCZOS) for one in opened
        ]
        whole = Image.new("RGB", (sum(one.width for one in scaled), height))
        left = 0
        for one in scaled:
            whole.paste(one, (left, 0))
            left += one.width
        whole.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
        whole.save(self.path(name), optimize=True)

    def plot(self, name: str, chart: Any) -> None:
        """A plot chart node."""
        if not self.wants(name):
            return
        import slicer

        plot = slicer.qMRMLPlotView()
        view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
        view.SetPlotChartNodeID(chart.GetID())
        plot.setMRMLScene(slicer.mrmlScene)
        plot.setMRMLPlotViewNode(view)
        plot.resize(*PLOT_SIZE)
        self._write(plot, name)

    def table(self, name: str, node: Any, columns: int) -> None:
        """The first columns of a table node, as wide as what they hold."""
        if not self.wants(name):
            return
        import slicer

        view = slicer.qMRMLTableView()
        view.setMRMLScene(slicer.mrmlScene)
        view.setMRMLTableNode(node)
        view.verticalHeader().hide()
        for column in range(columns, node.GetNumberOfColumns()):
            view.hideColumn(column)
        view.show()
        view.resizeColumnsToContents()
        view.resizeRowsToContents()
        self.host.process_events()
        width = view.horizontalHeader().length() + MARGIN
        height = view.verticalHeader().length() + view.horizontalHeader().height + MARGIN
        view.resize(width, height)
        self._write(view, name)

    def _write(self, widget: Any, name: str) -> None:
        widget.show()
        self.host.process_events()
        if not widget.grab().save(str(self.path(name))):
            raise OSError(f"cannot write {self.path(name)}")
