"""Both stages on tiny phantoms: resume is exact, stopping is clean, the parts of the method can be switched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import load_bundle, read_card
from GlobalLocalAlignmentLib.cohort import build_store, check_cohort
from GlobalLocalAlignmentLib.config import Augmentation, configuration, merge
from GlobalLocalAlignmentLib.devices import make_fabric
from GlobalLocalAlignmentLib.errors import InputError, StopRequested
from GlobalLocalAlignmentLib.networks.segmenter import SegmenterOutput
from GlobalLocalAlignmentLib.slicestore import CaseSlices, SliceSampler, SliceStore
from GlobalLocalAlignmentLib.training.augmentation import RandomAugmentation
from GlobalLocalAlignmentLib.training.checkpoints import load_latest, save_checkpoint
from GlobalLocalAlignmentLib.training.engine import RunContext, WeightAverage
from GlobalLocalAlignmentLib.training.events import EventLog
from GlobalLocalAlignmentLib.training.run import train
from GlobalLocalAlignmentLib.training.segmentation import SegmentationNetworks, SegmentationStage
from GlobalLocalAlignmentLib.training.validation import slice_validation
from GlobalLocalAlignmentSlicerLib.models.modelcard import ModelCardError, readModelCard
from safetensors.torch import load_file


def weights(model: Path) -> dict[str, torch.Tensor]:
    bundle = load_bundle(model)
    networks = {"segmenter": bundle.segmenter, "synthesis": bundle.synthesis, "d1": bundle.feature_discriminator}
    return {f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}


class StopAfter:
    """Asks for a stop when it was asked ``count`` times."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def events(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stop_after", [1, 4, 8, 11])
def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_never_stopped(
    tiny_run: Path, tiny_settings: dict, tmp_path: Path, stop_after: int
):
    with pytest.raises(StopRequested):
        train(tmp_path / "run", configuration(tiny_settings), stop_asked=StopAfter(stop_after))
    model = train(tmp_path / "run", None)
    expected, found = weights(tiny_run / "model.safetensors"), weights(model)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_run_with_the_other_optimizer_is_another_one_and_resumes_bit_for_bit_too(
    tiny_run: Path, tiny_settings: dict, tmp_path: Path
):
    other = {"sgd": "adamw", "adamw": "sgd"}[configuration(tiny_settings).segmentation.optimizer]
    settings = configuration(merge(tiny_settings, {"segmentation": {"optimizer": other}}))
    expected = weights(train(tmp_path / "whole", settings))
    with pytest.raises(StopRequested):
        train(tmp_path / "stopped", settings, stop_asked=StopAfter(10))
    found = weights(train(tmp_path / "stopped", None))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    layer = "segmenter.extractor.0.0.weight"
    assert not torch.equal(expected[layer], weights(tiny_run / "model.safetensors")[layer])


def test_a_training_that_ends_before_the_alignment_has_its_strength_is_refused(tiny_settings: dict):
    with pytest.raises(InputError, match="3 iterations end before warm_up"):
        configuration(merge(tiny_settings, {"segmentation": {"iterations": 3}}))


def test_no_mask_of_an_untrained_d1_is_shown_while_the_training_warms_up(tiny_settings: dict, tmp_path: Path):
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 40)).astype(np.float32)
    case = CaseSlices("a", images, np.zeros(images.shape, np.uint8), list(range(4)))
    store = SliceStore.build(tmp_path / "store", iter([case]), (32, 40), labelled=True)
    context = RunContext(tmp_path, configuration(tiny_settings), make_fabric(torch.device("cpu"), "32"), EventLog(None))
    shown = []

    def watch(networks: SegmentationNetworks) -> dict[str, float]:
        shown.append(networks.feature_discriminator is not None)
        return {}

    stage = SegmentationStage(context, store, store, watch)
    for iteration in range(4):
        stage.step(iteration)
        stage.validate(1)
    assert shown == [False, False, True, True]
    assert stage.averaged().feature_discriminator is not None


