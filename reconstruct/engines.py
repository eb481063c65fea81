"""Filtered back-projection by several engines behind one function.

A sinogram stack is ``(rows, angles, columns) float32``, line integrals; a reconstruction is
``(rows, y, x) float32``, attenuation per pixel length. Every engine back-projects the same filtered
and centred projections, so engines differ in interpolation only.
"""

import weakref
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import ceil, pi, sqrt
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from hexlive.kernels.compiled import compiled, prange
from hexlive.reconstruct.geometry import Geometry, field_of_view, filtered_projections

EngineName = Literal["auto", "fourier", "numba", "astra-cpu", "astra"]
Engine = Callable[[NDArray[np.float32]], NDArray[np.float32]]

NUFFT_TOLERANCE: Final = 2e-4  # moves 512 px slices by 2e-5 rms, against 1.3e-2 of FBP itself
NUFFT_UPSAMPLING: Final = 1.25  # at this tolerance a third of the time of 2.0
PAIRS_PER_TRANSFORM: Final = 4  # eight slices at once; more gains nothing on two cores
SLICES_INNERMOST: Final = 32  # numba: slices per interpolation weight, one vector loop
ROWS_PER_TILE: Final = 16  # numba: rows of a slice that share one pass over the projections


class EngineUnavailableError(RuntimeError):
    """The requested engine cannot run on this machine."""


def fbp(
    sinogram: NDArray[np.float32],
    angles_rad: NDArray[np.float64],
    centre_px: float,
    engine: EngineName = "auto",
) -> NDArray[np.float32]:
    """Reconstruct slices by filtered back-projection.

    Parameters
    ----------
    sinogram
        ``(rows, angles, columns) float32``, line integrals.
    angles_rad
        ``(angles,) float64``; weights follow the measured spacing, so gaps are tolerated.
    centre_px
        Column of the rotation axis.
    engine
        "auto" takes the fastest one present; see `pick_engine`.

    Returns
    -------
    NDArray[np.float32]
        ``(rows, columns, columns)``, attenuation per pixel length, 0 outside the inscribed circle.

    Raises
    ------
    EngineUnavailableError
        The engine's library or its GPU is not there.
    ValueError
        Shapes or geometry do not fit.
    """
    geometry = Geometry(angles_rad=angles_rad, centre_px=centre_px, columns=sinogram.shape[-1])
    return open_engine(engine, geometry)(sinogram)


def pick_engine(name: EngineName) -> EngineName:
    """Turn "auto" into a name: Fourier beat direct at every size measured, so where it is there."""
    if name != "auto":
        return name
    return "fourier" if find_spec("finufft") else "numba"


def open_engine(name: EngineName, geometry: Geometry) -> Engine:
    """Prepare what all slices of a scan share; the result turns sinograms into slices (`fbp`)."""
    back_project = BACK_PROJECTORS[pick_engine(name)](geometry)
    outside = ~field_of_view(geometry.size)
    expected = (len(geometry.angles_rad), geometry.columns)

    def reconstruct(sinogram: NDArray[np.float32]) -> NDArray[np.float32]:
        if sinogram.ndim != 3 or sinogram.shape[1:] != expected:
            raise ValueError(
                f"A sinogram stack of shape {sinogram.shape} does not fit {expected[0]} angles "
                f"and {expected[1]} columns."
            )
        volume = back_project(filtered_projections(sinogram, geometry))
        volume[:, outside] = 0
        return volume

    return reconstruct


