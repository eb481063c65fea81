"""Gain and intercept of each pixel from lines of known energy, and which pixels have none.

Spectra are of one-pixel events, in ADU above the pedestal. A coarse search over gain and intercept
finds all lines at once; each is then fitted by itself, and a straight line through the centres
gives energy = gradient * ADU + intercept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.coarse_gain import START_FWHM_KEV, coarse_gain
from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.lines import Line, LineError
from hexlive.reconstruct.peaks import FWHM_PER_SIGMA, Peaks, fit_peaks

# What a refusal says; the index is the code in the calibration file.
REFUSALS: Final = (
    "calibrated",
    "masked before",
    "too few counts",
    "a line is missing",
    "lines not on a straight line",
    "resolution unlike the others",
)
GOOD, MASKED, FEW, MISSING, CROOKED, ODD = range(len(REFUSALS))

MIN_COUNTS: Final = 50.0
MIN_SIGNIFICANCE: Final = 4.0
# Centres of good lines lie within this of a straight line, beside what counting statistics allow.
MAX_RESIDUAL_KEV: Final = 0.15
MAX_RESIDUAL_SIGMA: Final = 4.0
# Error of a centre that counts do not reduce: the shape of the line is known no better.
CENTRE_FLOOR_KEV: Final = 0.01
FWHM_RANGE: Final = (0.5, 2.0)  # of the median of all pixels
MIN_LINES: Final = 2
MIN_CHECKED: Final = 3  # lines that show whether they lie on a straight line
MIN_SPAN: Final = 0.8  # of the energies named, between the lines of a pixel
MIN_SPREAD: Final = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class LineCalibration:
    """Calibration of many pixels; arrays are ``(pixels,)`` unless stated, NaN where refused.

    Attributes
    ----------
    gradient_kev_per_adu, intercept_kev
        Energy is gradient times ADU above the pedestal, plus intercept.
    gradient_sigma, intercept_sigma_kev
        From counting statistics and ``CENTRE_FLOOR_KEV``.
    fwhm_kev
        ``(lines, pixels)``: resolution at each line.
    counts
        ``(lines, pixels)``.
    chi2
        Worst of the fits of the lines, per degree of freedom.
    residual_kev
        Largest distance of a line from the straight line.
    refusal
        ``uint8``: index into ``REFUSALS``.
    """

    lines: tuple[Line, ...]
    gradient_kev_per_adu: FloatArray
    gradient_sigma: FloatArray
    intercept_kev: FloatArray
    intercept_sigma_kev: FloatArray
    fwhm_kev: FloatArray
    counts: FloatArray
    chi2: FloatArray
    residual_kev: FloatArray
    refusal: NDArray[np.uint8]


def calibrate_lines(
    spectra: NDArray[Any],
    lines: Sequence[Line],
    start_gradient: FloatArray,
    start_intercept_kev: FloatArray,
    masked: NDArray[np.bool_],
    bin_adu: float,
) -> LineCalibration:
    """Calibrate every pixel.

    Parameters
    ----------
    spectra
        ``(pixels, bins)``: one-pixel events, in bins of ``bin_adu`` from the pedestal upwards.
    lines
        Two or more, any order.
    start_gradient, start_intercept_kev
        ``(pixels,)``: right to 10 % and 2.4 keV; keV/ADU and keV.
    masked
        ``(pixels,)``: left out.

    Raises
    ------
    LineError
        Fewer than two lines, or two at the same energy.
    """
    energies_kev = _distinct_kev(lines)
    used = np.flatnonzero(~masked)
    counts = spectra[used]
    gradient, intercept_kev = coarse_gain(
        counts, energies_kev, start_gradient[used], start_intercept_kev[used], bin_adu
    )
    peaks = [_fit_line(counts, line, gradient, intercept_kev, bin_adu) for line in lines]
    seen = _seen(peaks)
    line_fit = _straight_line(peaks, seen, energies_kev, gradient, bin_adu)
    refusal = _refusals(peaks, seen, energies_kev, line_fit)

    def everywhere(values: FloatArray) -> FloatArray:
        whole = np.full((*values.shape[:-1], len(spectra)), np.nan)
        whole[..., used] = np.where(refusal == GOOD, values, np.nan)
        return whole

    codes = np.full(len(spectra), MASKED, np.uint8)
    codes[used] = refusal
    return LineCalibration(
        lines=tuple(lines),
        gradient_kev_per_adu=everywhere(line_fit.gradient),
        gradient_sigma=everywhere(line_fit.gradient_sigma),
        intercept_kev=everywhere(line_fit.intercept_kev),
        intercept_sigma_kev=everywhere(line_fit.intercept_sigma_kev),
        fwhm_kev=everywhere(line_fit.fwhm_kev),
        counts=everywhere(np.array([peak.area for peak in peaks])),
        chi2=everywhere(np.max([peak.chi2 for peak in peaks], axis=0)),
        residual_kev=everywhere(np.abs(line_fit.residual_kev).max(axis=0)),
        refusal=codes,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _LineFit:
    """A straight line through the centres, ``(pixels,)``; ``(lines, pixels)`` where plural."""

    gradient: FloatArray
    gradient_sigma: FloatArray
    intercept_kev: FloatArray
    intercept_sigma_kev: FloatArray
    fwhm_kev: FloatArray
    residual_kev: FloatArray
    centre_sigma_kev: FloatArray


def _distinct_kev(lines: Sequence[Line]) -> FloatArray:
    energies_kev = np.array([line.energy_kev for line in lines])
    if len(lines) < MIN_LINES:
        raise LineError("Gradient and intercept need two lines or more.")
    gaps = np.diff(np.sort(energies_kev))
    if gaps.min() < START_FWHM_KEV or np.ptp(energies_kev) < MIN_SPREAD * energies_kev.max():
        names = ", ".join(f"{line.name} ({line.energy_kev:.2f} keV)" for line in lines)
        raise LineError(f"The lines {names} are too close together to tell them apart.")
    return energies_kev


def _fit_line(
    spectra: NDArray[Any],
    line: Line,
    gradient: FloatArray,
    intercept_kev: FloatArray,
    bin_adu: float,
) -> Peaks:
    """Fit a line where gradient and intercept expect it."""
    per_bin = gradient * bin_adu
    energy_kev, share = np.array(line.components).T
    return fit_peaks(
        spectra,
        (line.energy_kev - intercept_kev) / per_bin,
        START_FWHM_KEV / FWHM_PER_SIGMA / per_bin,
        (energy_kev - line.energy_kev) / per_bin[:, None],
        share,
    )


def _seen(peaks: list[Peaks]) -> NDArray[np.bool_]:
    """Which lines each pixel shows, ``(lines, pixels)``."""
    return np.array(
        [
            peak.inside
            & (peak.area >= MIN_COUNTS)
            & (peak.area >= MIN_SIGNIFICANCE * peak.area_sigma)
            for peak in peaks
        ]
    )


def _straight_line(
    peaks: list[Peaks],
    seen: NDArray[np.bool_],
    energies_kev: FloatArray,
    gradient: FloatArray,
    bin_adu: float,
) -> _LineFit:
    """Least squares of energy against ADU through the lines seen, with the errors of centres."""
    adu = np.array([peak.centre for peak in peaks]) * bin_adu
    sigma_kev = np.array([peak.centre_sigma for peak in peaks]) * bin_adu * gradient
    weight = np.where(seen, 1 / (sigma_kev**2 + CENTRE_FLOOR_KEV**2), 0.0)
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_adu = (weight * adu).sum(axis=0) / total
        mean_kev = (weight * energies_kev[:, None]).sum(axis=0) / total
        spread = (weight * (adu - mean_adu) ** 2).sum(axis=0)
        slope = (weight * (adu - mean_adu) * energies_kev[:, None]).sum(axis=0) / spread
        slope_sigma = 1 / np.sqrt(spread)
        intercept_sigma_kev = np.sqrt(1 / total + (slope_sigma * mean_adu) ** 2)
    intercept_kev = mean_kev - slope * mean_adu
    fwhm_kev = np.array([peak.sigma for peak in peaks]) * bin_adu * slope * FWHM_PER_SIGMA
    residual_kev = slope * adu + intercept_kev - energies_kev[:, None]
    return _LineFit(
        gradient=slope,
        gradient_sigma=slope_sigma,
        intercept_kev=intercept_kev,
        intercept_sigma_kev=intercept_sigma_kev,
        fwhm_kev=np.where(seen, fwhm_kev, np.nan),
        residual_kev=np.where(seen, residual_kev, 0.0),
        centre_sigma_kev=sigma_kev,
    )


def _refusals(
    peaks: list[Peaks], seen: NDArray[np.bool_], energies_kev: FloatArray, fit: _LineFit
) -> NDArray[np.uint8]:
    """Why each pixel cannot be calibrated, the first reason that applies; ``GOOD`` if none does.

    Of four lines or more, one may be missing, unless too short a span is left.
    """
    wanted = len(peaks) - (len(peaks) > MIN_CHECKED)
    highest_kev, lowest_kev = (
        choose(np.where(seen, energies_kev[:, None], other), axis=0)
        for choose, other in ((np.max, -np.inf), (np.min, np.inf))
    )
    missing = seen.sum(axis=0) < wanted
    missing |= highest_kev - lowest_kev < MIN_SPAN * np.ptp(energies_kev)
    few = missing & (np.array([peak.area for peak in peaks]) < MIN_COUNTS).any(axis=0)
    allowed_kev = np.hypot(MAX_RESIDUAL_KEV, MAX_RESIDUAL_SIGMA * fit.centre_sigma_kev)
    crooked = (np.abs(fit.residual_kev) > allowed_kev).any(axis=0) | ~(fit.gradient > 0)
    refusal = np.select([few, missing, crooked], [FEW, MISSING, CROOKED], GOOD).astype(np.uint8)
    if (good := refusal == GOOD).any():
        low, high = np.outer(FWHM_RANGE, [_median(row[good]) for row in fit.fwhm_kev])[..., None]
        odd = ((fit.fwhm_kev < low) | (fit.fwhm_kev > high)).any(axis=0)
        refusal[good & odd] = ODD
    return refusal


def _median(values: FloatArray) -> float:
    """Of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.nan