def test_a_borrowed_synthesis_network_is_refused_before_anything_is_written(
    tiny_run: Path, tiny_settings: dict, tmp_path: Path
):
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes((tiny_run / "model.safetensors").read_bytes()[:500])
    settings = configuration(merge(tiny_settings, {"synthesis": {"model": str(damaged)}}))
    with pytest.raises(InputError, match="truncated"):
        train(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_every_run_ends_with_panels_of_both_stages(tiny_run: Path, tiny_settings: dict, tmp_path: Path):
    settings = configuration(merge(tiny_settings, {"synthesis": {"model": str(tiny_run / "model.safetensors")}}))
    train(tmp_path / "run", settings)
    with np.load(tmp_path / "run" / "panels" / "segmentation_ours.npz") as panel:
        assert {key: panel[key].shape for key in panel} == {
            "image": (2, 32, 40),
            "mask": (2, 32, 40),
            "prediction": (2, 32, 40),
        }
    with np.load(tmp_path / "run" / "panels" / "translation_MR_to_CT.npz") as panel:
        assert set(panel) == {"source", "translated", "reconstructed", "cycled", "target"}


def test_the_stop_file_stops_with_a_checkpoint_and_resume_takes_it_away(tiny_settings: dict, tmp_path: Path):
    run = tmp_path / "run"

    def ask(entry: dict) -> None:
        if entry["event"] == "progress" and entry["stage"] == "synthesis":
            (run / "stop").write_text("")

    with pytest.raises(StopRequested):
        train(run, configuration(tiny_settings), [ask])
    assert events(run)[-1]["event"] == "stopped"
    assert list((run / "checkpoints").glob("synthesis_*.pt"))
    train(run, None)
    assert not (run / "stop").exists()
    assert events(run)[-1]["event"] == "run_finished"


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def change_a_bit(path: Path) -> None:
    """Change a bit of the weights, which nothing but the checksum shows."""
    content = bytearray(path.read_bytes())
    # of float32
    place = content.index(np.full(8, 2 + int("3" in path.name), np.float32).tobytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_off, change_a_bit])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path: Path, damage: Callable[[Path], None]):
    warnings: list[str] = []
    for iteration in (1, 2, 3):
        save_checkpoint(tmp_path, "synthesis", iteration, {"value": torch.full((8,), float(iteration))})
    assert len(list(tmp_path.iterdir())) == 2
    damage(tmp_path / "synthesis_0000003.pt")
    iteration, state = load_latest(tmp_path, "synthesis", warnings.append)
    assert (iteration, int(state["value"][0])) == (2, 2)
    assert "synthesis_0000003.pt is damaged" in warnings[0] and "synthesis_0000002.pt is used" in warnings[0]
    # the damaged one is not taken for one of the last two
    save_checkpoint(tmp_path, "synthesis", 2, state)
    assert [path.name for path in tmp_path.iterdir()] == ["synthesis_0000002.pt"]
    damage(tmp_path / "synthesis_0000002.pt")
    assert load_latest(tmp_path, "synthesis", warnings.append) is None
    assert "begins anew" in warnings[-1]


def test_a_run_leaves_its_configuration_events_metrics_previews_and_model(tiny_run: Path):
    kinds = [entry["event"] for entry in events(tiny_run)]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    assert all(entry["schema"] == 1 for entry in events(tiny_run))
    header, *rows = (tiny_run / "metrics.csv").read_text().splitlines()
    assert header == "time,stage,iteration,name,value"
    names = {row.split(",")[3] for row in rows}
    assert {"cycle", "adversarial", "cross_entropy", "feature_adversarial", "mask_mean"} <= names
    assert {path.name for path in (tiny_run / "previews").iterdir()} == {
        "synthesis_0000006.png",
        "segmentation_0000008.png",
    }
    card = read_card(tiny_run / "model.safetensors")
    assert card.networks == ["feature_discriminator", "output_discriminator", "segmenter", "synthesis"]
    assert (card.source.modality, card.target.modality) == ("MR", "CT")


