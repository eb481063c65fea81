"""Spread and ratios of maps whose truth is known, at counts where single pixels mean nothing."""

import numpy as np
import pytest

from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.heterogeneity import (
    excess_variance,
    heterogeneity,
    sheet_position_mm,
)

SHAPE = (80, 80)
POSITION = sheet_position_mm(SHAPE, 0.25, ComptonSettings())
DIAMETER_MM = 14.0
COUNTS = 60.0
EMF = 1.0


def counted(emf_map, random, counts=COUNTS) -> EmfResult:
    """Poisson L and H of a map of EMF, as window sums."""
    high = counts / (1 + emf_map)
    low, high = (random.poisson(mean).astype(float) for mean in (emf_map * high, high))
    return EmfResult(low=low, high=high, var_low=low, var_high=high, cov=np.zeros(SHAPE))


def even() -> np.ndarray:
    return np.full(SHAPE, EMF)


def test_an_even_map_has_no_spread_and_ratios_of_one() -> None:
    random = np.random.default_rng(1)
    found = [heterogeneity(counted(even(), random), POSITION, DIAMETER_MM) for _ in range(80)]
    for value, sigma, truth in (
        ("variance", "variance_sigma", 0.0),
        ("centre_edge", "centre_edge_sigma", 1.0),
        ("left_right", "left_right_sigma", 1.0),
        ("emf", "emf_sigma", EMF),
    ):
        pulls = [(getattr(one, value) - truth) / getattr(one, sigma) for one in found]
        assert np.mean(pulls) == pytest.approx(0.0, abs=0.25), value
        assert np.std(pulls) == pytest.approx(1.0, abs=0.15), value


def test_a_true_spread_is_found_below_the_noise_of_a_pixel() -> None:
    """8 % between pixels whose counting noise is 26 %."""
    random = np.random.default_rng(2)
    inside = np.hypot(*POSITION) <= DIAMETER_MM / 2
    stds, pulls = [], []
    for _ in range(80):
        truth = EMF * (1 + 0.08 * random.standard_normal(SHAPE))
        variance, sigma = excess_variance(counted(truth, random), inside)
        stds.append(variance)
        pulls.append((variance - 0.08**2) / sigma)
    assert np.sqrt(np.mean(stds)) == pytest.approx(0.08, rel=0.05)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)


def test_ratios_of_a_tilted_and_of_a_domed_cell() -> None:
    down, across = POSITION
    noiseless = 1e9
    tilted = EMF * (1 + 0.02 * np.sign(across))
    domed = EMF * (1 - 0.03 * (np.hypot(down, across) > DIAMETER_MM / 2 * 0.5**0.5))
    random = np.random.default_rng(4)
    found = heterogeneity(counted(tilted, random, noiseless), POSITION, DIAMETER_MM)
    assert found.left_right == pytest.approx(0.98 / 1.02, rel=1e-4)
    assert found.centre_edge == pytest.approx(1.0, rel=1e-3)
    assert found.std == pytest.approx(0.02, rel=0.01)
    found = heterogeneity(counted(domed, random, noiseless), POSITION, DIAMETER_MM)
    assert found.centre_edge == pytest.approx(1 / 0.97, rel=1e-3)
    assert found.left_right == pytest.approx(1.0, rel=1e-4)


def test_the_uncertainty_of_a_spread_that_is_not_there_is_finite() -> None:
    found = heterogeneity(counted(even(), np.random.default_rng(1)), POSITION, DIAMETER_MM)
    assert 0 < found.std_sigma < 0.1
    assert found.std >= 0


def test_a_map_without_counts_has_no_numbers() -> None:
    zero = np.zeros(SHAPE)
    result = EmfResult(low=zero, high=zero, var_low=zero, var_high=zero, cov=zero)
    found = heterogeneity(result, POSITION, DIAMETER_MM)
    numbers = (found.emf, found.std, found.variance, found.centre_edge, found.left_right)
    assert np.isnan(numbers).all()


def test_positions_are_those_of_the_sample() -> None:
    down, across = sheet_position_mm(SHAPE, 0.25, ComptonSettings(axis_offset_mm=(0.25, -0.5)))
    pixel_mm = 0.25 * 160 / 150
    np.testing.assert_allclose(np.diff(across, axis=1), pixel_mm)
    np.testing.assert_allclose(np.diff(down, axis=0), pixel_mm)
    assert down.mean() == pytest.approx(-pixel_mm)
    assert across.mean() == pytest.approx(2 * pixel_mm)


def test_a_pinhole_twice_as_far_from_the_sample_sees_twice_as_much_of_it() -> None:
    near, far = (
        sheet_position_mm(SHAPE, 0.25, ComptonSettings(pinhole_to_sheet_mm=distance_mm))
        for distance_mm in (80.0, 160.0)
    )
    np.testing.assert_allclose(far, 2 * np.asarray(near))
