"""Frames whose occupancy and charge sharing are known, and pixels that are all alike."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import PixelMaps, SpectrumSettings

SHAPE: Final = (80, 80)
OCCUPANCIES: Final = (0.01, 0.03, 0.10)
SHARED: Final = 0.3  # of the photons; the field's usual figure for 250 um pixels
SHARE: Final = (0.3, 0.7)  # of a shared photon's charge, in the second pixel
PHOTON_ADU: Final = (400, 5800)  # 13 to 169 keV
NOISE_ADU: Final = 40
THRESHOLD_ADU: Final = 100
GRADIENT_KEV_PER_ADU: Final = 0.029  # a measured camera
INTERCEPT_KEV: Final = 1.2  # the same
SPECTRUM: Final = SpectrumSettings(max_kev=200.0, bin_kev=0.2)  # 1000 bins
FRAME_BYTES: Final = SHAPE[0] * SHAPE[1] * np.dtype(np.uint16).itemsize


def make_frames(occupancy: float, n_frames: int) -> NDArray[np.uint16]:
    """Noise below the threshold and photons at random, some of them shared by two pixels.

    Parameters
    ----------
    occupancy
        Fraction of the pixels that are hit.

    Returns
    -------
    ``(frames, 80, 80) uint16, ADU``.
    """
    rng = np.random.default_rng(1)
    rows, columns = SHAPE
    frames = rng.integers(0, NOISE_ADU, (n_frames, *SHAPE), np.uint16)
    n_photons = round(occupancy * frames.size / (1 + SHARED))
    frame = rng.integers(0, n_frames, n_photons)
    row, column = rng.integers(0, rows, n_photons), rng.integers(0, columns - 1, n_photons)
    adu = rng.integers(*PHOTON_ADU, n_photons)
    part = np.where(rng.random(n_photons) < SHARED, rng.uniform(*SHARE, n_photons), 0)
    given = (adu * part).astype(np.uint16)
    frames[frame, row, column] = adu - given
    shared = given > 0
    frames[frame[shared], row[shared], column[shared] + 1] = given[shared]
    return frames


def make_pixels() -> PixelMaps:
    """Equal pixels, none masked; hit from ``THRESHOLD_ADU`` on."""

    def equal(value: float) -> NDArray[np.float32]:
        return np.full(SHAPE, value, np.float32)

    # Half an ADU below, so that rounding cannot move the threshold to the next ADU.
    threshold_kev = (THRESHOLD_ADU - 0.5) * GRADIENT_KEV_PER_ADU + INTERCEPT_KEV
    return PixelMaps(
        pedestal_adu=equal(0),
        gradient_kev_per_adu=equal(GRADIENT_KEV_PER_ADU),
        intercept_kev=equal(INTERCEPT_KEV),
        threshold_kev=equal(threshold_kev),
        masked=np.zeros(SHAPE, bool),
    )
