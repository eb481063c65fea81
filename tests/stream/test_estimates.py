"""What is worked out of the counts for each report."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hexlive.kernels.backend import Counts
from hexlive.stream.calibration import load_calibration
from hexlive.stream.config import Config
from hexlive.stream.estimates import Estimator
from hexlive.stream.reducers import ComptonReducer

MASKED = (slice(10, 12), slice(None))


@pytest.fixture
def camera(calibration_80: Path) -> tuple[Estimator, Counts, np.ndarray]:
    """A whole camera, some of it masked, and counts in every bin of every pixel, masked or not."""
    calibration = load_calibration(calibration_80)
    mask = calibration.mask.copy()
    mask[MASKED] = 1
    config = Config()
    reducer = ComptonReducer(config, replace(calibration, mask=mask))
    counts = reducer.backend.snapshot()
    spectra = np.random.default_rng(1).poisson(3.0, counts.spectra.shape).astype(np.uint32)
    estimator = Estimator(config, reducer.theta_rad, reducer.valid)
    return estimator, replace(counts, spectra=spectra), reducer.valid


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_a_report_never_holds_another_copy_of_all_spectra(camera, traced: None) -> None:
    """Pages that come and go with every report cost more than the arithmetic."""
    estimator, counts, _ = camera
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    estimator.region_sums(estimator.estimate(counts), 1.0)
    _, most = tracemalloc.get_traced_memory()
    assert most - before < 0.8 * counts.spectra.nbytes


def test_masked_pixels_are_in_no_sum(camera) -> None:
    estimator, counts, valid = camera
    found = estimator.estimate(counts)
    sums = estimator.region_sums(found, 1.0)
    np.testing.assert_array_equal(sums.spectrum, counts.spectra[valid].sum(axis=0, dtype=np.uint64))
    others = counts.spectra.copy()
    others[MASKED] = 1000
    again = estimator.estimate(replace(counts, spectra=others))
    np.testing.assert_array_equal(again.profile.j, found.profile.j)
    assert again.check.plain.low == found.check.plain.low
    assert again.check.binned.low == found.check.binned.low


def test_the_variance_of_a_profile_is_that_of_its_counts(camera) -> None:
    estimator, counts, valid = camera
    weights = estimator._profile
    chosen = weights.choice.take(counts.spectra)[valid].ravel()
    expected = weights.values.power(2) @ chosen
    np.testing.assert_array_equal(estimator.estimate(counts).profile.variance, expected)
