"""How sharp a slice is about a given axis: wrong ones turn edges into arcs, longer ones."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hexlive.reconstruct.ct.axis_methods import is_full_turn, is_short, minimum
from hexlive.reconstruct.ct.engines import Engine
from hexlive.reconstruct.ct.geometry import Geometry, angular_weights, field_of_view

MAX_ANGLES: Final = 720  # more do not change the judgement
BLUR_SIGMA_PX: Final = 1.0  # against noise, before gradients are taken
JUDGED_PART: Final = 0.85  # diameter of the judged disc, of the columns
STEP_PX: Final = 0.5
MAX_STEPS: Final = 40
MOST_STEPS: Final = 2.0  # of angle, for which a projection of a short scan stands

Blur = Callable[[float], float]


def blur_of(sinogram: NDArray[np.float32], angles_rad: NDArray[np.float64]) -> Blur:
    """Mean gradient of the smoothed slice, as a function of the axis, px.

    Parameters
    ----------
    sinogram
        ``(rows, angles, columns) float32``; the row that varies most is judged.
    """
    every = -(-len(angles_rad) // MAX_ANGLES)
    richest = int(np.argmax(sinogram.var(axis=(1, 2))))
    some_rad, some = angles_rad[::every], sinogram[richest : richest + 1, ::every]
    columns, full_turn = sinogram.shape[-1], is_full_turn(angles_rad)
    # The same disc for every axis, clear of the bright rim where truncated objects end.
    judged = field_of_view(round(JUDGED_PART * columns))

    weights_rad = None
    if is_short(some_rad):  # its ends would share what is missing, and drown all else in streaks
        weights_rad = angular_weights(some_rad)
        weights_rad = np.minimum(weights_rad, MOST_STEPS * np.median(weights_rad))

    def opened(centre_px: float) -> Engine:
        geometry = Geometry(
            angles_rad=some_rad, centre_px=centre_px, columns=columns, extended_field=full_turn,
            weights_rad=weights_rad,
        )  # fmt: skip
        return Engine("fourier" if find_spec("finufft") else "numba", geometry)

    middle_px = (columns - 1) / 2
    shared = None if full_turn else opened(middle_px)

    @cache
    def blur(centre_px: float) -> float:
        if not 0 < centre_px < columns - 1:
            return inf
        if shared:
            image = shared(some, np.array([centre_px - middle_px]))[0]
        else:
            image = opened(centre_px)(some)[0]
        gradient = np.hypot(*np.gradient(gaussian_filter(image, BLUR_SIGMA_PX)))
        first = (len(image) - len(judged)) // 2
        part = slice(first, first + len(judged))
        return float(gradient[part, part][judged].mean())

    return blur


def sharpest(blur: Blur, start_px: float) -> float:
    """Walk from an estimate downhill to the nearest least blur, px."""
    best = round(start_px / STEP_PX)
    for _ in range(MAX_STEPS):
        better = min((best, best - 1, best + 1), key=lambda i: blur(i * STEP_PX))
        if better == best:
            break
        best = better
    return STEP_PX * (best - 1 + minimum([blur((best + i) * STEP_PX) for i in (-1, 0, 1)]))
