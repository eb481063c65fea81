"""Rates between states: exact, and with the uncertainty of repeated experiments."""

import numpy as np
import pytest

from hexlive.reconstruct.trend import rates, relative_to

EMF = np.array([1.07, 1.05, 1.02, 1.00])
SIGMA = np.array([0.004, 0.003, 0.005, 0.004])
HOURS = np.array([0.0, 2.0, 7.1, 10.0])


def test_a_straight_line_has_one_rate() -> None:
    found = rates(0.5 + 0.01 * HOURS, np.diag(SIGMA**2), HOURS)
    np.testing.assert_allclose(found.value, 0.01)
    assert found.sigma[0] == pytest.approx(np.hypot(0.004, 0.003) / 2)


def test_states_of_equal_charge_have_no_rate_and_spoil_no_other() -> None:
    found = rates(EMF, np.diag(SIGMA**2), np.array([0.0, 0.2, 0.2, 1.0]))
    np.testing.assert_array_equal(np.isfinite(found.value), [True, False, True])
    np.testing.assert_array_equal(np.isfinite(found.sigma), [True, False, True])


def test_the_reference_is_one_without_noise() -> None:
    ratio, covariance = relative_to(EMF, SIGMA, 1)
    assert ratio[1] == 1
    np.testing.assert_array_equal(covariance[1], 0)
    np.testing.assert_array_equal(covariance[:, 1], 0)


@pytest.mark.parametrize("relative", [False, True])
def test_covariances_are_those_of_repeated_experiments(relative: bool) -> None:
    random = np.random.default_rng(3)
    draws = EMF + SIGMA * random.standard_normal((20_000, 4))

    def rate(values):
        found = relative_to(values, SIGMA, 0) if relative else (values, np.diag(SIGMA**2))
        return rates(*found, HOURS)

    repeated = np.cov(np.array([rate(draw).value for draw in draws]), rowvar=False)
    stated = rate(EMF).covariance
    scale = np.sqrt(np.outer(np.diagonal(stated), np.diagonal(stated)))
    np.testing.assert_allclose(repeated / scale, stated / scale, atol=0.04)
    assert stated[0, 1] < 0
