"""SIFA: synergistic image and feature alignment, with one encoder for segmentation and for the way back to the source.

Chen et al., "Unsupervised Bidirectional Cross-Modality Adaptation via Deeply Synergistic Image and Feature Alignment
for Medical Image Segmentation", IEEE TMI 2020, section III. A generator gives source slices the look of the target. An
encoder reads these and target slices; two classifiers segment its features, the second one those of a lower layer; a
decoder turns them into slices in the look of the source. Discriminators judge translated slices, decoded slices (by a
second judgement also whether a source slice came back or a target slice was turned into one) and the predictions of
both classifiers. At test time encoder and first classifier alone are left.

Weights, layers of generator and decoder, order of the updates, pools, learning rate and the weights of the
cross-entropy are those of the authors' program for that paper (github cchen-cc/SIFA): a generator of half the width of
CycleGAN's, slices added before the last tanh of generator and decoder, predictions judged before the softmax. Two
things differ. Schedule and segmenter are those of all methods here: encoder and first classifier are S_E and S_P of our
segmenter in the place of a dilated residual network, whose structure is no part of the method, and the lower layer is
the last but one stage of our residual network. And residual blocks and PatchGANs are those of our CycleGAN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from ..losses import adversarial_loss
from ..networks import DeepLabSegmenter
from ..slicestore import SliceStore
from ..training.engine import RunContext, set_learning_rate
from ..training.segmentation import Validate
from ..training.translation import ImagePool
from .cyclegan import (
    BETAS,
    CYCLE_WEIGHT,
    POOL_SIZE,
    Generator,
    PatchDiscriminator,
    ResidualBlock,
    initialize,
    normalized,
    residual_blocks,
)
from .joint import JointStage, weighted_segmentation_loss

IMAGE_WEIGHT = 0.1
"""Of the decoded slices' adversarial and cycle losses for the encoder; generator and decoder train on them in full."""

LOWER_WEIGHT, PREDICTION_WEIGHT, LOWER_PREDICTION_WEIGHT, ORIGIN_WEIGHT = 0.1, 0.1, 0.01, 0.1
"""Of the lower classifier, of the adversarial losses of both predictions, and of the decoder's second judgement."""

DECODER_BLOCKS = 4


class TargetGenerator(Generator):
    """G_t: CycleGAN's generator, which gives the difference from the slice: (N, 1, H, W) -> (N, 1, H, W)."""

    def forward(self, image: Tensor) -> Tensor:
        """(N, 1, H, W) source slices in [-1, 1] -> the same in the look of the target."""
        return torch.tanh(image + self.layers[:-1](image))