def library(name: str, user: str) -> ModuleType:
    """Import an optional library.

    Raises
    ------
    EngineUnavailableError
        It is not there; the sentence says what needs it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise EngineUnavailableError(f"{user} needs {name}: pip install 'hexlive[ct]'.") from error


def _fourier(geometry: Geometry) -> Engine:
    """Sum the projections' spectra on their polar grid, by a type-1 non-uniform FFT.

    The back-projection of band-limited projections is the sum over angles and frequencies k of
    ``Q(angle, k) exp(2 pi i k (x cos(angle) + y sin(angle)))`` (projection-slice theorem). It is
    real, so two slices travel as the real and the imaginary part of one.
    """
    finufft = library("finufft", "The engine fourier")
    size, width, n_angles = geometry.size, geometry.width, len(geometry.angles_rad)
    k = fft.fftfreq(width)
    k_x = k * np.cos(geometry.angles_rad)[:, None]
    k_y = k * np.sin(geometry.angles_rad)[:, None]
    points = [(2 * pi * k_axis).astype(np.float32).ravel() for k_axis in (k_y, k_x)]
    # finufft counts pixels from size // 2, the slice from (size - 1) / 2.
    half_px = 0.5 * (size % 2 == 0)
    phase = np.exp(2j * pi * (k * (width - 1) / 2 + half_px * (k_x + k_y))) / width
    phase = phase.astype(np.complex64)
    # The highest frequency of an even width has no mirror image, and would mix the two slices.
    phase[:, np.abs(k) == 0.5] = 0
    window = _window(width, (width - size) // 2)

    @cache
    def plan(n_pairs: int) -> Any:
        made = finufft.Plan(
            1, (size, size), n_pairs, NUFFT_TOLERANCE, 1, "complex64", upsampfac=NUFFT_UPSAMPLING
        )
        made.setpts(*points)
        return made

    def back_project(projections: NDArray[np.float32]) -> NDArray[np.float32]:
        volume = np.empty((len(projections), size, size), np.float32)
        for first in range(0, len(projections), 2 * PAIRS_PER_TRANSFORM):
            part = slice(first, first + 2 * PAIRS_PER_TRANSFORM)
            even, odd = projections[part][0::2], projections[part][1::2]
            pairs = np.zeros((len(even), n_angles, width), np.complex64)
            pairs.real = even * window
            pairs.imag[: len(odd)] = odd * window
            spectra = fft.fft(pairs, overwrite_x=True, workers=-1)
            spectra *= phase
            slices = plan(len(even)).execute(spectra.reshape(len(even), -1))
            slices = slices.reshape(len(even), size, size)
            volume[part][0::2], volume[part][1::2] = slices.real, slices.imag[: len(odd)]
        return volume

    return back_project


def _window(width: int, margin_px: int) -> NDArray[np.float32]:
    """1 over the slice, a cosine to 0 over the margins: the ends of a projection must meet."""
    to_edge = np.minimum(np.arange(width), np.arange(width)[::-1]) + 0.5
    return (0.5 - 0.5 * np.cos(pi * np.minimum(to_edge / margin_px, 1))).astype(np.float32)


def _numba(geometry: Geometry) -> Engine:
    """Interpolate linearly in the projections, for many slices at once."""
    cos, sin = np.cos(geometry.angles_rad), np.sin(geometry.angles_rad)

    def back_project(projections: NDArray[np.float32]) -> NDArray[np.float32]:
        volume = np.empty((len(projections), geometry.size, geometry.size), np.float32)
        for first in range(0, len(projections), SLICES_INNERMOST):
            part = slice(first, first + SLICES_INNERMOST)
            innermost = np.ascontiguousarray(projections[part].transpose(1, 2, 0))
            slices = np.zeros((geometry.size, geometry.size, innermost.shape[2]), np.float32)
            _add_projections(innermost, cos, sin, slices)
            volume[part] = slices.transpose(2, 0, 1)
        return volume

    return back_project


@compiled(parallel=True, error_model="numpy")
def _add_projections(
    projections: NDArray[np.float32],
    cos: NDArray[np.float64],
    sin: NDArray[np.float64],
    slices: NDArray[np.float32],
) -> None:
    """Add ``(angles, width, slices)`` projections to ``(y, x, slices)`` within the circle."""
    n_angles, width, n_slices = projections.shape
    size = slices.shape[0]
    middle = (size - 1) / 2
    axis = (width - 1) / 2
    for tile in prange(ceil(size / ROWS_PER_TILE)):
        for angle in range(n_angles):
            for y in range(tile * ROWS_PER_TILE, min(size, (tile + 1) * ROWS_PER_TILE)):
                first_x = int(middle - sqrt(max(size * size / 4 - (y - middle) ** 2, 0.0)))
                start = axis + (y - middle) * sin[angle]
                for x in range(max(first_x, 0), min(size - first_x, size)):
                    s = start + (x - middle) * cos[angle]
                    column = int(s)
                    after = np.float32(s - column)
                    before = np.float32(1) - after
                    for i in range(n_slices):
                        slices[y, x, i] += (
                            before * projections[angle, column, i]
                            + after * projections[angle, column + 1, i]
                        )


def _astra_cpu(geometry: Geometry) -> Engine:
    """One 2D back-projection per slice, for cross-checks; ASTRA's y axis points up."""
    astra = library("astra", "The engine astra-cpu")
    volume_geometry = astra.create_vol_geom(geometry.size, geometry.size)
    detector = astra.create_proj_geom("parallel", 1.0, geometry.width, -geometry.angles_rad)
    projector = astra.create_projector("linear", detector, volume_geometry)

    def back_project(projections: NDArray[np.float32]) -> NDArray[np.float32]:
        volume = np.empty((len(projections), geometry.size, geometry.size), np.float32)
        for row, sinogram in enumerate(projections):
            number, volume[row] = astra.create_backprojection(sinogram, projector)
            astra.data2d.delete(number)
        return volume

    weakref.finalize(back_project, astra.projector.delete, projector)
    return back_project


def _astra(geometry: Geometry) -> Engine:
    """ASTRA's 3D back-projection on a GPU, slab by slab, through linked CuPy arrays."""
    astra = library("astra", "The engine astra")
    # Without this question, a 3D CUDA call on a machine without a GPU kills the process.
    if not astra.use_cuda():
        raise EngineUnavailableError("The engine astra needs an NVIDIA GPU that ASTRA can use.")
    cupy = library("cupy", "The engine astra")

    def back_project(projections: NDArray[np.float32]) -> NDArray[np.float32]:
        n_rows, size, width = len(projections), geometry.size, geometry.width
        volume_geometry = astra.create_vol_geom(size, size, n_rows)
        detector = astra.create_proj_geom(
            "parallel3d", 1.0, 1.0, n_rows, width, geometry.angles_rad
        )
        on_gpu = cupy.asarray(projections)
        volume = cupy.full((n_rows, size, size), cupy.nan, cupy.float32)
        cupy.cuda.get_current_stream().synchronize()
        projector = astra.create_projector("cuda3d", detector, volume_geometry)
        try:
            astra.projector3d.direct_BP(projector, on_gpu, out=volume)
        finally:
            astra.projector3d.delete(projector)
        # A failed direct call is silent, but it leaves the volume as it was.
        if bool(cupy.isnan(volume).any()):
            raise EngineUnavailableError("ASTRA left the volume unfinished; is the GPU full?")
        return np.asarray(cupy.asnumpy(volume))

    return back_project


BACK_PROJECTORS: Final[dict[str, Callable[[Geometry], Engine]]] = {
    "fourier": _fourier,
    "numba": _numba,
    "astra-cpu": _astra_cpu,
    "astra": _astra,
}