def test_the_card_and_the_report_name_no_folder_of_this_computer(tiny_run: Path, cohorts: Path):
    from GlobalLocalAlignmentLib.report import write_report

    assert str(cohorts) not in read_card(tiny_run / "model.safetensors").model_dump_json()
    assert str(cohorts) not in write_report(tiny_run).read_text()


@pytest.mark.parametrize(
    ("changes", "networks"),
    [
        ({"style_transfer": False}, ["feature_discriminator", "output_discriminator", "segmenter"]),
        ({"feature_discriminator": False}, ["output_discriminator", "segmenter", "synthesis"]),
        ({"output_discriminator": False, "mask_target": "source"}, ["feature_discriminator", "segmenter", "synthesis"]),
        ({"adversarial": "vanilla", "target_statistics": True, "detach_mask": True}, None),
    ],
)
def test_the_parts_of_the_method_can_be_switched(tiny_settings: dict, tmp_path: Path, changes: dict, networks: list):
    settings = merge(tiny_settings, {"segmentation": changes, "synthesis": {"image_pool": 6}})
    card = read_card(train(tmp_path / "run", configuration(settings)))
    assert networks is None or card.networks == networks


def test_a_trained_synthesis_model_serves_the_other_direction(
    tiny_run: Path, tiny_settings: dict, cohorts: Path, tmp_path: Path
):
    turned = {
        "source": {"images": [cohorts / "target" / "images"], "labelmaps": [cohorts / "target" / "labels"]},
        "target": {"images": [cohorts / "source" / "images"]},
        "synthesis": {"model": tiny_run / "model.safetensors"},
    }
    model = train(tmp_path / "run", configuration(merge(tiny_settings, turned)))
    card = read_card(model)
    assert (card.source.modality, card.target.modality) == ("CT", "MR")
    assert card.synthesis_domains == ("MR", "CT")
    first, second = weights(tiny_run / "model.safetensors"), weights(model)
    assert all(torch.equal(first[name], second[name]) for name in first if name.startswith("synthesis"))
    assert not any(entry["stage"] == "synthesis" for entry in events(tmp_path / "run"))


def test_what_stage_one_made_serves_others_before_stage_two_is_done(
    tiny_run: Path, tiny_settings: dict, cohorts: Path, tmp_path: Path
):
    def stop(entry: dict) -> None:
        stopping.append(entry["event"] == "stage_started" and entry["stage"] == "segmentation")

    stopping: list[bool] = []
    with pytest.raises(StopRequested):
        train(tmp_path / "first", configuration(tiny_settings), [stop], lambda: any(stopping))
    lent = tmp_path / "first" / "synthesis.safetensors"
    whole, alone = weights(tiny_run / "model.safetensors"), load_file(lent)
    assert not (tmp_path / "first" / "model.safetensors").exists()
    assert alone.keys() == {name for name in load_file(tiny_run / "model.safetensors") if name.startswith("synthesis.")}
    second = train(tmp_path / "second", configuration(merge(tiny_settings, {"synthesis": {"model": lent}})))
    assert all(torch.equal(value, whole[name]) for name, value in weights(second).items())
    with pytest.raises(InputError, match="of a training alone; use the model of a whole training"):
        load_bundle(lent)
    with pytest.raises(ModelCardError, match="of a training alone"):
        readModelCard(lent)


def test_d1_learns_zero_for_source_and_one_for_target(tiny_settings: dict, tmp_path: Path):
    smooth = np.linspace(-1, 1, 40 * 32).reshape(1, 32, 40).repeat(8, 0)
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 32, 40))
    labels = np.zeros((8, 32, 40), np.uint8)
    source, target = (
        SliceStore.build(tmp_path / name, [CaseSlices("a", images, part, list(range(8)))], (32, 40), part is not None)
        for name, images, part in (("source", smooth, labels), ("target", noise, None))
    )
    changes = {"segmentation": {"iterations": 400, "warm_up": 0, "discriminator_learning_rate": 3e-3}}
    settings = configuration(merge(tiny_settings, changes))
    context = RunContext(tmp_path, settings, make_fabric(torch.device("cpu"), "32"), EventLog(None))
    stage = SegmentationStage(context, source, target)
    values = [stage.step(iteration) for iteration in range(80)][-10:]
    near, far = (
        np.mean([value[f"feature_discriminator_{domain}"].item() for value in values])
        for domain in ("source", "target")
    )
    assert near < 0.35
    assert far > 0.65


