"""Where the rotation axis is: methods that know nothing of each other.

Sinogram stacks are ``(rows, angles, columns) float32``, line integrals, sorted by angle.
"""

from math import inf, pi
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hexlive.reconstruct.ct.geometry import angular_weights

SEARCH: Final = (0.3, 0.7)  # where the axis may be, of the columns
SEARCH_FULL_TURN: Final = (0.05, 0.95)  # so a tenth of the columns overlap at least
FULL_TURN_RAD: Final = 1.9 * pi  # a scan over more than this has true opposite projections
MIRROR_PAIRS: Final = 8
MAX_ANGLES: Final = 720  # more do not change Vo's metric
COARSE_COLUMNS: Final = 256
WEDGE_RATIO: Final = 0.5  # object radius for Vo's wedge, of half the width; 0.5 as published
MIN_HARMONIC: Final = 20  # lower ones hold drifts of the beam, not the wedge
HALF_PX: Final = 0.5
END_PX: Final = 1.0
TILT_REACH_PX: Final = 8.0
SURE: Final = 6.0  # times the median deviation of a tilt: 4 sigma
EDGE_PART: Final = 0.02  # of the columns, on either side of a sample that is all in the field
EMPTY_PART: Final = 0.05  # of the largest mean line integral, below which an edge is empty
STEADY_PART: Final = 0.02  # by which the mass in a projection may vary
SHORT_STEPS: Final = 2  # missing to half a turn: then nothing is opposite
MIN_TILT_ROWS: Final = 6
MIN_TILT_COLUMNS: Final = 64
MIN_TILT_PX: Final = 0.5  # over the rows: less does not show in a slice


def mirror_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> float:
    """The axis about which projections half a turn apart are mirror images, px.

    Where no angle is exactly opposite, the projection there is a linear continuation of the two
    nearest, which is exact to second order in the angular step.

    Parameters
    ----------
    sinogram, angles_rad
        As for `find_centre`, sorted by angle.
    """
    here, there = _opposite(sinogram, angles_rad)
    return _mirror_axis(here, there, SEARCH_FULL_TURN if is_full_turn(angles_rad) else SEARCH)


def symmetry_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> float:
    """The axis about which the mean projection of a full turn is symmetric, px."""
    weights = angular_weights(angles_rad, 2 * pi)
    mean = np.tensordot(sinogram, weights.astype(np.float32), axes=(1, 0))
    return _mirror_axis(mean, mean, SEARCH_FULL_TURN)


def axis_tilt(
    sinogram: NDArray[np.float32],
    angles_rad: NDArray[np.float64],
    rows: NDArray[np.intp],
) -> float:
    """How the axis moves from row to row, px per row; 0 where that cannot be told from noise.

    The mirror method row by row, and the median slope of all pairs of rows (Theil and Sen).

    Parameters
    ----------
    rows
        Which detector rows the sinogram has, ``(rows,)``.
    """
    columns = sinogram.shape[-1]
    if len(rows) < MIN_TILT_ROWS or columns < MIN_TILT_COLUMNS:
        return 0.0
    here, there = _opposite(sinogram, angles_rad)
    middle_px = mirror_centre(sinogram, angles_rad)
    near = (
        max(middle_px - TILT_REACH_PX, 0) / columns,
        min(middle_px + TILT_REACH_PX, columns - 1) / columns,
    )
    found_px = np.array([_mirror_axis(here[:, [i]], there[:, [i]], near) for i in range(len(rows))])
    first, second = np.triu_indices(len(rows), 1)
    slope = float(np.median((found_px[second] - found_px[first]) / (rows[second] - rows[first])))
    rest_px = found_px - slope * rows
    scatter_px = float(np.median(np.abs(rest_px - np.median(rest_px))))
    noise_px = scatter_px * np.ptp(rows) / (np.std(rows) * np.sqrt(len(rows)))
    return slope if abs(slope) * np.ptp(rows) > max(MIN_TILT_PX, SURE * noise_px) else 0.0


def seam_misfit(
    sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64], centre_px: float
) -> float:
    """Mean square difference of opposite rays about an axis, relative to their variance."""
    here, there = _opposite(sinogram, angles_rad)
    shift = round(2 * centre_px) - sinogram.shape[-1] + 1
    return _misfit(here, there[..., ::-1], shift)


