"""Roughness of a levelled surface, and how well it is known from its own tiles."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

TILES: Final = 8  # per side of the surface
DRAWS: Final = 1000
SEED: Final = 1  # the same surface has the same uncertainty every time

Number = float | NDArray[np.float64]


class Roughness(NamedTuple):
    """Ra = mean of \\|Z\\|, Rq = root of the mean of Z^2, and the standard error of each, um."""

    ra_um: float
    rq_um: float
    ra_sigma_um: float
    rq_sigma_um: float


def roughness(height_um: NDArray[np.float64]) -> Roughness:
    """Ra and Rq of heights ``(y, x)``, levelled; NaN does not count.

    The errors are those of a bootstrap over tiles of the surface, which are nearly independent
    where voxels are not; NaN where there is one tile only.
    """
    valid = np.isfinite(height_um)
    size = np.where(valid, np.abs(height_um), 0.0)
    sums = tile_sums(np.stack([valid, size, size**2]), valid)
    ra, rq = (lambda n, first, second: first / n), (lambda n, first, second: (second / n) ** 0.5)
    return Roughness(
        ra_um=float(size.sum() / valid.sum()),
        rq_um=float(np.sqrt((size**2).sum() / valid.sum())),
        ra_sigma_um=bootstrap(sums, ra),
        rq_sigma_um=bootstrap(sums, rq),
    )


def tile_sums(values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sums of maps ``(maps, y, x)`` over the tiles of what is True, ``(maps, tiles)``."""
    y, x = np.nonzero(where)
    tile = (y - y.min()) * TILES // (np.ptp(y) + 1) * TILES + (x - x.min()) * TILES // (
        np.ptp(x) + 1
    )
    inside = values[:, where].astype(np.float64)
    sums = np.array([np.bincount(tile, one, TILES**2) for one in inside], np.float64)
    return np.asarray(sums[:, np.bincount(tile, minlength=TILES**2) > 0])


def bootstrap(sums: NDArray[np.float64], of: Callable[..., Number]) -> float:
    """Standard error of a function of the sums ``(sums, tiles)``: tiles drawn with replacement."""
    n = sums.shape[1]
    if n < 2:
        return float("nan")
    draws = np.random.default_rng(SEED).integers(0, n, (DRAWS, n))
    return float(np.std(of(*sums[:, draws].sum(axis=-1))))


def levelled(
    height_um: NDArray[np.float64], level: Literal["plane", "mean"] = "plane"
) -> NDArray[np.float64]:
    """Subtract the least-squares plane or the mean of the finite heights, ``(y, x)``."""
    valid = np.isfinite(height_um)
    y, x = np.nonzero(valid)
    columns = [np.ones(len(y)), y, x] if level == "plane" else [np.ones(len(y))]
    basis = np.stack(columns, axis=1)
    heights = height_um[valid]
    result = np.full_like(height_um, np.nan)
    result[valid] = heights - basis @ np.linalg.lstsq(basis, heights, rcond=None)[0]
    return result
