"""From counts to line integrals, whatever the flats, the darks and single pixels are like.

Images are ``(images, rows, columns)``, counts.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

MIN_TRANSMISSION: Final = 1e-4  # a black pixel counts as this: 9.2 absorption lengths
AIR_PERCENTILE: Final = 99.0  # brightness taken for the open beam where there is no flat


class FlatField:
    """The open beam of each pixel, made ready once for any number of projections.

    Parameters
    ----------
    flats, darks
        ``(images, rows, columns)`` or None; the median of each pixel counts. Without darks the
        dark level is 0; without flats the beam is ``air``.
    air
        Counts of the open beam above the dark level, for all pixels.

    Attributes
    ----------
    unusable
        ``(rows, columns) bool``: the flat is saturated, not finite or not above the dark.
    """

    def __init__(
        self, flats: NDArray[Any] | None, darks: NDArray[Any] | None, air: float | None = None
    ) -> None:
        self._dark = np.float32(0) if darks is None else _median(darks)
        beam = np.float32(air) if flats is None else _beam(flats, self._dark)
        self._beam = np.asarray(beam, np.float32)
        self.unusable = ~np.isfinite(self._beam)

    def line_integrals(
        self, projections: NDArray[Any], zinger_ratio: float | None = None
    ) -> NDArray[np.float32]:
        """``(images, rows, columns)`` as -log((projection - dark) / beam); see `normalise`."""
        counts = np.array(projections, np.float32, order="C")
        if zinger_ratio is not None:
            counts = _without_zingers(counts, zinger_ratio)
        counts -= self._dark
        with np.errstate(invalid="ignore"):
            transmission = np.divide(counts, self._beam, out=counts, dtype=np.float32)
            transmission[np.isinf(transmission)] = np.nan
            np.maximum(transmission, MIN_TRANSMISSION, out=transmission)
        np.log(transmission, out=transmission)
        return bridged(np.negative(transmission, out=transmission))


def normalise(
    projections: NDArray[Any],
    flats: NDArray[Any] | None,
    darks: NDArray[Any] | None,
    zinger_ratio: float | None = None,
) -> NDArray[np.float32]:
    """Turn projections into line integrals, -log((projection - dark) / (flat - dark)).

    Pixels whose flat is saturated, not finite or not above the dark, and values that are not
    finite, are bridged linearly along their row.

    Parameters
    ----------
    projections
        ``(images, rows, columns)``. Floating-point values without flats are line integrals already
        and only bridged; integers without flats are taken relative to their brightest part.
    flats, darks
        As for `FlatField`.
    zinger_ratio
        Replace pixels brighter than the median of their 3 x 3 neighbourhood by this ratio.

    Returns
    -------
    NDArray[np.float32]
        ``(images, rows, columns)``, finite, no unit.
    """
    if are_lines(projections.dtype, flats):
        return bridged(np.array(projections, np.float32, order="C"))
    air = None if flats is not None else air_level(projections, darks)
    return FlatField(flats, darks, air).line_integrals(projections, zinger_ratio)


def are_lines(dtype: np.dtype[Any], flats: NDArray[Any] | None) -> bool:
    """Whether projections are line integrals already: floating-point values without flats."""
    return flats is None and np.issubdtype(dtype, np.floating)


def air_level(projections: NDArray[Any], darks: NDArray[Any] | None) -> float:
    """Counts of the brightest part of some projections above the dark level."""
    dark = 0.0 if darks is None else _median(darks)
    counts = projections - dark
    return float(np.percentile(counts[np.isfinite(counts)], AIR_PERCENTILE))


def _median(images: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(np.median(images, axis=0), np.float32)


def _beam(flats: NDArray[Any], dark: NDArray[np.float32] | np.float32) -> NDArray[np.float32]:
    """Open beam of each pixel, ``(rows, columns)``; NaN where it cannot be used."""
    flat = _median(flats)
    beam = flat - dark
    usable = np.isfinite(beam) & (beam > 0)
    if np.issubdtype(flats.dtype, np.integer):
        usable &= flat < np.iinfo(flats.dtype).max
    return np.where(usable, beam, np.float32(np.nan))


def _without_zingers(counts: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    smooth = median_filter(counts, (1, 3, 3))
    return np.where(counts > (1 + ratio) * smooth, smooth, counts)


def bridged(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill what is not finite along each row of a C-contiguous stack, in place.

    A row without a finite value is 0.
    """
    rows = images.reshape(-1, images.shape[-1])
    broken = ~np.isfinite(rows).all(axis=1)
    if broken.any():
        some = rows[broken]
        some[~np.isfinite(some)] = np.nan
        rows[broken] = _bridge(some)
    return images


def _bridge(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    n = rows.shape[1]
    column = np.arange(n)
    good = np.isfinite(rows)
    before = np.maximum.accumulate(np.where(good, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(good, column, n)[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == n, before, after)
    # Where a whole row is broken both are still off the end; any column serves, all are NaN.
    before, after = np.clip(before, 0, n - 1), np.clip(after, 0, n - 1)
    part = (column - before) / np.maximum(after - before, 1)
    low = np.take_along_axis(rows, before, axis=1)
    high = np.take_along_axis(rows, after, axis=1)
    return np.asarray(np.nan_to_num(low + part * (high - low)), np.float32)
