"""Comparators that train translation and segmenter at once: their parts, their trainings, their models."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import load_bundle
from GlobalLocalAlignmentLib.comparators.joint import weighted_segmentation_loss
from GlobalLocalAlignmentLib.comparators.sifa import Decoder, Player, SifaStage, TargetGenerator
from GlobalLocalAlignmentLib.comparison.methods import METHODS
from GlobalLocalAlignmentLib.comparison.methods import changed as changed_settings
from GlobalLocalAlignmentLib.config import configuration, merge
from GlobalLocalAlignmentLib.devices import make_fabric
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceStore
from GlobalLocalAlignmentLib.training.engine import RunContext
from GlobalLocalAlignmentLib.training.estimate import kinds_of
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.methods import segmentation_stage
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.segmentation import SegmentationStage
from torch import Tensor, nn

JOINT = ("synseg_net", "sifa")
NO_PARTS = {"style_transfer": False, "feature_discriminator": False, "output_discriminator": False}


def settings_of(method: str, tiny_settings: dict, **changes) -> dict:
    return merge(merge(tiny_settings, {"segmentation": {"method": method, **NO_PARTS}}), changes)


def stage_of(method: str, tiny_settings: dict, folder: Path, **changes) -> SegmentationStage:
    """Stage on bright squares in noise as the source and dark ones as the target."""
    chance = np.random.default_rng(0)
    labels = np.zeros((8, 32, 40), np.uint8)
    labels[:, 8:20, 8:24] = 1
    stores = []
    for name, sign, truth in (("source", 1, labels), ("target", -1, None)):
        images = sign * (labels * 1.2 - 0.6) + chance.normal(0, 0.1, labels.shape)
        case = CaseSlices("a", images.clip(-1, 1), truth, list(range(8)))
        stores.append(SliceStore.build(folder / name, [case], (32, 40), truth is not None))
    settings = configuration(settings_of(method, tiny_settings, **changes))
    context = RunContext(folder, settings, make_fabric(torch.device("cpu"), "32"), EventLog(None))
    return segmentation_stage(context, *stores)


def kernels(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.dim() == 4)


def test_sifa_has_the_layers_of_its_program():
    # 32 channels at full size, features of stride 8
    assert kernels(TargetGenerator(32, 9)) == 49 * 32 * 2 + 9 * (2 * 32 * 64 + 2 * 64 * 128 + 18 * 128 * 128)
    blocks, ups = 8 * 128 * 128, 128 * 64 + 64 * 64 + 64 * 32
    assert kernels(Decoder(512, 32, 8)) == 9 * (512 * 128 + blocks + ups) + 49 * 32


@pytest.mark.parametrize("stride", [4, 8])
def test_the_decoder_of_sifa_gives_slices_of_the_size_of_its_image(stride: int):
    image, features = torch.rand(2, 1, 32, 40) * 2 - 1, torch.rand(2, 8, 32 // stride, 40 // stride)
    decoded = Decoder(8, 2, stride)(features, image)
    assert decoded.shape == image.shape
    assert decoded.abs().max() <= 1


def test_a_rare_class_weighs_more_than_the_background():
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, 0] = 1
    logits = torch.zeros(1, 2, 10, 10)
    cross_entropy, _ = weighted_segmentation_loss(logits, labels)
    # a tenth of the places weighs nine tenths, the others a tenth
    assert cross_entropy.item() == pytest.approx(2 * 0.1 * 0.9 * np.log(2))


def test_the_segmentation_of_synsegnet_moves_the_generator_to_the_target_too(tiny_settings: dict, tmp_path: Path):
    stage = stage_of("synseg_net", tiny_settings, tmp_path)
    images, iteration = torch.cat([stage.source_batches.draw(0)[0], stage.target_batches.draw(0)[0]]), 0
    gradients = []
    for task in (lambda translated: 0 * translated.sum(), lambda translated: translated[:2].square().sum()):
        again = stage_of("synseg_net", tiny_settings, tmp_path).translation
        again.train_on(images, iteration, task)
        gradients.append([parameter.grad.clone() for parameter in again.network.module.networks[1].parameters()])
    assert not all(torch.allclose(plain, moved) for plain, moved in zip(*gradients, strict=True))
    before = copy.deepcopy(stage.networks.segmenter.state_dict())
    stage.step(0)
    assert changed(before, stage.networks.segmenter.state_dict())


def test_synsegnet_has_the_schedule_of_stage_two(tiny_settings: dict, tmp_path: Path):
    changes = {"segmentation": {"iterations": 20, "batch_size": 3}, "synthesis": {"iterations": 6, "batch_size": 2}}
    stage = stage_of("synseg_net", tiny_settings, tmp_path, **changes)
    assert stage.iterations == stage.translation.iterations == 20
    assert stage.translation.learning_rate(9) == stage.translation.learning_rate(0)
    assert stage.translation.learning_rate(19) < stage.translation.learning_rate(11)


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, after[key]) for key, value in before.items())


def test_losses_of_sifa_move_their_own_networks_alone(tiny_settings: dict, tmp_path: Path):
    stage = stage_of("sifa", tiny_settings, tmp_path)
    assert isinstance(stage, SifaStage)
    networks = {name: player.network for name, player in (stage.players | {"encoder": stage.encoder}).items()}

    def moved(train) -> set[str]:
        before = {name: copy.deepcopy(network.state_dict()) for name, network in networks.items()}
        train()
        return {name for name, network in networks.items() if changed(before[name], network.state_dict())}

    (source, labels), (target, _) = stage.source_batches.draw(0), stage.target_batches.draw(0)
    first = moved(lambda: stage._train_generator(source, target, 0))
    assert first == {"generator", "target_judge"}
    assert moved(lambda: stage._train_encoder(source, labels, target, 0)) == set(networks) - first


def test_a_loss_that_passes_through_several_networks_gives_gradients_to_its_own_alone():
    fabric = make_fabric(torch.device("cpu"), "32")
    first, second = (
        Player(*fabric.setup(network, torch.optim.SGD(network.parameters(), 0.1)), fabric)
        for network in (nn.Linear(2, 2), nn.Linear(2, 2))
    )
    loss = second(first(torch.ones(1, 2))).sum()
    second.backward(loss)
    assert all(parameter.grad is None for parameter in first.network.parameters())
    assert all(parameter.grad is not None for parameter in second.network.parameters())


@pytest.mark.parametrize("method", JOINT)
def test_a_training_that_was_stopped_ends_as_one_that_was_not(method: str, tiny_settings: dict, tmp_path: Path):
    settings = configuration(settings_of(method, tiny_settings))
    whole = load_bundle(train(tmp_path / "whole", settings)).segmenter.state_dict()
    calls = iter([False, False, True])
    with pytest.raises(StopRequested):
        train(tmp_path / "parts", settings, stop_asked=lambda: next(calls, False))
    resumed = load_bundle(train(tmp_path / "parts", None)).segmenter.state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


@pytest.mark.parametrize("method", JOINT)
def test_a_joint_training_in_reduced_precision_ends_with_a_segmenter_alone_and_a_picture(
    method: str, tiny_settings: dict, tmp_path: Path
):
    changes = {"training": {"precision": "bf16"}, "segmentation": {"stem_pooling": True}}
    model = train(tmp_path / "run", configuration(settings_of(method, tiny_settings, **changes)))
    bundle = load_bundle(model)
    assert bundle.card.networks == ["segmenter"]
    assert bundle.card.segmentation.method == method
    assert all(value.isfinite().all() for value in bundle.segmenter.state_dict().values())
    assert len(list((tmp_path / "run" / "previews").glob("segmentation_*.png"))) == 1


@pytest.mark.parametrize("method", JOINT)
@pytest.mark.parametrize("of_target", [True, False])
def test_statistics_of_an_averaged_segmenter_are_of_what_it_was_trained_on(
    method: str, of_target: bool, tiny_settings: dict, tmp_path: Path
):
    changes = {"segmentation": {"average_decay": 0.5, "batch_size": 4, "target_statistics": of_target}}
    stage = stage_of(method, tiny_settings, tmp_path, **changes)
    stage.step(0)
    averaged = stage.averaged().segmenter
    source, target = (next(stage.plain_slices(store, None)) for store in (stage.source, stage.target))
    translated = [stage.translate(source)]
    seen = {"synseg_net": translated, "sifa": [target] if of_target else [target, *translated]}[method]
    with torch.no_grad():
        means = torch.stack([averaged.extractor[0][0](images).mean(dim=(0, 2, 3)) for images in seen])
    assert torch.allclose(averaged.extractor[0][1].running_mean, means.mean(dim=0), atol=1e-4)


@pytest.mark.parametrize("method", JOINT)
def test_a_joint_training_has_one_kind_of_iterations(method: str, tiny_settings: dict):
    kinds = kinds_of(configuration(settings_of(method, tiny_settings)))
    assert {name: kind.iterations for name, kind in kinds.items()} == {"segmentation": 8}


@pytest.mark.parametrize("part", NO_PARTS)
def test_parts_of_ours_in_another_method_are_refused(part: str, tiny_settings: dict):
    with pytest.raises(InputError, match="method sifa has parts of its own: set style_transfer"):
        configuration(settings_of("sifa", tiny_settings, segmentation={part: True}))


@pytest.mark.parametrize("method", JOINT)
def test_a_row_of_the_tables_is_trained_by_its_method(method: str, tiny_settings: dict):
    settings = changed_settings(configuration(tiny_settings), METHODS[method])
    assert settings.segmentation.method == method
    assert settings.segmentation.iterations == tiny_settings["segmentation"]["iterations"]
