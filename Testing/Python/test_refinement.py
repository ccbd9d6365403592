"""Several passes over a slice, and the mean over neighbouring slices."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from GlobalLocalAlignmentLib.bundle import DomainCard, load_bundle, make_card, read_card
from GlobalLocalAlignmentLib.cli import run
from GlobalLocalAlignmentLib.config import configuration, load_preset, merge
from GlobalLocalAlignmentLib.networks import DeepLabSegmenter, FeatureDiscriminator
from GlobalLocalAlignmentLib.networks.segmenter import SegmenterOutput
from GlobalLocalAlignmentLib.phantom import render_phantom
from GlobalLocalAlignmentLib.prediction import Outputs, Predictor
from GlobalLocalAlignmentLib.refinement import SliceSmoothing, segment
from GlobalLocalAlignmentLib.settings import Refinement
from GlobalLocalAlignmentLib.volumes import Volume, write_volume
from torch import Tensor
from torch.nn import functional

EVERYTHING = Outputs(feature_mask=True, probabilities=True)


class Coarse:
    """Stands in for a segmenter: a position of its features says whether most of its pixels are of the structure."""

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def __call__(self, images: Tensor, discriminator: object) -> SegmenterOutput:
        features = functional.avg_pool2d(images, self.stride).sign()
        logits = functional.interpolate(torch.cat([-features, features], 1) * 8, images.shape[-2:], mode="bilinear")
        return SegmenterOutput(features, features, features.abs().tanh(), logits)


def discs(count: int = 20) -> Tensor:
    """(count, 1, 64, 80): 1 within discs of random sizes at random places, -1 around them."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(80), indexing="ij")
    middles, radii = 30 + 16 * torch.rand(2, count, 1, 1), 10 + 8 * torch.rand(count, 1, 1)
    return torch.where((y - middles[0]) ** 2 + (x - middles[1]) ** 2 < radii**2, 1.0, -1.0)[:, None]


@pytest.fixture
def networks() -> tuple[DeepLabSegmenter, FeatureDiscriminator]:
    segmenter = DeepLabSegmenter(3, 8, (1, 1, 1, 2)).eval().requires_grad_(False)
    return segmenter, FeatureDiscriminator(segmenter.feature_channels, 8).eval().requires_grad_(False)


def test_one_pass_is_what_the_segmenter_gives(networks: tuple[DeepLabSegmenter, FeatureDiscriminator]):
    images = torch.rand(3, 1, 64, 72) * 2 - 1
    output = networks[0](images, networks[1])
    found = segment(*networks, images)
    assert torch.equal(found.probabilities, output.logits.softmax(1))
    assert found.mask.shape == images.shape
    assert segment(networks[0], None, images).mask is None


@pytest.mark.parametrize("shifts", [2, 4])
def test_each_pass_is_moved_back_to_where_it_was(shifts: int):
    """A segmenter that moves with the slice gives the same in all passes, up to the borders of the slice."""
    image = torch.rand(2, 1, 32, 40) * 2 - 1

    class Pointwise(Coarse):
        def __call__(self, images: Tensor, discriminator: object) -> SegmenterOutput:
            return SegmenterOutput(images, images, images.abs().tanh(), torch.cat([-images, images], 1))

    once, several = (segment(Pointwise(8), None, image, count) for count in (1, shifts))
    assert torch.allclose(once.probabilities, several.probabilities, atol=1e-6)
    assert torch.allclose(once.mask, several.mask, atol=1e-6)


@pytest.mark.parametrize("stride", [8, 4])
def test_more_passes_find_a_border_more_finely(stride: int):
    images = discs()
    wrong = [
        int(((segment(Coarse(stride), None, images, shifts).probabilities[:, 1:] > 0.5) != (images > 0)).sum())
        for shifts in (1, 2, 4)
    ]
    assert wrong[0] > 1.5 * wrong[1]
    assert wrong[1] > wrong[2]


def test_probabilities_add_to_one_with_any_number_of_passes(networks: tuple[DeepLabSegmenter, FeatureDiscriminator]):
    images = torch.rand(2, 1, 64, 72) * 2 - 1
    for shifts in (1, 2, 4):
        found = segment(*networks, images, shifts)
        assert torch.allclose(found.probabilities.sum(1), torch.ones(2, 64, 72), atol=1e-5)
        assert 0 <= found.mask.min() and found.mask.max() < 1


def test_without_a_weight_slices_stay_as_they_are():
    slices = torch.rand(4, 2, 3, 4)
    slices[1] = torch.nan
    smoothing = SliceSmoothing(0, 4)
    for start in (0, 2):
        part, found = smoothing.put(slices[start : start + 2])
        assert part == slice(start, start + 2)
        assert torch.equal(found.nan_to_num(-1), slices[part].nan_to_num(-1))


def test_what_one_slice_alone_is_sure_of_stays_with_the_weight_of_the_presets():
    weight = configuration(load_preset("abdomen-cpu")).refinement.slice_smoothing
    shares = torch.tensor([0.0, 0.0, 0.9, 0.0, 0.0])[:, None]
    assert (SliceSmoothing(weight, 5).put(shares)[1][:, 0] > 0.5).tolist() == [False, False, True, False, False]