def _opposite(
    sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Projections half a turn apart, ``(pairs, rows, columns)`` each."""
    starts_rad = np.linspace(angles_rad[0], angles_rad[-1] - pi, MIRROR_PAIRS)
    here = np.stack([_projection_at(sinogram, angles_rad, at) for at in starts_rad])
    there = np.stack([_projection_at(sinogram, angles_rad, at + pi) for at in starts_rad])
    return here, there


def _mirror_axis(
    here: NDArray[np.float32], there: NDArray[np.float32], search: tuple[float, float]
) -> float:
    columns = here.shape[-1]
    # Mirroring about the axis c, then reversing the columns, is a shift by 2 c - (columns - 1).
    first, last = (round(2 * part * columns) - columns + 1 for part in search)
    misfit = [_misfit(here, there[..., ::-1], shift) for shift in range(first, last + 1)]
    return float(first + minimum(misfit) + columns - 1) / 2


def vo_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> float:
    """The axis for which scan and mirrored scan make one full turn, px.

    The Fourier transform of a full turn vanishes outside a double wedge (Vo, Drakopoulos, Atwood
    and Reinhard, Optics Express 22, 19078, 2014). A coarse search on binned columns is refined on
    the full ones.

    Parameters
    ----------
    sinogram, angles_rad
        As for `find_centre`, sorted by angle, nearly equally spaced.
    """
    half_turn = np.flatnonzero(angles_rad < angles_rad[0] + pi)
    scan = sinogram[:, half_turn[:: -(-len(half_turn) // MAX_ANGLES)]]
    columns = scan.shape[-1]
    factor = max(1, columns // COARSE_COLUMNS)
    binned = scan[..., : columns // factor * factor]
    binned = binned.reshape(*scan.shape[:2], -1, factor).mean(-1)
    coarse = _least_outside_wedge(binned, *SEARCH)
    middle = ((coarse + 0.5) * factor - 0.5) / columns
    reach = 2 * max(factor, 2) / columns
    fine = max(SEARCH[0], middle - reach), min(SEARCH[1], middle + reach)
    return _least_outside_wedge(scan, *fine)


def centroid_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> float | None:
    """The axis about which the centre of mass of the projections turns, px.

    It takes no opposite projections, so it serves scans of less than half a turn; but all of the
    sample must be in the field: its mass is then the same at every angle, and the edges are empty.
    None where no row is like that.

    Parameters
    ----------
    sinogram, angles_rad
        As for `find_centre`.
    """
    columns = sinogram.shape[-1]
    edge = max(1, round(EDGE_PART * columns))
    every = -(-len(angles_rad) // MAX_ANGLES)
    some_rad = angles_rad[::every]
    circle = np.stack([np.ones_like(some_rad), np.cos(some_rad), np.sin(some_rad)], axis=1)
    found_px = []
    for stack in sinogram[:, ::every]:
        row = stack.astype(np.float64)
        mean, mass = row.mean(axis=0), row.sum(axis=1)
        edges = abs(mean[:edge].mean()), abs(mean[-edge:].mean())
        empty = max(edges) < EMPTY_PART * mean.max()
        if not empty or mass.std() > STEADY_PART * mass.mean():
            continue
        at_px = row @ np.arange(columns) / mass
        fit, *_ = np.linalg.lstsq(circle, at_px, rcond=None)
        found_px.append(float(fit[0]))
    return float(np.median(found_px)) if found_px else None


def _least_outside_wedge(scan: NDArray[np.float32], low: float, high: float) -> float:
    columns = scan.shape[-1]
    centres_px = np.arange(round(2 * low * columns), round(2 * high * columns) + 1) / 2
    width = 2 * int(min(centres_px[0], columns - 1 - centres_px[-1]))
    outside = _outside_wedge(2 * scan.shape[1], width)
    mirrored = scan[..., ::-1]

    def energy(centre_px: float) -> float:
        first = round(centre_px - (width - 1) / 2)
        again = first - round(2 * centre_px) + columns - 1
        parts = scan[..., first : first + width], mirrored[..., again : again + width]
        turn = np.concatenate(parts, axis=1)
        return float(np.abs(fft.rfft2(turn, workers=-1))[:, outside].mean())

    return float(centres_px[0] + HALF_PX * minimum([energy(c) for c in centres_px]))


def _outside_wedge(n_angles: int, width: int) -> NDArray[np.bool_]:
    """Where a full turn has no energy, ``(n_angles, width // 2 + 1) bool``."""
    harmonic = np.abs(fft.fftfreq(n_angles, 1 / n_angles))[:, None]
    per_px = fft.rfftfreq(width)
    radius_px = WEDGE_RATIO * width / 2
    outside = (harmonic > 2 * pi * per_px * radius_px) & (harmonic > MIN_HARMONIC)
    outside[:, :2] = False
    return np.asarray(outside)


def within_search(centre_px: float, columns: int, *, full_turn: bool) -> bool:
    """Whether an axis is not at the end of where it was looked for, beyond which it may lie."""
    low, high = SEARCH_FULL_TURN if full_turn else SEARCH
    return low * columns + END_PX < centre_px < high * columns - END_PX


def is_short(angles_rad: NDArray[np.float64]) -> bool:
    """Whether a scan, sorted by angle, covers less than half a turn."""
    step_rad = float(np.median(np.diff(angles_rad)))
    return bool(np.ptp(angles_rad) + (1 + SHORT_STEPS) * step_rad < pi)


def is_full_turn(angles_rad: NDArray[np.float64]) -> bool:
    return bool(np.ptp(angles_rad) > FULL_TURN_RAD)


def _projection_at(
    sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64], at_rad: float
) -> NDArray[np.float32]:
    """``(rows, columns)`` at any angle, linear between and beyond the measured ones."""
    after = int(np.clip(np.searchsorted(angles_rad, at_rad), 1, len(angles_rad) - 1))
    part = (at_rad - angles_rad[after - 1]) / (angles_rad[after] - angles_rad[after - 1])
    before = sinogram[:, after - 1]
    return np.asarray(before + np.float32(part) * (sinogram[:, after] - before))


def _misfit(fixed: NDArray[np.float32], moved: NDArray[np.float32], shift: int) -> float:
    """Mean square difference over the overlap, relative to the variances: 1 for mere noise."""
    columns = fixed.shape[-1]
    a = fixed[..., max(shift, 0) : columns + min(shift, 0)]
    b = moved[..., max(-shift, 0) : columns - max(shift, 0)]
    variance = float(a.var() + b.var())
    return float(((a - b) ** 2).mean()) / variance if variance > 0 else inf


def minimum(values: list[float]) -> float:
    """Index of the least value, refined by the parabola through it and its neighbours."""
    i = int(np.argmin(values))
    if not 0 < i < len(values) - 1:
        return float(i)
    before, least, after = values[i - 1 : i + 2]
    curvature = before - 2 * least + after
    return i + (before - after) / (2 * curvature) if curvature > 0 else float(i)
