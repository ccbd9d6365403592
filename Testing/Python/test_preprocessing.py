"""Intensity rules: what becomes -1 and 1, for each rule and for images of each kind."""

from __future__ import annotations

import numpy as np
import pytest
from GlobalLocalAlignmentLib.config import Intensity, configuration
from GlobalLocalAlignmentLib.errors import InputError
from GlobalLocalAlignmentLib.preprocessing import guess_modality, intensity_limits

WINDOW = Intensity(rule="window", low=-350, high=350)


def abdomen(bright: float = 1000.0, body: float = 200.0, margin: int = 4) -> np.ndarray:
    """A body of one value in dark air, a tenth of it bright."""
    image = np.full((20 + 2 * margin, 20 + 2 * margin, 10), 5.0)
    inside = image[margin:-margin, margin:-margin]
    inside[...] = body
    inside[:2] = bright
    return image


def test_a_window_is_taken_as_it_is_and_everything_beyond_is_cut():
    values = np.array([-2000, -350, 0, 350, 3000], np.int16).reshape(5, 1, 1)
    scaled = intensity_limits(values, WINDOW).scale(values)
    assert scaled.ravel() == pytest.approx([-1, -1, 0, 1, 1])
    assert scaled.dtype == np.float32


def test_an_eight_bit_export_has_its_own_range_as_window():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert intensity_limits(values, WINDOW).scale(values).ravel()[[0, 255]] == pytest.approx([-1, 1])
    # eight bits that are not filled are values like any others
    assert intensity_limits(values[:8], WINDOW).low == -350


def test_the_robust_maximum_is_not_moved_by_a_few_bright_voxels():
    rule = Intensity(rule="robust_maximum", percentiles=(0, 99))
    image = np.linspace(0, 100, 100_000).reshape(100, 100, 10)
    spiked = image.copy()
    spiked.ravel()[:50] = 1e5
    limits = intensity_limits(spiked, rule)
    assert limits.low == 0
    assert limits.high == pytest.approx(99, abs=0.5)


def test_percentile_zscore_counts_deviations_of_the_cut_values_from_their_mean():
    rule = Intensity(rule="percentile_zscore", percentiles=(0, 98), low=-2, high=3)
    image = np.random.default_rng(0).normal(300, 40, (40, 40, 40))
    cut = np.minimum(image, np.percentile(image, 98))
    limits = intensity_limits(image, rule)
    assert limits.low == pytest.approx(cut.mean() - 2 * cut.std(), abs=0.5)
    assert limits.high == pytest.approx(cut.mean() + 3 * cut.std(), abs=0.5)


def test_the_body_median_depends_neither_on_a_bright_organ_nor_on_the_margin():
    rule = Intensity(rule="body_median", high=4)
    for image in (abdomen(), abdomen(bright=3000), abdomen(margin=20)):
        limits = intensity_limits(image, rule)
        assert (limits.low, limits.high) == (0, 800)


def test_the_body_median_follows_the_gain_of_the_scanner():
    rule = Intensity(rule="body_median", high=4)
    image = abdomen()
    scaled = [intensity_limits(gain * image, rule).scale(gain * image) for gain in (1.0, 3.7)]
    assert np.allclose(*scaled, atol=1e-5)


@pytest.mark.parametrize("rule", ["window", "percentile_zscore", "robust_maximum", "body_median"])
def test_every_rule_gives_limits_that_rise_even_for_a_speck_on_nothing(rule: str):
    image = np.zeros((30, 30, 30))
    image[3, 3, 3] = 7
    limits = intensity_limits(image, Intensity(rule=rule, low=-1, high=2))
    assert limits.high > limits.low


@pytest.mark.parametrize(
    "rule", [{"rule": "window", "low": 3, "high": 3}, {"rule": "percentile_zscore"}, {"rule": "body_median"}]
)
def test_a_rule_without_its_limits_is_refused(rule: dict):
    with pytest.raises(InputError, match=rule["rule"]):
        configuration({"intensity_by_modality": {"MR": rule}})


def test_hounsfield_units_and_exports_are_taken_for_ct_and_everything_else_for_mr():
    chance = np.random.default_rng(0)
    assert guess_modality(chance.uniform(-1000, 800, (20, 20, 20))) == "CT"
    assert guess_modality(np.arange(256, dtype=np.uint8).reshape(16, 16, 1)) == "CT"
    assert guess_modality(chance.uniform(0, 800, (20, 20, 20))) == "MR"
