"""Segment a volume slice by slice, always through the target path with the local feature mask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .bundle import Bundle, DomainCard, ModelCard, refuse_stage_one_alone
from .errors import InputError
from .preprocessing import IntensityLimits, intensity_limits
from .refinement import BEYOND, SliceSmoothing, segment
from .settings import Refinement
from .slicegrid import SliceGrid
from .volumes import Volume

ARBITRARY_MAXIMUM = 1000.0
"""Upper end of the values of a style-transferred volume whose domain has no units of its own."""

MASK_STEPS = 1024
"""Steps of the local feature mask between 0 and 1: finer digits are noise and make its file three times as large."""

OnSlices = Callable[[int, int], None]


@dataclass(frozen=True)
class Outputs:
    """Which volumes a prediction gives besides the label map."""

    feature_mask: bool = False
    probabilities: bool = False
    synthesized: bool = False


@dataclass
class Prediction:
    """Volumes in the geometry of the input.

    Attributes:
        labelmap: uint8 label values.
        feature_mask: float32 in [0, 1), how far each place is from the source domain.
        probabilities: float32 in [0, 1] by label value, background (0) included.
        synthesized: the input in the style of the source domain.
        network_seconds: time in the networks alone.
    """

    labelmap: Volume
    feature_mask: Volume | None = None
    probabilities: dict[int, Volume] = field(default_factory=dict)
    synthesized: Volume | None = None
    network_seconds: float = 0.0


def check_outputs(card: ModelCard, outputs: Outputs) -> None:
    """Refuse what a model cannot give.

    Raises:
        InputError: a style-transferred volume is wanted of a model without a synthesis network, or a feature mask of
            one without D1, or anything of a file that holds stage one alone.
    """
    refuse_stage_one_alone("model", card)
    if outputs.feature_mask and "feature_discriminator" not in card.networks:
        raise InputError(
            "model",
            "has no local feature mask, it was trained without D1",
            "leave out the feature mask or use another model",
        )
    if outputs.synthesized and ("synthesis" not in card.networks or card.synthesis_domains is None):
        raise InputError(
            "model",
            "holds no synthesis network, it was trained without style transfer",
            "leave out the style-transferred volume or use another model",
        )


class Predictor:
    """Applies a bundle to volumes.

    Args:
        bundle: the model; its networks are moved to the device.
        device: where the networks run.
        precision: ``32`` or ``bf16``.
        batch_size: slices at once.
        largest_component: keep only the largest connected part of each structure.
        refinement: in the place of the one that the model was made with.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: torch.device,
        precision: str = "32",
        batch_size: int = 16,
        largest_component: bool = False,
        refinement: Refinement | None = None,
    ) -> None:
        self.bundle, self.device, self.batch_size = bundle.to(device), device, batch_size
        self.reduced, self.largest_component = precision == "bf16", largest_component
        self.refinement = bundle.card.refinement if refinement is None else refinement
        self.values = torch.tensor(
            [0] + [label.value for label in bundle.card.labels], dtype=torch.uint8, device=device
        )

    @torch.inference_mode()
    def predict(
        self, volume: Volume, outputs: Outputs = Outputs(), on_slices: OnSlices = lambda d, o: None
    ) -> Prediction:
        """Segment one volume.

        Args:
            volume: image of the target domain.
            outputs: what is wanted besides the label map.
            on_slices: called with the number of slices done and their number.

        Raises:
            InputError: see ``check_outputs``.
        """
        card = self.bundle.card
        check_outputs(card, outputs)
        grid = _grid(volume, self.bundle)
        planes = grid.from_volume(volume.array)
        limits = intensity_limits(volume.array, card.target.intensity)
        labels = np.zeros(planes.shape, np.uint8)
        mask = np.zeros(planes.shape, np.float32) if outputs.feature_mask else None
        shares = np.zeros((len(self.values), *planes.shape), np.float32) if outputs.probabilities else None
        styled = _StyledVolume(self.bundle, planes.shape, card.source) if outputs.synthesized else None
        shifts, smoothing = self.refinement.shifts, SliceSmoothing(self.refinement.slice_smoothing, grid.slice_count)
        seconds = 0.0
        for part, images in self._batches(grid, planes, limits):
            started = time.perf_counter()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
                segmented = segment(self.bundle.segmenter, self.bundle.feature_discriminator, images, shifts)
                translated = styled.translate(images, card.target, card.source) if styled else None
            seconds += self._since(started)
            done, probabilities = smoothing.put(segmented.probabilities)
            labels[done] = grid.restore_labels(probabilities, self.values).cpu().numpy()
            if shares is not None:
                restored = grid.restore(probabilities, 0.0)
                # beyond the field of view every class has probability 0
                restored[:, 0] += 1 - restored.sum(dim=1)
                shares[:, done] = restored.movedim(1, 0).cpu().numpy()
            if mask is not None:
                steps = grid.restore(segmented.mask, 0.0)[:, 0].mul_(MASK_STEPS).round_()
                mask[part] = steps.div_(MASK_STEPS).cpu().numpy()
            if styled is not None:
                styled.put(part, grid.restore(translated.float(), -1.0))
            on_slices(part.stop, grid.slice_count)
        labelmap = grid.to_volume(labels)
        if self.largest_component:
            labelmap = keep_largest_components(labelmap)

        def like_input(array: np.ndarray) -> Volume:
            return Volume(grid.to_volume(array), volume.ijk_to_ras)

        return Prediction(
            Volume(labelmap, volume.ijk_to_ras),
            like_input(mask) if mask is not None else None,
            {int(value): like_input(shares[index]) for index, value in enumerate(self.values)}
            if outputs.probabilities
            else {},
            like_input(styled.planes) if styled is not None else None,
            seconds,
        )

    @torch.inference_mode()
    def synthesize(self, volume: Volume, to: str, on_slices: OnSlices = lambda d, o: None) -> Volume:
        """The volume in the style of the other domain.

        Args:
            volume: image of the domain that ``to`` is not.
            to: ``source`` or ``target``.
            on_slices: called with the number of slices done and their number.
        """
        card = self.bundle.card
        start, end = (card.target, card.source) if to == "source" else (card.source, card.target)
        grid = _grid(volume, self.bundle)
        planes = grid.from_volume(volume.array)
        styled = _StyledVolume(self.bundle, planes.shape, end)
        for part, images in self._batches(grid, planes, intensity_limits(volume.array, start.intensity)):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced):
                translated = styled.translate(images, start, end)
            styled.put(part, grid.restore(translated.float(), -1.0))
            on_slices(part.stop, grid.slice_count)
        return Volume(grid.to_volume(styled.planes), volume.ijk_to_ras)

    def _batches(self, grid: SliceGrid, planes: np.ndarray, limits: IntensityLimits) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, grid.slice_count, self.batch_size):
            part = slice(start, min(start + self.batch_size, grid.slice_count))
            scaled = torch.from_numpy(limits.scale(planes[part])).to(self.device)
            yield part, grid.extract(scaled, "linear", BEYOND)[:, None]

    def _since(self, started: float) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter() - started