def test_d1_without_the_mask_aligns_features_and_is_no_part_of_the_model(tiny_settings: dict, tmp_path: Path):
    changes = {"segmentation": {"style_transfer": False, "local_feature_mask": False, "average_decay": 0.5}}
    model = train(tmp_path / "run", configuration(merge(tiny_settings, changes)))
    assert read_card(model).networks == ["output_discriminator", "segmenter"]
    values = [entry["values"] for entry in events(tmp_path / "run") if entry["event"] == "progress"]
    assert "feature_discriminator" in values[-1] and "mask_mean" not in values[-1]


@pytest.mark.parametrize("masked", [True, False])
def test_the_features_of_the_target_are_scaled_by_the_mask_alone(masked: bool, tiny_settings: dict, tmp_path: Path):
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 40))
    case = CaseSlices("a", images, np.zeros(images.shape, np.uint8), list(range(4)))
    store = SliceStore.build(tmp_path / "store", [case], (32, 40), labelled=True)
    settings = configuration(merge(tiny_settings, {"segmentation": {"local_feature_mask": masked}}))
    context = RunContext(tmp_path, settings, make_fabric(torch.device("cpu"), "32"), EventLog(None))
    stage = SegmentationStage(context, store, store)
    plain = stage.segmenter(stage.target_batches.draw(0)[0]).logits
    assert torch.allclose(stage._target_path(0, 1.0).logits, plain, atol=1e-5) is not masked


def test_labels_are_found_in_the_files_where_none_are_configured(tiny_settings: dict, tmp_path: Path):
    settings = merge(tiny_settings, {"labels": [], "segmentation": {"style_transfer": False}})
    card = read_card(train(tmp_path / "run", configuration(settings)))
    assert [label.name for label in card.labels] == ["label 1", "label 2", "label 3", "label 4"]


def test_any_label_values_are_trained_as_class_indices_in_the_order_of_the_labels(tiny_settings: dict, tmp_path: Path):
    values = {1: 40, 2: 7, 3: 254, 4: 2}
    labels = [{**label, "value": values[label["value"]]} for label in tiny_settings["labels"]]
    mapped = configuration(merge(tiny_settings, {"labels": labels, "source": {"label_mapping": values}}))
    plain = configuration(tiny_settings)
    stores = []
    for name, settings in (("plain", plain), ("mapped", mapped)):
        cohort = check_cohort(settings.source, "source", settings.labels, settings.intensity_by_modality)
        stores.append(build_store(tmp_path / name, cohort, settings.source, settings.plane, settings.labels))
    assert set(np.unique(stores[0].labels)) == {0, 1, 2, 3, 4}
    assert np.array_equal(stores[0].labels, stores[1].labels)


def test_validation_is_recorded_and_changes_no_weight(tiny_run: Path, tiny_settings: dict, tmp_path: Path):
    target = Path(tiny_settings["target"]["images"][0]).parent
    changes = {
        "validation": {"images": [target / "images"], "labelmaps": [target / "labels"], "include": ["case_01"]},
        "training": {"preview_every": 4},
    }
    model = train(tmp_path / "run", configuration(merge(tiny_settings, changes)))
    found = [entry for entry in events(tmp_path / "run") if entry["event"] == "validation"]
    assert [entry["iteration"] for entry in found] == [4, 8]
    assert found[0]["values"].keys() == {"liver", "right kidney", "left kidney", "spleen"}
    assert all(0 <= value <= 1 for entry in found for value in entry["values"].values())
    expected = weights(tiny_run / "model.safetensors")
    assert all(torch.equal(expected[name], value) for name, value in weights(model).items())
    scores = read_card(model).scores
    assert scores["validation_cases"] == 1
    assert scores["validation_slice_dice"].keys() == found[0]["values"].keys()
    assert read_card(tiny_run / "model.safetensors").scores == {}


