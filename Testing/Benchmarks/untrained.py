"""A model of untrained networks: it takes as long and weighs as much as a trained one."""

from __future__ import annotations

from pathlib import Path

from GlobalLocalAlignmentLib.bundle import DomainCard, make_card, save_bundle
from GlobalLocalAlignmentLib.config import configuration, load_preset, merge
from GlobalLocalAlignmentLib.training.segmentation import SegmentationNetworks

LABELS = [{"value": value, "name": f"structure {value}"} for value in (1, 2, 3, 4)]


def write_untrained_model(preset: str, path: Path) -> Path:
    """Segmenter and D1 of a preset, MR to CT, with four structures where the preset names none."""
    settings = configuration(merge({"labels": LABELS}, load_preset(preset)))
    domains = [DomainCard(modality=name, intensity=settings.intensity_by_modality[name]) for name in ("MR", "CT")]
    networks = SegmentationNetworks(settings).eval()
    parts = {"segmenter": networks.segmenter, "feature_discriminator": networks.feature_discriminator}
    save_bundle(path, make_card(settings, *domains, None, {}), parts)
    return path
