"""The model file: all networks and a JSON model card in one ``.safetensors`` file. Data only, never code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .config import (
    Configuration,
    Intensity,
    Label,
    Plane,
    Section,
    Segmentation,
    Synthesis,
    with_what_was_meant,
)
from .datatext import read_json
from .errors import InputError
from .networks import DeepLabSegmenter, FeatureDiscriminator
from .settings import Refinement, refuse_same_values
from .settingtypes import DomainName, Text
from .translators import translator_network
from .wholefiles import whole_file

FORMAT = "GlobalLocalAlignment"
FORMAT_VERSION = 1
MOST_HEADER_BYTES = 16 << 20
"""Of the header, which names every tensor and holds the card; that of a real model has some hundred kilobytes."""

MOST_FACTS, LONGEST_PLACE = 1000, 100
TYPE_NAMES = {torch.float32: "F32", torch.int64: "I64"}
"""Types of the weights and counters of the networks, as the file calls them."""

PICKLES = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""What files of PyTorch begin with that are archives or pickles."""

NetworkName = Literal["synthesis", "segmenter", "feature_discriminator", "output_discriminator"]
Fact = bool | int | float | Text | None
NamedFacts = Annotated[dict[Text, Fact], Field(max_length=MOST_FACTS)]
Facts = Annotated[
    dict[Text, Fact | Annotated[list[Fact | NamedFacts], Field(max_length=MOST_FACTS)] | NamedFacts],
    Field(max_length=MOST_FACTS),
]
"""What is told of a model: no deeper than this, so that whoever shows it can."""


class DomainCard(Section):
    """What a domain's images are and how their values are scaled."""

    modality: DomainName
    """Name of the modality, by which the synthesis network knows the domain too."""

    intensity: Intensity
    """The rule by which values become [-1, 1]."""

    eight_bit: bool = False
    """Whether most of the training volumes were 8-bit exports, whose full range stands for the window."""


class ModelCard(Section):
    """Everything a user or a program needs to know to apply the model; nothing that identifies a patient or computer.

    No path is in it, and none is taken from one.

    The text under a field is what ``docs/formats.md`` says of it; ``docs/write_tables.py`` writes it there.
    """

    format_version: int = FORMAT_VERSION
    """1. A program refuses files of a later format than it knows."""

    labels: Annotated[list[Label], Field(min_length=1, max_length=254)]
    """Structures, as in the settings: value, name, colour, terminology. Class 0 of the segmenter is background, class 1
    the first of them."""

    plane: Plane
    """Slices that the networks see, as in the settings."""

    source: DomainCard
    """The labelled domain: `modality`, `intensity`, `eight_bit`."""

    target: DomainCard
    """The domain that is segmented, likewise."""

    networks: Annotated[list[NetworkName], Field(max_length=8)]
    """What the file holds: `segmenter`, `feature_discriminator` (D1, for the mask), `output_discriminator` (D2),
    `synthesis`. A name is the first part of the names of its tensors."""

    synthesis: Synthesis
    """Settings of stage one, without `model`."""

    synthesis_domains: tuple[DomainName, DomainName] | None = None
    """Modality of the synthesis network's domain 0 and 1; null without one."""

    segmentation: Segmentation
    """Settings of stage two."""

    refinement: Refinement = Refinement()
    """How the model segments more finely than one pass gives it, as in the settings."""

    provenance: Facts = {}
    """How it was trained: `version`, `torch`, `preset`, `seed`, `model_selection`, `selected_iteration` (where scores
    chose it), `adjustments` (where a stage went back and on with other settings), `source_cases`,
    `source_slices`, `target_cases`, `target_slices`, `date`."""

    scores: Facts = {}
    """Where the training had labelled target cases to watch: `validation_slice_dice` (structure: Dice of their slices
    in one pass, 0 to 1) and `validation_cases`, their number. Else empty."""

    @model_validator(mode="after")
    def _fits_together(self) -> ModelCard:
        refuse_same_values(self.labels)
        if self.synthesis.model is not None:
            raise ValueError("it names a file, which no model does")
        modalities = {self.source.modality, self.target.modality}
        if self.synthesis_domains and not modalities.issubset(self.synthesis_domains):
            raise ValueError("its synthesis network is for other modalities")
        return self

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
        refuse_stage_one_alone(path, card)
        wanted = _networks(card)
        for name, network in wanted.items():
            _fill(path, network, name, stream)
    return Bundle(card, wanted["segmenter"], wanted.get("feature_discriminator"), wanted.get("synthesis"))


