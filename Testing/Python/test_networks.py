"""Shapes and parameter counts against Tables IV to VII, and the behaviour of the local feature mask."""

from __future__ import annotations

import copy

import pytest
import torch
from GlobalLocalAlignmentLib.losses import adversarial_loss, dice_loss
from GlobalLocalAlignmentLib.networks import (
    DeepLabSegmenter,
    FeatureDiscriminator,
    ImageDiscriminator,
    OutputDiscriminator,
    SynthesisNetwork,
    local_feature_mask,
)
from GlobalLocalAlignmentLib.networks.synthesis import ReflectConvolution, adaptive_instance_normalization
from GlobalLocalAlignmentLib.training.batches import frozen
from torch import nn
from torch.nn import functional


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def tiny_segmenter(classes: int = 3) -> tuple[DeepLabSegmenter, FeatureDiscriminator]:
    torch.manual_seed(0)
    segmenter = DeepLabSegmenter(classes, width=4, blocks=(1, 1, 1, 2))
    return segmenter, FeatureDiscriminator(segmenter.feature_channels)


def test_style_perceptrons_give_as_many_parameters_as_the_paper_says():
    network = SynthesisNetwork()
    assert network.encoder_style.parameter_count == 4992
    assert network.decoder_style.parameter_count == 4480


def test_encoder_and_decoder_have_the_parameters_of_tables_iv_and_vi():
    network = SynthesisNetwork()
    block = 2 * (256 * 256 * 9 + 256)
    encoder = (49 * 64 + 64) + (64 * 128 * 9 + 128) + (128 * 256 * 9 + 256) + 4 * block
    decoder = 4 * block + (256 * 128 * 9 + 128) + (128 * 64 * 9 + 64) + (64 * 49 + 1)
    assert count(network.encoder) == encoder
    assert count(network.decoder) == decoder


def test_style_perceptron_has_the_layers_of_table_v():
    widths = [
        (layer.in_features, layer.out_features)
        for layer in SynthesisNetwork().encoder_style.layers
        if hasattr(layer, "weight")
    ]
    assert widths == [(2, 256), (256, 256), (256, 4992)]


def test_an_untrained_synthesis_network_normalises_plainly():
    network = SynthesisNetwork()
    for perceptron in (network.encoder_style, network.decoder_style):
        for scale, shift in perceptron(torch.tensor([0, 1])):
            assert scale.abs().mean() < 0.5
            assert shift.abs().mean() < 0.5


def test_content_has_a_quarter_of_the_size_and_images_come_back_whole():
    network = SynthesisNetwork(width=8, blocks=1, hidden=8)
    image, domain = torch.rand(2, 1, 40, 64) * 2 - 1, torch.tensor([0, 1])
    content = network.encode(image, domain)
    assert content.shape == (2, 32, 10, 16)
    decoded = network.decode(content, 1 - domain)
    assert decoded.shape == image.shape
    assert decoded.abs().max() <= 1


def test_normalisation_gives_each_sample_its_own_scale_and_shift():
    features, scale, shift = torch.randn(2, 3, 8, 8), torch.randn(2, 3), torch.randn(2, 3)
    result = adaptive_instance_normalization(features, iter([(scale, shift)]))
    expected = functional.instance_norm(features, eps=1e-5) * (1 + scale)[..., None, None] + shift[..., None, None]
    assert torch.allclose(result, expected, atol=1e-5)


def test_the_domain_label_changes_the_translation():
    torch.manual_seed(0)
    network, image = SynthesisNetwork(width=4, blocks=1, hidden=8), torch.rand(1, 1, 32, 32)
    source, target = torch.tensor([0]), torch.tensor([1])
    assert not torch.allclose(network(image, source, source), network(image, source, target))


def test_image_discriminator_has_the_layers_of_table_vii():
    network = ImageDiscriminator()
    expected = 0
    for inputs, outputs in ((1, 64), (64, 128), (128, 256), (256, 512), (512, 2)):
        expected += inputs * outputs * 16 + outputs
    assert count(network) == expected
    assert network(torch.zeros(2, 1, 256, 256), torch.tensor([0, 1])).shape == (2, 1, 30, 30)


