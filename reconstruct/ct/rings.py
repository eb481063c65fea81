"""Stripes in sinograms, which become rings in slices: removal by name, and a measure of them.

A stripe is a column with an error that stays while the sample turns. The casing of a coin cell on
the axis looks the same, but it goes on from one detector row to the next, where a faulty spot of
the detector ends. Sinogram stacks are ``(rows, angles, columns) float32``, line integrals.
"""

from functools import partial
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from hexlive.reconstruct.optional import library

RingMethod = Literal["none", "mean", "wavelet", "sorting", "all"]
WIDTH_PX: Final = 9  # 21 and 31 columns flatten the edges of a concentric cell far more
MIN_ROWS: Final = 3  # with fewer, only columns can be compared
LARGE_STRIPE_WIDTHS: Final = 5  # "all" takes stripes of up to so many widths for large ones
LARGE_STRIPE_SNR: Final = 3.0  # its authors' value
WAVELET_LEVELS: Final = 5
WAVELET_TAPS: Final = 18  # of db9, which the filter uses


def remove_rings(
    sinogram: NDArray[np.float32], method: RingMethod, width_px: int = WIDTH_PX
) -> NDArray[np.float32]:
    """Remove stripes from a stack of sinograms.

    Parameters
    ----------
    sinogram
        ``(rows, angles, columns) float32``, neighbouring rows, angles in the order of the scan.
    method
        "none". "mean": take from each pixel by how much its mean stands out from its row and from
        its column. The others work row by row and harm a cell centred on the axis; "sorting":
        level each rank of each column (Vo, Atwood and Drakopoulos, Optics Express 26, 28396, 2018,
        algorithm 3), for stripes that depend on intensity. "wavelet": wavelet-Fourier filter
        (Muench et al., Optics Express 17, 8567, 2009). "all": the combined method of Vo et al.
    width_px
        Odd; detail wider than half of it is taken for structure.

    Raises
    ------
    EngineUnavailableError
        The method needs algotom, which is not there.
    ValueError
        The sinograms are too small for wavelets.
    """
    if method == "none":
        return sinogram
    if method == "mean":
        return sinogram - _standing_out(sinogram.mean(axis=1), width_px)[:, None]
    remove = partial(_sorting, width_px=width_px)
    if method != "sorting":
        remove = _algotom(method, width_px, min(sinogram.shape[1:]))
    removed = np.empty(sinogram.shape, np.float32)
    for row, lines in enumerate(sinogram):
        removed[row] = remove(lines)
    return removed


def ring_score(sinogram: NDArray[np.float32]) -> float:
    """Rms of what stands out in the mean of all projections, in line integrals.

    Parameters
    ----------
    sinogram
        ``(rows, angles, columns) float32``, neighbouring rows.
    """
    return float(np.sqrt(ring_power(sinogram).mean()))


def ring_power(sinogram: NDArray[np.float32]) -> NDArray[np.float64]:
    """Square of the `ring_score` of each row, ``(rows,)``."""
    detail = _standing_out(sinogram.mean(axis=1), WIDTH_PX)
    return np.asarray(np.mean(np.square(detail, dtype=np.float64), axis=1))


def _standing_out(image: NDArray[np.float32], width_px: int) -> NDArray[np.float32]:
    """What stands out of a mean image from its row and its column alike, ``(rows, columns)``."""
    along_row = image - median_filter(image, (1, width_px), mode="nearest")
    if len(image) < MIN_ROWS:
        return np.asarray(along_row)
    along_column = image - median_filter(image, (width_px, 1), mode="nearest")
    smaller = np.minimum(np.abs(along_row), np.abs(along_column))
    same_sign = along_row * along_column > 0
    return np.asarray(np.where(same_sign, np.copysign(smaller, along_row), np.float32(0)))


def _sorting(sinogram: NDArray[np.float32], width_px: int) -> NDArray[np.float32]:
    order = np.argsort(sinogram, axis=0)
    ranked = np.take_along_axis(sinogram, order, axis=0)
    smooth = median_filter(ranked, (1, width_px), mode="nearest")
    levelled = np.empty_like(sinogram)
    np.put_along_axis(levelled, order, smooth, axis=0)
    return levelled


def _algotom(method: Literal["wavelet", "all"], width_px: int, size: int) -> Any:
    removal = library("algotom.prep.removal", f"Ring removal by {method!r}")
    if method == "all":
        large_px = LARGE_STRIPE_WIDTHS * width_px
        return lambda rows: removal.remove_all_stripe(rows, LARGE_STRIPE_SNR, large_px, width_px)
    levels = min(WAVELET_LEVELS, int(np.log2(size / (WAVELET_TAPS - 1))))
    if levels < 1:
        raise ValueError(
            f"Ring removal by 'wavelet' needs {2 * WAVELET_TAPS} angles and columns, not {size}."
        )
    return lambda rows: removal.remove_stripe_based_wavelet_fft(rows, levels)
