"""A non-uniform FFT as a sparse matrix, an FFT and a product: CuPy has all three on a GPU.

``xp`` is NumPy or CuPy, so that both run the same lines.
"""

from importlib import import_module
from math import pi, sqrt
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.fft import next_fast_len

from hexlive.reconstruct.ct.filtering import fft_of

UPSAMPLING: Final = 2.0
KERNEL_WIDTH: Final = 4  # cells of the fine grid
# Beatty, Nishimura and Pauly, IEEE Transactions on Medical Imaging 24, 799 (2005), Eq. 5.
KERNEL_SHAPE: Final = pi * sqrt((KERNEL_WIDTH / UPSAMPLING) ** 2 * (UPSAMPLING - 0.5) ** 2 - 0.8)
POINTS_AT_ONCE: Final = 1 << 22
MAX_POINTS: Final = (
    1 << 31
) // KERNEL_WIDTH**2 - 1  # entries of a sparse matrix are counted in int32
KERNEL_SAMPLES: Final = 1 << 10


def gridding_bytes(size: int, n_points: int, n_pairs: int) -> int:
    """Memory that a transform takes: its matrix twice while it is made, spectra and fine grids."""
    matrix = 2 * n_points * KERNEL_WIDTH**2 * 8
    return matrix + n_pairs * 8 * (3 * n_points + 4 * round(UPSAMPLING * size) ** 2)


class Gridding:
    """Sums of ``exp(i (p y + q x))`` over points (p, q) on ``size x size`` pixels (type 1).

    Each point is spread over 4 x 4 cells of a grid twice as fine with a Kaiser-Bessel kernel, whose
    transform is divided out of the slices.

    Parameters
    ----------
    y, x
        ``(points,) float32``, -pi to pi; pixels count from ``size // 2``.
    """

    def __init__(
        self, size: int, y: NDArray[np.float32], x: NDArray[np.float32], xp: ModuleType = np
    ) -> None:
        self._xp, self._fft = xp, fft_of(xp)
        self._fine = int(next_fast_len(round(UPSAMPLING * size) + KERNEL_WIDTH))
        self._matrix = _matrix(self._fine, xp.asarray(y), xp.asarray(x), xp)
        pixels = np.arange(size) - size // 2
        self._where = xp.asarray(pixels % self._fine)
        profile = _kernel_transform(pixels / self._fine)
        self._gain = xp.asarray((self._fine**2 / np.outer(profile, profile)).astype(np.float32))

    def __call__(self, spectra: Any) -> Any:
        """Transform ``(pairs, points) complex64`` to ``(pairs, size, size) complex64``."""
        xp, n_pairs = self._xp, len(spectra)
        parts = xp.concatenate([spectra.real, spectra.imag])
        cells = (self._matrix @ parts.T).T.reshape(2, n_pairs, self._fine, self._fine)
        fine = self._fft.ifft2(cells[0] + 1j * cells[1], overwrite_x=True)
        return fine[:, self._where[:, None], self._where] * self._gain


def _matrix(fine: int, y: Any, x: Any, xp: ModuleType) -> Any:
    """What each of ``fine x fine`` cells takes of each point, in compressed rows, float32."""
    n_points, per_point = len(y), KERNEL_WIDTH**2
    share = xp.empty((n_points, KERNEL_WIDTH, KERNEL_WIDTH), np.float32)
    cell = xp.empty(share.shape, np.int32)
    for first in range(0, n_points, POINTS_AT_ONCE):
        some = slice(first, first + POINTS_AT_ONCE)
        (row, share_y), (column, share_x) = (_spread(axis[some], fine, xp) for axis in (y, x))
        share[some] = share_y[:, :, None] * share_x[:, None]
        cell[some] = row[:, :, None] * fine + column[:, None]
    starts = xp.arange(n_points + 1, dtype=np.int32) * np.int32(per_point)
    library = sparse if xp is np else import_module("cupyx.scipy.sparse")
    shape = (fine * fine, n_points)
    return library.csc_matrix((share.ravel(), cell.ravel(), starts), shape).tocsr()


def _spread(k: Any, fine: int, xp: ModuleType) -> tuple[Any, Any]:
    """The cells along one axis that a point reaches, and its share in each, ``(points, width)``."""
    at = k * np.float32(fine / (2 * pi))
    first = xp.ceil(at - np.float32(KERNEL_WIDTH / 2))
    cells = first[:, None] + xp.arange(KERNEL_WIDTH, dtype=np.float32)
    return (cells % fine).astype(np.int32), _kernel(cells - at[:, None], xp)


def _kernel(distance: Any, xp: ModuleType = np) -> Any:
    inside = xp.maximum(1 - (distance * (2 / KERNEL_WIDTH)) ** 2, 0)
    return xp.i0(KERNEL_SHAPE * xp.sqrt(inside)) / np.i0(KERNEL_SHAPE)


def _kernel_transform(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fourier transform of the kernel, by the midpoint rule."""
    step = KERNEL_WIDTH / KERNEL_SAMPLES
    t = (np.arange(KERNEL_SAMPLES) + 0.5) * step - KERNEL_WIDTH / 2
    return np.asarray(step * np.cos(2 * pi * frequency[:, None] * t) @ _kernel(t))
