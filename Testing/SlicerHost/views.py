"""Offscreen slice and 3D views with the real displayable managers, and pictures of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from SlicerHost.core import Core

SLICE_VIEWS = ("Red", "Yellow", "Green")
FOUR_UP = (("Red", "1"), ("Yellow", "Green"))
"""Rows of Slicer's four-up layout."""
SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
THREED_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
)
BORDER = 4
"""Pixels between the views of a picture."""


class View:
    """A render window in memory with the displayable managers of its kind."""

    def __init__(self, core: Core, factory: object, managers: tuple[str, ...]) -> None:
        self.core = core
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.ShowWindowOff()
        self.window.SetOffScreenRendering(1)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        factory.SetMRMLApplicationLogic(core.application_logic)
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(factory, self.renderer)

    def picture(self, size: tuple[int, int]) -> np.ndarray:
        """Render and return (height, width, 3) unsigned bytes, top row first; size is (width, height)."""
        self.window.SetSize(*size)
        self.prepare(size)
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()

    def prepare(self, size: tuple[int, int]) -> None:
        """Bring the view up to date before it is rendered."""


class SliceView(View):
    """One slice view; its layers follow the composite node."""

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), SLICE_MANAGERS)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.name = name
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(core.application_logic)
        core.application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(core.scene)
        self.image = vtk.vtkImageActor()
        # the layout logic made it; as a singleton it stays when the scene is closed
        self.node = self.core.scene.GetSingletonNode(self.name, "vtkMRMLSliceNode")
        self.logic.SetSliceNode(self.node)
        self.node.SetMappedInLayout(1)
        self.node.SetInteractionNode(self.core.application_logic.GetInteractionNode())
        self.managers.SetMRMLDisplayableNode(self.node)

    def fit(self) -> None:
        """Show the whole background volume."""
        self.logic.FitSliceToBackground()

    def prepare(self, size: tuple[int, int]) -> None:
        self.logic.ResizeSliceNode(*size)
        connection = self.logic.GetImageDataConnection()
        self.image.GetMapper().SetInputConnection(connection)
        self.image.SetVisibility(connection is not None)
        if connection is not None:
            self.renderer.AddViewProp(self.image)
        # the displayable managers draw in the pixels of the view: one unit of the world is one pixel
        width, height = size
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint((width - 1) / 2, (height - 1) / 2, 0)
        camera.SetPosition((width - 1) / 2, (height - 1) / 2, 100)
        camera.SetParallelScale(height / 2)
        self.renderer.ResetCameraClippingRange()


class ThreeDView(View):
    """The 3D view."""

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), THREED_MANAGERS)
        self.name = name
        # the layout logic made it; as a singleton it stays when the scene is closed
        self.node = self.core.scene.GetSingletonNode(self.name, "vtkMRMLViewNode")
        self.node.SetMappedInLayout(1)
        self.hide_box()
        self.node.SetInteractionNode(self.core.application_logic.GetInteractionNode())
        self.managers.SetMRMLDisplayableNode(self.node)

    def hide_box(self) -> None:
        """No box and no letters around the scene; closing it brings them back."""
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)

    def fit(self) -> None:
        """Look from the front, a little from above, at all that is shown."""
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, 1, 0.35)
        camera.SetViewUp(0, 0, 1)
        self.renderer.ResetCamera()

    def prepare(self, size: tuple[int, int]) -> None:
        self.renderer.ResetCameraClippingRange()


class Views:
    """The four views of Slicer's default layout."""

    def __init__(self, core: Core) -> None:
        self.slices = {name: SliceView(core, name) for name in SLICE_VIEWS}
        self.threed = ThreeDView(core, "1")

    def all(self) -> dict[str, View]:
        return {**self.slices, self.threed.name: self.threed}

    def fit(self) -> None:
        """Show all there is in each view."""
        for view in self.all().values():
            view.fit()

    def four_up(self, size: tuple[int, int] = (1200, 900)) -> np.ndarray:
        """Picture of all views, (height, width, 3) unsigned bytes; size is (width, height)."""
        width, height = ((length - BORDER) // 2 for length in size)
        picture = np.full((2 * height + BORDER, 2 * width + BORDER, 3), 60, np.uint8)
        for row, names in enumerate(FOUR_UP):
            for column, name in enumerate(names):
                top, left = row * (height + BORDER), column * (width + BORDER)
                picture[top : top + height, left : left + width] = self.all()[name].picture((width, height))
        return picture


def write_png(picture: np.ndarray, path: Path) -> None:
    """Write (height, width, 3) unsigned bytes."""
    from PySide6 import QtGui

    height, width, _ = picture.shape
    data = np.ascontiguousarray(picture)
    image = QtGui.QImage(data.data, width, height, 3 * width, QtGui.QImage.Format_RGB888)
    if not image.save(str(path)):
        raise OSError(f"cannot write {path}")
