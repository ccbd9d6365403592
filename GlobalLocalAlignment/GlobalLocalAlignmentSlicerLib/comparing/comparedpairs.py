"""Which segmentations of the scene are compared with which: found, chosen, and kept with the scene."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..scene import results
from ..scene.labelchoice import SEGMENTATION_CLASS
from ..scene.ownnodes import isErrors
from .scenecomparer import ComparedPair, inputOf

TRUTH_WORDS = ("ground truth", "groundtruth", "truth", "reference", "manual", "expert", "gt", "label", "labels")
RESULT_WORDS = ("segmentation", "segmented", "seg", "result", "prediction", "predicted", "output", "auto", "automatic")
EDGE = r"[\s_\-.]*"
KEPT = "GlobalLocalAlignment.ComparedPair"
"""Beginning of the names of the parameter node's references and parameters that keep the list."""


@dataclass
class ListedPair:
    """A pair in the list.

    Attributes:
        pair: IDs of both.
        checked: whether it is compared.
        why: how it was found.
    """

    pair: ComparedPair
    checked: bool = True
    why: str = ""


def whyNotPair(resultNode: Any | None, referenceNode: Any | None) -> str:
    """Why two segmentations cannot be compared; empty where they can."""
    if referenceNode is None:
        return _("Choose the segmentation that is taken as the truth.")
    if resultNode is None:
        return _("Choose the segmentation that is compared with it.")
    if resultNode is referenceNode:
        return _("Choose two segmentations: a segmentation says nothing about itself.")
    for node in (resultNode, referenceNode):
        if isErrors(node):
            return _("{name} shows the errors of a comparison: choose another one.").format(name=node.GetName())
    return ""


def findPairs() -> list[ListedPair]:
    """Pairs of a result and its ground truth, one for each result that has exactly one counterpart.

    Looked for in this order: a ground truth of the same volume, in the same folder of the subject hierarchy, of the
    same name but for words such as ``segmentation`` and ``ground truth``.
    """
    nodes = [node for node in slicer.util.getNodesByClass(SEGMENTATION_CLASS) if not isErrors(node)]
    truths = [node for node in nodes if not _isResult(node)]
    found = []
    for node in nodes:
        if not _isResult(node):
            continue
        for why, alike in ((_("same volume"), _sameVolume), (_("same folder"), _sameFolder), (_("names"), _sameName)):
            partners = [other for other in truths if alike(node, other)]
            said = [other for other in partners if _has(other.GetName(), TRUTH_WORDS)]
            partners = said or partners
            if len(partners) == 1:
                found.append(ListedPair(ComparedPair(node.GetID(), partners[0].GetID()), True, why))
                break
    return found


def keepPairs(parameterNode: Any, pairs: list[ListedPair]) -> None:
    """Write the list into a parameter node, whose references follow the nodes wherever a scene is loaded."""
    with slicer.util.NodeModify(parameterNode):
        for number in range(max(len(pairs), _kept(parameterNode))):
            listed = pairs[number] if number < len(pairs) else None
            result, reference, checked, why = _roles(number)
            parameterNode.SetNodeReferenceID(result, listed.pair.resultId if listed else None)
            parameterNode.SetNodeReferenceID(reference, listed.pair.referenceId if listed else None)
            if listed is None:
                parameterNode.UnsetParameter(checked)
                parameterNode.UnsetParameter(why)
            else:
                parameterNode.SetParameter(checked, "true" if listed.checked else "false")
                parameterNode.SetParameter(why, listed.why)


def keptPairs(parameterNode: Any) -> list[ListedPair]:
    """The list of a parameter node, without pairs of which a segmentation is gone."""
    pairs = []
    for number in range(_kept(parameterNode)):
        result, reference, checked, why = _roles(number)
        nodes = [parameterNode.GetNodeReference(role) for role in (result, reference)]
        if None not in nodes:
            pair = ComparedPair(*(node.GetID() for node in nodes))
            pairs.append(
                ListedPair(pair, parameterNode.GetParameter(checked) == "true", parameterNode.GetParameter(why))
            )
    return pairs


def _roles(number: int) -> tuple[str, str, str, str]:
    return tuple(f"{KEPT}{number}.{word}" for word in ("Result", "Reference", "Checked", "Why"))


def _kept(parameterNode: Any) -> int:
    number = 0
    while parameterNode.GetParameter(_roles(number)[2]):
        number += 1
    return number


def _isResult(node: Any) -> bool:
    """Whether a segmentation was made by a program: here, or by its name elsewhere."""
    if node.GetNodeReferenceID(results.INPUT_ROLE):
        return True
    return _has(node.GetName(), RESULT_WORDS) and not _has(node.GetName(), TRUTH_WORDS)


def _sameVolume(result: Any, truth: Any) -> bool:
    volume = inputOf(result)
    return volume is not None and inputOf(truth) is volume


def _sameFolder(result: Any, truth: Any) -> bool:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folders = [hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in (result, truth)]
    return folders[0] == folders[1] != hierarchy.GetSceneItemID()


def _sameName(result: Any, truth: Any) -> bool:
    return _plain(result.GetName()) == _plain(truth.GetName()) != ""


def _pattern(words: tuple[str, ...]) -> str:
    return "|".join(re.escape(word).replace(r"\ ", r"[\s_\-.]+") for word in sorted(words, key=len, reverse=True))


def _has(name: str, words: tuple[str, ...]) -> bool:
    return bool(re.search(rf"(?<![a-z])(?:{_pattern(words)})(?![a-z])", name.casefold()))


def _plain(name: str) -> str:
    """A name without words for results and ground truths at its ends."""
    words, name = _pattern(TRUTH_WORDS + RESULT_WORDS), name.casefold().strip()
    while True:
        shorter = re.sub(rf"^(?:{words})(?![a-z]){EDGE}|{EDGE}(?<![a-z])(?:{words})$", "", name)
        if shorter == name:
            return name
        name = shorter