class Decoder(nn.Module):
    """U: features of a slice and the slice -> the slice in the look of the source.

    Args:
        channels: of the features.
        width: channels before the last convolution.
        stride: of the features, 4 or 8.
    """

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, 4 * width, 3, padding=1), *normalized(4 * width)]
        layers += [ResidualBlock(4 * width) for _ in range(DECODER_BLOCKS)]
        widths = [4 * width, *[2 * width] * (int(math.log2(stride)) - 1), width]
        for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
            deconvolution = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
            layers += [deconvolution, *normalized(outputs)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """(N, channels, H / stride, W / stride) and (N, 1, H, W) -> (N, 1, H, W)."""
        return torch.tanh(image + self.layers(features))


@dataclass
class Encoded:
    """What the encoder and its classifiers make of slices.

    Attributes:
        features: (N, C, h, w), for the decoder.
        logits, lower_logits: (N, classes, H, W) of the two classifiers.
    """

    features: Tensor
    logits: Tensor
    lower_logits: Tensor


class SharedEncoder(nn.Module):
    """E with C1, which are the segmenter, and C2 on the last but one stage of the segmenter.

    Args:
        segmenter: S.
        classes: background included.
        last_blocks: bottlenecks of the last stage that are in S_E.
    """

    def __init__(self, segmenter: DeepLabSegmenter, classes: int, last_blocks: int) -> None:
        super().__init__()
        self.segmenter, self.split = segmenter, len(segmenter.extractor) - last_blocks
        # channels double from stage to stage
        self.lower_classifier = nn.Conv2d(segmenter.feature_channels // 2, classes, 1)

    def forward(self, image: Tensor) -> Encoded:
        """(N, 1, H, W) in [-1, 1]."""
        lower = self.segmenter.extractor[: self.split](image)
        features = self.segmenter.extractor[self.split :](lower)
        logits, lower_logits = (
            functional.interpolate(small.float(), image.shape[-2:], mode="bilinear", align_corners=False)
            for small in (self.segmenter.predictor(features), self.lower_classifier(lower))
        )
        return Encoded(features, logits, lower_logits)


class Player:
    """A network with its optimiser, whose losses move no other network.

    Args:
        network, optimizer: as fabric has set them up.
        fabric: device and precision.
    """

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, fabric: Fabric) -> None:
        self.network, self.optimizer, self.fabric = network, optimizer, fabric

    def __call__(self, *inputs: Tensor) -> Any:
        return self.network(*inputs)

    def backward(self, loss: Tensor, keep_graph: bool = False) -> None:
        """Gradients of a loss for this network alone, in the place of earlier ones."""
        self.optimizer.zero_grad()
        self.fabric.backward(loss, inputs=list(self.network.parameters()), retain_graph=keep_graph)

    def train(self, loss: Tensor) -> None:
        """One step on a loss."""
        self.backward(loss)
        self.optimizer.step()

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"network": self.network.module.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.network.module.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


class SifaStage(JointStage):
    """Trains generator, encoder with classifiers, decoder and four discriminators.

    The generator steps first, then its discriminator; encoder, classifiers and decoder follow, each on its own losses
    from one pass; the other discriminators are last.

    For the arguments see ``JointStage``.
    """

    def __init__(
        self, context: RunContext, source: SliceStore, target: SliceStore, validate: Validate | None = None
    ) -> None:
        super().__init__(context, source, target, validate)
        configuration = context.configuration
        settings, synthesis = configuration.segmentation, configuration.synthesis
        classes, width = len(configuration.labels) + 1, max(1, synthesis.width // 2)
        channels, stride = self.networks.segmenter.feature_channels, self.networks.segmenter.stride
        networks = {
            "generator": TargetGenerator(width, residual_blocks(configuration.plane)),
            "decoder": Decoder(channels, width, stride),
            "target_judge": PatchDiscriminator(synthesis.discriminator_width),
            "source_judge": PatchDiscriminator(synthesis.discriminator_width, judgements=2),
            "prediction_judge": PatchDiscriminator(settings.discriminator_width, classes),
            "lower_prediction_judge": PatchDiscriminator(settings.discriminator_width, classes),
        }
        rate = synthesis.learning_rate
        self.players = {name: self._player(network, rate, context) for name, network in networks.items()}
        self.generator, self.decoder, *judges = self.players.values()
        self.target_judge, self.source_judge, self.prediction_judge, self.lower_prediction_judge = judges
        self.encoder = Player(self.segmenter, self.segmenter_optimizer, self.fabric)
        self.target_pool, self.source_pool = (
            ImagePool(POOL_SIZE, configuration.training.seed + part) for part in range(2)
        )

    def _player(self, network: nn.Module, rate: float, context: RunContext) -> Player:
        network.apply(initialize)
        optimizer = torch.optim.Adam(network.parameters(), rate, BETAS, fused=True)
        return Player(*context.setup(network, optimizer), self.fabric)

    def trained(self, segmenter: DeepLabSegmenter) -> nn.Module:
        return SharedEncoder(segmenter, len(self.colors) + 1, self.settings.blocks[-1] - 1)

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        rate = self.settings.learning_rate * self.decay(iteration)
        set_learning_rate(self.segmenter_optimizer, rate)
        source, labels = self.source_batches.draw(iteration)
        target, _ = self.target_batches.draw(iteration)
        values = self._train_generator(source, target, iteration)
        values |= self._train_encoder(source, labels, target, iteration)
        self.average.update(self.networks, iteration)
        return {**values, "learning_rate": rate}

    def _train_generator(self, source: Tensor, target: Tensor, iteration: int) -> dict[str, Tensor]:
        """G_t, then D_t."""
        with self.running_statistics(kept=True):
            translated = self.generator(source)
            cycled_source = self.decoder(self._encode(translated).features, translated)
            with torch.no_grad():
                source_like = self.decoder(self._encode(target).features, target)
            cycled_target = self.generator(source_like)
        adversarial = _judged(self.target_judge(translated), 1)
        cycle = _distance(cycled_source, source) + _distance(cycled_target, target)
        self.generator.train(adversarial + CYCLE_WEIGHT * cycle)

        fakes = self.target_pool.exchange(translated.detach(), iteration)
        discriminator = _told_apart(self.target_judge(target), self.target_judge(fakes))
        self.target_judge.train(discriminator)
        return {"target_adversarial": adversarial, "target_discriminator": discriminator}

    def _train_encoder(self, source: Tensor, labels: Tensor, target: Tensor, iteration: int) -> dict[str, Tensor]:
        """E with C1, C2 and U, then D_s and the discriminators of both predictions."""
        with torch.no_grad():
            translated = self.generator(source)
        with self.running_statistics(kept=self.settings.target_statistics):
            of_source = self._encode(translated)
        of_target = self._encode(target)
        cycled_source = self.decoder(of_source.features, translated)
        source_like = self.decoder(of_target.features, target)
        cycle = _distance(cycled_source, source) + _distance(self.generator(source_like), target)
        adversarial, origin = (_judged(part, 1) for part in self.source_judge(source_like).unbind(dim=1))
        decoded = adversarial + CYCLE_WEIGHT * cycle
        cross_entropy, dice = weighted_segmentation_loss(of_source.logits, labels)
        prediction = _judged(self.prediction_judge(of_target.logits), 1)
        lower_prediction = _judged(self.lower_prediction_judge(of_target.lower_logits), 1)
        encoded = (
            cross_entropy
            + dice
            + LOWER_WEIGHT * sum(weighted_segmentation_loss(of_source.lower_logits, labels))
            + IMAGE_WEIGHT * decoded
            + PREDICTION_WEIGHT * prediction
            + LOWER_PREDICTION_WEIGHT * lower_prediction
            + ORIGIN_WEIGHT * origin
        )
        self.encoder.backward(encoded, keep_graph=True)
        self.decoder.train(decoded)
        self.encoder.optimizer.step()

        fakes = self.source_pool.exchange(source_like.detach(), iteration)
        real, of_fakes, of_cycled = map(self.source_judge, (source, fakes, cycled_source.detach()))
        discriminator = _told_apart(real[:, 0], of_fakes[:, 0])
        origins = _told_apart(of_cycled[:, 1], of_fakes[:, 1])
        self.source_judge.train(discriminator + origins)
        values = {
            "cross_entropy": cross_entropy,
            "dice": dice,
            "cycle": cycle,
            "source_adversarial": adversarial,
            "source_discriminator": discriminator,
            "origin_adversarial": origin,
            "origin_discriminator": origins,
            "prediction_adversarial": prediction,
            "lower_prediction_adversarial": lower_prediction,
        }
        for name, judge, first, second in (
            ("prediction", self.prediction_judge, of_source.logits, of_target.logits),
            ("lower_prediction", self.lower_prediction_judge, of_source.lower_logits, of_target.lower_logits),
        ):
            loss = _told_apart(judge(first.detach()), judge(second.detach()))
            judge.train(loss)
            values[f"{name}_discriminator"] = loss
        return values

    def _encode(self, images: Tensor) -> Encoded:
        return self.encoder(images.contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def translate(self, images: Tensor) -> Tensor:
        return self.generator(images)

    def statistics_slices(self, batches: int | None) -> Iterator[Tensor]:
        yield from self.plain_slices(self.target, batches)
        if not self.settings.target_statistics:
            yield from super().statistics_slices(batches)

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            **{name: player.state() for name, player in self.players.items()},
            "lower_classifier": self.segmenter.module.lower_classifier.state_dict(),
            "target_pool": self.target_pool.images,
            "source_pool": self.source_pool.images,
        }

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        for name, player in self.players.items():
            player.load(state[name])
        self.segmenter.module.lower_classifier.load_state_dict(state["lower_classifier"])
        self.target_pool.images, self.source_pool.images = state["target_pool"], state["source_pool"]


def _judged(judgement: Tensor, label: float) -> Tensor:
    return adversarial_loss(judgement, label, "least_squares")


def _told_apart(real: Tensor, fake: Tensor) -> Tensor:
    return (_judged(real, 1) + _judged(fake, 0)) / 2


def _distance(images: Tensor, goal: Tensor) -> Tensor:
    return functional.l1_loss(images.float(), goal)
