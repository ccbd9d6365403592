"""DRIT++: a content space that the domains share, kept so by a discriminator of contents, and attributes of each slice.

Lee et al., "DRIT++: Diverse Image-to-Image Translation via Disentangled Representations", IJCV 2020, sections 3 and 4,
and the authors' program (github HsinYingLee/DRIT). Layers are those of its default, which concatenates attributes with
features and is meant for translations that keep the shape. Losses and their weights, initialisation, optimiser and the
decay of the rate are theirs; widths, residual blocks, iterations, batch size and augmentation those of the
configuration, as for ours, and the rate of the paper is changed by what the configuration changes our rate by. As in
the program, the discriminator of contents learns from two batches of its own before each iteration, and instance norm
is absent from it. It has fewer layers where the contents are too small for them.

A slice is translated with its own content and an attribute from the prior N(0, 1), as the paper's random results are:
each slice of a call has an attribute of its own, and every call the same ones. So the pass over the source slices can
be repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..losses import adversarial_loss
from ..slicestore import SliceStore
from ..training.batches import frozen, mixed_seed
from ..training.engine import RunContext
from ..training.parts import in_parts
from ..training.translation import OUR_RATE, TranslatorStage
from .dritnetworks import ATTRIBUTE, Discriminators, DritTranslator
from .multiscale import MultiScaleDiscriminators, multi_scale_loss

CYCLE_WEIGHT, RECONSTRUCTION_WEIGHT, LATENT_WEIGHT, PRIOR_WEIGHT, MODE_SEEKING_WEIGHT = 10.0, 10.0, 10.0, 0.01, 1.0
RATE, CONTENT_RATE_SHARE, BETAS, WEIGHT_DECAY = 1e-4, 1 / 2.5, (0.5, 0.999), 1e-4
CONTENT_TURNS = 3
"""How often the discriminator of contents learns in one iteration."""

LARGEST_CONTENT_GRADIENT = 5.0


class DritStage(TranslatorStage):
    """Trains both directions at once.

    Args:
        context: the run.
        source, target: slices of the two domains.
    """

    rate_share = RATE / OUR_RATE
    final_rate_share = 0.0

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        context.refuse_several_processes("synthesis.translator drit")
        configuration = context.configuration
        settings, self.seed = configuration.synthesis, configuration.training.seed
        torch.manual_seed(self.seed)
        network = DritTranslator.of_settings(settings)
        discriminators = Discriminators(settings, configuration.plane)
        options = {"lr": RATE, "betas": BETAS, "weight_decay": WEIGHT_DECAY, "fused": True}
        of_slices = [*discriminators.encoded.parameters(), *discriminators.drawn.parameters()]
        of_contents = {"params": list(discriminators.content.parameters()), "rate_share": CONTENT_RATE_SHARE}
        super().__init__(
            context,
            source,
            target,
            network,
            discriminators,
            torch.optim.Adam(network.parameters(), **options),
            torch.optim.Adam([{"params": of_slices}, of_contents], **options),
            # no weight average, as in the paper
            average_decay=0.0,
            methods=("content", "attribute", "decode"),
        )
        # called one by one, without the wrapper
        self.judges = self.discriminator.module
        for judge in self.judges.children():
            in_parts(judge, context.parts)

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        rate = self.learning_rate(iteration)
        self.set_rates(rate)
        # on the device: noise on contents is too much to be moved there
        chance = torch.Generator(self.fabric.device).manual_seed(mixed_seed(self.seed, 3, iteration))
        *earlier, (images, domain) = (self.draw(CONTENT_TURNS * iteration + turn) for turn in range(CONTENT_TURNS))
        for slices, _ in earlier:
            with torch.no_grad():
                content = self._content(slices, domain, chance)
            self._train_content_discriminator(content)
        attributes = torch.randn(2, len(images), ATTRIBUTE, generator=chance, device=images.device)

        made = self._exchange(images, domain, chance)
        values = self._train_discriminators(made, images, earlier[0][0], domain, attributes)
        with frozen(self.discriminator):
            values |= self._train_with_encoded(made, images, domain)
            values |= self._train_with_drawn(images, domain, attributes, chance)
        self.average.update(self.network.module, iteration)
        return {**values, "learning_rate": rate}

    def _exchange(self, images: Tensor, domain: Tensor, chance: torch.Generator) -> dict[str, Tensor]:
        """Slices of both domains with each other's attributes, there and back again."""
        half, other = len(images) // 2, 1 - domain
        # named methods of a wrapped network do not enter the reduced precision by themselves
        with self.fabric.autocast():
            content = self._content(images, domain, chance)
            mean, log_variance = self.network.attribute(images, domain)
            attribute = _drawn(mean, log_variance, chance)
            translated = self.network.decode(content, attribute.roll(half, 0), other)
            again = _drawn(*self.network.attribute(translated, other), chance)
            cycled = self.network.decode(self._content(translated, other, chance), again.roll(half, 0), domain)
            reconstructed = self.network.decode(content, attribute, domain)
        return {
            "content": content.float(),
            "mean": mean,
            "log_variance": log_variance,
            "translated": translated,
            "cycled": cycled,
            "reconstructed": reconstructed,
        }

    def _train_discriminators(
        self, made: dict[str, Tensor], images: Tensor, further: Tensor, domain: Tensor, attributes: Tensor
    ) -> dict[str, Tensor]:
        judges, other = self.judges, 1 - domain
        content = made["content"].detach()
        with torch.no_grad(), self.fabric.autocast():
            fakes = [self.network.decode(content, attribute, other) for attribute in attributes]
        encoded = self._judge(judges.encoded, images, domain, 1)
        encoded = encoded + self._judge(judges.encoded, made["translated"].detach(), other, 0)
        # once for each of the two attributes
        drawn = 2 * self._judge(judges.drawn, further, domain, 1)
        drawn = drawn + sum(self._judge(judges.drawn, fake, other, 0) for fake in fakes)
        self.discriminator_optimizer.zero_grad()
        # the losses of both domains are added, here as means over both
        self.fabric.backward(2 * (encoded + drawn))
        self.discriminator_optimizer.step()
        of_content = self._train_content_discriminator(content)
        return {
            "discriminator": encoded.detach(),
            "drawn_discriminator": drawn.detach() / 2,
            "content_discriminator": of_content,
        }

    def _train_content_discriminator(self, content: Tensor) -> Tensor:
        with self.fabric.autocast():
            source, target = self.judges.content(content).chunk(2)
        loss = adversarial_loss(source, 0, "vanilla") + adversarial_loss(target, 1, "vanilla")
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(loss)
        nn.utils.clip_grad_norm_(self.judges.content.parameters(), LARGEST_CONTENT_GRADIENT)
        self.discriminator_optimizer.step()
        return loss.detach()

    def _train_with_encoded(self, made: dict[str, Tensor], images: Tensor, domain: Tensor) -> dict[str, Tensor]:
        with self.fabric.autocast():
            of_content = self.judges.content(made["content"])
        mean, log_variance = made["mean"], made["log_variance"]
        terms = {
            "adversarial": self._judge(self.judges.encoded, made["translated"], 1 - domain, 1),
            # contents are to look like neither domain
            "content_adversarial": adversarial_loss(of_content, 0.5, "vanilla"),
            "cycle": functional.l1_loss(made["cycled"], images),
            "image_reconstruction": functional.l1_loss(made["reconstructed"], images),
        }
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
        loss = terms["adversarial"] + terms["content_adversarial"]
        loss = loss + CYCLE_WEIGHT * terms["cycle"] + RECONSTRUCTION_WEIGHT * terms["image_reconstruction"]
        loss = loss + PRIOR_WEIGHT * (divergence + made["content"].square().mean())
        self._move_network(2 * loss)
        return {name: term.detach() for name, term in terms.items()}

    def _train_with_drawn(
        self, images: Tensor, domain: Tensor, attributes: Tensor, chance: torch.Generator
    ) -> dict[str, Tensor]:
        """Content encoders and decoders alone, by translations with attributes from the prior."""
        other = 1 - domain
        with frozen(self.network.module.attribute_encoders):
            with self.fabric.autocast():
                content = self._content(images, domain, chance)
                first, second = (self.network.decode(content, attribute, other) for attribute in attributes)
                mean, _ = self.network.attribute(first, other)
            adversarial = sum(self._judge(self.judges.drawn, fake, other, 1) for fake in (first, second))
            latent = functional.l1_loss(mean, attributes[0])
            seeking = mode_seeking_loss(first, second, attributes)
            self._move_network(2 * (adversarial + LATENT_WEIGHT * latent) + MODE_SEEKING_WEIGHT * seeking)
        return {
            "drawn_adversarial": adversarial.detach() / 2,
            "attribute_reconstruction": latent.detach(),
            "mode_seeking": seeking.detach(),
        }

    def _move_network(self, loss: Tensor) -> None:
        self.network_optimizer.zero_grad()
        self.fabric.backward(loss)
        self.network_optimizer.step()

    def _content(self, images: Tensor, domain: Tensor, chance: torch.Generator) -> Tensor:
        """Contents as the training has them, with noise of unit variance."""
        with self.fabric.autocast():
            content = self.network.content(images, domain)
        return content + torch.randn(content.shape, generator=chance, dtype=content.dtype, device=content.device)

    def _judge(self, judges: MultiScaleDiscriminators, images: Tensor, domain: Tensor, label: float) -> Tensor:
        with self.fabric.autocast():
            judgements = judges(images, domain)
        return multi_scale_loss(judgements, label, "vanilla")


def _drawn(mean: Tensor, log_variance: Tensor, chance: torch.Generator) -> Tensor:
    noise = torch.randn(mean.shape, generator=chance, device=mean.device)
    return mean + (log_variance / 2).exp() * noise


def mode_seeking_loss(first: Tensor, second: Tensor, attributes: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Small where slices with different attributes differ: section 3.3, the two directions added.

    Args:
        first, second: translations (2 N, 1, H, W) of the same slices, those of the source before those of the target.
        attributes: (2, 2 N, 8) that they were made with.
        epsilon: keeps slices that do not differ finite.
    """
    halves = zip((first - second).abs().chunk(2), (attributes[0] - attributes[1]).abs().chunk(2), strict=True)
    return sum(1 / (slices.mean() / codes.mean() + epsilon) for slices, codes in halves)