def test_image_discriminator_judges_by_the_branch_of_the_domain():
    network, image = ImageDiscriminator(width=4), torch.randn(1, 1, 32, 32)
    both = network.branches(network.body(image))
    assert torch.equal(network(image, torch.tensor([1])), both[:, 1:2])
    assert not torch.equal(network(image, torch.tensor([0])), both[:, 1:2])


def test_segmenter_is_resnet_50_with_four_atrous_branches():
    segmenter = DeepLabSegmenter(5)
    # the 23 508 032 of ResNet-50 without its classifier, with one input channel in place of three
    backbone = 23_508_032 - 2 * 64 * 49
    assert count(segmenter) == backbone + 4 * (2048 * 5 * 9 + 5)
    assert segmenter.feature_channels == 2048


@pytest.mark.parametrize("size", [(9, 9), (40, 31)])
def test_all_four_atrous_branches_add_up(size: tuple[int, int]):
    segmenter, _ = tiny_segmenter()
    pyramid, features = segmenter.predictor[1], torch.randn(2, segmenter.feature_channels, *size, requires_grad=True)
    for branch in pyramid.branches:
        nn.init.normal_(branch.bias)
    plain = sum(branch(features) for branch in pyramid.branches)
    assert_same_function(pyramid(features), plain, [features, *pyramid.parameters()])
    assert [branch.dilation[0] for branch in pyramid.branches] == [6, 12, 18, 24]


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 6), (5, 1), (1, 1), (3, 4)])
@pytest.mark.parametrize(("size", "stride"), [(7, 1), (3, 1), (4, 2)])
def test_a_reflect_convolution_is_a_convolution_of_the_reflected_image(
    inputs: int, outputs: int, size: int, stride: int
):
    convolution = ReflectConvolution(inputs, outputs, size, stride)
    image, border = torch.randn(2, inputs, 18, 23, requires_grad=True), (size - 1) // 2
    padded = functional.pad(image, 4 * [border], mode="reflect")
    plain = functional.conv2d(padded, convolution.weight, convolution.bias, stride)
    assert_same_function(convolution(image), plain, [image, *convolution.parameters()])


def assert_same_function(found: torch.Tensor, wanted: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """Equal values, and equal gradients with respect to ``inputs`` for one random gradient of the outputs."""
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, atol=1e-6)
    gradient = torch.randn_like(wanted)
    pairs = zip(*(torch.autograd.grad(part, inputs, gradient) for part in (found, wanted)), strict=True)
    assert all((one - other).abs().max() <= 1e-5 * other.abs().max() for one, other in pairs)


@pytest.mark.parametrize(("pooling", "stride"), [(True, 8), (False, 4)])
def test_features_have_the_stride_of_the_configuration(pooling: bool, stride: int):
    segmenter = DeepLabSegmenter(3, width=4, blocks=(1, 1, 1, 2), stem_pooling=pooling)
    output = segmenter(torch.randn(2, 1, 64, 96))
    assert segmenter.stride == stride
    assert output.features.shape == (2, 128, 64 // stride, 96 // stride)
    assert output.logits.shape == (2, 3, 64, 96)
    assert output.mask is None


def test_an_untrained_bottleneck_is_its_shortcut():
    segmenter = DeepLabSegmenter(3, 4, (1, 1, 1, 2))
    features = torch.randn(2, segmenter.feature_channels, 5, 6)
    assert torch.equal(segmenter.predictor[0](features), functional.relu(features))


def test_feature_discriminator_keeps_the_resolution_and_halves_the_channels():
    network = FeatureDiscriminator(64)
    widths = [layer.out_channels for layer in network.layers if isinstance(layer, torch.nn.Conv2d)]
    assert widths == [32, 16, 8, 1]
    assert network(torch.randn(1, 64, 7, 9)).shape == (1, 1, 7, 9)


def test_output_discriminator_has_five_strided_convolutions():
    network = OutputDiscriminator(5)
    layers = [layer for layer in network.layers if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.out_channels, layer.kernel_size, layer.stride) for layer in layers] == [
        (channels, (4, 4), (2, 2)) for channels in (64, 128, 256, 512, 1)
    ]
    assert network(torch.randn(1, 5, 256, 256)).shape == (1, 1, 8, 8)


