"""What there is to set: every section and key with its type, range and default, and what it does.

The text under a key is what ``docs/settings.md`` says of it; ``docs/write_tables.py`` writes it there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from .settingtypes import Blocks, Byte, Channels, DomainName, Extent, Fraction, Name, Positive, Term, Text


class Section(BaseModel):
    """Part of the configuration: refuses keys it does not know and values of the wrong type."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)


class Label(Section):
    """One structure to segment."""

    value: Annotated[int, Field(ge=1, le=254)]
    """Value of its voxels in label files, after `label_mapping`, and in results; 0 is background."""

    name: Name
    """Its name in tables, in file names of probabilities, and of the segment in Slicer."""

    color: tuple[Byte, Byte, Byte] = (128, 174, 128)
    """Red, green and blue, 0 to 255, in pictures and in Slicer."""

    terminology: Term = ""
    """Slicer's serialised terminology entry (`category~type~modifier~...`); empty where it is not known."""


def refuse_same_values(labels: list[Label]) -> None:
    """Raise ValueError if two labels have the same value."""
    values = [label.value for label in labels]
    if len(set(values)) != len(values):
        raise ValueError("two labels have the same value")


class Plane(Section):
    """Which slices are cut out of each volume for the networks, and how large they are."""

    orientation: Literal["axial", "coronal", "sagittal", "acquisition"] = "axial"
    """Plane of the slices; `acquisition` takes the array axis with the largest spacing as their normal, for each volume
    by itself. Both domains are cut in the same plane: take the one that both were acquired in, where there is one."""

    spacing: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    """Millimetres between rows and between columns. Coarser slices train faster and lose small structures."""

    size: tuple[Extent, Extent] = (256, 256)
    """Rows and columns, multiples of 8 and at least 32. Size times spacing is the field of view: what lies outside of
    it is never segmented."""

    center: Literal["volume", "body"] = "volume"
    """Where the slice is centred: on the volume, or on the body in it, which suits fields of view of many sizes."""

    @field_validator("size")
    @classmethod
    def _suits_the_networks(cls, size: tuple[int, int]) -> tuple[int, int]:
        if any(extent % 8 or extent < 32 for extent in size):
            raise ValueError("rows and columns must be multiples of 8 and at least 32")
        return size


class Intensity(Section):
    """How the values of a volume become [-1, 1]: a line from -1 at a lower to 1 at an upper limit, cut at both ends."""

    rule: Literal["window", "percentile_zscore", "robust_maximum", "body_median"]
    """How the two limits are found. `window`: `low` to `high` in the units of the image. `percentile_zscore`: values
    cut at `percentiles`, z-scored, then `low` to `high` in standard deviations. `robust_maximum`: zero to the upper one
    of `percentiles`. `body_median`: zero to `high` times the median of the body."""

    low: float | None = None
    """Lower limit of `window` (units of the image) or of `percentile_zscore` (standard deviations)."""

    high: float | None = None
    """Upper limit of these two; for `body_median` a multiple of the median: a larger one makes everything darker."""

    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = (0.0, 99.8)
    """Percentiles of the voxels, rising. `robust_maximum` uses the upper one alone."""

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
    """The volumes of one role: where they are and how their values are scaled."""

    modality: DomainName = "automatic"
    """An entry of `intensity_by_modality`. `automatic` takes CT or MR by the values of most volumes: set it where that
    guess is wrong, or where both domains are of one modality and need names of their own."""

    images: list[Path] = []
    """Folders, files or DICOM folders. On the command line `--source-images` and its like."""

    labelmaps: list[Path] = []
    """Label files of the images, paired by case name. Those of the target are read by nothing but `gla ablate`."""

    include: list[str] = []
    """Names of the cases that are used; all where the list is empty."""

    exclude: list[str] = []
    """Names of the cases that are left out, for example test cases."""

    label_mapping: dict[int, int] = {}
    """Values of the label files and what becomes of them, a value of `labels` or 0 for background. Values that it does
    not name stay as they are."""

    intensity: Intensity | None = None
    """An intensity rule in the place of the one that `intensity_by_modality` has."""

    eight_bit: bool = False
    """Found out: whether most volumes are 8-bit exports, whose full range stands for the window. Not to be set."""


class Augmentation(Section):
    """Random changes of the slices while training."""

    rotation: Annotated[float, Field(ge=0, le=180)] = 30.0
    """Largest rotation in the plane, degrees, either way."""

    scale: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Largest change of size, as a share of it."""

    shift: Annotated[float, Field(ge=0, lt=1)] = 0.08
    """Largest shift, as a share of the slice."""

    elastic: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of a smooth deformation. Raise it where there are few cases."""

    intensity: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Strength of random brightness, contrast, gamma, blur and noise; 0 turns them off."""

    appearance: Fraction = 0.0
    """Share of slices whose tissues get other grey values and textures from a random shallow network. Raise it where
    translated slices do not look like the target."""

    bias_field: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of a smooth random gain over the slice, as the coils of an MR scanner make it."""

    flip: bool = False
    """Mirrors half of the slices. Only where no structure has a twin on the other side: left and right are mixed up."""


