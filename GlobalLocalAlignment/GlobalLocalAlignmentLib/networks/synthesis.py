"""Synthesis subnet G: content encoder, style perceptrons and decoder (Tables IV, V and VI, Fig. 8)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import Synthesis

Style = Iterator[tuple[Tensor, Tensor]]
"""Scale and shift, each (N, C), one pair for every normalisation in the order in which the network meets them."""


def adaptive_instance_normalization(features: Tensor, style: Style, epsilon: float = 1e-5) -> Tensor:
    """Normalise each channel of each sample, then scale and shift it by the domain's style (eq. 3).

    The scale is applied as ``1 + scale``, so that an untrained perceptron leaves plain instance normalisation.

    Args:
        features: (N, C, H, W).
        style: the next pair it yields is used.
        epsilon: added to the variance.

    Returns:
        (N, C, H, W) of the same type as ``features``.
    """
    scale, shift = next(style)
    count, channels, rows, columns = features.shape
    # batch norm over one sample of N * C channels is instance norm with scale and shift of each sample in one pass
    normalized = functional.batch_norm(
        features.reshape(1, count * channels, rows, columns),
        running_mean=None,
        running_var=None,
        weight=(1 + scale.float()).reshape(-1),
        bias=shift.float().reshape(-1),
        training=True,
        eps=epsilon,
    )
    return normalized.reshape(features.shape)


class ReflectConvolution(nn.Conv2d):
    """Convolution with reflect padding that keeps the reduced precision of its input.

    Automatic mixed precision pads in 32 bits on some devices, which costs more than the convolution it prepares.
    Where an image comes in or goes out, a single channel, the rows of the kernel take the place of channels: the same
    sums, several times as fast on a processor, which works on many channels at once.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride)

    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            padded = functional.pad(features, 4 * [(self.kernel_size[0] - 1) // 2], mode="reflect")
        if self.in_channels > 1 and self.out_channels > 1:
            return super().forward(padded)
        size, stride, height = self.kernel_size[0], self.stride[0], padded.shape[-2]
        seen = [slice(row, row + height - size + 1, stride) for row in range(size)]
        if self.in_channels == 1:
            windows = torch.cat([padded[:, :, rows] for rows in seen], dim=1)
            return functional.conv2d(windows, self.weight.transpose(1, 2), self.bias, stride=(1, stride))
        # added in 32 bits, which a reduced precision would round at each row
        products = functional.conv2d(padded, self.weight.permute(2, 1, 0, 3), stride=(1, stride)).float()
        return sum(products[:, row : row + 1, rows] for row, rows in enumerate(seen)) + self.bias[:, None, None]


class ResidualBlock(nn.Module):
    """Two reflect-padded 3x3 convolutions, each with its own AdaIN, ReLU after the first alone, identity added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ReflectConvolution(channels, channels, 3)
        self.second = ReflectConvolution(channels, channels, 3)

    def forward(self, features: Tensor, style: Style) -> Tensor:
        hidden = functional.relu(adaptive_instance_normalization(self.first(features), style))
        return features + adaptive_instance_normalization(self.second(hidden), style)


class CodePerceptron(nn.Module):
    """Three fully connected layers from a code to all AdaIN parameters of one network.

    Args:
        length: numbers of the code.
        hidden: width of the two hidden layers.
        normalized_channels: channels of each AdaIN, in order; n_s is twice their sum.
    """

    def __init__(self, length: int, hidden: int, normalized_channels: list[int]) -> None:
        super().__init__()
        self.normalized_channels = normalized_channels
        self.layers = nn.Sequential(
            nn.Linear(length, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, self.parameter_count),
        )

    @property
    def parameter_count(self) -> int:
        """n_s: number of AdaIN parameters."""
        return 2 * sum(self.normalized_channels)

    def forward(self, code: Tensor) -> Style:
        """``code`` (N, length) -> scale and shift of each AdaIN in turn."""
        parameters = self.layers(code)
        for part in parameters.split([2 * channels for channels in self.normalized_channels], dim=1):
            scale, shift = part.chunk(2, dim=1)
            yield scale, shift


class StylePerceptron(CodePerceptron):
    """Perceptron whose code is the one-hot domain label (Table V).

    Args:
        domains: length of the one-hot label.
        hidden: width of the two hidden layers.
        normalized_channels: channels of each AdaIN, in order.
    """

    def start_plain(self) -> None:
        """Start near scale 1 and shift 0: with Kaiming's outputs of size one, a channel in four starts mirrored."""
        nn.init.normal_(self.layers[-1].weight, 0.0, 0.01)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, domain: Tensor) -> Style:
        """``domain`` (N,) integer labels -> scale and shift of each AdaIN in turn."""
        first = self.layers[0]
        return super().forward(functional.one_hot(domain, first.in_features).to(first.weight.dtype))


class ContentEncoder(nn.Module):
    """G_E: image (N, 1, H, W) in [-1, 1] -> content (N, 4 width, H/4, W/4) (Table IV).

    Args:
        width: channels of the first convolution (64 in the paper).
        blocks: residual blocks (4 in the paper).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.convolution = ReflectConvolution(1, width, 7)
        self.first_down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.second_down = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(blocks))
        self.normalized_channels = [width, 2 * width, 4 * width] + 2 * blocks * [4 * width]

    def forward(self, image: Tensor, style: Style) -> Tensor:
        features = functional.relu(adaptive_instance_normalization(self.convolution(image), style))
        features = functional.relu(adaptive_instance_normalization(self.first_down(features), style))
        features = functional.relu(adaptive_instance_normalization(self.second_down(features), style))
        for block in self.blocks:
            features = block(features, style)
        return features


class Decoder(nn.Module):
    """G_D: content (N, 4 width, H/4, W/4) -> image (N, 1, H, W) in [-1, 1] (Table VI).

    The last layer is a hyperbolic tangent alone: the ReLU that the table prints before it would forbid half of
    the range of the images.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(4 * width) for _ in range(blocks))
        self.first_up = nn.ConvTranspose2d(4 * width, 2 * width, 3, stride=2, padding=1, output_padding=1)
        self.second_up = nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1)
        self.convolution = ReflectConvolution(width, 1, 7)
        self.normalized_channels = 2 * blocks * [4 * width] + [2 * width, width]

    def forward(self, content: Tensor, style: Style) -> Tensor:
        features = content
        for block in self.blocks:
            features = block(features, style)
        features = functional.relu(adaptive_instance_normalization(self.first_up(features), style))
        features = functional.relu(adaptive_instance_normalization(self.second_up(features), style))
        return torch.tanh(self.convolution(features))


