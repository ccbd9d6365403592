"""The run configuration: typed, validated, unknown keys refused."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import InputError
from .knownstructures import KNOWN_STRUCTURES

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Part of the configuration: refuses keys it does not know and values of the wrong type."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class Label(Section):
    """One structure to segment.

    ``terminology`` is Slicer's serialised terminology entry (``category~type~modifier~...``), empty when unknown.
    """

    value: Annotated[int, Field(ge=1, le=254)]
    name: Annotated[str, Field(min_length=1)]
    color: tuple[int, int, int] = (128, 174, 128)
    terminology: str = ""


class Plane(Section):
    """Which slices are cut, at which in-plane spacing (mm) and size (rows, columns)."""

    orientation: Literal["axial", "coronal", "sagittal", "acquisition"] = "axial"
    spacing: Annotated[float, Field(gt=0)] = 1.0
    size: tuple[Positive, Positive] = (256, 256)
    center: Literal["volume", "body"] = "volume"

    @field_validator("size")
    @classmethod
    def _suits_the_networks(cls, size: tuple[int, int]) -> tuple[int, int]:
        if any(extent % 8 or extent < 32 for extent in size):
            raise ValueError("rows and columns must be multiples of 8 and at least 32")
        return size


class Intensity(Section):
    """How the values of a volume become [-1, 1]; see ``preprocessing``.

    window: ``low``..``high`` in the units of the image.
    percentile_zscore: values cut at ``percentiles``, z-scored, then ``low``..``high`` in standard deviations.
    robust_maximum: zero..the upper one of ``percentiles``.
    body_median: zero..``high`` times the median of the body.
    """

    rule: Literal["window", "percentile_zscore", "robust_maximum", "body_median"]
    low: float | None = None
    high: float | None = None
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = (0.0, 99.8)

    @model_validator(mode="after")
    def _has_its_limits(self) -> Intensity:
        between = self.rule in ("window", "percentile_zscore")
        if between and (self.low is None or self.high is None or self.low >= self.high):
            raise ValueError(f"rule {self.rule} needs low and high, low below high")
        if self.rule == "body_median" and (self.high is None or self.high <= 0):
            raise ValueError("rule body_median needs high above 0")
        if self.percentiles[0] >= self.percentiles[1]:
            raise ValueError("percentiles must rise")
        return self


class Domain(Section):
    """One of the two domains: where its volumes are and how their values are scaled.

    ``modality`` names an entry of ``intensity_by_modality``; ``automatic`` guesses CT or MR from the values.
    ``intensity`` overrides what the modality gives. ``eight_bit`` is found out: whether most volumes are 8-bit exports.
    ``include`` and ``exclude`` choose cases by name.
    ``label_mapping`` turns values of the label files into values of ``labels`` (0 is background); values it does
    not name stay as they are.
    """

    modality: str = "automatic"
    images: list[Path] = []
    labelmaps: list[Path] = []
    include: list[str] = []
    exclude: list[str] = []
    label_mapping: dict[int, int] = {}
    intensity: Intensity | None = None
    eight_bit: bool = False


class Augmentation(Section):
    """Random changes of the slices; rotation in degrees, shift as a share of the size.

    ``intensity`` is the strength of random brightness, contrast, gamma and blur, 0 turns them off. ``appearance`` is
    the share of slices whose tissues get other grey values and textures from a random shallow network. ``bias_field``
    is the strength of a smooth random gain over the slice, as the coils of a scanner make it.
    ``flip`` mirrors left and right: only where no structure has a twin on the other side.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 30.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.15
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.08
    elastic: Annotated[float, Field(ge=0, le=1)] = 0.0
    intensity: Annotated[float, Field(ge=0, le=1)] = 0.5
    appearance: Fraction = 0.0
    bias_field: Annotated[float, Field(ge=0, le=1)] = 0.0
    flip: bool = False


class SynthesisWeights(Section):
    """Weights of the terms of stage one."""

    image_reconstruction: float = 20.0
    cycle: float = 20.0
    content_reconstruction: float = 1.0
    adversarial: float = 1.0


class Synthesis(Section):
    """Stage one. ``batch_size`` counts the slices of each domain.

    ``model`` names an earlier bundle whose synthesis network is used instead of training one, in either direction.
    ``translator`` is ours or one of those that the paper compares with; see ``comparators``.
    """

    model: Path | None = None
    translator: Literal["ours", "cyclegan", "cycada", "stargan_v2", "munit", "drit"] = "ours"

    width: Positive = 64
    blocks: Positive = 4
    hidden: Positive = 256
    discriminator_width: Positive = 64
    iterations: Positive = 50000
    batch_size: Positive = 8
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    final_learning_rate_share: Fraction = 1.0
    betas: tuple[Fraction, Fraction] = (0.5, 0.99)
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    weights: SynthesisWeights = SynthesisWeights()
    adversarial: Literal["least_squares", "vanilla"] = "least_squares"
    stop_content_gradient: bool = False
    image_pool: Annotated[int, Field(ge=0)] = 0
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augmentation: Augmentation = Augmentation(rotation=10, scale=0.1, shift=0.05, intensity=0)