def test_validation_gives_the_mean_dice_over_cases(tmp_path: Path):
    class Threshold(torch.nn.Module):
        """Class 1 wherever the image is bright."""

        def forward(self, image: torch.Tensor, discriminator: None) -> SegmenterOutput:
            return SegmenterOutput(image, None, None, torch.cat([-image, image], dim=1))

    images = np.full((2, 3, 32, 32), -1, np.float32)
    images[:, :, :8] = 1
    labels = (images > 0).astype(np.uint8)
    # in the second case twice as much is true as is found
    labels[1, :, 8:16] = 1
    cases = [CaseSlices(str(index), images[index], labels[index], [0, 1, 2]) for index in range(2)]
    store = SliceStore.build(tmp_path, iter(cases), (32, 32), labelled=True)
    networks = SimpleNamespace(segmenter=Threshold(), feature_discriminator=None)
    validate = slice_validation(store, ["bright", "absent"], make_fabric(torch.device("cpu"), "32"), 2)
    assert validate(networks) == pytest.approx({"bright": (1 + 2 / 3) / 2})


def test_batch_norm_statistics_are_those_of_the_averaged_weights(tiny_settings: dict, tmp_path: Path):
    chance = np.random.default_rng(0)
    images = chance.uniform(-1, 1, (8, 32, 40)).astype(np.float32)
    case = CaseSlices("a", images, np.zeros(images.shape, np.uint8), list(range(8)))
    store = SliceStore.build(tmp_path / "store", iter([case]), (32, 40), labelled=True)
    changes = {"segmentation": {"average_decay": 0.9, "batch_size": 4, "target_statistics": True}}
    settings = configuration(merge(tiny_settings, changes))
    context = RunContext(tmp_path, settings, make_fabric(torch.device("cpu"), "32"), EventLog(None))
    stage = SegmentationStage(context, store, store)
    for iteration in range(4):
        stage.step(iteration)
    averaged = stage.averaged()
    layer = averaged.segmenter.extractor[0][1]
    with torch.no_grad():
        before = averaged.segmenter.extractor[0][0](torch.from_numpy(images)[:, None])
    assert torch.allclose(layer.running_mean, before.mean(dim=(0, 2, 3)), atol=1e-3)
    assert torch.allclose(layer.running_var, before.var(dim=(0, 2, 3)), atol=1e-2)
    # what goes on being averaged is left alone
    assert not torch.equal(layer.running_mean, stage.average.network.segmenter.extractor[0][1].running_mean)