def test_a_training_writes_its_refinement_into_the_model(tiny_settings: dict):
    settings = configuration(merge(tiny_settings, {"refinement": {"shifts": 2, "slice_smoothing": 0.2}}))
    domain = DomainCard(modality="CT", intensity=settings.intensity_by_modality["CT"])
    card = make_card(settings, domain, domain, None, {})
    assert card.refinement == Refinement(shifts=2, slice_smoothing=0.2)


@pytest.mark.parametrize("sizes", [[7], [1, 1, 5], [2, 5], [6, 1], [1] * 7])
def test_slices_are_mixed_with_their_neighbours_however_they_come(sizes: list[int]):
    slices = torch.rand(7, 2, 3, 4)
    padded = torch.cat([slices[:1], slices, slices[-1:]])
    expected = 0.5 * slices + 0.25 * (padded[:-2] + padded[2:])
    smoothing, found = SliceSmoothing(0.25, 7), torch.full_like(slices, torch.nan)
    for batch in slices.split(sizes):
        part, smooth = smoothing.put(batch)
        found[part] = smooth
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("count", [1, 2])
def test_a_volume_of_a_slice_or_two_has_all_of_them(count: int):
    slices = torch.rand(count, 2, 3, 4)
    part, smooth = SliceSmoothing(0.25, count).put(slices)
    assert part == slice(0, count)
    assert torch.allclose(smooth[0], 0.75 * slices[0] + 0.25 * slices[-1])


@pytest.fixture
def volume() -> Volume:
    return render_phantom("abdomen", "CT", 7, (40, 32, 8), (8, 8, 16), oblique=True)[0]


def predictor_of(model: Path, of_the_model: Refinement, asked: Refinement | None = None, batch_size: int = 3):
    bundle = load_bundle(model)
    bundle = replace(bundle, card=bundle.card.model_copy(update={"refinement": of_the_model}))
    return Predictor(bundle, torch.device("cpu"), batch_size=batch_size, refinement=asked)


@pytest.mark.parametrize("refinement", [Refinement(shifts=2), Refinement(slice_smoothing=0.25)])
def test_a_model_is_applied_as_it_says_unless_told_otherwise(tiny_run: Path, volume: Volume, refinement: Refinement):
    model, plain = tiny_run / "model.safetensors", Refinement()
    shares = {
        name: predictor.predict(volume, EVERYTHING).probabilities[1].array
        for name, predictor in {
            "plain": predictor_of(model, plain),
            "refined": predictor_of(model, refinement),
            "asked for": predictor_of(model, plain, refinement),
            "not asked for": predictor_of(model, refinement, plain),
        }.items()
    }
    assert np.array_equal(shares["refined"], shares["asked for"])
    assert np.array_equal(shares["plain"], shares["not asked for"])
    assert not np.allclose(shares["plain"], shares["refined"])


def test_refined_results_belong_together_and_do_not_depend_on_the_batch_size(tiny_run: Path, volume: Volume):
    refinement = Refinement(shifts=2, slice_smoothing=0.25)
    first, *others = (
        predictor_of(tiny_run / "model.safetensors", refinement, batch_size=size).predict(volume, EVERYTHING)
        for size in (1, 3, 8)
    )
    shares = np.stack([first.probabilities[value].array for value in sorted(first.probabilities)])
    assert np.allclose(shares.sum(axis=0), 1, atol=1e-4)
    assert np.array_equal(first.labelmap.array, shares.argmax(axis=0))
    for other in others:
        assert np.allclose(first.probabilities[1].array, other.probabilities[1].array, atol=1e-5)
        # in steps of 1 / 1024
        assert np.allclose(first.feature_mask.array, other.feature_mask.array, atol=2e-3)


def test_a_model_of_before_there_was_any_is_applied_in_one_pass(tiny_run: Path, tmp_path: Path):
    content = (tiny_run / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header["__metadata__"]["card"])
    assert card.pop("refinement") == {"shifts": 1, "slice_smoothing": 0.0}
    header["__metadata__"]["card"] = json.dumps(card)
    text = json.dumps(header).encode()
    older = tmp_path / "older.safetensors"
    older.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    assert read_card(older).refinement == Refinement()


def test_the_command_refuses_what_cannot_be_and_does_anew_what_would_be_different(
    untrained_model: Path, volume: Volume, tmp_path: Path, capsys: pytest.CaptureFixture
):
    write_volume(volume, tmp_path / "in" / "a.nii.gz")
    words = ["predict", "-m", str(untrained_model), "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]

    def said(*more: str) -> tuple[int, str]:
        code = run([*words, "--device", "cpu", *more])
        output = capsys.readouterr()
        return code, " ".join((output.out + output.err).split())

    code, text = said("--shifts", "3")
    assert code == 2 and "error: setting refinement.shifts: cannot be 3 (Input should be 1, 2 or 4); correct" in text
    code, text = said("--slice-smoothing", "0.5")
    assert code == 2 and "error: setting refinement.slice_smoothing: cannot be 0.5 (Input should be less" in text
    assert not (tmp_path / "out").exists()
    for more, done in ((("--shifts", "2"), 1), (("--shifts", "2"), 0), (("--shifts", "1"), 1), ((), 0)):
        code, text = said(*more)
        assert code == 0
        assert int(re.search(r"(\d+) segmented into", text)[1]) == done