class Segmentation(Section):
    """Stage two. ``batch_size`` counts the slices of each domain.

    ``style_transfer``, ``feature_discriminator`` (D1 and the mask) and ``output_discriminator`` (D2) switch the parts
    of the method as Table III does. ``warm_up`` iterations train with the segmentation loss alone, then the
    adversarial weights and the mask grow to their full size during ``ramp`` more. ``mask_target`` is what D1 is
    trained to give on ``target`` (large where the gap is large) or ``source`` features (the printed polarity).
    ``target_statistics`` leaves the running batch-norm statistics to the target path, which is the one prediction
    takes. ``optimizer`` is that of the segmenter: the paper's SGD, or AdamW (betas 0.9 and 0.999; ``momentum`` is then
    not used), which needs a fraction of the iterations. ``discriminator_width`` is that of D2;
    ``feature_discriminator_width`` that of D1, half of the features' channels where it is not given.
    ``local_feature_mask`` false leaves D1 to align features alone, in the training only.
    ``method`` is ours or a comparator that trains translation and segmenter at once, with parts and losses of its own
    and the schedule of this section; see ``comparators``.
    """

    method: Literal["ours", "synseg_net", "sifa"] = "ours"

    width: Positive = 64
    blocks: tuple[Positive, Positive, Positive, Positive] = (3, 4, 6, 3)
    stem_pooling: bool = True
    feature_discriminator_width: Annotated[int, Field(ge=4)] | None = None
    discriminator_width: Positive = 64
    iterations: Positive = 40000
    batch_size: Positive = 8
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 2.5e-3
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    discriminator_learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    discriminator_betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    decay_power: Annotated[float, Field(ge=0)] = 0.9
    style_transfer: bool = True
    feature_discriminator: bool = True
    output_discriminator: bool = True
    local_feature_mask: bool = True
    feature_weight: Annotated[float, Field(ge=0)] = 0.01
    output_weight: Annotated[float, Field(ge=0)] = 0.01
    adversarial: Literal["least_squares", "vanilla"] = "least_squares"
    mask_target: Literal["target", "source"] = "target"
    detach_mask: bool = False
    warm_up: Annotated[int, Field(ge=0)] = 0
    ramp: Annotated[int, Field(ge=0)] = 0
    target_statistics: bool = False
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augmentation: Augmentation = Augmentation()

    @field_validator("blocks")
    @classmethod
    def _last_stage_can_be_split(cls, blocks: tuple[int, ...]) -> tuple[int, ...]:
        if blocks[-1] < 2:
            raise ValueError("the last stage is split between S_E and S_P and needs two bottlenecks")
        return blocks

    @model_validator(mode="after")
    def _alignment_comes_to_full_strength(self) -> Segmentation:
        aligned = self.feature_discriminator or self.output_discriminator
        if aligned and self.warm_up + self.ramp > self.iterations:
            raise ValueError(
                f"{self.iterations} iterations end before warm_up ({self.warm_up}) and ramp ({self.ramp}) do"
            )
        return self

    @model_validator(mode="after")
    def _other_methods_bring_their_own_parts(self) -> Segmentation:
        if self.method != "ours" and (self.style_transfer or self.feature_discriminator or self.output_discriminator):
            raise ValueError(
                f"method {self.method} has parts of its own: set style_transfer, feature_discriminator and "
                "output_discriminator to false"
            )
        return self


