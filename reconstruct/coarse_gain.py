"""Where to begin a calibration by lines: a search over gain and intercept for all lines at once."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray

# Coarse search around the start: gain by +-10 %, intercept by +-2.4 keV, and what moving costs in
# units of its score, so that the nearest of equal answers wins.
GAIN_STEPS: Final = np.arange(-25, 26) * 0.004
INTERCEPT_STEPS_KEV: Final = np.arange(-16, 17) * 0.15
GAIN_SCALE: Final = 0.10
INTERCEPT_SCALE_KEV: Final = 2.4

# Resolution to start with: that of the paper's camera.
START_FWHM_KEV: Final = 0.8


def coarse_gain(
    spectra: NDArray[Any],
    energies_kev: FloatArray,
    start_gradient: FloatArray,
    start_intercept_kev: FloatArray,
    bin_adu: float,
) -> tuple[FloatArray, FloatArray]:
    """Gradient and intercept, ``(pixels,)``, at which the spectrum has a peak at every line.

    The score is the sum over lines of the root of their significance, so that no strong line
    outweighs the others.
    """
    width_bins = START_FWHM_KEV / np.median(start_gradient) / bin_adu
    score_of = _prominence(spectra, max(1, round(width_bins)))
    best = np.full(len(spectra), -np.inf)
    best_gradient, best_intercept_kev = start_gradient.copy(), start_intercept_kev.copy()
    for gain_step in GAIN_STEPS:
        gradient = start_gradient * (1 + gain_step)
        for shift_kev in INTERCEPT_STEPS_KEV:
            intercept_kev = start_intercept_kev + shift_kev
            at = (energies_kev[:, None] - intercept_kev) / gradient / bin_adu
            index = np.clip(at.astype(np.int64), 0, spectra.shape[1] - 1)
            score = np.take_along_axis(score_of, index.T, axis=1).sum(axis=1)
            score -= (gain_step / GAIN_SCALE) ** 2 + (shift_kev / INTERCEPT_SCALE_KEV) ** 2
            better = score > best
            best[better] = score[better]
            best_gradient[better] = gradient[better]
            best_intercept_kev[better] = intercept_kev[better]
    return best_gradient, best_intercept_kev


def _prominence(spectra: NDArray[Any], width: int) -> NDArray[np.float32]:
    """Root of the significance of a peak ``width`` bins wide at each bin, ``(pixels, bins)``."""
    padded = np.pad(spectra.astype(np.float32), ((0, 0), (2 * width + 1, 2 * width)))
    cumulative = np.cumsum(padded, axis=1, dtype=np.float64)
    n_bins, half = spectra.shape[1], width // 2

    def box(start: int) -> NDArray[np.float64]:
        """Counts in the bins from ``start`` on, relative to each bin."""
        first = 2 * width + start
        last = first + width
        return cumulative[:, last : last + n_bins] - cumulative[:, first : first + n_bins]

    core, sides = box(-half), (box(-half - width) + box(-half + width)) / 2
    significance = (core - sides) / np.sqrt(core + sides + 1)
    return np.sqrt(np.maximum(significance, 0)).astype(np.float32)
