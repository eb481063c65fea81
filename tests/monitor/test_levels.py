"""Colour levels, axis ranges and scale bars."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hexlive.monitor.levels import (
    MOST_PIXELS_PER_SIDE,
    length_label,
    noisy,
    robust_levels,
    scale_bar_um,
    thinned,
    trusted_range,
)

maps = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2),
    elements=st.floats(-1e6, 1e6) | st.just(np.nan),
)


@given(maps)
def test_levels_rise_around_values_of_the_map(values: np.ndarray) -> None:
    low, high = robust_levels(values)
    assert low < high
    finite = values[np.isfinite(values)]
    if finite.any():  # zeros alone have the levels 0 and 1
        assert finite.min() - 1e-6 <= (low + high) / 2 <= finite.max() + 1e-6


def test_dark_pixels_do_not_stretch_the_levels() -> None:
    rng = np.random.default_rng(1)
    emf, counts = np.full((80, 80), 1.0), np.full((80, 80), 400.0)
    counts[:40] = 0.25
    emf += rng.normal(size=emf.shape) / np.sqrt(counts)
    low, high = robust_levels(emf, counts)
    assert 0.8 < low < 0.95
    assert 1.05 < high < 1.2


def test_one_hot_pixel_does_not_take_the_levels() -> None:
    emf, counts = np.linspace(0.8, 1.2, 6400).reshape(80, 80), np.full((80, 80), 250.0)
    emf[3, 3], counts[3, 3] = 1e-5, 1e9
    low, high = robust_levels(emf, counts)
    assert 0.79 < low < 0.82
    assert 1.18 < high < 1.21


def test_levels_without_any_value_are_zero_and_one() -> None:
    assert robust_levels(np.full((4, 4), np.nan)) == (0.0, 1.0)
    assert robust_levels(np.empty((0, 0))) == (0.0, 1.0)


def test_useless_weights_weigh_all_pixels_alike() -> None:
    values = np.arange(100.0).reshape(10, 10)
    assert robust_levels(values, np.full((10, 10), np.nan)) == robust_levels(values)
    assert robust_levels(values, np.zeros((10, 10))) == robust_levels(values)


def test_the_electrolyte_does_not_stretch_the_axis() -> None:
    values = np.array([0.9, 1.7, 1.05, 1.01, -6.0, 30.0])
    sigma = np.array([0.02, 0.02, 0.01, 0.01, 9.0, 12.0])
    low, high = trusted_range(values, sigma)
    assert 0.7 < low < 0.88
    assert 1.72 < high < 1.9
    assert noisy(sigma).tolist() == [False] * 4 + [True] * 2


def test_a_noisy_value_that_still_says_something_is_on_the_axis() -> None:
    values, sigma = np.array([1.0, 1.1, 1.05, 2.0]), np.array([0.01, 0.01, 0.01, 0.4])
    low, high = trusted_range(values, sigma)
    assert low < 1.0
    assert 2.0 < high < 2.2


def test_an_axis_for_nothing_is_zero_to_one() -> None:
    assert trusted_range(np.empty(0), np.empty(0)) == (0.0, 1.0)
    assert trusted_range(np.array([np.nan]), np.array([np.nan])) == (0.0, 1.0)


def test_a_huge_image_is_thinned_to_the_screen() -> None:
    assert max(thinned(np.zeros((5000, 10))).shape) <= MOST_PIXELS_PER_SIDE
    small = np.zeros((80, 80))
    assert thinned(small).shape == (80, 80)


@given(st.floats(0.01, 1e7))
def test_a_scale_bar_is_round_and_fits(width_um: float) -> None:
    length_um = scale_bar_um(width_um)
    assert 0.1 * width_um < length_um <= 0.3 * width_um * (1 + 1e-9)
    assert f"{length_um:e}"[0] in "125"


@pytest.mark.parametrize(("length_um", "text"), [(500.0, "500 µm"), (2000.0, "2 mm")])
def test_lengths_are_in_the_shorter_unit(length_um: float, text: str) -> None:
    assert length_label(length_um) == text
