"""Stage one: the synthesis subnet against the image discriminator (Section III-B, first objective)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..losses import adversarial_loss
from ..networks import ImageDiscriminator, SynthesisNetwork
from ..slicestore import SliceStore
from .batches import frozen
from .engine import RunContext
from .stability import translation_symptoms
from .translation import ImagePool, TranslatorStage


class SynthesisStage(TranslatorStage):
    """Trains encoder, decoder, style perceptrons and the image discriminator, both directions at once.

    Args:
        context: the run.
        source, target: slices of the two domains.
    """

    def __init__(self, context: RunContext, source: SliceStore, target: SliceStore) -> None:
        settings, seed = context.configuration.synthesis, context.configuration.training.seed
        torch.manual_seed(seed)
        network = SynthesisNetwork.of_settings(settings)
        discriminator = ImageDiscriminator(settings.discriminator_width)
        options = {"lr": settings.learning_rate, "betas": settings.betas, "weight_decay": settings.weight_decay}
        optimizers = [torch.optim.Adam(part.parameters(), **options, fused=True) for part in (network, discriminator)]
        methods = ("encode", "decode")
        super().__init__(context, source, target, network, discriminator, *optimizers, methods=methods)
        self.pool = ImagePool(settings.image_pool, seed)
        # outputs of the other kind have no labels to be near to
        self.symptoms = translation_symptoms() if settings.adversarial == "least_squares" else ()

    def step(self, iteration: int) -> dict[str, Tensor | float]:
        settings, rate = self.settings, self.learning_rate(iteration)
        self.set_rates(rate)
        images, domain = self.draw(iteration)
        other = 1 - domain

        # named methods of a wrapped network do not enter the reduced precision by themselves
        with self.fabric.autocast():
            content = self.network.encode(images, domain)
            reconstructed = self.network.decode(content, domain)
            translated = self.network.decode(content, other)
            content_again = self.network.encode(translated, other)
            cycled = self.network.decode(content_again, domain)

        fakes = self.pool.exchange(translated.detach(), iteration)
        discriminator = self._judge(images, domain, 1) + self._judge(fakes, other, 0)
        self.discriminator_optimizer.zero_grad()
        self.fabric.backward(discriminator)
        self.discriminator_optimizer.step()

        content_goal = content.detach() if settings.stop_content_gradient else content
        terms = {
            "image_reconstruction": functional.l1_loss(reconstructed.float(), images),
            "content_reconstruction": functional.l1_loss(content_again.float(), content_goal.float()),
            "cycle": functional.l1_loss(cycled.float(), images),
        }
        with frozen(self.discriminator):
            terms["adversarial"] = self._judge(translated, other, 1)
            loss = sum(getattr(settings.weights, name) * term for name, term in terms.items())
            self.network_optimizer.zero_grad()
            self.fabric.backward(loss)
        self.network_optimizer.step()
        self.average.update(self.network.module, iteration)
        return {**terms, "discriminator": discriminator, "learning_rate": rate}

    def _judge(self, images: Tensor, domain: Tensor, label: float) -> Tensor:
        return adversarial_loss(self.discriminator(images, domain), label, self.settings.adversarial)
