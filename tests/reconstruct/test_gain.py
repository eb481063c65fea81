"""Gain and intercept of every pixel, from lines in noise."""

import numpy as np
import pytest
from scipy.special import ndtr

from hexlive.reconstruct.gain import (
    CROOKED,
    FEW,
    GOOD,
    MASKED,
    MISSING,
    ODD,
    REFUSALS,
    calibrate_lines,
)
from hexlive.reconstruct.lines import AM_241, AM_241_EMITTED, LineError, find_line

BIN_ADU, N_BINS, N_PIXELS = 4, 650, 200
EDGES_ADU = np.arange(N_BINS + 1) * BIN_ADU
GRADIENT, INTERCEPT_KEV = 0.029, 1.2
FWHM_KEV = 0.75
LOST_SIGMA = 9.0 ** ((np.arange(40) + 0.5) / 40) - 1  # charge lost to neighbours


@pytest.fixture(scope="module")
def pixels():
    """True gradients and intercepts."""
    random = np.random.default_rng(2)
    gradient = GRADIENT * random.normal(1.0, 0.015, N_PIXELS)
    return gradient, random.normal(INTERCEPT_KEV, 0.08, N_PIXELS)


def drawn(pixels, counts_per_line, lines=AM_241_EMITTED, fwhm_kev=FWHM_KEV, bend=0.0):
    """Spectra with as many counts in each line that calibrates, fewer in others, and tails."""
    gradient, intercept_kev = (values[:, None] for values in pixels)
    edges_kev = EDGES_ADU * gradient + intercept_kev
    edges_kev = edges_kev + bend * (edges_kev - 14) * (edges_kev - 60)
    sigma_kev, mean = fwhm_kev / 2.3548, 0.02
    for line in lines:
        total = sum(share for _, share in line.components)
        total *= 1 if line in AM_241 or lines is not AM_241_EMITTED else 10
        for energy_kev, share in line.components:
            below = ndtr((edges_kev - energy_kev) / sigma_kev)
            tail = np.mean(
                [ndtr((edges_kev - energy_kev) / sigma_kev + each) for each in LOST_SIGMA], axis=0
            )
            mean = mean + counts_per_line * share / total * np.diff(below + 0.3 * tail)
    return np.random.default_rng(3).poisson(mean)


def one(pixels, number):
    return [values[number : number + 1] for values in pixels]


def calibrated(spectra, lines=AM_241, gradient=GRADIENT, intercept_kev=0.0, masked=None):
    n = len(spectra)
    masked = np.zeros(n, bool) if masked is None else masked
    return calibrate_lines(
        spectra, lines, np.full(n, gradient), np.full(n, intercept_kev), masked, BIN_ADU
    )


@pytest.mark.parametrize(
    ("start_gradient", "start_intercept_kev"), [(0.029, 0.0), (0.0275, 2.4), (0.031, 1.0)]
)
def test_ten_thousand_counts_per_line_give_gain_and_intercept(
    pixels, start_gradient, start_intercept_kev
):
    found = calibrated(
        drawn(pixels, 10_000), gradient=start_gradient, intercept_kev=start_intercept_kev
    )
    assert (found.refusal == GOOD).all()
    gain_error = found.gradient_kev_per_adu / pixels[0] - 1
    assert np.abs(gain_error).max() < 1e-3
    assert np.abs(found.intercept_kev - pixels[1]).max() < 0.05
    np.testing.assert_allclose(np.median(found.fwhm_kev, axis=1), FWHM_KEV, rtol=0.05)


def test_errors_are_those_of_the_counts(pixels):
    found = calibrated(drawn(pixels, 500))
    pull = (found.gradient_kev_per_adu - pixels[0]) / found.gradient_sigma
    assert pull.std() == pytest.approx(1.0, abs=0.2)
    pull = (found.intercept_kev - pixels[1]) / found.intercept_sigma_kev
    assert pull.std() == pytest.approx(1.0, abs=0.2)


def test_fluorescence_lines_do_as_well(pixels):
    lines = [find_line(name) for name in ("Ag", "W Ka")]
    found = calibrated(drawn(pixels, 10_000, lines), lines)
    assert (found.refusal == GOOD).all()
    assert np.abs(found.gradient_kev_per_adu / pixels[0] - 1).max() < 1e-3


def test_every_pixel_that_cannot_be_calibrated_has_its_reason(pixels):
    spectra = drawn(pixels, 2000)
    spectra[0] = drawn(one(pixels, 0), 10)[0]
    spectra[1] = drawn(one(pixels, 1), 2000, AM_241_EMITTED[:-1])[0]
    spectra[2] = drawn(one(pixels, 2), 2000, bend=1.5e-3)[0]
    spectra[3] = drawn(one(pixels, 3), 20_000, fwhm_kev=1.9)[0]
    masked = np.zeros(N_PIXELS, bool)
    masked[4] = True
    found = calibrated(spectra, masked=masked)
    assert found.refusal[0] == FEW
    assert found.refusal[1] in (FEW, MISSING)
    assert found.refusal[2] == CROOKED
    assert found.refusal[3] in (ODD, MISSING)
    assert found.refusal[4] == MASKED
    assert (found.refusal[5:] == GOOD).all()
    assert np.isnan(found.gradient_kev_per_adu[:5]).all()
    assert np.isnan(found.fwhm_kev[:, :5]).all()
    assert len(REFUSALS) == ODD + 1


def test_one_weak_line_of_four_may_be_missing_but_not_the_highest(pixels):
    without_26 = [line for line in AM_241_EMITTED if line.name != "Am-241 26"]
    found = calibrated(drawn(pixels, 5000, without_26))
    assert (found.refusal == GOOD).mean() > 0.9
    good = found.refusal == GOOD
    gain_error = (found.gradient_kev_per_adu / pixels[0] - 1)[good]
    assert np.sqrt(np.mean(gain_error**2)) < 5e-4
    assert np.isnan(found.fwhm_kev[2, good]).mean() > 0.9
    found = calibrated(drawn(pixels, 5000, AM_241_EMITTED[:-1]))
    assert (found.refusal != GOOD).all()


def test_lines_that_are_not_there_calibrate_no_pixel(pixels):
    wrong = [find_line(name) for name in ("40", "50", "72")]
    assert (calibrated(drawn(pixels, 2000), wrong).refusal != GOOD).all()


def test_empty_spectra_have_too_few_counts():
    found = calibrated(np.zeros((3, N_BINS), np.uint32))
    assert (found.refusal == FEW).all()


@pytest.mark.parametrize(
    ("names", "says"), [(["59.54"], "two lines"), (["59.54", "59.9"], "too close together")]
)
def test_lines_that_cannot_calibrate_are_refused_in_one_sentence(pixels, names, says):
    with pytest.raises(LineError, match=says):
        calibrated(drawn(pixels, 10), [find_line(name) for name in names])
