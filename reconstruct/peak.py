"""The measured centre of the Compton peak, pixel by pixel, to hold against the geometry."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
