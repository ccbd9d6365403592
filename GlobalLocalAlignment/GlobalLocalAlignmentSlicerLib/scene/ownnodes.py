"""Nodes that a comparison leaves in the scene, found again.

Each kind of node is there once and is found by its attribute, so that comparing once more replaces it. Nodes that the
user made carry no such attribute and are never touched.
"""

from __future__ import annotations

from typing import Any

KIND_ATTRIBUTE = "GlobalLocalAlignment.Comparison"
SCORES, ERRORS = "scores", "errors"


def ownNodes(className: str, kind: str = "") -> list[Any]:
    """Nodes of comparisons, of one kind where it is given."""
    import slicer

    nodes = ((node, node.GetAttribute(KIND_ATTRIBUTE)) for node in slicer.util.getNodesByClass(className))
    return [node for node, own in nodes if own and kind in ("", own)]


def ownNode(className: str, kind: str, name: str) -> Any:
    """The node of a kind, made where it is not there."""
    import slicer

    found = ownNodes(className, kind)
    if found:
        return found[0]
    node = slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAttribute(KIND_ATTRIBUTE, kind)
    return node


def isErrors(node: Any) -> bool:
    """Whether a segmentation shows errors, and is nothing to compare or to learn from."""
    return node.GetAttribute(KIND_ATTRIBUTE) == ERRORS
