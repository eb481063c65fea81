"""Fourier back-projection: spectra of projections on their polar grid, by a non-uniform FFT.

The back-projection of band-limited projections is the sum over angles and frequencies k of
``Q(angle, k) exp(2 pi i k (x cos(angle) + y sin(angle)))`` (projection-slice theorem). It is real,
so two slices travel as the real and the imaginary part of one.
"""

import os
from collections.abc import Callable
from functools import cache, partial
from math import pi
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftfreq

from hexlive.reconstruct.ct.filtering import RampFilter, fft_of
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.ct.gridding import MAX_POINTS, Gridding, gridding_bytes
from hexlive.reconstruct.optional import EngineUnavailableError, free_bytes, gpu_cupy, library

TOLERANCE: Final = 2e-4  # moves 512 px slices by 2e-5 rms, against 1.3e-2 of FBP itself
UPSAMPLING: Final = 1.25  # at this tolerance a third of the time of 2.0
PAIRS_AT_ONCE: Final = 4  # eight slices at once; more gains nothing on two cores

# (pairs, points) complex64 to (pairs, size, size), sums of exp(i (p y + q x)) over the points.
Transform = Callable[[Any], Any]
Points = NDArray[np.float32]


class Fourier:
    """Fourier back-projection, by default on the CPU by finufft.

    Parameters
    ----------
    transform
        Makes a transform of size and points.
    xp
        NumPy or CuPy, as the transform has it.
    """

    rows_at_once = 2 * PAIRS_AT_ONCE
    shift_px: float | None = None

    def __init__(
        self,
        geometry: Geometry,
        transform: "Callable[[int, Points, Points], Transform] | None" = None,
        xp: ModuleType = np,
    ) -> None:
        self.xp, self._fft = xp, fft_of(xp)
        size, width = geometry.size, geometry.width
        k = fftfreq(width)
        k_x = k * np.cos(geometry.angles_rad)[:, None]
        k_y = k * np.sin(geometry.angles_rad)[:, None]
        y, x = ((2 * pi * k_axis).astype(np.float32).ravel() for k_axis in (k_y, k_x))
        self._transform = (transform or finufft_transform)(size, y, x)
        # The transform counts pixels from size // 2, the slice from (size - 1) / 2.
        half_px = 0.5 * (size % 2 == 0)
        phase = np.exp(2j * pi * (k * (width - 1) / 2 + half_px * (k_x + k_y))) / width
        # The highest frequency of an even width has no mirror image, and would mix the two slices.
        phase[:, np.abs(k) == 0.5] = 0
        self._phase = xp.asarray(phase.astype(np.complex64))
        self._spectra = xp.empty((0, *phase.shape), np.complex64)
        self._window = xp.asarray(_window(width, (width - size) // 2))
        self.working_bytes = 0 if xp is not np else _working_bytes(k_x.size, size)

    def prepare(
        self, ramp: RampFilter, sinogram: Any, offsets_px: NDArray[np.float64] | None
    ) -> Any:
        """Filter ``(slices, angles, columns)`` and transform to spectra ``(pairs, angles, width)``.

        Block by block, so that everything happens within the cache. Spectra are overwritten by
        those of the next call: memory that was used before is quicker than new.
        """
        n_pairs = -(-len(sinogram) // 2)
        transfer = ramp.transfers(len(sinogram), offsets_px)
        if len(self._spectra) < n_pairs:
            self._spectra = self.xp.empty((n_pairs, *self._phase.shape), np.complex64)
        spectra = self._spectra[:n_pairs]

        def fill(part: tuple[int, slice]) -> None:
            pair, angles = part
            block = spectra[pair, angles]
            for row, half in ((2 * pair, block.real), (2 * pair + 1, block.imag)):
                if row == len(sinogram):
                    half[:] = 0
                else:
                    lines = ramp.block(sinogram[row, angles], angles, transfer[row])
                    self.xp.multiply(lines, self._window, out=half)
            transformed = self._fft.fft(block, overwrite_x=True)
            self.xp.multiply(transformed, self._phase[angles], out=block)

        ramp.for_each(fill, ramp.parts(n_pairs))
        return spectra

    def __call__(self, spectra: Any) -> list[Any]:
        """Sum what `prepare` made to two slices per pair."""
        slices = self._transform(spectra.reshape(len(spectra), -1))
        return [half for pair in slices for half in (pair.real, pair.imag)]


def gpu_fourier(geometry: Geometry) -> Fourier:
    """Fourier back-projection on a GPU by gridding.

    Raises
    ------
    EngineUnavailableError
        CuPy is not there, or no GPU, or the GPU's memory is too small.
    """
    cupy = gpu_cupy("The engine fourier-gpu")
    n_points = len(geometry.angles_rad) * geometry.width
    needed_bytes = gridding_bytes(geometry.size, n_points, PAIRS_AT_ONCE)
    there_bytes = free_bytes(cupy)
    if needed_bytes > there_bytes or n_points > MAX_POINTS:
        raise EngineUnavailableError(
            f"The engine fourier-gpu takes {needed_bytes / 2**20:.0f} MiB of the GPU for this "
            f"scan, of which {there_bytes / 2**20:.0f} are free; choose the engine "
            "fourier or numba."
        )
    return Fourier(geometry, partial(Gridding, xp=cupy), cupy)


def finufft_transform(size: int, y: Points, x: Points) -> Transform:
    """Transform by finufft, with a plan per number of pairs.

    Slices are overwritten by those of the next call with as many pairs.

    Raises
    ------
    EngineUnavailableError
        finufft is not there.
    """
    # Its threads would spin for a while after each transform, on the cores that filter next.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    finufft = library("finufft", "The engine fourier")

    @cache
    def plan(n_pairs: int) -> tuple[Any, NDArray[np.complex64]]:
        made = finufft.Plan(
            1, (size, size), n_pairs, TOLERANCE, 1, "complex64", upsampfac=UPSAMPLING
        )
        made.setpts(y, x)
        return made, np.empty((n_pairs, size, size)[n_pairs == 1 :], np.complex64)

    def transform(spectra: NDArray[np.complex64]) -> NDArray[np.complex64]:
        made, slices = plan(len(spectra))
        made.execute(spectra if len(spectra) > 1 else spectra[0], out=slices)
        return slices.reshape(len(spectra), size, size)

    return transform


def _working_bytes(n_points: int, size: int) -> int:
    """Spectra; of the points, phase, place and order; the grids and slices of finufft."""
    per_point = 8 * PAIRS_AT_ONCE + 24
    return n_points * per_point + 8 * PAIRS_AT_ONCE * (round(UPSAMPLING * size) ** 2 + size**2)


def _window(width: int, margin_px: int) -> NDArray[np.float32]:
    """1 over the slice, a cosine to 0 over the margins: the ends of a projection must meet."""
    to_edge = np.minimum(np.arange(width), np.arange(width)[::-1]) + 0.5
    return (0.5 - 0.5 * np.cos(pi * np.minimum(to_edge / margin_px, 1))).astype(np.float32)