def refuse_stage_one_alone(subject: Path | str, card: ModelCard) -> None:
    """Raise InputError for the card of what a training has when stage one is done, which is no model."""
    if "segmenter" not in card.networks:
        raise InputError(
            subject, "holds the synthesis network of a training alone", "use the model of a whole training"
        )


def load_synthesis(path: Path) -> tuple[ModelCard, nn.Module | None]:
    """Card and synthesis network, of a whole model or of what a training has when stage one is done.

    Raises:
        InputError: as ``load_bundle``.
    """
    with _open(path) as stream:
        card = _card(path, stream.metadata())
        if "synthesis" not in card.networks:
            return card, None
        network = _synthesis(card)
        _fill(path, network, "synthesis", stream)
    return card, network


def _synthesis(card: ModelCard) -> nn.Module:
    with torch.device("meta"):
        return translator_network(card.synthesis, card.plane)


def _networks(card: ModelCard) -> dict[str, nn.Module]:
    """The networks that a card speaks of, without weights: they take no memory yet, whatever sizes it gives."""
    settings = card.segmentation
    with torch.device("meta"):
        segmenter = DeepLabSegmenter.of_settings(settings, len(card.labels))
        networks: dict[str, nn.Module] = {"segmenter": segmenter}
        if "feature_discriminator" in card.networks:
            networks["feature_discriminator"] = FeatureDiscriminator(
                segmenter.feature_channels, settings.feature_discriminator_width
            )
    if "synthesis" in card.networks:
        networks["synthesis"] = _synthesis(card)
    return networks


def _open(path: Path) -> Any:
    if not path.is_file():
        raise InputError(path, "there is no such model file", "name a model.safetensors")
    try:
        with open(path, "rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    if start[:2] in PICKLES:
        raise InputError(
            path, "is a pickled PyTorch file, which could run code", "use the model.safetensors of a training run"
        )
    try:
        # looked at before a reader takes memory for it
        if int.from_bytes(start, "little") > MOST_HEADER_BYTES:
            raise SafetensorError("its header is too long")
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise InputError(
            path, f"is truncated or not a model file ({error})", "copy it again from where it was made"
        ) from error


def _card(path: Path, metadata: dict[str, str] | None) -> ModelCard:
    if not metadata or metadata.get("format") != FORMAT:
        raise InputError(path, "is not a model of this program", "use the model.safetensors of a training run")
    try:
        content = read_json(metadata["card"])
        version = int(content["format_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"has a damaged model card ({error})", "copy it again from where it was made") from error
    if version > FORMAT_VERSION:
        raise InputError(
            path, f"is of format {version}, this program reads up to {FORMAT_VERSION}", "update the program"
        )
    try:
        return ModelCard.model_validate(with_what_was_meant(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))[:LONGEST_PLACE]
        raise InputError(path, f"has a damaged model card ({place}: {first['msg']})", "copy it again") from error


def _fill(path: Path, network: nn.Module, name: str, stream: Any) -> None:
    """Give a network without weights those of the file, once all of them are known to be there in their sizes."""
    expected, present = network.state_dict(), set(stream.keys())
    for key, value in expected.items():
        full = f"{name}.{key}"
        stored = stream.get_slice(full) if full in present else None
        if (
            stored is None
            or tuple(stored.get_shape()) != tuple(value.shape)
            or str(stored.get_dtype()) != TYPE_NAMES[value.dtype]
        ):
            raise InputError(path, f"has no fitting weights for {full}", "copy it again from where it was made")
    tensors: dict[str, Tensor] = {}
    for key in expected:
        # a copy: the file may be written anew while the network is at work
        tensors[key] = stream.get_tensor(f"{name}.{key}").clone()
        if not torch.isfinite(tensors[key]).all():
            raise InputError(path, f"has weights that are no numbers in {name}.{key}", "copy it again")
    network.load_state_dict(tensors, assign=True)
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
        refinement=configuration.refinement,
        provenance=provenance,
        scores=_without_gaps(scores or {}),
    )


def _without_gaps(value: Any) -> Any:
    """Scores with None in the place of NaN, for which JSON has no word."""
    if isinstance(value, dict):
        return {key: _without_gaps(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
