"""Projections made ready for back-projection: weighted, ramp-filtered, centred; on CPU or GPU.

``xp`` is NumPy or CuPy, so that both run the same lines.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from math import ceil, pi
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.fft import next_fast_len, rfftfreq

from hexlive.kernels.cpu import available_cores
from hexlive.reconstruct.ct.geometry import Geometry, redundancy_weights

BLOCK_BYTES: Final = 1 << 19  # on a CPU: what is worked on stays in its cache


class RampFilter:
    """Weights, ramp-filters and centres projections; what rows share is worked out once.

    Beyond the detector a straight line joins its two edges: an object that leaves the field then
    makes no step there. The sub-pixel shift of the axis is exact, being a phase.

    Parameters
    ----------
    xp
        NumPy or CuPy, for arrays of which the filter is.
    to_middle_px
        By how much projections are shifted; None: such that the axis is in the middle.
    """

    def __init__(
        self, geometry: Geometry, xp: ModuleType = np, shift_px: float | None = None
    ) -> None:
        self._geometry, self._xp, self._fft = geometry, xp, fft_of(xp)
        # Long enough that the periodic kernel never sees a ray of the detector twice.
        self._length = int(next_fast_len(ceil(geometry.width + 2 * geometry.reach_px), real=True))
        line_bytes = np.dtype(np.float32).itemsize * self._length
        n_angles = len(geometry.angles_rad)
        self._at_once = max(BLOCK_BYTES // line_bytes, 1) if xp is np else n_angles
        self._threads = ThreadPoolExecutor(available_cores())  # kept: new ones start on one core
        self._response = ramp_response(self._length)
        self._shift_px = geometry.shift_px if shift_px is None else shift_px
        beyond = self._length - geometry.columns
        self._across = xp.linspace(0, 1, beyond + 2, dtype=np.float32)[1:-1]
        weights = geometry.weights[:, None]
        if geometry.extended_field:
            weights = weights * redundancy_weights(geometry.centre_px, geometry.columns)
        self._weights = xp.asarray(weights.astype(np.float32))

    def __call__(self, sinogram: Any, offsets_px: NDArray[np.float64] | None = None) -> Any:
        """Filter ``(rows, angles, columns)`` to ``(rows, angles, width) float32``.

        Parameters
        ----------
        offsets_px
            ``(rows,)``: by how much the axis of each row lies beside that of the geometry.
        """
        shape = (*sinogram.shape[:2], self._geometry.width)
        filtered = self._xp.empty(shape, np.float32)
        transfer = self.transfers(len(sinogram), offsets_px)

        def filter_part(part: tuple[int, slice]) -> None:
            row, angles = part
            filtered[row, angles] = self.block(sinogram[row, angles], angles, transfer[row])

        self.for_each(filter_part, self.parts(len(sinogram)))
        return filtered

    def parts(self, n: int) -> list[tuple[int, slice]]:
        """Blocks of angles of so many rows: what is worked on at once."""
        n_angles = len(self._geometry.angles_rad)
        starts = range(0, n_angles, self._at_once)
        return [(i, slice(a, min(a + self._at_once, n_angles))) for i in range(n) for a in starts]

    def for_each(self, work: Callable[[Any], None], parts: list[Any]) -> None:
        """Do parts, on a CPU in as many threads as it has cores."""
        if self._xp is not np:
            for part in parts:
                work(part)
            return
        for _ in self._threads.map(work, parts):
            pass

    def block(self, lines: Any, angles: slice, transfer: Any) -> Any:
        """Filter ``(some angles, columns)`` to ``(some angles, width)``."""
        columns = self._geometry.columns
        padded = self._xp.empty((len(lines), self._length), np.float32)
        self._xp.multiply(lines, self._weights[angles], out=padded[:, :columns])
        start, end = padded[:, :1], padded[:, columns - 1 : columns]
        padded[:, columns:] = end + (start - end) * self._across
        spectrum = self._fft.rfft(padded)
        spectrum *= transfer
        return self._fft.irfft(spectrum, self._length)[:, : self._geometry.width]

    def transfers(self, n_rows: int, offsets_px: NDArray[np.float64] | None) -> list[Any]:
        """Ramp and shift of each row, ``(frequencies,) complex64``."""
        if offsets_px is None:
            return [self._transfer(0.0)] * n_rows
        return [self._transfer(offset_px) for offset_px in offsets_px]

    def _transfer(self, offset_px: float) -> Any:
        centring = np.exp(2j * pi * rfftfreq(self._length) * (self._shift_px + offset_px))
        return self._xp.asarray((self._response * centring).astype(np.complex64))


def fft_of(xp: ModuleType) -> Any:
    """The FFTs for arrays of a library: SciPy's for NumPy, or CuPy's of the same names."""
    return fft if xp is np else import_module("cupyx.scipy.fft")


def ramp_response(length: int) -> NDArray[np.float64]:
    """Frequency response of the ramp filter, ``(length // 2 + 1,)``, per column.

    The transform of the sampled kernel: 1/4 at 0, -1/(pi n)^2 for odd n, 0 for even n (Kak and
    Slaney, Principles of Computerized Tomographic Imaging, 1988, Eq. 3.61), which unlike a sampled
    ramp keeps the mean value of a slice.
    """
    n = np.arange(length)
    distance = np.minimum(n, length - n)
    kernel = np.where(distance % 2 == 1, -1 / (pi * np.maximum(distance, 1)) ** 2, 0.0)
    kernel[0] = 0.25
    return np.asarray(fft.rfft(kernel).real)
