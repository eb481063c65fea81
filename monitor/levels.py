"""Numbers behind a picture: colour levels, axis ranges, thinning, lengths of scale bars. No Qt."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CUT: Final = 0.02
MOST_PIXELS_PER_SIDE: Final = 1024
SCALE_BAR_FRACTION: Final = 0.3
WEIGHT_CAP_QUANTILE: Final = 0.9
TRUSTED_SIGMAS: Final = 3.0
WORTH_SEEING: Final = 0.25
UNIT_RANGE: Final = (0.0, 1.0)
SLACK: Final = 0.05


def thinned(image: NDArray[Any]) -> NDArray[Any]:
    """Every n-th row and column, so that neither side exceeds what a screen can show."""
    rows = -(-image.shape[0] // MOST_PIXELS_PER_SIDE) or 1
    columns = -(-image.shape[1] // MOST_PIXELS_PER_SIDE) or 1
    return image[::rows, ::columns]


def robust_levels(
    values: NDArray[Any], weights: NDArray[Any] | None = None, cut: float = CUT
) -> tuple[float, float]:
    """Quantiles of the finite values, 2 and 98 % unless told; 0 and 1 without any.

    Parameters
    ----------
    cut
        Fraction of the values to leave out at each end.
    weights
        How much each value is to be believed, such as its counts, so that dark pixels do not
        stretch the colours. Capped at their 90 % quantile, so that hot pixels do not either.
    """
    finite = np.isfinite(values)
    chosen = values[finite].astype(np.float64)
    if chosen.size == 0:
        return UNIT_RANGE
    order = np.argsort(chosen)
    believed = np.ones(chosen.size) if weights is None else _capped(weights[finite])
    cumulative = np.cumsum(believed[order])
    places = np.searchsorted(cumulative / cumulative[-1], (cut, 1 - cut))
    low, high = chosen[order][np.minimum(places, chosen.size - 1)]
    if low == high == 0:  # counts are never below it
        return UNIT_RANGE
    return widened(float(low), float(high))


def balanced_levels(levels: tuple[float, float], centre: float) -> tuple[float, float]:
    """The same distance to both sides of the centre of diverging colours."""
    reach = max(abs(levels[0] - centre), abs(levels[1] - centre))
    return centre - reach, centre + reach


def _capped(weights: NDArray[Any]) -> FloatArray:
    usable = np.where(np.isfinite(weights) & (weights > 0), weights, 0.0)
    cap = np.quantile(usable, WEIGHT_CAP_QUANTILE)
    return np.minimum(usable, cap) if cap > 0 else np.ones(weights.size)


def widened(low: float, high: float, margin: float = 0.0) -> tuple[float, float]:
    """A range with a margin on both sides, never empty."""
    span = (high - low) * margin
    if high - low <= abs(high) * np.finfo(np.float32).eps:
        span = 0.05 * abs(high) or 0.5
    return low - span, high + span


def settled(before: tuple[float, float] | None, wanted: tuple[float, float]) -> tuple[float, float]:
    """The range of before, as long as that which is wanted is nearly the same.

    A range that follows every count flickers, and costs a new axis each time.
    """
    if before is None:
        return wanted
    slack = SLACK * (before[1] - before[0])
    near = all(abs(old - new) <= slack for old, new in zip(before, wanted, strict=True))
    return before if near else wanted


def noisy(sigma: FloatArray) -> NDArray[np.bool_]:
    """Points whose sigma exceeds three times the median sigma.

    Such is the electrolyte: a difference of exposures, 5 to 12 times noisier than a region.
    """
    known = sigma[np.isfinite(sigma)]
    limit = TRUSTED_SIGMAS * np.median(known) if known.size else np.inf
    return ~(np.nan_to_num(sigma) <= limit)


def trusted_range(values: FloatArray, sigma: FloatArray) -> tuple[float, float]:
    """Axis range for the points worth seeing.

    It holds each value known to 25 %, and the error bars of those that are not `noisy`.
    """
    bars = np.nan_to_num(sigma)
    known = np.isfinite(values) & (bars <= WORTH_SEEING * np.abs(values))
    if not known.any():
        known = np.isfinite(values)
    if not known.any():
        return UNIT_RANGE
    bars = np.where(noisy(sigma), 0.0, bars)
    low, high = (values - bars)[known].min(), (values + bars)[known].max()
    return widened(float(low), float(high), margin=0.1)


def scale_bar_um(width_um: float) -> float:
    """The largest 1, 2 or 5 times a power of ten within three tenths of the width."""
    limit = width_um * SCALE_BAR_FRACTION
    decade = 10.0 ** np.floor(np.log10(limit))
    return float(max((n * decade for n in (2, 5) if n * decade <= limit), default=decade))


def length_label(length_um: float) -> str:
    """A length in the unit that keeps it short."""
    return f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