class SynthesisNetwork(nn.Module):
    """Synthesis subnet G for any number of domains: one network serves every direction (Section III-A.1).

    Domains are integer labels; source is 0 and target is 1.

    Args:
        width: channels of the first convolution (64 in the paper: n_s 4992 for the encoder, 4480 for the decoder).
        blocks: residual blocks in the encoder and in the decoder (4 in the paper).
        hidden: width of the style perceptrons (256 in the paper).
        domains: number of domains.
    """

    def __init__(self, width: int = 64, blocks: int = 4, hidden: int = 256, domains: int = 2) -> None:
        super().__init__()
        self.encoder = ContentEncoder(width, blocks)
        self.decoder = Decoder(width, blocks)
        self.encoder_style = StylePerceptron(domains, hidden, self.encoder.normalized_channels)
        self.decoder_style = StylePerceptron(domains, hidden, self.decoder.normalized_channels)
        self.apply(initialize_kaiming)
        for perceptron in (self.encoder_style, self.decoder_style):
            perceptron.start_plain()

    @classmethod
    def of_settings(cls, settings: Synthesis) -> SynthesisNetwork:
        """Untrained network of the configured size."""
        return cls(settings.width, settings.blocks, settings.hidden)

    def encode(self, image: Tensor, domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) in [-1, 1] of domain (N,) -> content (N, C, H/4, W/4)."""
        return self.encoder(image, self.encoder_style(domain))

    def decode(self, content: Tensor, domain: Tensor) -> Tensor:
        """Content (N, C, H/4, W/4) -> image (N, 1, H, W) in [-1, 1] in the style of domain (N,)."""
        return self.decoder(content, self.decoder_style(domain))

    def forward(self, image: Tensor, domain: Tensor, to_domain: Tensor) -> Tensor:
        """Image (N, 1, H, W) of ``domain`` -> the same anatomy in the style of ``to_domain``."""
        return self.decode(self.encode(image, domain), to_domain)


def initialize_kaiming(module: nn.Module) -> None:
    """Weights of a convolution or linear layer by Kaiming's rule, biases zero; for ``apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=0, mode="fan_in")
        nn.init.zeros_(module.bias)
