"""Random changes of slices: geometry for image and labels alike, intensity for the image alone.

Parameters come from a generator on the CPU that is seeded by seed and iteration, so they are the same on every device
and in a resumed run; the work is done where the slices are. Noise alone is another one on a GPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..config import Augmentation
from ..devices import moved

APPEARANCE_LAYERS, APPEARANCE_CHANNELS = 4, 2
GAIN_POINTS = (4, 4)
"""Points with a random gain each, between which the gain is smooth."""


class RandomAugmentation:
    """Rotation, scale, shift, smooth deformation, mirroring; appearance; gain; brightness, contrast, gamma and blur."""

    def __init__(self, settings: Augmentation) -> None:
        self.settings = settings

    def __call__(
        self, images: Tensor, labels: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor | None]:
        """Change a batch.

        Args:
            images: (N, 1, H, W) in [-1, 1].
            labels: (N, H, W) class indices, or None.
            generator: on the CPU.

        Returns:
            images (N, 1, H, W) in [-1, 1] and labels (N, H, W) or None; beyond the border the image is -1 and the label
            background.
        """
        grid = self._sampling_grid(images, generator)
        images = functional.grid_sample(images + 1, grid, mode="bilinear", align_corners=False) - 1
        if labels is not None:
            moved = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)
            labels = moved[:, 0].round().long()
        if self.settings.appearance > 0:
            images = self._change_appearance(images, generator)
        if self.settings.bias_field > 0:
            images = self._change_gain(images, generator)
        if self.settings.intensity > 0:
            images = self._change_intensity(images, generator)
        return images, labels

    def _sampling_grid(self, images: Tensor, generator: torch.Generator) -> Tensor:
        settings, (count, _, rows, columns) = self.settings, images.shape
        angle = math.radians(settings.rotation) * _uniform(count, generator)
        scale = 1 + settings.scale * _uniform(count, generator)
        row_shift, column_shift = (2 * settings.shift * _uniform(count, generator) for _ in range(2))
        mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0) if settings.flip else 1.0
        aspect = rows / columns
        cosine, sine = angle.cos() / scale, angle.sin() / scale
        # affine_grid works in units of half the picture, so a rotation of a picture that is not square needs its aspect
        matrix = torch.stack([cosine * mirror, -sine * aspect, column_shift, sine * mirror / aspect, cosine, row_shift])
        matrix = moved(matrix.T.reshape(count, 2, 3), images.device)
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        if settings.elastic > 0:
            coarse = 0.15 * settings.elastic * (2 * torch.rand(count, 2, 5, 5, generator=generator) - 1)
            coarse = moved(coarse, images.device)
            field = functional.interpolate(coarse, (rows, columns), mode="bicubic", align_corners=True)
            grid = grid + field.movedim(1, -1)
        return grid.to(images.dtype)

    def _change_appearance(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Blend slices with what a random shallow network makes of them, which keeps shapes alone.

        The idea is that of Ouyang et al., "Causality-inspired Single-source Domain Generalization for Medical Image
        Segmentation", IEEE Transactions on Medical Imaging 2023: a segmenter that has seen many looks of an anatomy is
        not led astray by what is left of the gap between translated and real slices.
        """
        count = len(images)
        chosen = torch.rand(count, generator=generator) < self.settings.appearance
        share = moved(torch.rand(count, generator=generator) * chosen, images.device)[:, None, None, None]
        # one group of channels for each slice, so that every slice has a network of its own
        changed, inputs = images.reshape(1, count, *images.shape[-2:]), 1
        for layer in range(APPEARANCE_LAYERS):
            outputs = 1 if layer == APPEARANCE_LAYERS - 1 else APPEARANCE_CHANNELS
            size = 1 + 2 * int(torch.randint(2, (), generator=generator))
            weights = torch.randn(count * outputs, inputs, size, size, generator=generator)
            bias = torch.randn(count * outputs, generator=generator) / 2
            padded = functional.pad(changed, 4 * [size // 2], mode="replicate")
            weights, bias = (moved(part, images.device).to(images.dtype) for part in (weights, bias))
            changed = functional.conv2d(padded, weights, bias, groups=count)
            if layer < APPEARANCE_LAYERS - 1:
                changed = functional.leaky_relu(changed, 0.2)
            inputs = outputs
        changed = _like(changed.reshape(images.shape), images)
        return (images + share * (changed - images)).clamp(-1, 1)

    def _change_gain(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Multiply slices by a smooth field, by up to about 2 or 1/2 at full strength; -1 is no signal and stays.

        Magnetic resonance is brighter near the receiving coils, and the spleen lies near them; a translated slice has
        the even brightness that CT has.
        """
        coarse = moved(2 * torch.rand(len(images), 1, *GAIN_POINTS, generator=generator) - 1, images.device)
        field = functional.interpolate(coarse, images.shape[-2:], mode="bicubic", align_corners=True)
        gain = (math.log(2) * self.settings.bias_field * field).exp()
        return (((images + 1) * gain).clamp(0, 2) - 1).to(images.dtype)

    def _change_intensity(self, images: Tensor, generator: torch.Generator) -> Tensor:
        strength, count = self.settings.intensity, len(images)

        def factor(size: float) -> Tensor:
            return moved(1 + size * strength * _uniform(count, generator), images.device)[:, None, None, None]

        gamma, contrast, brightness = factor(0.5), factor(0.4), factor(0.3)
        unit = ((images + 1) / 2).clamp(0, 1)
        unit = unit.pow(gamma) * contrast + (brightness - 1) * (unit > 0.02)
        blurred = functional.avg_pool2d(functional.pad(unit, (1, 1, 1, 1), mode="replicate"), 3, 1)
        # negative shares sharpen, positive ones blur
        share = moved(strength * _uniform(count, generator), images.device)[:, None, None, None]
        unit = unit + share * (blurred - unit)
        noise = 0.04 * strength * _noise(unit, generator)
        return ((unit + noise).clamp(0, 1) * 2 - 1).to(images.dtype)


def _like(images: Tensor, model: Tensor) -> Tensor:
    """Images (N, 1, H, W) with the mean and the standard deviation that the same slices of ``model`` have."""
    axes = (1, 2, 3)
    centred = images - images.mean(axes, keepdim=True)
    deviation = images.std(axes, keepdim=True).clamp_min(1e-6)
    return centred * (model.std(axes, keepdim=True) / deviation) + model.mean(axes, keepdim=True)


def _noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Normal noise of the shape of images, where they are.

    A GPU makes its own, from a seed of the generator: on the processor it would take longer than all the rest.
    """
    if not images.is_cuda:
        return torch.randn(images.shape, generator=generator).to(images.device)
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.randn(images.shape, generator=torch.Generator(images.device).manual_seed(seed), device=images.device)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(count, generator=generator) - 1
