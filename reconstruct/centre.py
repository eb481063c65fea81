"""The rotation axis, found by two independent methods and decided by the sharper slice.

One method alone is wrong on real data: Vo's is a pixel off on some scans, the mirror method on
others. Sinogram stacks are ``(rows, angles, columns) float32``, line integrals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import inf, pi
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from hexlive.reconstruct.engines import open_engine
from hexlive.reconstruct.geometry import Geometry, angular_weights, field_of_view

AGREEMENT_PX: Final = 1.0  # methods farther apart than this disagree
CERTAIN_PX: Final = 0.25  # methods closer than this need no judge
SMOOTHING_PX: Final = 2.0  # noise and one-column stripes pull both methods by a pixel
SEARCH: Final = (0.3, 0.7)  # where the axis may be, of the columns
SEARCH_FULL_TURN: Final = (0.05, 0.95)
FULL_TURN_RAD: Final = 1.9 * pi  # a scan over more than this has true opposite projections
MIRROR_PAIRS: Final = 8
MAX_ANGLES: Final = 720  # more change neither Vo's metric nor the judgement
MIN_SIZE: Final = 8
MIN_COLUMNS: Final = 64  # below, neither a wedge nor an edge can be told from noise
VO_ROWS: Final = 3
COARSE_COLUMNS: Final = 256
WEDGE_RATIO: Final = 0.5  # object radius for Vo's wedge, of half the width; 0.5 as published
MIN_HARMONIC: Final = 20  # lower ones hold drifts of the beam, not the wedge
BLUR_SIGMA_PX: Final = 1.0  # against noise, before gradients are taken
JUDGED_PART: Final = 0.85  # diameter of the judged disc, of the columns
STEP_PX: Final = 0.5
MAX_STEPS: Final = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Centre:
    """Where the rotation axis is.

    Attributes
    ----------
    px
        Column of the axis, counted from the middle of the first column.
    by_method
        What each method says: "mirror"; "vo", or "symmetry" for a full turn; and "sharpness"
        where that had to judge.
    score
        Mean gradient of the smoothed slice at ``px``; the lower, the sharper the slice.
    agreed
        Whether all of them lie within `AGREEMENT_PX`.
    """

    px: float
    by_method: dict[str, float]
    score: float
    agreed: bool


def find_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> Centre:
    """Find the rotation axis from a few rows of a scan.

    Parameters
    ----------
    sinogram
        ``(rows, angles, columns) float32``; a handful of rows with structure in them.
    angles_rad
        ``(angles,)``, over 180 degrees, or over 360 with the axis anywhere.

    Raises
    ------
    ValueError
        Too few angles or columns to say anything.
    """
    if min(len(angles_rad), sinogram.shape[-1]) < MIN_SIZE:
        raise ValueError(f"The rotation axis takes at least {MIN_SIZE} angles and columns to find.")
    angles_rad, first = np.unique(angles_rad, return_index=True)
    sinogram = gaussian_filter1d(sinogram[:, first], SMOOTHING_PX, axis=-1)
    columns = sinogram.shape[-1]
    blur = _blur(sinogram, angles_rad)
    mirror_px = mirror_centre(sinogram, angles_rad)
    by_method = {"mirror": mirror_px}
    if columns < MIN_COLUMNS:
        return Centre(px=mirror_px, by_method=by_method, score=blur(mirror_px), agreed=False)
    full_turn = _is_full_turn(angles_rad)
    if full_turn:
        by_method["symmetry"] = symmetry_centre(sinogram, angles_rad)
    else:
        by_method["vo"] = vo_centre(sinogram[:: -(-len(sinogram) // VO_ROWS)], angles_rad)
    estimates_px = list(by_method.values())
    px = float(np.mean(estimates_px))
    uncertain = np.ptp(estimates_px) > CERTAIN_PX
    if uncertain and full_turn:
        # Another axis shows another field, so sharpness is no judge; opposite projections are real.
        px = mirror_px
    elif uncertain:
        px = min((_sharpest(blur, estimate) for estimate in estimates_px), key=blur)
        by_method["sharpness"] = px
    agreed = bool(np.ptp(list(by_method.values())) <= AGREEMENT_PX)
    return Centre(px=px, by_method=by_method, score=blur(px), agreed=agreed)


def mirror_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> float:
    """The axis about which projections half a turn apart are mirror images, px.

    Where no angle is exactly opposite, the projection there is a linear continuation of the two
    nearest, which is exact to second order in the angular step.

    Parameters
    ----------
    sinogram, angles_rad
        As for `find_centre`, sorted by angle.
    """
    starts_rad = np.linspace(angles_rad[0], angles_rad[-1] - pi, MIRROR_PAIRS)
    here = np.stack([_projection_at(sinogram, angles_rad, at) for at in starts_rad])
    there = np.stack([_projection_at(sinogram, angles_rad, at + pi) for at in starts_rad])
    return _mirror_axis(here, there, SEARCH_FULL_TURN if _is_full_turn(angles_rad) else SEARCH)


def symmetry_centre(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> float:
    """The axis about which the mean projection of a full turn is symmetric, px."""
    weights = angular_weights(angles_rad, 2 * pi)
    mean = np.tensordot(sinogram, weights.astype(np.float32), axes=(1, 0))
    return _mirror_axis(mean, mean, SEARCH_FULL_TURN)


def _mirror_axis(
    here: NDArray[np.float32], there: NDArray[np.float32], search: tuple[float, float]
) -> float:
    columns = here.shape[-1]
    # Mirroring about the axis c, then reversing the columns, is a shift by 2 c - (columns - 1).
    first, last = (round(2 * part * columns) - columns + 1 for part in search)
    misfit = [_misfit(here, there[..., ::-1], shift) for shift in range(first, last + 1)]
    return float(first + _minimum(misfit) + columns - 1) / 2


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

    return float(centres_px[0] + STEP_PX * _minimum([energy(c) for c in centres_px]))


def _outside_wedge(n_angles: int, width: int) -> NDArray[np.bool_]:
    """Where a full turn has no energy, ``(n_angles, width // 2 + 1) bool``."""
    harmonic = np.abs(fft.fftfreq(n_angles, 1 / n_angles))[:, None]
    per_px = fft.rfftfreq(width)
    radius_px = WEDGE_RATIO * width / 2
    outside = (harmonic > 2 * pi * per_px * radius_px) & (harmonic > MIN_HARMONIC)
    outside[:, :2] = False
    return np.asarray(outside)


def _is_full_turn(angles_rad: NDArray[np.float64]) -> bool:
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


def _minimum(values: list[float]) -> float:
    """Index of the least value, refined by the parabola through it and its neighbours."""
    i = int(np.argmin(values))
    if not 0 < i < len(values) - 1:
        return float(i)
    before, least, after = values[i - 1 : i + 2]
    curvature = before - 2 * least + after
    return i + (before - after) / (2 * curvature) if curvature > 0 else float(i)


def _blur(
    sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]
) -> Callable[[float], float]:
    """How blurred a slice is for a given axis: wrong axes turn edges into arcs, longer ones."""
    every = -(-len(angles_rad) // MAX_ANGLES)
    richest = int(np.argmax(sinogram.var(axis=(1, 2))))
    some_rad, some = angles_rad[::every], sinogram[richest : richest + 1, ::every]
    columns, full_turn = sinogram.shape[-1], _is_full_turn(angles_rad)
    # The same disc for every axis, clear of the bright rim where truncated objects end.
    judged = field_of_view(round(JUDGED_PART * columns))

    @cache
    def blur(centre_px: float) -> float:
        if not 0 < centre_px < columns - 1:
            return inf
        geometry = Geometry(
            angles_rad=some_rad, centre_px=centre_px, columns=columns, extended_field=full_turn
        )
        image = gaussian_filter(open_engine("auto", geometry)(some)[0], BLUR_SIGMA_PX)
        gradient = np.hypot(*np.gradient(image))
        first = (geometry.size - len(judged)) // 2
        part = slice(first, first + len(judged))
        return float(gradient[part, part][judged].mean())

    return blur


def _sharpest(blur: Callable[[float], float], start_px: float) -> float:
    """Walk from an estimate downhill to the nearest least blur, px."""
    best = round(start_px / STEP_PX)
    for _ in range(MAX_STEPS):
        better = min((best, best - 1, best + 1), key=lambda i: blur(i * STEP_PX))
        if better == best:
            break
        best = better
    return STEP_PX * (best - 1 + _minimum([blur((best + i) * STEP_PX) for i in (-1, 0, 1)]))
