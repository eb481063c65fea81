"""The measured centre of the Compton peak, pixel by pixel, to hold against the geometry."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import (
    ComptonSettings,
    FloatArray,
    peak_kev,
    theta_from_peak_rad,
    window_edges_kev,
)

# Windows that follow the peak found last: an error of the first angle falls tenfold each time.
PEAK_ROUNDS: Final = 4
# The median of so many counts of the Compton line is known to 0.1 keV; EMF then is off by 1 %.
LEAST_PEAK_COUNTS: Final = 1_000


def peak_centre_kev(
    counts: NDArray[Any], edges_kev: NDArray[np.float64], window_kev: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Median energy of the events inside a window, which follows a shift of the peak one to one.

    Parameters
    ----------
    counts
        ``(..., bins)``.
    edges_kev
        ``(bins + 1,)``.
    window_kev
        ``(2, ...)``: lower and upper limit of each pixel.

    Returns
    -------
    NDArray
        ``(...) float64, keV``, NaN where the window is empty.
    """
    first = int(np.searchsorted(edges_kev, window_kev.min(), side="right")) - 1
    last = int(np.searchsorted(edges_kev, window_kev.max()))
    edges = edges_kev[first : last + 1]
    inside = (edges[:-1] >= window_kev[0][..., None]) & (edges[1:] <= window_kev[1][..., None])
    cumulative = np.cumsum(np.where(inside, counts[..., first:last], 0), axis=-1, dtype=np.float64)
    half = cumulative[..., -1:] / 2
    at = np.minimum((cumulative < half).sum(axis=-1, keepdims=True), edges.size - 2)
    above = np.take_along_axis(cumulative, at, -1)
    before = np.where(at > 0, np.take_along_axis(cumulative, np.maximum(at - 1, 0), -1), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = (half - before) / (above - before)
        centre = edges[at] + fraction * (edges[at + 1] - edges[at])
    return np.where(half > 0, centre, np.nan)[..., 0]


def peak_map_kev(
    counts: NDArray[Any], edges_kev: FloatArray, theta_rad: FloatArray, settings: ComptonSettings
) -> FloatArray:
    """Peak of each pixel, free of the geometry: the alternative to its angle map.

    The median of the events with \\|pz\\| below the outer limit is the energy of pz = 0, where J
    times cross-section times efficiency is symmetric in pz, as it is to 0.1 % per a.u. The window
    is laid around the peak found last, from the angles of the geometry on.

    Parameters
    ----------
    counts
        ``(rows, columns, bins)`` of a homogeneous disk.
    theta_rad
        ``(rows, columns)``: angles to begin with.

    Returns
    -------
    NDArray
        ``(rows, columns) float64, keV``, NaN where fewer than 1,000 counts are in the window.
    """
    start_kev = found_kev = peak_kev(theta_rad, settings.incident_kev)
    for _ in range(PEAK_ROUNDS):
        angle = theta_from_peak_rad(found_kev, settings.incident_kev)
        windows_kev = window_edges_kev(angle, settings)[[0, 3]].astype(np.float64)
        found_kev = peak_centre_kev(counts, edges_kev, windows_kev)
        found_kev = np.where(np.isfinite(found_kev), found_kev, start_kev)
    centres_kev = (edges_kev[1:] + edges_kev[:-1]) / 2
    inside = (centres_kev > windows_kev[0][..., None]) & (centres_kev < windows_kev[1][..., None])
    enough = np.sum(counts, axis=-1, where=inside) >= LEAST_PEAK_COUNTS
    return np.where(enough, found_kev, np.nan)
