"""Colour tables: one with an even rise of brightness for masks, and one with the structures of a labelmap."""

from __future__ import annotations

from typing import Any

import numpy as np

PERCEPTUAL_COLORS = ("Inferno", "Magma", "Plasma", "Viridis")
"""Slicer's colour tables with an even rise of brightness, in order of preference."""

BACKGROUND = "background"
OWN_COLORS = "GlobalLocalAlignment mask"
OWN_COLOR_STOPS = ((0.0, 0.0, 0.02), (0.34, 0.07, 0.43), (0.73, 0.21, 0.33), (0.98, 0.55, 0.04), (0.99, 1.0, 0.64))
"""From dark to bright at even steps, for a Slicer that has none of these tables."""


def perceptualColors() -> Any:
    """A colour table with an even rise of brightness: Slicer's, or one of our own."""
    import slicer

    tables = {node.GetName(): node for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode")}
    for name in (*PERCEPTUAL_COLORS, OWN_COLORS):
        if name in tables:
            return tables[name]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", OWN_COLORS)
    node.SetTypeToUser()
    node.SetNumberOfColors(256)
    node.SetHideFromEditors(False)
    stops = np.array(OWN_COLOR_STOPS)
    places = np.linspace(0, len(stops) - 1, 256)
    channels = [np.interp(places, range(len(stops)), channel) for channel in stops.T]
    for index, color in enumerate(zip(*channels, strict=True)):
        node.SetColor(index, str(index), *map(float, color), 1.0)
    node.GetLookupTable().SetRange(0, 255)
    return node


def structureColors(name: str, structures: dict[int, tuple[str, tuple[float, float, float], str]]) -> Any:
    """A colour table of its own for a labelmap: names, colours and terms of the structures that its values stand for.

    Args:
        name: of the table.
        structures: name, colour (red, green, blue, 0 to 1) and term, empty where there is none, by value, from 1.
    """
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetTypeToUser()
    node.SetHideFromEditors(False)
    node.SetNumberOfColors(max(structures, default=0) + 1)
    node.SetColor(0, BACKGROUND, 0.0, 0.0, 0.0, 0.0)
    for value, (structure, color, term) in structures.items():
        node.SetColor(value, structure, *color, 1.0)
        if term:
            node.SetTerminologyFromString(value, term)
    node.GetLookupTable().SetRange(0, node.GetNumberOfColors() - 1)
    return node