class SynthesisWeights(Section):
    """Weights of the terms of stage one's loss; other translators than ours have those of their papers, but for
    the last."""

    image_reconstruction: float = 20.0
    """A slice taken apart and put together again in its own style is the slice."""

    cycle: float = 20.0
    """A slice translated and translated back is the slice. Raise it where our translation moves structures."""

    content_reconstruction: float = 1.0
    """A translated slice has the content of the slice."""

    adversarial: float = 1.0
    """A translated slice looks like one of its new domain. Raise it where it does not."""

    identity: Annotated[float, Field(ge=0)] = 0.5
    """A slice given to the generator of its own domain stays as it is: of CycleGAN, CyCADA and SynSeg-Net alone, as a
    share of the weight of their cycle. 0 leaves it out, and then nothing keeps slices from being moved."""


class Synthesis(Section):
    """Stage one, the translation between the two domains."""

    model: Path | None = None
    """A finished model, or the `synthesis.safetensors` of a run, whose synthesis network is used in the place of
    training one, in either direction. Saves stage one where both directions, or several second stages, are trained on
    the same data."""

    translator: Literal["ours", "cyclegan", "cycada", "stargan_v2", "munit", "drit"] = "ours"
    """What translates: ours, or one of the methods that the paper compares it with. `gla ablate` sets it."""

    width: Channels = 64
    """Channels of the first layer; the others are multiples of it. Time grows with its square, roughly."""

    blocks: Blocks = 4
    """Residual blocks of encoder and decoder."""

    hidden: Channels = 256
    """Width of the perceptrons that hold the style of each domain."""

    discriminator_width: Channels = 64
    """Channels of the first layer of the image discriminator. Lower it where the discriminator wins."""

    iterations: Positive = 50000
    """Length of stage one, in steps. Raise it while the previews still get better."""

    batch_size: Positive = 8
    """Slices of each domain in a step. Lower it where memory runs out."""

    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Of network and discriminator (Adam). Constant for the first half, then falling in a line."""

    final_learning_rate_share: Fraction = 1.0
    """Share of the rate that is left at the end; 1 keeps it constant."""

    betas: tuple[Fraction, Fraction] = (0.5, 0.99)
    """Of Adam."""

    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Of Adam."""

    weights: SynthesisWeights = SynthesisWeights()

    adversarial: Literal["least_squares", "vanilla"] = "least_squares"
    """Kind of the adversarial loss. Trainings are watched for a discriminator that wins with least squares alone."""

    stop_content_gradient: bool = False
    """Whether the content of the slice is taken as given where that of its translation is compared with it."""

    image_pool: Annotated[int, Field(ge=0)] = 0
    """Earlier translations that the discriminator is shown again in the place of half of the new ones; 0 for none."""

    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share that one step keeps of the moving average of the weights, which becomes the network; 0 takes the last
    weights. Short schedules gain most from it."""

    augmentation: Augmentation = Augmentation(rotation=10, scale=0.1, shift=0.05, intensity=0)


class Segmentation(Section):
    """Stage two, the segmenter and its alignment."""

    method: Literal["ours", "synseg_net", "sifa"] = "ours"
    """What trains: ours, or a method with networks of its own that trains translation and segmenter at once.
    `gla ablate` sets it."""

    width: Channels = 64
    """Channels of the segmenter's first layer; 64 with these `blocks` is a ResNet-50."""

    blocks: tuple[Blocks, Blocks, Blocks, Blocks] = (3, 4, 6, 3)
    """Bottlenecks of the four stages; the last stage needs two."""

    stem_pooling: bool = True
    """Max pooling after the first layer. Without it features are twice as fine, which small slices need."""

    feature_discriminator_width: Annotated[int, Field(ge=4, le=65536)] | None = None
    """Channels of the first layer of D1; half of the features' channels where it is not given."""

    discriminator_width: Channels = 64
    """Channels of the first layer of D2."""

    iterations: Positive = 40000
    """Length of stage two, in steps. Raise it while the watched Dice still rises."""

    batch_size: Positive = 8
    """Slices of each domain in a step. Lower it where memory runs out."""

    optimizer: Literal["sgd", "adamw"] = "sgd"
    """Of the segmenter: the paper's SGD, or AdamW, which needs a fraction of the iterations."""

    learning_rate: Annotated[float, Field(gt=0)] = 2.5e-3
    """Of the segmenter, falling to 0 by `decay_power`. Lower it where a loss is not a number."""

    momentum: Fraction = 0.9
    """Of SGD."""

    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    """Of the segmenter's optimiser."""

    discriminator_learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Of D1 and D2 (Adam). Lower it where one of them wins, raise it where the mask says nothing."""

    discriminator_betas: tuple[Fraction, Fraction] = (0.9, 0.99)
    """Of Adam for D1 and D2."""

    decay_power: Annotated[float, Field(ge=0)] = 0.9
    """All rates of stage two are multiplied by (1 - iteration / iterations) to this power."""

    style_transfer: bool = True
    """Whether stage one is trained and its translated slices are learnt from; without it, source slices as they are."""

    feature_discriminator: bool = True
    """Whether there is D1, which aligns features; without it there is no mask."""

    output_discriminator: bool = True
    """Whether there is D2, which aligns predictions."""

    local_feature_mask: bool = True
    """Whether D1's judgement becomes the mask. Without it D1 aligns features, in the training alone."""

    feature_weight: Annotated[float, Field(ge=0)] = 0.01
    """Weight of D1's adversarial term in the segmenter's loss. Raise it where D1 wins, lower it where the mask is zero
    nearly everywhere."""

    output_weight: Annotated[float, Field(ge=0)] = 0.01
    """Weight of D2's adversarial term. Raise it where D2 wins."""

    adversarial: Literal["least_squares", "vanilla"] = "least_squares"
    """Kind of the adversarial losses. Trainings are watched for discriminators that win with least squares alone."""

    mask_target: Literal["target", "source"] = "target"
    """Where D1 is trained to give 1, so that the mask is large there: on `target` features, or on `source` features as
    the paper prints it. See [mask.md](mask.md)."""

    detach_mask: bool = False
    """Whether the mask is a constant for the segmenter, which then cannot change its features through it."""

    warm_up: Annotated[int, Field(ge=0)] = 0
    """Iterations with the segmentation loss alone, before D1, D2 and the mask come in."""

    ramp: Annotated[int, Field(ge=0)] = 0
    """Iterations after these, in which adversarial weights and mask grow to their full size."""

    target_statistics: bool = False
    """Whether the running batch-norm statistics are those of target slices, which is what a prediction sees."""

    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """As in `synthesis`."""

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
    """What both stages share."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Of all random numbers. Single trainings differ: compare settings over several seeds."""

    device: str = "auto"
    """`auto` (CUDA, else MPS, else the processor), `cpu`, `cuda`, `cuda:NUMBER` or `mps`."""

    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = "auto"
    """`bf16` halves time and memory where the hardware computes in it, which `auto` finds out. Take `32` where a loss
    is not a number."""

    report_every: Positive = 10
    """Iterations between two lines of progress."""

    preview_every: Positive = 500
    """Iterations between two pictures, and between two looks at the watched cases."""

    checkpoint_every: Positive = 500
    """Iterations between two checkpoints: what a run loses at most when it is killed."""

    rollbacks: Annotated[int, Field(ge=0)] = 3
    """How often a stage whose numbers ran away goes back to its last good checkpoint, with half the learning rates,
    before it stops; see [reliability](reliability.md#when-numbers-run-away)."""

    model_selection: Literal["final", "paper"] = "final"
    """`final` keeps the last networks, for which no label of the target is ever read. `paper` keeps those of the
    preview with the best Dice on the labelled target cases of `validation`."""


