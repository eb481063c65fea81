"""Peaks are found where they are, with the errors that they have."""

import numpy as np
import pytest

from hexlive.reconstruct.peaks import fit_peaks

N_SPECTRA, N_BINS = 400, 120
EDGES = np.arange(N_BINS + 1)
HIDDEN = 0.3  # counts in the tail per count in the Gaussian


def drawn(area, *, floor=0.0, parts=((60.3, 1.0),), sigma=3.0):
    """Spectra of photons, some of which lose charge d with density 1/(1 + d), d in sigma."""
    random = np.random.default_rng(1)
    mean = [area * share * part for _, share in parts for part in (1.0, HIDDEN)]
    numbers = random.poisson(mean, (N_SPECTRA, len(mean)))
    spectra = random.poisson(floor, (N_SPECTRA, N_BINS))
    for spectrum, counts in zip(spectra, numbers, strict=True):
        for kind, count in enumerate(counts):
            position = parts[kind // 2][0] + sigma * random.standard_normal(count)
            if kind % 2:
                position -= sigma * np.expm1(np.log(9.0) * random.random(count))
            spectrum += np.histogram(position, EDGES)[0]
    return spectra


def fitted(spectra, offsets=(0.0,), shares=(1.0,), start=61.5):
    everywhere = np.ones(len(spectra))
    tiled = np.tile(offsets, (len(spectra), 1))
    return fit_peaks(spectra, start * everywhere, 3.5 * everywhere, tiled, np.array(shares))


@pytest.mark.parametrize("area", [300, 10_000])
def test_pulls_of_the_centre_have_width_one(area):
    peaks = fitted(drawn(area, floor=area / 1000))
    pull = (peaks.centre - 60.3) / peaks.centre_sigma
    assert pull.std() == pytest.approx(1.0, abs=0.12)
    assert abs(pull.mean()) < 0.25
    assert peaks.inside.all()


def test_area_width_and_quality_are_right():
    peaks = fitted(drawn(10_000, floor=10))
    assert np.median(peaks.area) == pytest.approx(10_000, rel=0.01)
    assert np.median(peaks.sigma) == pytest.approx(3.0, rel=0.01)
    assert np.mean(peaks.chi2) == pytest.approx(1.0, abs=0.1)


def test_a_doublet_is_fitted_as_one():
    parts = ((60.3, 0.63), (49.0, 0.37))
    spectra = drawn(10_000, floor=5, parts=parts)
    peaks = fitted(spectra, offsets=(0.0, -11.3), shares=(0.63, 0.37))
    assert peaks.centre.mean() == pytest.approx(60.3, abs=0.01)
    assert np.mean(peaks.chi2) == pytest.approx(1.0, abs=0.1)
    assert np.mean(fitted(spectra).chi2) > 3


def test_a_wrong_shape_shows_in_chi2():
    assert np.mean(fitted(drawn(10_000, parts=((58.0, 0.5), (64.0, 0.5)), sigma=1.5)).chi2) > 3


def test_where_there_is_no_peak_the_area_is_not_significant():
    peaks = fitted(drawn(0, floor=50))
    found = peaks.inside & (peaks.area > 5 * peaks.area_sigma)
    assert found.mean() < 0.01


def test_empty_spectra_are_no_trouble():
    peaks = fitted(np.zeros((3, N_BINS), np.uint32))
    assert not (peaks.area > 5 * peaks.area_sigma).any()