def test_target_path_is_the_source_path_where_d1_says_zero():
    segmenter, discriminator = tiny_segmenter()
    segmenter.eval()
    for parameter in discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.randn(1, 1, 32, 32)
    assert torch.equal(segmenter(image, discriminator).logits, segmenter(image).logits)


def test_prediction_differs_with_and_without_d1():
    segmenter, discriminator = tiny_segmenter()
    segmenter.eval()
    image = torch.randn(1, 1, 32, 32)
    assert not torch.allclose(segmenter(image, discriminator).logits, segmenter(image).logits)


def test_mask_is_large_where_d1_says_target_after_a_fit():
    torch.manual_seed(0)
    discriminator = FeatureDiscriminator(16)
    source, target = torch.randn(8, 16, 6, 6), torch.randn(8, 16, 6, 6) + 1.5
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(60):
        loss = adversarial_loss(discriminator(source), 0, "least_squares")
        loss = loss + adversarial_loss(discriminator(target), 1, "least_squares")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    near, far = (local_feature_mask(discriminator(features)).mean() for features in (source, target))
    assert near < 0.3
    assert far > 0.6


def test_log_odds_of_a_source_feature_leave_it_as_it_is():
    class Certain(torch.nn.Module):
        """Log odds of minus twenty everywhere: source, beyond doubt."""

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features[:, :1] * 0 - 20

    plain, log_odds = (DeepLabSegmenter(3, 4, (1, 1, 1, 2), True, vanilla) for vanilla in (False, True))
    image = torch.randn(2, 1, 32, 40)
    assert log_odds(image, Certain()).mask.max() < 1e-6
    assert plain(image, Certain()).mask.min() > 0.99


def test_gradient_reaches_the_extractor_through_the_mask_alone_while_d1_stays_frozen():
    segmenter, discriminator = tiny_segmenter()
    before = copy.deepcopy(discriminator.state_dict())
    with frozen(discriminator):
        segmenter(torch.randn(2, 1, 32, 32), discriminator).mask.sum().backward()
    first = segmenter.extractor[0][0].weight
    assert first.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_a_detached_mask_passes_no_gradient():
    segmenter, discriminator = tiny_segmenter()
    image = torch.randn(2, 1, 32, 32)
    gradients = []
    for detach in (False, True):
        segmenter.zero_grad()
        torch.manual_seed(1)
        segmenter(image, discriminator, detach_mask=detach).logits.square().sum().backward()
        gradients.append(segmenter.extractor[0][0].weight.grad.clone())
    assert not torch.allclose(*gradients)


def test_dice_loss_is_zero_for_a_certain_right_answer_and_near_one_for_a_wrong_one():
    labels = torch.tensor([[[0, 1], [1, 2]]])
    right = 50.0 * functional.one_hot(labels, 3).movedim(-1, 1).float()
    assert dice_loss(right, labels) < 1e-4
    assert dice_loss(right.roll(1, dims=1), labels) > 0.99


def test_vanilla_adversarial_loss_is_the_log_loss():
    judgement = torch.tensor([0.3, -1.2])
    expected = -torch.log(1 - torch.sigmoid(judgement)).mean()
    assert torch.allclose(adversarial_loss(judgement, 0, "vanilla"), expected)


def test_d1_and_d2_start_half_way_between_the_labels_whatever_they_see():
    features = 5 * torch.rand(2, 32, 13, 16)
    probabilities = torch.rand(2, 5, 64, 96).softmax(dim=1)
    for judgement in (FeatureDiscriminator(32)(features), OutputDiscriminator(5)(probabilities)):
        assert torch.allclose(judgement, torch.full_like(judgement, 0.5), atol=0.1)
        assert judgement.std() > 0
