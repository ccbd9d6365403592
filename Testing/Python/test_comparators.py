"""Translators of other papers: their networks against their papers, their trainings, their way through a run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import load_bundle
from GlobalLocalAlignmentLib.comparators import cyclegan
from GlobalLocalAlignmentLib.comparators.cycada import CycadaStage
from GlobalLocalAlignmentLib.comparators.cyclegan import CycleGanTranslator, Generator, PatchDiscriminator
from GlobalLocalAlignmentLib.comparators.multiscale import MultiScaleDiscriminators
from GlobalLocalAlignmentLib.comparators.munit import MunitTranslator
from GlobalLocalAlignmentLib.comparators.starganv2 import (
    Discriminator,
    MappingNetwork,
    StarGanV2Translator,
    StyleEncoder,
    encoder_halvings,
    generator_halvings,
)
from GlobalLocalAlignmentLib.comparators.starganv2 import Generator as StyledGenerator
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.devices import make_fabric
from GlobalLocalAlignmentLib.errors import StopRequested
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.engine import RunContext
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.run import borrow_synthesis, train
from GlobalLocalAlignmentLib.translators import translator_stage

TRANSLATORS = ("cyclegan", "cycada", "stargan_v2", "munit")


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_cyclegan_has_the_size_of_its_paper():
    # the published 11.378 and 2.765 million are those of three colour channels
    colours = 2 * 64 * 49 + 64 * 49 * 2 + 2
    assert parameters(Generator(64, 9)) == 11_378_179 - colours
    assert parameters(PatchDiscriminator(64)) == 2_764_737 - 2 * 64 * 16


def test_starganv2_has_the_size_of_its_paper():
    # 33.89, 2.44, 20.92 and 20.85 million with two domains and three colour channels at 256 x 256
    assert parameters(StyledGenerator(64, generator_halvings((256, 256)))) == pytest.approx(33.89e6, rel=1e-3)
    assert parameters(MappingNetwork(2)) == pytest.approx(2.44e6, rel=3e-3)
    assert parameters(StyleEncoder(64, encoder_halvings((256, 256)), 2)) == pytest.approx(20.92e6, rel=1e-3)
    assert parameters(Discriminator(64, encoder_halvings((256, 256)), 2)) == pytest.approx(20.85e6, rel=1e-3)


def test_munit_has_the_size_of_its_program():
    # the published 46.6 million, 46,594,716 of its program, are those of three colour channels
    colours = 2 * 64 * 49 * 2 + 2 * (64 * 49 + 1)
    assert parameters(MunitTranslator(64, 4, 256)) == 2 * (15_026_187 - colours)
    discriminators = MultiScaleDiscriminators(64, (256, 256), 0.2)
    assert parameters(discriminators) == 2 * (8_271_171 - 3 * 2 * 64 * 16)


@pytest.mark.parametrize(("size", "scales"), [((32, 40), 2), ((64, 64), 3), ((104, 128), 3), ((512, 512), 3)])
def test_short_slices_are_judged_at_fewer_scales(size: tuple[int, int], scales: int):
    judgements = MultiScaleDiscriminators(2, size, 0.2)(torch.rand(2, 1, *size), torch.tensor([0, 1]))
    assert [tuple(judgement.shape[:2]) for judgement in judgements] == scales * [(2, 1)]


@pytest.mark.parametrize("size", [(104, 128), (256, 256), (32, 40)])
def test_a_translation_has_the_shape_and_range_of_its_slice(size: tuple[int, int]):
    images, domain = torch.rand(2, 1, *size) * 2 - 1, torch.tensor([0, 1])
    for network in (CycleGanTranslator(2, 1), StarGanV2Translator(2, size), MunitTranslator(2, 1, 4)):
        translated = network(images, domain, 1 - domain)
        assert translated.shape == images.shape
        assert translated.abs().max() <= 1


def test_cyclegan_takes_the_generator_of_the_wanted_domain_in_any_order():
    network, images = CycleGanTranslator(2, 1), torch.rand(3, 1, 32, 32)
    wanted = torch.tensor([1, 0, 1])
    mixed = network(images, 1 - wanted, wanted)
    for index, label in enumerate(wanted):
        alone = network.networks[int(label)](images[index : index + 1])
        assert torch.allclose(mixed[index : index + 1], alone, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: StarGanV2Translator(4, (32, 32)), lambda: MunitTranslator(4, 1, 16)])
def test_the_same_call_gives_the_same_slices_and_each_slice_a_style_of_its_own(make: Callable[[], torch.nn.Module]):
    network, image = make().eval(), torch.rand(1, 1, 32, 32).repeat(2, 1, 1, 1)
    domain = torch.zeros(2, dtype=torch.long)
    first, second = network(image, domain, domain + 1), network(image, domain, domain + 1)
    assert torch.equal(first, second)
    assert not torch.allclose(first[0], first[1], atol=1e-4)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_run_with_another_translator_ends_with_a_model_that_lends_it(name: str, tiny_settings: dict, tmp_path: Path):
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": name}}))
    model = train(tmp_path / "run", settings)
    bundle = load_bundle(model)
    images, domain = torch.rand(1, 1, *settings.plane.size), torch.zeros(1, dtype=torch.long)
    assert bundle.synthesis(images, domain, domain + 1).shape == images.shape
    lent = borrow_synthesis(model, (bundle.card.target.modality, bundle.card.source.modality))
    assert lent.labels == (1, 0)
    with np.load(next((tmp_path / "run" / "panels").glob("translation_*.npz"))) as panel:
        assert {"source", "translated", "target", "cycled"} <= set(panel)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_training_that_was_stopped_ends_as_one_that_was_not(name: str, tiny_settings: dict, tmp_path: Path):
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": name}}))
    whole = load_bundle(train(tmp_path / "whole", settings)).synthesis.state_dict()
    calls = iter([False, True])
    with pytest.raises(StopRequested):
        train(tmp_path / "parts", settings, stop_asked=lambda: next(calls, False))
    resumed = load_bundle(train(tmp_path / "parts", None)).synthesis.state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


@pytest.mark.parametrize("name", TRANSLATORS)
def test_the_translator_learns_on_its_rates(name: str, tiny_settings: dict, tmp_path: Path):
    rates: list[float] = []
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": name, "learning_rate": 4e-4}}))

    def listen(entry: dict) -> None:
        if entry["event"] == "progress" and entry["stage"] == "synthesis":
            rates.append(entry["values"]["learning_rate"])

    train(tmp_path / "run", settings, [listen])
    assert rates[0] == pytest.approx({"cyclegan": 4e-4, "cycada": 4e-4, "stargan_v2": 2e-4, "munit": 2e-4}[name])
    assert rates[-1] < rates[0]


@pytest.mark.parametrize("name", TRANSLATORS)
def test_the_translator_trains_in_reduced_precision_too(name: str, tiny_settings: dict, tmp_path: Path):
    changes = {"synthesis": {"translator": name}, "training": {"precision": "bf16"}}
    assert train(tmp_path / "run", configuration(merge(tiny_settings, changes))).is_file()


def cycada(tiny_settings: dict, folder: Path) -> CycadaStage:
    """Stage of 8 iterations on slices of noise."""
    images = np.random.default_rng(0).uniform(-1, 1, (8, 32, 40))
    case = CaseSlices("a", images, (images > 0.5).astype(np.uint8), list(range(8)))
    store = SliceStore.build(folder / "store", [case], (32, 40), labelled=True)
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": "cycada", "iterations": 8}}))
    context = RunContext(folder, settings, make_fabric(torch.device("cpu"), "32"), EventLog(None))
    return translator_stage(context, store, store)


def test_the_source_segmenter_of_cycada_learns_in_the_first_half_and_is_fixed_in_the_second(
    tiny_settings: dict, tmp_path: Path
):
    stage = cycada(tiny_settings, tmp_path)
    moves = []
    for iteration in range(8):
        before = copy.deepcopy(stage.segmenter.state_dict())
        values = stage.step(iteration)
        after = stage.segmenter.state_dict()
        moves.append(any(not torch.equal(value, after[name]) for name, value in before.items()))
        assert ("semantic" in values) is (iteration >= 4)
    assert moves == [True] * 4 + [False] * 4


def test_the_semantic_consistency_of_cycada_moves_both_generators(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stage = cycada(tiny_settings, tmp_path)
    # of the losses of the generators, consistency alone
    monkeypatch.setattr(cyclegan, "CYCLE_WEIGHT", 0.0)
    monkeypatch.setattr(CycadaStage, "_judge", lambda *_: torch.zeros((), requires_grad=True))
    stage.step(4)
    for network in stage.network.module.networks:
        assert any(parameter.grad.abs().max() > 0 for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in stage.segmenter.parameters())
