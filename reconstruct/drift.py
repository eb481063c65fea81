"""Drift of the gain, from fluorescence lines that are in every spectrum."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.lines import Line, find_line
from hexlive.reconstruct.peaks import FWHM_PER_SIGMA, fit_peaks

# Of sums over pixels, with two-pixel events.
START_FWHM_KEV: Final = 1.0
MIN_SIGNIFICANCE: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftSettings:
    """The ``[drift]`` table of the configuration.

    Attributes
    ----------
    lines
        Lines in every spectrum, by name or keV; empty: no monitor.
    interval_s
        Live time of one point.
    alarm_percent
        Change of the gain since the first point that raises an alarm, if it is ``alarm_sigma``
        standard errors or more. Two would give some 16 false alarms in 350 points.
    correct
        Divide the energy axis of the analysis by the mean gain of the present exposure, where that
        is ``alarm_sigma`` standard errors or more from the first point's. Counts stay as they are.
    """

    lines: tuple[str, ...] = ("W Ka", "Pb Ka")
    interval_s: float = 30.0
    alarm_percent: float = 0.1
    alarm_sigma: float = 3.0
    correct: bool = False

    def __post_init__(self) -> None:
        """Refuse a monitor that could not work.

        Raises
        ------
        ValueError
            A value is not positive, or a line is unknown.
        """
        for name in ("interval_s", "alarm_percent", "alarm_sigma"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"drift.{name} must be positive, not {getattr(self, name)}.")
        for name in self.lines:
            find_line(name)


@dataclass(frozen=True, kw_only=True, eq=False)
class LineCentres:
    """Centres of lines, ``(lines, spectra) float64, keV``; NaN where there is no line to see.

    The centre is that of the strongest component of each line.
    """

    centre_kev: FloatArray
    sigma_kev: FloatArray

    def gain_change(self, start: "LineCentres") -> "GainChange":
        """Relative change of the gain since ``start``.

        A change of the gain moves every line by the same factor, so the mean over lines is that of
        the relative changes, weighted with their errors.
        """
        change = self.centre_kev / start.centre_kev - 1
        sigma = np.hypot(self.sigma_kev, start.sigma_kev) / start.centre_kev
        weight = np.where(np.isfinite(change), 1 / sigma**2, 0.0)
        total = weight.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weight * np.nan_to_num(change)).sum(axis=0) / total
            return GainChange(relative=mean, sigma=1 / np.sqrt(np.where(total > 0, total, np.nan)))


@dataclass(frozen=True, kw_only=True, eq=False)
class GainChange:
    """Relative change of the gain and its standard error, ``(spectra,)``; NaN where unknown."""

    relative: FloatArray
    sigma: FloatArray

    def exceeds(self, limit: float, n_sigma: float) -> NDArray[np.bool_]:
        """Where the change is beyond a limit, and not by chance."""
        size = np.abs(self.relative)
        return np.asarray((size > limit) & (size > n_sigma * self.sigma))


def line_centres(
    spectra: NDArray[Any], edges_kev: FloatArray, lines: Sequence[Line]
) -> LineCentres:
    """Fit every line in every spectrum.

    Parameters
    ----------
    spectra
        ``(spectra, bins)``: counts.
    edges_kev
        ``(bins + 1,)``, equally spaced, keV.
    """
    fits = [_fit(spectra, edges_kev, line) for line in lines]
    return LineCentres(
        centre_kev=np.array([centre for centre, _ in fits]),
        sigma_kev=np.array([sigma for _, sigma in fits]),
    )


def _fit(spectra: NDArray[Any], edges_kev: FloatArray, line: Line) -> tuple[FloatArray, FloatArray]:
    bin_kev, everywhere = edges_kev[1] - edges_kev[0], np.ones(len(spectra))
    energy_kev, share = np.array(line.components).T
    peaks = fit_peaks(
        spectra,
        (line.energy_kev - edges_kev[0]) / bin_kev * everywhere,
        START_FWHM_KEV / FWHM_PER_SIGMA / bin_kev * everywhere,
        np.tile((energy_kev - line.energy_kev) / bin_kev, (len(spectra), 1)),
        share,
    )
    seen = peaks.inside & (peaks.area > MIN_SIGNIFICANCE * peaks.area_sigma)
    centre_kev = np.where(seen, edges_kev[0] + peaks.centre * bin_kev, np.nan)
    return centre_kev, np.where(seen, peaks.centre_sigma * bin_kev, np.nan)
