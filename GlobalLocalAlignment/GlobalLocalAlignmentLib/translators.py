"""The translators of stage one by name: ours, and those of ``comparators`` that the paper compares it with.

A translator is a network that is called with slices (N, 1, H, W) in [-1, 1], their domain (N,) and the wanted domain
(N,), and gives the slices in the look of the wanted domain. It is told apart by its name alone: the rest of a run does
not know which one it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .config import Plane, Synthesis

if TYPE_CHECKING:
    from .slicestore import SliceStore
    from .training.engine import RunContext
    from .training.translation import TranslatorStage

ONE_WAY = ("cycada",)
"""Those that learn from the labels of the source, so that they do not serve the other direction."""


def translator_network(settings: Synthesis, plane: Plane) -> nn.Module:
    """Untrained network of the configured translator and size."""
    # a comparator is imported where it is asked for: nobody who only wants ours comes past it
    if settings.translator in ("cyclegan", "cycada"):
        from .comparators.cyclegan import CycleGanTranslator

        return CycleGanTranslator.of_settings(settings, plane)
    if settings.translator == "stargan_v2":
        from .comparators.starganv2 import StarGanV2Translator

        return StarGanV2Translator.of_settings(settings, plane)
    if settings.translator == "munit":
        from .comparators.munit import MunitTranslator

        return MunitTranslator.of_settings(settings)
    if settings.translator == "drit":
        from .comparators.dritnetworks import DritTranslator

        return DritTranslator.of_settings(settings)
    from .networks import SynthesisNetwork

    return SynthesisNetwork.of_settings(settings)


def translator_stage(context: RunContext, source: SliceStore, target: SliceStore) -> TranslatorStage:
    """Training of the configured translator on the slices of two domains."""
    name = context.configuration.synthesis.translator
    if name == "cyclegan":
        from .comparators.cyclegan import CycleGanStage

        return CycleGanStage(context, source, target)
    if name == "cycada":
        from .comparators.cycada import CycadaStage

        return CycadaStage(context, source, target)
    if name == "stargan_v2":
        from .comparators.starganv2 import StarGanV2Stage

        return StarGanV2Stage(context, source, target)
    if name == "munit":
        from .comparators.munit import MunitStage

        return MunitStage(context, source, target)
    if name == "drit":
        from .comparators.drit import DritStage

        return DritStage(context, source, target)
    from .training.synthesis import SynthesisStage

    return SynthesisStage(context, source, target)