def test_every_slice_comes_once_before_any_comes_again():
    sampler = SliceSampler(10, 4, (0, 1))
    drawn = np.concatenate([sampler.batch(iteration) for iteration in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert np.array_equal(SliceSampler(10, 4, (0, 1)).batch(3), drawn[12:16])


def test_an_unfinished_store_does_not_exist(tmp_path: Path):
    def broken():
        yield CaseSlices("a", np.zeros((2, 8, 8)), None, [0, 1])
        raise InputError("b", "is bad", "mend it")

    with pytest.raises(InputError):
        SliceStore.build(tmp_path, broken(), (8, 8), labelled=False)
    assert not SliceStore.exists(tmp_path)


def test_augmentation_moves_image_and_labels_together():
    labels = torch.zeros(6, 40, 56, dtype=torch.long)
    labels[:, 10:25, 12:40] = 1
    images = labels[:, None].float() * 2 - 1
    settings = Augmentation(rotation=30, scale=0.2, shift=0.1, elastic=0.5, intensity=0)
    moved, moved_labels = RandomAugmentation(settings)(images, labels, torch.Generator().manual_seed(3))
    assert not torch.equal(moved_labels, labels)
    assert ((moved[:, 0] > 0) == (moved_labels == 1)).float().mean() > 0.97


def test_rotation_keeps_shapes_in_pictures_that_are_not_square():
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(128), indexing="ij")
    disc = ((rows - 31.5) ** 2 + (columns - 63.5) ** 2 < 20**2).long().repeat(8, 1, 1)
    settings = Augmentation(rotation=90, scale=0, shift=0, intensity=0)
    _, moved = RandomAugmentation(settings)(disc[:, None] * 2.0 - 1, disc, torch.Generator().manual_seed(0))
    assert (moved == disc).float().mean() > 0.99


def test_intensity_changes_stay_in_range_and_leave_labels_alone():
    images, labels = torch.rand(4, 1, 16, 16) * 2 - 1, torch.ones(4, 16, 16, dtype=torch.long)
    settings = Augmentation(rotation=0, scale=0, shift=0, intensity=1)
    changed, same = RandomAugmentation(settings)(images, labels, torch.Generator().manual_seed(0))
    assert not torch.allclose(changed, images)
    assert changed.abs().max() <= 1
    assert torch.equal(same, labels)


def test_a_bias_field_is_a_smooth_gain_of_each_slice_that_leaves_darkness_and_labels_alone():
    images, labels = torch.full((6, 1, 32, 48), -0.5), torch.ones(6, 32, 48, dtype=torch.long)
    images[:, :, :, :8] = -1
    settings = Augmentation(rotation=0, scale=0, shift=0, intensity=0, bias_field=1)
    changed, same = RandomAugmentation(settings)(images, labels, torch.Generator().manual_seed(0))
    gain = (changed + 1)[..., 8:] / 0.5
    assert (changed[..., :8] == -1).all()
    assert 0.4 < gain.min() < 0.8
    assert 1.25 < gain.max() < 2.5
    steps = gain.diff(dim=-1).abs().max(), gain.diff(dim=-2).abs().max()
    assert max(steps) < 0.3
    assert len(torch.unique(gain.mean(dim=(1, 2, 3)))) == 6
    assert torch.equal(same, labels)


def test_appearance_changes_the_chosen_slices_alone_each_in_its_own_way_and_leaves_labels_alone():
    images = (torch.rand(1, 1, 24, 32) * 2 - 1).repeat(40, 1, 1, 1)
    labels = torch.ones(40, 24, 32, dtype=torch.long)
    settings = Augmentation(rotation=0, scale=0, shift=0, intensity=0, appearance=0.5)
    changed, same = RandomAugmentation(settings)(images, labels, torch.Generator().manual_seed(0))
    differs = (changed - images).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert 12 <= differs.sum() <= 28
    assert changed.abs().max() <= 1
    assert len(torch.unique(changed[differs].mean(dim=(1, 2, 3)))) == differs.sum()
    assert torch.equal(same, labels)


def test_appearance_keeps_the_overall_brightness_and_contrast_of_a_slice():
    images = torch.rand(8, 1, 24, 32) - 0.5
    settings = Augmentation(rotation=0, scale=0, shift=0, intensity=0, appearance=1)
    changed, _ = RandomAugmentation(settings)(images, None, torch.Generator().manual_seed(0))
    axes = (1, 2, 3)
    assert torch.allclose(changed.mean(axes), images.mean(axes), atol=0.05)
    assert (changed.std(axes) < 1.05 * images.std(axes)).all()


def test_the_weight_average_follows_slowly_and_a_decay_of_zero_follows_at_once():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    slow, fast = WeightAverage(network, 0.9), WeightAverage(network, 0.0)
    torch.nn.init.ones_(network.weight)
    for average in (slow, fast):
        average.update(network, 1000)
    assert slow.network.weight.item() == pytest.approx(0.1)
    assert fast.network.weight.item() == 1


def test_a_finished_run_can_be_resumed_without_harm(tiny_run: Path, tmp_path: Path):
    run = tmp_path / "copy"
    shutil.copytree(tiny_run, run)
    before = weights(run / "model.safetensors")
    # killed when the model had its name and the slices, which name cases, were still there
    (run / "slices" / "source").mkdir(parents=True)
    (run / "slices" / "source" / "index.json").write_text('{"cases": ["somebody"]}')
    after = weights(train(run, None))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not (run / "slices").exists()
