"""The model file: all networks and a JSON model card in one ``.safetensors`` file. Data only, never code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .config import Configuration, Intensity, Label, Plane, Section, Segmentation, Synthesis
from .errors import InputError
from .networks import DeepLabSegmenter, FeatureDiscriminator
from .translators import translator_network
from .wholefiles import whole_file

FORMAT = "GlobalLocalAlignment"
FORMAT_VERSION = 1


class DomainCard(Section):
    """What a domain's images are and how their values are scaled."""

    modality: str
    """Name of the modality, by which the synthesis network knows the domain too."""

    intensity: Intensity
    """The rule by which values become [-1, 1]."""

    eight_bit: bool = False
    """Whether most of the training volumes were 8-bit exports, whose full range stands for the window."""


class ModelCard(Section):
    """Everything a user or a program needs to know to apply the model; nothing that identifies a patient or computer.

    The text under a field is what ``docs/formats.md`` says of it; ``docs/write_tables.py`` writes it there.
    """

    format_version: int = FORMAT_VERSION
    """1. A program refuses files of a later format than it knows."""

    labels: list[Label]
    """Structures, as in the settings: value, name, colour, terminology. Class 0 of the segmenter is background, class 1
    the first of them."""

    plane: Plane
    """Slices that the networks see, as in the settings."""

    source: DomainCard
    """The labelled domain: `modality`, `intensity`, `eight_bit`."""

    target: DomainCard
    """The domain that is segmented, likewise."""

    networks: list[str]
    """What the file holds: `segmenter`, `feature_discriminator` (D1, for the mask), `output_discriminator` (D2),
    `synthesis`. A name is the first part of the names of its tensors."""

    synthesis: Synthesis
    """Settings of stage one, without `model`."""

    synthesis_domains: tuple[str, str] | None = None
    """Modality of the synthesis network's domain 0 and 1; null without one."""

    segmentation: Segmentation
    """Settings of stage two."""

    provenance: dict[str, Any] = {}
    """How it was trained: `version`, `torch`, `preset`, `seed`, `model_selection`, `selected_iteration` (where scores
    chose it), `adjustments` (where a stage went back and on with other settings), `source_cases`,
    `source_slices`, `target_cases`, `target_slices`, `date`."""

    scores: dict[str, Any] = {}
    """Where the training had labelled target cases to watch: `validation_slice_dice` (structure: Dice, 0 to 1) and
    `validation_cases`, their number. Else empty."""

    @property
    def names(self) -> dict[int, str]:
        """Name of each label value."""
        return {label.value: label.name for label in self.labels}


@dataclass
class Bundle:
    """A model ready for use. ``synthesis`` and ``feature_discriminator`` are None where the model does without."""

    card: ModelCard
    segmenter: DeepLabSegmenter
    feature_discriminator: FeatureDiscriminator | None
    synthesis: nn.Module | None

    def to(self, device: torch.device) -> Bundle:
        """Move all networks to a device."""
        for network in (self.segmenter, self.feature_discriminator, self.synthesis):
            if network is not None:
                network.to(device)
        return self


def save_bundle(path: Path, card: ModelCard, networks: Mapping[str, nn.Module]) -> None:
    """Write the networks and the card; a failure leaves an earlier file as it was."""
    tensors = {
        f"{name}.{key}": value.detach().cpu().contiguous()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    card = card.model_copy(update={"networks": sorted(networks)})
    metadata = {"format": FORMAT, "card": card.model_dump_json()}
    try:
        # written by us and not by save_file, which leaves a file that its owner alone can read
        with whole_file(path) as stream:
            stream.write(save(tensors, metadata))
    except OSError as error:
        raise InputError(path, f"cannot be written ({error})", "make space or choose another folder") from error


def read_card(path: Path) -> ModelCard:
    """Model card alone, without reading the weights.

    Raises:
        InputError: not a model file, truncated, a pickle, or from a newer format.
    """
    with _open(path) as stream:
        return _card(path, stream.metadata())


def load_bundle(path: Path) -> Bundle:
    """Networks and card.

    Raises:
        InputError: as ``read_card``, or weights that do not fit the card.
    """
    with _open(path) as stream:
        card = _card(path, stream.metadata())
        settings = card.segmentation
        segmenter = DeepLabSegmenter.of_settings(settings, len(card.labels))
        wanted: dict[str, nn.Module] = {"segmenter": segmenter}
        if "feature_discriminator" in card.networks:
            wanted["feature_discriminator"] = FeatureDiscriminator(
                segmenter.feature_channels, settings.feature_discriminator_width
            )
        if "synthesis" in card.networks:
            wanted["synthesis"] = translator_network(card.synthesis, card.plane)
        for name, network in wanted.items():
            _fill(path, network, name, stream)
    return Bundle(card, segmenter, wanted.get("feature_discriminator"), wanted.get("synthesis"))


def _open(path: Path) -> Any:
    if not path.is_file():
        raise InputError(path, "there is no such model file", "name a model.safetensors")
    try:
        with open(path, "rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    if start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise InputError(
            path, "is a pickled PyTorch file, which could run code", "use the model.safetensors of a training run"
        )
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise InputError(
            path, f"is truncated or not a model file ({error})", "copy it again from where it was made"
        ) from error


def _card(path: Path, metadata: dict[str, str] | None) -> ModelCard:
    if not metadata or metadata.get("format") != FORMAT:
        raise InputError(path, "is not a model of this program", "use the model.safetensors of a training run")
    try:
        content = json.loads(metadata["card"])
        version = int(content["format_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"has a damaged model card ({error})", "copy it again from where it was made") from error
    if version > FORMAT_VERSION:
        raise InputError(
            path, f"is of format {version}, this program reads up to {FORMAT_VERSION}", "update the program"
        )
    try:
        return ModelCard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(path, f"has a damaged model card ({place}: {first['msg']})", "copy it again") from error


def _fill(path: Path, network: nn.Module, name: str, stream: Any) -> None:
    expected, present = network.state_dict(), set(stream.keys())
    tensors: dict[str, Tensor] = {}
    for key, value in expected.items():
        full = f"{name}.{key}"
        if full not in present or tuple(stream.get_slice(full).get_shape()) != tuple(value.shape):
            raise InputError(path, f"has no fitting weights for {full}", "copy it again from where it was made")
        tensors[key] = stream.get_tensor(full)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False)


def make_card(
    configuration: Configuration,
    source: DomainCard,
    target: DomainCard,
    synthesis_domains: tuple[str, str] | None,
    provenance: dict[str, Any],
    scores: dict[str, Any] | None = None,
) -> ModelCard:
    """Card of a finished training. Paths of this computer are left out."""
    return ModelCard(
        labels=configuration.labels,
        plane=configuration.plane,
        source=source,
        target=target,
        networks=[],
        synthesis=configuration.synthesis.model_copy(update={"model": None}),
        synthesis_domains=synthesis_domains,
        segmentation=configuration.segmentation,
        provenance=provenance,
        scores=scores or {},
    )
