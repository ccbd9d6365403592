"""The rows of the tables: other methods (Tables I and II, Fig. 7), Table III, the bounds, and the printed polarity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..config import Configuration, configuration, merge

OURS, NO_ADAPTATION, SUPERVISED = "ours", "no_adaptation", "supervised"


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes:
        name: of its folder and files.
        title: for people.
        changes: settings over those of ours, section by section.
        on_target_labels: whether it trains on labelled target cases, as the upper bound alone does.
    """

    name: str
    title: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    on_target_labels: bool = False


def _parts(style_transfer: bool = True, d1: bool = True, d2: bool = True, **synthesis: str) -> dict[str, Any]:
    switches = {"style_transfer": style_transfer, "feature_discriminator": d1, "output_discriminator": d2}
    return {"segmentation": switches, **({"synthesis": synthesis} if synthesis else {})}


def _joint(method: str) -> dict[str, Any]:
    return {"segmentation": {"method": method, **_parts(False, False, False)["segmentation"]}}


WITHOUT_MASK = {"segmentation": {"local_feature_mask": False}}

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(NO_ADAPTATION, "no adaptation", _parts(False, False, False)),
        Method("cyclegan", "CycleGAN", _parts(d1=False, d2=False, translator="cyclegan")),
        Method("synseg_net", "SynSeg-Net", _joint("synseg_net")),
        Method("cycada", "CyCADA", merge(_parts(d2=False, translator="cycada"), WITHOUT_MASK)),
        Method("sifa", "SIFA", _joint("sifa")),
        Method("munit", "MUNIT", _parts(d1=False, d2=False, translator="munit")),
        Method("drit", "DRIT++", _parts(d1=False, d2=False, translator="drit")),
        Method("style_transfer", "style transfer alone", _parts(d1=False, d2=False)),
        Method("style_transfer_d1", "style transfer + D1", _parts(d2=False)),
        Method("style_transfer_d2", "style transfer + D2", _parts(d1=False)),
        Method("d1_d2", "D1 + D2 alone", _parts(style_transfer=False)),
        Method("stargan_v2_d1_d2", "StarGAN v2 + D1 + D2", _parts(translator="stargan_v2")),
        Method("cyclegan_d1_d2", "CycleGAN + D1 + D2", _parts(translator="cyclegan")),
        Method("ours_printed_polarity", "ours, polarity as printed", {"segmentation": {"mask_target": "source"}}),
        Method(OURS, "ours"),
        Method(SUPERVISED, "supervised on the target", _parts(False, False, False), on_target_labels=True),
    )
}
"""By name, in the order in which tables list them: other methods and Table III between the two bounds."""


def method_title(name: str) -> str:
    """Name of a method for people; a name that is not ours is shown as it is."""
    return METHODS[name].title if name in METHODS else name.replace("_", " ")


def changed(settings: Configuration, method: Method, own: Mapping[str, Any] | None = None) -> Configuration:
    """Settings of ours as those of a method, with what was set for it alone."""
    return configuration(merge(merge(settings.model_dump(), dict(method.changes)), dict(own or {})))
