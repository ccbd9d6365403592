"""A volume beside its counterpart in the style of the source: the same slice, in the plane that the model looks at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from GlobalLocalAlignmentSlicerLib.scene import results
from segmentpanel import add_phantom
from test_slice_layers import _card


@pytest.fixture
def pair(panel):
    """A volume and its counterpart, chosen in the results."""
    node, labels = add_phantom("CT")
    other = results.showVolume(node, np.zeros(labels.shape, np.float32), results.SYNTHESIZED)
    panel._parameterNode.shownVolume = node
    return node, other


def views():
    manager = slicer.app.layoutManager()
    return [manager.sliceWidget(name) for name in ("Red", "Yellow")]


@pytest.mark.parametrize(
    ("plane", "shown"),
    [("coronal", "Coronal"), ("sagittal", "Sagittal"), ("axial", "Axial"), ("acquisition", "Axial"), (None, "Axial")],
)
def test_both_views_show_the_same_slice_in_the_plane_of_the_model(panel, pair, plane: str | None, shown: str):
    node, other = pair
    # a phantom consists of axial slices
    panel._card = replace(_card(), orientation=plane) if plane else None
    panel.ui.compareButton.click()
    first, second = views()
    assert [view.mrmlSliceCompositeNode().GetBackgroundVolumeID() for view in (first, second)] == [
        node.GetID(),
        other.GetID(),
    ]
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView
    assert first.mrmlSliceNode().GetOrientation() == second.mrmlSliceNode().GetOrientation() == shown
    places = [slicer.util.arrayFromVTKMatrix(view.mrmlSliceNode().GetSliceToRAS()) for view in (first, second)]
    assert np.allclose(*places)
    sizes = [view.mrmlSliceNode().GetFieldOfView() for view in (first, second)]
    assert np.allclose(*sizes)
    # all of the volume, and not much more
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    center = [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]
    assert np.allclose(places[0][:3, 3], center, atol=16)


def test_a_foreground_of_the_users_stays_and_a_mask_does_not(panel, pair):
    node, _ = pair
    users, labels = add_phantom("mine")
    mask = results.showVolume(node, np.zeros(labels.shape, np.float32), results.FEATURE_MASK)
    for foreground, stays in ((users, True), (mask, False)):
        slicer.util.setSliceViewerLayers(foreground=foreground)
        panel.ui.compareButton.click()
        shown = {view.mrmlSliceCompositeNode().GetForegroundVolumeID() for view in views()}
        assert shown == {foreground.GetID() if stays else None}