class _StyledVolume:
    """Style-transferred planes on their way back to the values of their new domain."""

    def __init__(self, bundle: Bundle, shape: tuple[int, ...], end: DomainCard) -> None:
        check_outputs(bundle.card, Outputs(synthesized=True))
        self.network, self.modalities = bundle.synthesis, bundle.card.synthesis_domains
        window = end.intensity.rule == "window"
        self.limits = (end.intensity.low, end.intensity.high) if window else (0.0, ARBITRARY_MAXIMUM)
        self.planes = np.zeros(shape, np.int16)

    def translate(self, images: Tensor, start: DomainCard, end: DomainCard) -> Tensor:
        label = torch.ones(len(images), dtype=torch.long, device=images.device)
        return self.network(
            images, label * self.modalities.index(start.modality), label * self.modalities.index(end.modality)
        )

    def put(self, part: slice, restored: Tensor) -> None:
        low, high = self.limits
        values = (restored[:, 0].clamp(-1, 1) + 1) / 2 * (high - low) + low
        self.planes[part] = values.round().cpu().numpy().astype(np.int16)


def keep_largest_components(labels: np.ndarray) -> np.ndarray:
    """Label map in which each structure is only its largest face-connected part."""
    result = np.zeros_like(labels)
    for value, box in enumerate(ndimage.find_objects(labels.astype(np.int32)), start=1):
        if box is None:
            continue
        parts, count = ndimage.label(labels[box] == value)
        if count:
            result[box][parts == np.bincount(parts.ravel())[1:].argmax() + 1] = value
    return result


def _grid(volume: Volume, bundle: Bundle) -> SliceGrid:
    plane = bundle.card.plane
    return SliceGrid.for_volume(volume, plane.orientation, plane.spacing, plane.size, plane.center)
