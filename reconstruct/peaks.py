"""Peaks in many spectra at once: maximum likelihood for Poisson counts.

A line of a CdZnTe pixel is a Gaussian, a tail below it from charge that a neighbour kept unseen,
and a floor. Everything here is in bins; who calls converts.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from hexlive.reconstruct.compton import FloatArray

FWHM_PER_SIGMA: Final = 2 * math.sqrt(2 * math.log(2))

# The fit reaches so many sigma beyond the outermost components.
REACH_SIGMA: Final = 4.7
MAX_ITERATIONS: Final = 40
CONVERGED: Final = 1e-4  # of the deviance

# Coarse search for the centre, in sigma.
SEARCH_SIGMA: Final = 2.0
SEARCH_STEPS: Final = 9

# Levenberg-Marquardt: damping, and its change where a step was good or bad.
DAMPING: Final = 1e-2
EASIER, HARDER = 0.1, 10.0

# The width may change by these factors; the centre by two widths.
NARROWEST, WIDEST = 0.6, 3.0
MAX_SHIFT_SIGMA: Final = 4.0

# Columns of the parameters: centre, sigma, area, counts in the tail per count in the area, floor.
CENTRE, SIGMA, AREA = range(3)
N_PARAMETERS: Final = 5

# Hidden charge d has a density of about 1/(d + s): small shares are frequent, because a cloud ends
# in a Gaussian. With s of one sigma of the line, centres are right to 3 eV and widths to 0.5 % from
# 14 to 94 keV; a flat shelf instead moves centres by -13 to -20 eV (photons followed one by one
# through the simulated sensor). Beyond 8 sigma a neighbour sees its share.
TAIL_START: Final = 1.0
TAIL_REACH: Final = 8.0
TAIL_STEP: Final = 0.01
TAIL_Z: Final = np.arange(-9.0, 9.0, TAIL_STEP)

START_AREA, START_TAIL = 0.7, 0.2  # of the counts in the window, and of that area
LARGEST_TAIL: Final = 3.0  # of the area: a slope of the background looks like a tail, too
TINY: Final = 1e-9
ROOT_TWO_PI: Final = math.sqrt(2 * math.pi)


@dataclass(frozen=True, kw_only=True, eq=False)
class Peaks:
    """One peak in each of many spectra, all ``(spectra,) float64``, in bins and counts.

    Attributes
    ----------
    centre, centre_sigma
        Of the component at offset 0; the left edge of bin 0 is 0.
    sigma
        Of the Gaussian.
    area, area_sigma
        Counts in the Gaussians.
    chi2
        Pearson's, per degree of freedom.
    inside
        The fit did not end at a limit of the centre or the width.
    """

    centre: FloatArray
    centre_sigma: FloatArray
    sigma: FloatArray
    area: FloatArray
    area_sigma: FloatArray
    chi2: FloatArray
    inside: NDArray[np.bool_]


class _Window(NamedTuple):
    """Counts ``(spectra, bins)`` near the peaks, where they are, and which components belong."""

    counts: FloatArray
    x: FloatArray
    offsets: FloatArray
    shares: FloatArray


def fit_peaks(
    spectra: NDArray[Any],
    centre: FloatArray,
    sigma: FloatArray,
    offsets: FloatArray,
    shares: FloatArray,
) -> Peaks:
    """Fit one peak, which may have several components, in each spectrum.

    Fisher scoring for the Poisson likelihood, damped, all spectra together.

    Parameters
    ----------
    spectra
        ``(spectra, bins)``: counts.
    centre, sigma
        ``(spectra,)``: where to start.
    offsets
        ``(spectra, components)``: of the components from the centre.
    shares
        ``(components,)``: relative intensities.
    """
    window = _window(spectra, centre, sigma, offsets, shares)
    centre = _brightest(window, centre, sigma)
    total, last = window.counts.sum(axis=1), window.counts[:, -1]
    one, reach = np.ones(centre.size), MAX_SHIFT_SIGMA * sigma
    area, floor = START_AREA * total + 1, last / 2 + 0.5
    start = np.stack([centre, sigma, area, START_TAIL * one, floor], axis=1)
    tiny, huge = TINY * one, np.inf * one
    lowest = np.stack([centre - reach, NARROWEST * sigma, tiny, tiny, tiny], axis=1)
    highest = np.stack([centre + reach, WIDEST * sigma, huge, LARGEST_TAIL * one, huge], axis=1)
    found = _maximise(window, start, lowest, highest)
    mean, jacobian = _expected(window, found)
    information = np.einsum("nbp,nb,nbq->npq", jacobian, 1 / np.maximum(mean, TINY), jacobian)
    covariance = np.linalg.pinv(information, hermitian=True)
    errors = np.sqrt(np.maximum(np.einsum("npp->np", covariance), 0.0))
    pearson = ((window.counts - mean) ** 2 / np.maximum(mean, 1.0)).sum(axis=1)
    limits = (found > lowest) & (found < highest)
    return Peaks(
        centre=found[:, CENTRE],
        centre_sigma=errors[:, CENTRE],
        sigma=found[:, SIGMA],
        area=found[:, AREA],
        area_sigma=errors[:, AREA],
        chi2=pearson / max(1, mean.shape[1] - N_PARAMETERS),
        inside=limits[:, CENTRE] & limits[:, SIGMA],
    )


def _window(
    spectra: NDArray[Any],
    centre: FloatArray,
    sigma: FloatArray,
    offsets: FloatArray,
    shares: FloatArray,
) -> _Window:
    """Cut out the bins around each peak, as many in every spectrum."""
    low = centre + offsets.min(axis=1) - REACH_SIGMA * sigma
    high = centre + offsets.max(axis=1) + REACH_SIGMA * sigma
    wanted = max(N_PARAMETERS + 1, int(np.ceil(np.median(high - low))))
    n_bins = min(spectra.shape[1], wanted)
    first = np.clip(np.rint(low), 0, spectra.shape[1] - n_bins).astype(np.int64)
    index = first[:, None] + np.arange(n_bins)
    counts = np.take_along_axis(spectra, index, axis=1).astype(np.float64)
    return _Window(counts, index + 0.5, offsets, shares / shares.sum())


def _brightest(window: _Window, centre: FloatArray, sigma: FloatArray) -> FloatArray:
    """Where within ``SEARCH_SIGMA`` the components hold most counts: a start nobody gets lost from.

    Far from the peak, the fit may end in a narrow spike on top of a large tail.
    """
    best, most = centre.copy(), np.full(centre.size, -np.inf)
    for shift in np.linspace(-SEARCH_SIGMA, SEARCH_SIGMA, SEARCH_STEPS):
        held = np.zeros(centre.size)
        for offset, share in zip(window.offsets.T, window.shares, strict=True):
            z = (window.x - (centre + shift * sigma + offset)[:, None]) / sigma[:, None]
            held += share * (window.counts * np.exp(-z * z / 2)).sum(axis=1)
        best = np.where(held > most, centre + shift * sigma, best)
        most = np.maximum(held, most)
    return best


def _maximise(
    window: _Window, start: FloatArray, lowest: FloatArray, highest: FloatArray
) -> FloatArray:
    """Parameters of maximum likelihood, ``(spectra, parameters)``, between limits."""
    counts, best = window.counts, start
    mean, jacobian = _expected(window, best)
    deviance, damping = _deviance(counts, mean), np.full(len(best), DAMPING)
    for _ in range(MAX_ITERATIONS):
        step = _step(jacobian, counts, mean, damping)
        trial = np.clip(best + step, lowest, highest)
        trial_mean, trial_jacobian = _expected(window, trial)
        gain = deviance - _deviance(counts, trial_mean)
        better = gain >= 0
        best = np.where(better[:, None], trial, best)
        mean = np.where(better[:, None], trial_mean, mean)
        jacobian = np.where(better[:, None, None], trial_jacobian, jacobian)
        deviance = np.where(better, deviance - gain, deviance)
        damping = np.maximum(damping * np.where(better, EASIER, HARDER), TINY)
        if (np.abs(gain) < CONVERGED).all():
            break
    return best


def _step(
    jacobian: FloatArray, counts: FloatArray, mean: FloatArray, damping: FloatArray
) -> FloatArray:
    """Damped step of Fisher scoring, ``(spectra, parameters)``, each parameter in its own scale."""
    weight = 1 / np.maximum(mean, TINY)
    gradient = np.einsum("nbp,nb->np", jacobian, (counts - mean) * weight)
    curvature = np.einsum("nbp,nb,nbq->npq", jacobian, weight, jacobian)
    scale = np.sqrt(np.maximum(np.einsum("npp->np", curvature), TINY))
    scaled = curvature / (scale[:, :, None] * scale[:, None, :])
    scaled += damping[:, None, None] * np.eye(N_PARAMETERS)
    step: FloatArray = np.linalg.solve(scaled, (gradient / scale)[..., None])[..., 0] / scale
    return step


def _expected(window: _Window, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Expected counts ``(spectra, bins)``, and their derivatives ``(..., parameters)``."""
    centre, sigma, area, ratio, floor = parameters.T[:, :, None]
    tail_of_z, slope_of_z = _tail()
    gauss, by_centre, by_sigma, tail, tail_by_centre, tail_by_sigma = np.zeros((6, *window.x.shape))
    for offset, share in zip(window.offsets.T, window.shares, strict=True):
        z = (window.x - centre - offset[:, None]) / sigma
        density = share * np.exp(-z * z / 2) / (sigma * ROOT_TWO_PI)
        gauss += density
        by_centre += density * z
        by_sigma += density * (z * z - 1)
        slope = share * np.interp(z, TAIL_Z, slope_of_z)
        tail += share * np.interp(z, TAIL_Z, tail_of_z)
        tail_by_centre -= slope
        tail_by_sigma -= slope * z
    shape = gauss + ratio * tail / sigma
    derivatives = (
        area * (by_centre + ratio * tail_by_centre / sigma) / sigma,
        area * (by_sigma + ratio * (tail_by_sigma - tail) / sigma) / sigma,
        shape,
        area * tail / sigma,
        np.ones_like(gauss),
    )
    return area * shape + floor, np.stack(derivatives, axis=-1)


@cache
def _tail() -> tuple[FloatArray, FloatArray]:
    """The tail, of area 1, and its derivative at ``TAIL_Z`` sigma, ``(points,)`` each."""
    hidden = np.arange(0.0, TAIL_REACH, TAIL_STEP) + TAIL_STEP / 2
    z = TAIL_Z[:, None] + hidden
    density = np.exp(-z * z / 2) / ROOT_TWO_PI / (hidden + TAIL_START)
    density /= (1 / (hidden + TAIL_START)).sum()
    return density.sum(axis=1), (-z * density).sum(axis=1)


def _deviance(counts: FloatArray, mean: FloatArray) -> FloatArray:
    """Twice the difference of the log likelihood from that of a perfect fit, ``(spectra,)``."""
    bounded = np.maximum(mean, TINY)
    terms = mean - counts + xlogy(counts, counts / bounded)
    return np.asarray(2 * terms.sum(axis=1))
