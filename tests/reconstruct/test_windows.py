"""L and H with their covariance: adding, subtracting, scaling, dividing; and when EMF is NaN."""

import numpy as np
import pytest

from hexlive.reconstruct.emf import REASONS, EmfResult, relative_emf, undefined_code, window_sum_emf


def test_time_windows_add():
    first, second = (window_sum_emf(np.array(n), np.array(2 * n)) for n in (40, 60))
    both = first + second
    assert both.emf == 0.5
    assert both.sigma == window_sum_emf(np.array(100), np.array(200)).sigma


def test_relative_emf_adds_relative_variances():
    result = window_sum_emf(np.array(200), np.array(100))
    ratio, sigma = relative_emf(result, result)
    assert ratio == 1
    assert sigma == pytest.approx(np.sqrt(2) * result.relative_sigma)


def test_the_difference_of_two_moments_is_what_came_in_between():
    first, second = (window_sum_emf(np.array(n), np.array(2 * n)) for n in (40, 60))
    between = (first + second) - first
    assert (between.low, between.var_high) == (60, 120)


def test_every_undefined_pixel_has_a_reason():
    low, high = np.array([20.0, 9, 0, 50, 14, 40]), np.array([10.0, 9, 0, 0, 15, 3])
    result = window_sum_emf(low, high)
    codes = undefined_code(result, np.array([True, False, True, True, True, True]))
    assert [REASONS[code] for code in codes] == [
        "defined", "masked", "no counts", "L or H is not positive", "too few counts",
        "too few counts",
    ]  # fmt: skip
    assert np.all(np.isnan(result.emf[2:]))


def test_what_moves_l_and_h_alike_leaves_emf_certain():
    low, high, var = np.array([100.0, 50.0, 25.0])
    alike = EmfResult(low=low, high=high, var_low=4 * var, var_high=var, cov=2 * var)
    assert alike.sigma == 0
    apart = EmfResult(low=low, high=high, var_low=4 * var, var_high=var, cov=-2 * var)
    assert apart.relative_sigma == pytest.approx(0.2)


def test_scaling_keeps_emf_and_its_relative_uncertainty():
    low, high, var_low, var_high, cov = np.array([200.0, 100.0, 210.0, 110.0, 5.0])
    result = EmfResult(low=low, high=high, var_low=var_low, var_high=var_high, cov=cov)
    scaled = result.scaled(0.25)
    assert scaled.emf == result.emf
    assert scaled.sigma == pytest.approx(result.sigma)