class Training(Section):
    """What both stages share: seed, device, how often something is written, and which networks become the model.

    ``model_selection`` is ``final``, the last ones, for which no label of the target is ever read, or ``paper``: of the
    networks that every preview looks at, those with the best Dice on the labelled target cases of ``validation``.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    device: str = "auto"
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = "auto"
    report_every: Positive = 10
    preview_every: Positive = 500
    checkpoint_every: Positive = 500
    model_selection: Literal["final", "paper"] = "final"


class Prediction(Section):
    """Prediction: slices at once, and whether only the largest component of each structure is kept."""

    batch_size: Positive = 16
    largest_component: bool = False


class Configuration(Section):
    """Everything a run depends on. Written to ``config.json`` of the run folder as it was used.

    ``validation`` names labelled target cases whose Dice is shown with every preview; it chooses the model only where
    ``training.model_selection`` says so.
    """

    preset: str = ""
    labels: list[Label] = []
    intensity_by_modality: dict[str, Intensity] = {}
    plane: Plane = Plane()
    source: Domain = Domain()
    target: Domain = Domain()
    validation: Domain = Domain()
    synthesis: Synthesis = Synthesis()
    segmentation: Segmentation = Segmentation()
    training: Training = Training()
    prediction: Prediction = Prediction()

    @model_validator(mode="after")
    def _labels_differ(self) -> Configuration:
        values = [label.value for label in self.labels]
        if len(set(values)) != len(values):
            raise ValueError("two labels have the same value")
        return self

    @model_validator(mode="after")
    def _selection_has_its_cases(self) -> Configuration:
        if self.training.model_selection == "paper" and not self.validation.images:
            raise ValueError(
                "training.model_selection paper chooses by labelled target cases: give validation.images and "
                "validation.labelmaps"
            )
        return self

    def dump(self) -> dict[str, Any]:
        """Plain values, as ``config.json`` holds them."""
        return self.model_dump(mode="json")


def preset_names() -> list[str]:
    """Names of the presets that come with the package, in alphabetical order."""
    folder = resources.files(__package__) / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_preset(name: str) -> dict[str, Any]:
    """Settings of a preset as a nested dictionary.

    A preset may build on another one through ``based_on``, and name its labels as ``KNOWN_STRUCTURES`` does.
    """
    if name not in preset_names():
        raise InputError(
            f"preset {name}",
            f"there is none of that name{_nearest(name, preset_names())}",
            f"choose one of {', '.join(preset_names())}",
        )
    text = (resources.files(__package__) / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    if isinstance(settings.get("labels"), str):
        settings["labels"] = [asdict(structure) for structure in KNOWN_STRUCTURES[settings["labels"]]]
    base = settings.pop("based_on", None)
    return merge(load_preset(base), settings) if base else settings


def load_file(path: Path) -> dict[str, Any]:
    """Settings of a JSON or YAML file as a nested dictionary."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(path, f"cannot be read as JSON or YAML ({error})", "check the file") from error
    if not isinstance(settings, dict):
        raise InputError(path, "holds no settings", "write one 'name: value' for each setting")
    return settings


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``changes`` over ``base``, section by section; neither is altered."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """``section.key=value`` texts as a nested dictionary; values are read as YAML."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise InputError(
                f"--set {text}", "is not of the form section.key=value", "write for example training.seed=1"
            )
        try:
            nested: Any = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text}", "has a value that cannot be read", "quote it") from error
        for part in reversed(name.strip().split(".")):
            nested = {part: nested}
        settings = merge(settings, nested)
    return settings


def configuration(settings: dict[str, Any]) -> Configuration:
    """Validated configuration.

    Raises:
        InputError: a setting that does not exist (with the nearest right name) or has the wrong type.
    """
    try:
        return Configuration.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise _setting_error(first["loc"], first["type"], first["msg"], first.get("input")) from None


def read_configuration(run: Path) -> Configuration:
    """Configuration of an earlier run."""
    path = run / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({error})", "name the folder of a run") from error
    return configuration(settings)


def _setting_error(location: tuple[int | str, ...], kind: str, message: str, value: Any) -> InputError:
    name = ".".join(str(part) for part in location)
    if kind == "extra_forbidden":
        return InputError(f"setting {name}", f"does not exist{_nearest_setting(location)}", "correct its name")
    subject = f"setting {name or 'configuration'}"
    if isinstance(value, dict):
        # a rule about several settings of a section: the whole section says nothing
        return InputError(subject, message.removeprefix("Value error, "), "correct one of its values")
    return InputError(subject, f"cannot be {value!r} ({message})", "correct its value")


def _nearest_setting(location: tuple[int | str, ...]) -> str:
    """The same name in another section first, then the most similar one in its own section, then anywhere."""
    *parents, last = map(str, location)
    section: type[BaseModel] | None = Configuration
    for part in parents:
        # entries of lists and dictionaries are of the section that the field before them names
        field = section.model_fields.get(part) if section else None
        section = _section_of(field.annotation) if field else section
    names = setting_names()
    twins = [name for name in names if name.rpartition(".")[2] == last]
    if twins:
        return f", did you mean {' or '.join(twins)}"
    siblings = [".".join([*parents, name]) for name in section.model_fields] if section else []
    return _nearest(".".join([*parents, last]), siblings) or _nearest(".".join([*parents, last]), names)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is, or holds: ``Intensity | None``, ``list[Label]``, ``dict[str, Intensity]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)


def setting_names(section: type[BaseModel] = Configuration, prefix: str = "") -> list[str]:
    """Dotted names of all settings and sections."""
    names = []
    for name, field in section.model_fields.items():
        names.append(prefix + name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += setting_names(kind, f"{prefix}{name}.")
    return names


def _nearest(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, 1, 0.4)
    return f", did you mean {matches[0]}" if matches else ""
