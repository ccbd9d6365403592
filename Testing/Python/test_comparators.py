"""Translators of other papers: their networks against their papers, their trainings, their way through a run."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import load_bundle
from GlobalLocalAlignmentLib.comparators import cyclegan, munit
from GlobalLocalAlignmentLib.comparators.cycada import CycadaStage
from GlobalLocalAlignmentLib.comparators.cyclegan import (
    CycleGanStage,
    CycleGanTranslator,
    Generator,
    PatchDiscriminator,
)
from GlobalLocalAlignmentLib.comparators.drit import DritStage, mode_seeking_loss
from GlobalLocalAlignmentLib.comparators.dritnetworks import (
    ContentDiscriminator,
    Discriminators,
    DritTranslator,
    content_halvings,
)
from GlobalLocalAlignmentLib.comparators.multiscale import MultiScaleDiscriminators
from GlobalLocalAlignmentLib.comparators.munit import MunitStage, MunitTranslator
from GlobalLocalAlignmentLib.comparators.starganv2 import (
    Discriminator,
    MappingNetwork,
    StarGanV2Translator,
    StyleEncoder,
    encoder_halvings,
    generator_halvings,
)
from GlobalLocalAlignmentLib.comparators.starganv2 import Generator as StyledGenerator
from GlobalLocalAlignmentLib.config import Configuration, Plane, Synthesis, configuration, merge, read_configuration
from GlobalLocalAlignmentLib.devices import make_fabric
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.engine import RunContext
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.trainedsynthesis import borrow_synthesis
from GlobalLocalAlignmentLib.training.translation import TranslatorStage
from GlobalLocalAlignmentLib.translators import translator_stage

WITHOUT_PARTS = dict.fromkeys(("style_transfer", "feature_discriminator", "output_discriminator"), False)
TRANSLATORS = ("cyclegan", "cycada", "stargan_v2", "munit", "drit")


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


def test_drit_has_the_size_of_its_program():
    # the published 65.0 million, 65,039,315 of its program, are those of three colour channels
    colours = 2 * 2 * 64 * (49 + 16) + 2 * 2 * (80 + 1)
    assert parameters(DritTranslator(64, 4)) == 9_018_112 + 2_688_160 + 9_564_710 - colours
    discriminators = Discriminators(Synthesis(), Plane())
    assert parameters(discriminators) == 4 * (8_271_171 - 3 * 2 * 64 * 16) + 10_683_649


@pytest.mark.parametrize(("size", "halvings"), [((8, 10), 0), ((26, 32), 2), ((54, 54), 3), ((128, 128), 3)])
def test_small_contents_are_halved_less_often(size: tuple[int, int], halvings: int):
    assert content_halvings(size) == halvings
    assert ContentDiscriminator(4, 4, size)(torch.rand(2, 4, *size)).shape[:2] == (2, 1)


@pytest.mark.parametrize(("size", "scales"), [((32, 40), 2), ((64, 64), 3), ((104, 128), 3), ((512, 512), 3)])
def test_short_slices_are_judged_at_fewer_scales(size: tuple[int, int], scales: int):
    judgements = MultiScaleDiscriminators(2, size, 0.2)(torch.rand(2, 1, *size), torch.tensor([0, 1]))
    assert [tuple(judgement.shape[:2]) for judgement in judgements] == scales * [(2, 1)]


@pytest.mark.parametrize("size", [(104, 128), (256, 256), (32, 40)])
def test_a_translation_has_the_shape_and_range_of_its_slice(size: tuple[int, int]):
    images, domain = torch.rand(2, 1, *size) * 2 - 1, torch.tensor([0, 1])
    for network in (
        CycleGanTranslator(2, 1),
        StarGanV2Translator(2, size),
        MunitTranslator(2, 1, 4),
        DritTranslator(2, 1),
    ):
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


@pytest.mark.parametrize(
    "make",
    [lambda: StarGanV2Translator(4, (32, 32)), lambda: MunitTranslator(4, 1, 16), lambda: DritTranslator(4, 1)],
)
def test_the_same_call_gives_the_same_slices_and_each_slice_a_style_of_its_own(make: Callable[[], torch.nn.Module]):
    network, image = make().eval(), torch.rand(1, 1, 32, 32).repeat(2, 1, 1, 1)
    domain = torch.zeros(2, dtype=torch.long)
    first, second = network(image, domain, domain + 1), network(image, domain, domain + 1)
    assert torch.equal(first, second)
    assert not torch.allclose(first[0], first[1], atol=1e-4)


@dataclass(frozen=True)
class WholeRun:
    """A run that was not stopped.

    Attributes:
        settings: of it, with one learning rate for all translators.
        rates: learning rates of its first stage, as its events tell them.
    """

    folder: Path
    model: Path
    settings: Configuration
    rates: list[float]


@pytest.fixture(scope="module", params=TRANSLATORS)
def whole(request: pytest.FixtureRequest, tiny_settings: dict, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    rates: list[float] = []
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": request.param, "learning_rate": 4e-4}}))

    def listen(entry: dict) -> None:
        if entry["event"] == "progress" and entry["stage"] == "synthesis":
            rates.append(entry["values"]["learning_rate"])

    folder = tmp_path_factory.mktemp("translators") / request.param
    return WholeRun(folder, train(folder, settings, [listen]), settings, rates)


def test_a_run_with_another_translator_ends_with_a_model_that_lends_it(whole: WholeRun):
    bundle = load_bundle(whole.model)
    images, domain = torch.rand(1, 1, *whole.settings.plane.size), torch.zeros(1, dtype=torch.long)
    assert bundle.synthesis(images, domain, domain + 1).shape == images.shape
    lent = borrow_synthesis(whole.model, (bundle.card.target.modality, bundle.card.source.modality))
    assert lent.labels == (1, 0)
    with np.load(next((whole.folder / "panels").glob("translation_*.npz"))) as panel:
        assert {"source", "translated", "target", "cycled"} <= set(panel)


def test_a_training_that_was_stopped_ends_as_one_that_was_not(whole: WholeRun, tmp_path: Path):
    expected = load_bundle(whole.model).synthesis.state_dict()
    calls = iter([False, True])
    with pytest.raises(StopRequested):
        train(tmp_path / "parts", whole.settings, stop_asked=lambda: next(calls, False))
    resumed = load_bundle(train(tmp_path / "parts", None)).synthesis.state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in expected.items())


def test_the_translator_learns_on_its_rates(whole: WholeRun):
    translator = whole.settings.synthesis.translator
    assert whole.rates[0] == pytest.approx(4e-4 if translator in ("cyclegan", "cycada") else 2e-4)
    assert whole.rates[-1] < whole.rates[0]


@pytest.mark.parametrize("name", TRANSLATORS)
def test_the_translator_trains_in_reduced_precision_too(name: str, tiny_settings: dict, tmp_path: Path):
    stage = stage_on_noise(name, tiny_settings, tmp_path, precision="bf16")
    terms = [float(torch.as_tensor(term).detach()) for step in (0, 4) for term in stage.step(step).values()]
    assert np.isfinite(terms).all()
    assert all(parameter.dtype == torch.float32 for parameter in stage.network.parameters())


@pytest.mark.parametrize("name", TRANSLATORS[1:])
def test_several_processes_are_refused(name: str, tiny_settings: dict, tmp_path: Path):
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": name}}))
    context = RunContext(tmp_path, settings, SimpleNamespace(world_size=2), EventLog(None))
    with pytest.raises(InputError, match=f"synthesis.translator {name}: trains in one process"):
        translator_stage(context, None, None)


def stage_on_noise(name: str, tiny_settings: dict, folder: Path, precision: str = "32") -> TranslatorStage:
    """Stage of 8 iterations on slices of noise."""
    images = np.random.default_rng(0).uniform(-1, 1, (8, 32, 40))
    case = CaseSlices("a", images, (images > 0.5).astype(np.uint8), list(range(8)))
    store = SliceStore.build(folder / "store", [case], (32, 40), labelled=True)
    settings = configuration(merge(tiny_settings, {"synthesis": {"translator": name, "iterations": 8}}))
    context = RunContext(folder, settings, make_fabric(torch.device("cpu"), precision), EventLog(None))
    return translator_stage(context, store, store)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_identity_loss_of_cyclegan_keeps_slices_of_the_wanted_domain_as_they_are(
    share: float, tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # nothing else that a slice is asked for is by chance that it stays
    monkeypatch.setattr(CycleGanStage, "_judge", lambda *_: torch.zeros((), requires_grad=True))
    settings = merge(tiny_settings, {"synthesis": {"weights": {"identity": share}}})
    stage = stage_on_noise("cyclegan", settings, tmp_path)
    images = stage.draw(0)[0]
    domain = torch.arange(2).repeat_interleave(len(images) // 2)

    def change() -> float:
        with torch.no_grad():
            return float((stage.network(images, domain, domain) - images).abs().mean())

    before = change()
    values = [stage.train_on(images, 0) for _ in range(20)]
    assert ("image_reconstruction" in values[0]) is (share > 0)
    assert (change() < 0.8 * before) is (share > 0)


@pytest.mark.parametrize(
    ("sections", "share"),
    [
        ({"synthesis": {"translator": "cyclegan"}}, 0.0),
        ({"synthesis": {}, "segmentation": {"method": "synseg_net"} | WITHOUT_PARTS}, 0.0),
        ({"synthesis": {"translator": "cyclegan", "weights": {"identity": 0.3}}}, 0.3),
        ({"synthesis": {"translator": "ours"}}, None),
    ],
)
def test_a_training_from_before_the_identity_loss_is_read_without_it(
    sections: dict, share: float | None, tmp_path: Path
):
    (tmp_path / "config.json").write_text(json.dumps(sections))
    default = Synthesis().weights.identity
    assert read_configuration(tmp_path).synthesis.weights.identity == (default if share is None else share)


def test_the_source_segmenter_of_cycada_learns_in_the_first_half_and_is_fixed_in_the_second(
    tiny_settings: dict, tmp_path: Path
):
    stage = stage_on_noise("cycada", tiny_settings, tmp_path)
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
    stage = stage_on_noise("cycada", tiny_settings, tmp_path)
    # of the losses of the generators, consistency alone
    monkeypatch.setattr(cyclegan, "CYCLE_WEIGHT", 0.0)
    monkeypatch.setattr(CycadaStage, "_judge", lambda *_: torch.zeros((), requires_grad=True))
    stage.step(4)
    for network in stage.network.module.networks:
        assert any(parameter.grad.abs().max() > 0 for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in stage.segmenter.parameters())


def moved(network: torch.nn.Module, train: Callable[[], object]) -> set[str]:
    """Names of the parts of a network that a training changes, to the second point."""
    before = copy.deepcopy(network.state_dict())
    train()
    changes = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    return {".".join(name.split(".")[:2]) for name in changes}


@pytest.mark.parametrize("name", ["munit", "drit"])
def test_a_step_moves_every_network_of_a_disentangling_translator(name: str, tiny_settings: dict, tmp_path: Path):
    for network in ("network", "discriminator"):
        stage = stage_on_noise(name, tiny_settings, tmp_path / network)
        module = getattr(stage, network).module
        parts = {".".join(key.split(".")[:2]) for key in module.state_dict()}
        assert moved(module, lambda stage=stage: stage.step(0)) == parts


def test_drawn_attributes_of_drit_do_not_move_the_attribute_encoders(tiny_settings: dict, tmp_path: Path):
    stage = stage_on_noise("drit", tiny_settings, tmp_path)
    images, domain = stage.draw(0)
    attributes, chance = torch.randn(2, len(images), 8), torch.Generator().manual_seed(0)
    parts = moved(stage.network.module, lambda: stage._train_with_drawn(images, domain, attributes, chance))
    assert "shared_encoder.layers" in parts
    assert "decoders.0" in parts
    assert not any(part.startswith("attribute") for part in parts)


def test_the_content_discriminator_of_drit_learns_three_times_in_an_iteration(tiny_settings: dict, tmp_path: Path):
    stage = stage_on_noise("drit", tiny_settings, tmp_path)
    stage.step(0)
    steps = {
        name: int(stage.discriminator_optimizer.state[parameter]["step"])
        for name, parameter in stage.judges.named_parameters()
    }
    assert all(count == (3 if name.startswith("content") else 1) for name, count in steps.items())
    shares = [group.get("rate_share", 1.0) for group in stage.discriminator_optimizer.param_groups]
    assert shares == [1.0, 0.4]


def test_the_content_discriminator_of_drit_gives_one_to_the_target(tiny_settings: dict, tmp_path: Path):
    stage = stage_on_noise("drit", tiny_settings, tmp_path)
    content = torch.randn(4, 16, 8, 10) * 0.1 + torch.tensor([-1.0, -1.0, 1.0, 1.0])[:, None, None, None]
    for group in stage.discriminator_optimizer.param_groups:
        group["lr"] = 1e-2
    for _ in range(20):
        stage._train_content_discriminator(content)
    source, target = stage.judges.content(content).chunk(2)
    assert source.max() < 0 < target.min()


def test_mode_seeking_counts_what_a_change_of_the_attribute_changes():
    attributes = torch.stack([torch.zeros(4, 8), torch.ones(4, 8)])
    first = torch.zeros(4, 1, 8, 8)
    same, other = first + 0.1, first + torch.tensor([0.1, 0.1, 0.5, 0.5])[:, None, None, None]
    assert mode_seeking_loss(first, same, attributes).item() == pytest.approx(10 + 10, rel=1e-3)
    assert mode_seeking_loss(first, other, attributes).item() == pytest.approx(10 + 2, rel=1e-3)
    assert mode_seeking_loss(first, other, 2 * attributes).item() == pytest.approx(20 + 4, rel=1e-3)


def test_the_decoder_of_munit_scales_by_what_its_perceptron_gives():
    decoder = MunitTranslator(2, 1, 4).decoders[0]
    last = decoder.perceptron.layers[-1]
    torch.nn.init.zeros_(last.weight)
    content = torch.randn(1, 8, 8, 10)
    silent = decoder.layers(content)
    # a scale of zero leaves nothing of what the residual blocks add
    assert torch.allclose(decoder(content, torch.randn(1, 8)), silent, atol=1e-6)
    last.bias.data.fill_(1.0)
    assert not torch.allclose(decoder(content, torch.randn(1, 8)), silent, atol=1e-3)


def test_a_style_of_munit_that_is_found_again_teaches_its_encoder_and_decoder(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stage = stage_on_noise("munit", tiny_settings, tmp_path)
    # of the losses of the networks, that of the style alone
    monkeypatch.setattr(munit, "IMAGE_WEIGHT", 0.0)
    monkeypatch.setattr(munit, "CONTENT_WEIGHT", 0.0)
    monkeypatch.setattr(MunitStage, "_judge", lambda *_: torch.zeros((), requires_grad=True))
    stage.step(0)
    for networks in (stage.network.module.style_encoders, stage.network.module.decoders):
        for network in networks:
            assert any(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_slices_of_drit_exchange_their_attributes_and_get_them_back(
    tiny_settings: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stage = stage_on_noise("drit", tiny_settings, tmp_path)
    images, domain = stage.draw(0)
    means = images.mean(dim=(1, 2, 3), keepdim=True)
    # the attribute of a slice is its mean, known for certain, and its content the rest
    monkeypatch.setattr(DritStage, "_content", lambda _, slices, *__: slices - slices.mean(dim=(1, 2, 3), keepdim=True))
    stage.network = SimpleNamespace(
        attribute=lambda slices, _: (slices.mean(dim=(1, 2, 3))[:, None], torch.full((len(slices), 1), -100.0)),
        decode=lambda content, attribute, _: content + attribute[:, :, None, None],
    )
    made = stage._exchange(images, domain, torch.Generator())
    half = len(images) // 2
    assert torch.allclose(made["translated"], images - means + means.roll(half, 0), atol=1e-5)
    assert torch.allclose(made["cycled"], images, atol=1e-5)
    assert torch.allclose(made["reconstructed"], images, atol=1e-5)
