"""The table of cases and the mapping of structures, kept in the module's parameter node and so with the scene.

Volumes and labels are kept as node references, one role for each row: whoever imports a scene beside other nodes gets
other node IDs, and MRML follows them in references only. Everything else is one text.

Cases on disk are left out, and with them every path: a scene is given to others.
"""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from slicer.i18n import tr as _
from slicer.util import NodeModify

from ..scene.images import isImage
from .structures import StructureRow
from .trainingcases import ROLES, TrainingCase

PARAMETER = "cases"
VERSION = 1
"""Of the text; only what an earlier version would misread makes it larger, a further field of a row does not."""

REFERENCE = "case"
"""What the roles of all node references of this table begin with."""


def write(parameterNode: Any, cases: list[TrainingCase], rows: list[StructureRow]) -> None:
    """Keep the cases of the scene and the mapping; a node that says so already is not modified.

    Args:
        parameterNode: vtkMRMLScriptedModuleNode of the module.
        cases: all cases.
        rows: of the mapping.
    """
    kept = [case for case in cases if case.folder is None]
    state = {
        "version": VERSION,
        "cases": [{"role": case.role} for case in kept],
        "structures": [_entry(row) for row in rows],
    }
    references = {}
    for index, case in enumerate(kept):
        references |= {_role(index, "Volume"): case.volumeId, _role(index, "Labels"): case.labelsId}
    known = [parameterNode.GetNthNodeReferenceRole(n) for n in range(parameterNode.GetNumberOfNodeReferenceRoles())]
    with NodeModify(parameterNode):
        if kept or rows:
            parameterNode.SetParameter(PARAMETER, json.dumps(state))
        else:
            parameterNode.UnsetParameter(PARAMETER)
        for role in {*references, *(role for role in known if role.startswith(REFERENCE))}:
            wanted = references.get(role) or None
            if parameterNode.GetNodeReferenceID(role) != wanted:
                parameterNode.SetNodeReferenceID(role, wanted)


def read(parameterNode: Any) -> tuple[list[TrainingCase], list[StructureRow]]:
    """Cases, none of them looked at, and rows of the mapping; both empty where nothing was kept.

    A case whose volume is not in the scene is left out, labels that are not there are not chosen.

    Raises:
        ValueError: a newer version wrote the text, or it is damaged.
    """
    text = parameterNode.GetParameter(PARAMETER)
    if not text:
        return [], []
    try:
        state = json.loads(text)
        version, roles = _built(int, state["version"]), [_built(str, case["role"]) for case in state["cases"]]
        rows = [_row(entry) for entry in state["structures"]] if version <= VERSION else []
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(_("The table of cases that came with the scene is damaged and left out.")) from error
    if version > VERSION or not set(roles) <= set(ROLES):
        raise ValueError(_("The table of cases that came with the scene is of a newer version and left out."))
    cases = []
    for index, role in enumerate(roles):
        volume, labels = (parameterNode.GetNodeReference(_role(index, what)) for what in ("Volume", "Labels"))
        if volume is not None and isImage(volume):
            cases.append(TrainingCase(role, volume.GetName(), volume.GetID(), labels.GetID() if labels else ""))
    return cases, rows


def _role(index: int, what: str) -> str:
    return f"{REFERENCE}{index}{what}"


def _entry(row: StructureRow) -> dict[str, Any]:
    """All that a row holds but the number of cases, which looking at them tells."""
    return {name: value for name, value in asdict(row).items() if name != "cases"}


def _row(entry: dict[str, Any]) -> StructureRow:
    row = _built(StructureRow, {"cases": 0} | entry)
    if any(not 0 <= part <= 255 for part in (*row.color, *row.found.color)):
        raise ValueError(row.color)
    return row


def _built(kind: Any, value: Any) -> Any:
    """What ``asdict`` took apart; fields that are not known are left out, values of another type are refused."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _built(hint, value[name]) for name, hint in hints.items() if name in value})
    if get_origin(kind) is tuple:
        return tuple(_built(part, one) for part, one in zip(get_args(kind), value, strict=True))
    if not isinstance(value, kind):
        raise TypeError(kind)
    return value