class Refinement(Section):
    """How a finished model segments more finely than one pass gives it. A training writes it into its model, and
    whoever applies the model may choose otherwise."""

    shifts: Literal[1, 2, 4] = 1
    """Passes along each axis of a slice, which is moved by equal parts of the features' stride from one to the next;
    their probabilities are averaged. The networks take 4 times as long with 2 and 16 times with 4."""

    slice_smoothing: Annotated[float, Field(ge=0, le=0.33)] = 0.0
    """Weight of each of the two neighbouring slices in the probabilities of a slice, which keeps the rest. Below
    0.25 what one slice alone is sure of stays; from there on it is lost."""


class Prediction(Section):
    """How `gla ablate` and `gla sweep` segment the cases that they score; `gla predict` has options for the same."""

    batch_size: Positive = 16
    """Slices at once. Lower it where memory runs out."""

    largest_component: bool = False
    """Whether only the largest connected part of each structure is kept."""


class Configuration(Section):
    """Everything a run depends on. Written to ``config.json`` of the run folder as it was used."""

    preset: Text = ""
    """Name of the preset that the settings start from; a file given with `--config` may name it."""

    labels: list[Label] = []
    """The structures. Where the list is empty, every value of the source's label files becomes one."""

    intensity_by_modality: dict[DomainName, Intensity] = {}
    """The intensity rule of each modality, by its name."""

    plane: Plane = Plane()

    source: Domain = Domain()
    """The labelled volumes."""

    target: Domain = Domain()
    """The volumes of the other modality, without labels."""

    validation: Domain = Domain()
    """Labelled target cases whose Dice is shown with every preview. They choose the model only where
    `training.model_selection` says so."""

    synthesis: Synthesis = Synthesis()
    segmentation: Segmentation = Segmentation()
    training: Training = Training()
    prediction: Prediction = Prediction()
    refinement: Refinement = Refinement()

    @model_validator(mode="after")
    def _labels_differ(self) -> Configuration:
        refuse_same_values(self.labels)
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
