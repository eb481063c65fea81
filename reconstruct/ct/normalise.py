"""From counts to line integrals, whatever the flats, the darks and single pixels are like.

Images are ``(images, rows, columns)``, counts.
"""

from importlib import import_module
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.ct.scan import Taken

MIN_TRANSMISSION: Final = 1e-4  # a black pixel counts as this: 9.2 absorption lengths
AIR_PERCENTILE: Final = 99.0  # brightness taken for the open beam where there is no flat
IMAGES_AT_ONCE: Final = 64  # for which a beam that drifts is worked out


class FlatField:
    """The open beam of each pixel, made ready once for any number of projections.

    Where flats were taken before and after the projections, the beam of each projection lies
    between the two, by when it was taken.

    Parameters
    ----------
    flats, darks
        ``(images, rows, columns)`` or None; the median of each pixel counts. Without darks the
        dark level is 0; without flats the beam is ``air``.
    air
        Counts of the open beam above the dark level, for all pixels.
    taken
        When projections and flats were taken; None: not known.
    xp
        NumPy or CuPy, for projections of which this is.

    Attributes
    ----------
    unusable
        ``(rows, columns) bool``: the flat is saturated, not finite or not above the dark.
    drift
        By what part of itself the beam has changed from the flats before to those after.
    """

    def __init__(
        self,
        flats: NDArray[Any] | None,
        darks: NDArray[Any] | None,
        air: float | None = None,
        taken: Taken | None = None,
        xp: ModuleType = np,
    ) -> None:
        dark = np.zeros((), np.float32) if darks is None else _median(darks)
        beams, self._from, self._until = _beams(flats, dark, air, taken)
        self.unusable = ~np.isfinite(beams[0])
        ratio = (beams[-1] / beams[0])[~self.unusable]
        self.drift = float(np.median(ratio)) - 1 if ratio.size else 0.0
        self._xp, self._dark = xp, xp.asarray(dark)
        self._beams = [xp.asarray(beam) for beam in beams]

    def line_integrals(
        self,
        projections: Any,
        zinger_ratio: float | None = None,
        taken: NDArray[np.intp] | None = None,
        rows: slice = slice(None),
    ) -> Any:
        """Line integrals, -log((projection - dark) / beam), ``(images, rows, columns)``, finite.

        Pixels without a usable beam, and values that are not finite, are bridged along their row.

        Parameters
        ----------
        zinger_ratio
            Replace pixels brighter than the median of their 3 x 3 neighbourhood by this ratio.
        taken
            ``(images,)``: when each was taken; needed where the beam is interpolated.
        rows
            Which rows of flats and darks these are.
        """
        xp = self._xp
        counts = xp.array(projections, np.float32, order="C")
        if zinger_ratio is not None:
            counts = _without_zingers(counts, zinger_ratio, xp)
        counts -= _rows(self._dark, rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._divide(counts, taken, rows)
            counts[xp.isinf(counts)] = np.nan
            xp.maximum(counts, np.float32(MIN_TRANSMISSION), out=counts)
        xp.log(counts, out=counts)
        return bridged(xp.negative(counts, out=counts), xp)

    def _divide(self, counts: Any, taken: NDArray[np.intp] | None, rows: slice) -> None:
        """Divide by the beam, in place."""
        early, *after = (_rows(beam, rows) for beam in self._beams)
        if not after:
            counts /= early
            return
        late = after[0]
        share = (np.asarray(taken) - self._from) / (self._until - self._from)
        share = self._xp.asarray(np.clip(share, 0, 1).astype(np.float32)[:, None, None])
        for first in range(0, len(counts), IMAGES_AT_ONCE):
            some = slice(first, first + IMAGES_AT_ONCE)
            counts[some] /= early + share[some] * (late - early)


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


def _rows(image: Any, rows: slice) -> Any:
    """Some rows of what may be one number for all pixels."""
    return image[rows] if image.ndim else image


def _beams(
    flats: NDArray[Any] | None,
    dark: NDArray[np.float32],
    air: float | None,
    taken: Taken | None,
) -> tuple[list[NDArray[np.float32]], float, float]:
    """The open beam once, or before and after the projections; and when that was."""
    if flats is None:
        return [np.asarray(air, np.float32)], 0.0, 0.0
    after = np.zeros(len(flats), bool)
    if taken is not None:
        after = taken.flats > np.median(taken.projections)
    if taken is None or after.all() or not after.any():
        return [_beam(flats, dark)], 0.0, 0.0
    early, late = (_beam(flats[some], dark) for some in (~after, after))
    beams = [
        np.where(np.isfinite(one), one, other) for one, other in ((early, late), (late, early))
    ]
    return beams, float(taken.flats[~after].mean()), float(taken.flats[after].mean())


def _beam(flats: NDArray[Any], dark: NDArray[np.float32]) -> NDArray[np.float32]:
    """Open beam of each pixel, ``(rows, columns)``; NaN where it cannot be used."""
    flat = _median(flats)
    beam = flat - dark
    usable = np.isfinite(beam) & (beam > 0)
    if np.issubdtype(flats.dtype, np.integer):
        usable &= flat < np.iinfo(flats.dtype).max
    return np.where(usable, beam, np.float32(np.nan))


def _without_zingers(counts: Any, ratio: float, xp: ModuleType) -> Any:
    filters = ndimage if xp is np else import_module("cupyx.scipy.ndimage")
    smooth = filters.median_filter(counts, (1, 3, 3))
    return xp.where(counts > (1 + ratio) * smooth, smooth, counts)


def bridged(images: Any, xp: ModuleType = np) -> Any:
    """Fill what is not finite along each row of a C-contiguous stack, in place.

    A row without a finite value is 0.
    """
    rows = images.reshape(-1, images.shape[-1])
    broken = ~xp.isfinite(rows).all(axis=1)
    if broken.any():
        some = rows[broken] if xp is np else xp.asnumpy(rows[broken])
        some[~np.isfinite(some)] = np.nan
        rows[broken] = xp.asarray(_bridge(some))
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
