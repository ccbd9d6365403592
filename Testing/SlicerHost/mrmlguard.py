"""Makes MRML objects refuse what real Slicer lets pass and regrets later: other threads, nodes that left the scene.

VTK can let a Python class stand in for one of its own, `vtkClass.override(subclass)`: each MRML class gets such a
subclass, which looks at every access. Objects that C++ makes follow the same rules.
"""

from __future__ import annotations

import inspect
from typing import Any

import slicer
import vtk

from SlicerHost.problems import DeletedNodeError
from SlicerHost.pythonqt import require_main_thread

GUARDED = ("vtkMRML", "vtkSlicer", "vtkSegment")
AFTER_REMOVAL = {
    # to find out that the node is gone, and to name it in a message
    *("GetID", "GetName", "GetScene", "GetClassName", "IsA", "GetAddressAsString", "GetReferenceCount"),
    # to let go of it, or to take it back
    *("RemoveObserver", "RemoveObservers", "RemoveAllObservers", "HasObserver", "UnRegister", "Register"),
    # what the guard itself needs
    *("AddObserver", "removed_from_scene"),
}
ON_ANY_THREAD = {"RemoveObserver", "UnRegister"}
"""What finalizers call: Python may collect garbage on any thread."""


def _guarded_getattribute(base: type) -> Any:
    get = base.__getattribute__

    def __getattribute__(self: vtk.vtkObject, name: str) -> Any:
        if not name.startswith("__"):
            if name not in ON_ANY_THREAD:
                require_main_thread(f"{base.__name__}.{name}")
            if name not in AFTER_REMOVAL and get(self, "__dict__").get("removed_from_scene"):
                raise DeletedNodeError(f"{base.__name__}.{name} of node {get(self, 'GetName')()!r}, removed from scene")
        return get(self, name)

    return __getattribute__


def install() -> None:
    """Put the guard over each class of the MRML core; before the first object is made."""
    for name, kind in list(vars(slicer).items()):
        if name.startswith(GUARDED) and inspect.isclass(kind) and issubclass(kind, vtk.vtkObject):
            # of another name: by the name VTK tells which arguments a method takes
            kind.override(type(f"Guarded{name}", (kind,), {"__getattribute__": _guarded_getattribute(kind)}))


def watch(scene: slicer.vtkMRMLScene) -> None:
    """Know which nodes have left a scene."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def on_removed(caller: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        node.removed_from_scene = True

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def on_added(caller: slicer.vtkMRMLScene, event: str, node: slicer.vtkMRMLNode) -> None:
        node.removed_from_scene = False

    # last of all, so that observers of a removal can still look at the node; first of all for one that comes
    scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, on_removed, -1000.0)
    scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeAddedEvent, on_added, 1000.0)
