"""The layout manager of slicer.app, over the offscreen views."""

from __future__ import annotations

import slicer
import vtk

from SlicerHost.core import Core
from SlicerHost.views import SliceView, ThreeDView, Views

RENDERED = (300, 300)
"""Width and height at which a view that nobody looks at is rendered."""


class SliceViewWidget:
    """What `layoutManager().sliceWidget("Red").sliceView()` gives."""

    def __init__(self, view: SliceView) -> None:
        self._view = view

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.node

    def forceRender(self) -> None:
        self._view.picture(RENDERED)


class SliceWidget:
    """What `layoutManager().sliceWidget("Red")` gives."""

    def __init__(self, view: SliceView) -> None:
        self._view = view

    def mrmlSliceNode(self) -> slicer.vtkMRMLSliceNode:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> slicer.vtkMRMLSliceCompositeNode:
        return self._view.logic.GetSliceCompositeNode()

    def sliceLogic(self) -> slicer.vtkMRMLSliceLogic:
        return self._view.logic

    def sliceView(self) -> SliceViewWidget:
        return SliceViewWidget(self._view)

    def fitSliceToBackground(self) -> None:
        self._view.fit()


class ThreeDViewWidget:
    """What `layoutManager().threeDWidget(0).threeDView()` gives."""

    def __init__(self, view: ThreeDView) -> None:
        self._view = view

    def mrmlViewNode(self) -> slicer.vtkMRMLViewNode:
        return self._view.node

    def resetFocalPoint(self) -> None:
        self._view.fit()

    def resetCamera(self) -> None:
        self._view.fit()

    def forceRender(self) -> None:
        self._view.picture(RENDERED)


class ThreeDWidget:
    """What `layoutManager().threeDWidget(0)` gives."""

    def __init__(self, view: ThreeDView) -> None:
        self._view = view

    def threeDView(self) -> ThreeDViewWidget:
        return ThreeDViewWidget(self._view)

    def mrmlViewNode(self) -> slicer.vtkMRMLViewNode:
        return self._view.node


class LayoutManager:
    """Layouts change in the layout node; the pictures of the host always show the four-up layout."""

    def __init__(self, core: Core, views: Views) -> None:
        self._core, self._views = core, views

    @property
    def layout(self) -> int:
        return self._core.layout_logic.GetLayoutNode().GetViewArrangement()

    def setLayout(self, layout: int) -> None:
        self._core.layout_logic.GetLayoutNode().SetViewArrangement(layout)

    def layoutLogic(self) -> slicer.vtkMRMLLayoutLogic:
        return self._core.layout_logic

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._views.slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        view = self._views.slices.get(name)
        return SliceWidget(view) if view is not None else None

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        return self._core.application_logic.GetSliceLogics()

    threeDViewCount = 1
    tableViewCount = 0
    plotViewCount = 0

    def threeDWidget(self, index: int) -> ThreeDWidget | None:
        return ThreeDWidget(self._views.threed) if index == 0 else None

    def resetSliceViews(self) -> None:
        for view in self._views.slices.values():
            view.fit()

    def resetThreeDViews(self) -> None:
        self._views.threed.fit()
