"""Projections made ready for back-projection: weighted, ramp-filtered, centred; on CPU or GPU.

``xp`` is NumPy or CuPy, so that both run the same lines.
"""

from functools import partial
from importlib import import_module
from math import ceil, pi
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.fft import next_fast_len, rfftfreq

from hexlive.reconstruct.geometry import Geometry, redundancy_weights

ANGLES_AT_ONCE: Final = 256  # on a CPU: what is worked on stays in its cache


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
        self._at_once = ANGLES_AT_ONCE if xp is np else len(geometry.angles_rad)
        # Long enough that the periodic kernel never sees a ray of the detector twice.
        self._length = int(next_fast_len(ceil(geometry.width + 2 * geometry.reach_px), real=True))
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
        n_rows, n_angles, columns = sinogram.shape
        width = self._geometry.width
        filtered = self._xp.empty((n_rows, n_angles, width), np.float32)
        padded = self._xp.empty((self._at_once, self._length), np.float32)
        for row, lines in enumerate(sinogram):
            transfer = self._transfer(0.0 if offsets_px is None else offsets_px[row])
            for first in range(0, n_angles, self._at_once):
                some = slice(first, first + self._at_once)
                part = padded[: len(lines[some])]
                self._xp.multiply(lines[some], self._weights[some], out=part[:, :columns])
                start, end = part[:, :1], part[:, columns - 1 : columns]
                part[:, columns:] = end + (start - end) * self._across
                spectrum = self._fft.rfft(part)
                spectrum *= transfer
                filtered[row, some] = self._fft.irfft(spectrum, self._length)[:, :width]
        return filtered

    def _transfer(self, offset_px: float) -> Any:
        centring = np.exp(2j * pi * rfftfreq(self._length) * (self._shift_px + offset_px))
        return self._xp.asarray((self._response * centring).astype(np.complex64))


def fft_of(xp: ModuleType) -> Any:
    """The FFTs for arrays of a library: SciPy's on all cores for NumPy, or CuPy's."""
    if xp is not np:
        return import_module("cupyx.scipy.fft")
    names = ("fft", "ifft2", "rfft", "irfft")
    return SimpleNamespace(**{name: partial(getattr(fft, name), workers=-1) for name in names})


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
