"""Programs that turn sinograms into slices, behind one call, for the suite reconstruct.

They differ in where they expect the axis and in which way they count angles, so each gets the
sinogram of the same phantom that it expects; the line integrals are exact for all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftfreq

from hexlive.reconstruct.ct import fourier
from hexlive.reconstruct.ct.choosing import candidates
from hexlive.reconstruct.ct.engines import BACK_PROJECTORS, Engine
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.optional import library

BARE: Final = "bare finufft"
ROWS: Final = {"fourier": 8, "numba": 32, "fourier-gpu": 64, "astra": 64}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconstructor:
    """One program, made ready for angles and columns.

    Attributes
    ----------
    run
        Turns ``(rows, angles, columns) float32`` into ``(rows, size, size)``.
    rows
        Slices per call that suit it.
    half_px
        Its axis lies half a column and half a pixel beyond the middle.
    clockwise
        It counts angles the other way round.
    in_proportion
        It takes in proportion to the angles: a few of them tell the time of all.
    makes_slices
        Whether what it makes can be compared with the phantom.
    """

    run: Callable[[NDArray[np.float32]], Any]
    rows: int = 1
    half_px: bool = False
    clockwise: bool = True
    in_proportion: bool = True
    makes_slices: bool = True


Maker = Callable[[NDArray[np.float64], int], Reconstructor]


def makers() -> dict[str, Maker]:
    """The engines that can run here, and the programs that they are compared with.

    A maker raises EngineUnavailableError where its library is missing.
    """
    engines = [name for name in BACK_PROJECTORS if name in {*candidates(), "astra-cpu"}]
    return {BARE: _bare_finufft} | {name: partial(_engine, name) for name in engines} | COMPARATORS


def _engine(name: str, angles_rad: NDArray[np.float64], columns: int) -> Reconstructor:
    geometry = Geometry(angles_rad=angles_rad, centre_px=(columns - 1) / 2, columns=columns)
    rows = ROWS.get(name, 1)
    slices = np.empty((rows, geometry.size, geometry.size), np.float32)
    return Reconstructor(
        run=partial(Engine(name, geometry), out=slices),
        rows=rows,
        clockwise=False,
        in_proportion=name in ("numba", "astra-cpu"),
    )


def _bare_finufft(angles_rad: NDArray[np.float64], columns: int) -> Reconstructor:
    """The transform alone, of as many points as the engine fourier has, and no filter."""
    width = Geometry(angles_rad=angles_rad, centre_px=(columns - 1) / 2, columns=columns).width
    k = 2 * np.pi * fftfreq(width)
    points = [
        (k * np.asarray(axis)[:, None]).astype(np.float32).ravel()
        for axis in (np.sin(angles_rad), np.cos(angles_rad))
    ]
    transform = fourier.finufft_transform(columns, *points)
    spectra = np.ones((fourier.PAIRS_AT_ONCE, points[0].size), np.complex64)
    return Reconstructor(
        run=lambda sinogram: transform(spectra[: len(sinogram) // 2]),
        rows=2 * fourier.PAIRS_AT_ONCE,
        in_proportion=False,
        makes_slices=False,
    )


def _astra_fbp(angles_rad: NDArray[np.float64], columns: int) -> Reconstructor:
    """ASTRA's own filtered back-projection, on the CPU with the linear projector."""
    astra = library("astra", "ASTRA FBP")
    volume_geometry = astra.create_vol_geom(columns, columns)
    detector = astra.create_proj_geom("parallel", 1.0, columns, angles_rad)
    projector = astra.create_projector("linear", detector, volume_geometry)

    def run(sinogram: NDArray[np.float32]) -> NDArray[np.float32]:
        data = astra.data2d.create("-sino", detector, sinogram[0])
        image = astra.data2d.create("-vol", volume_geometry)
        chosen = astra.astra_dict("FBP") | {
            "ProjectorId": projector,
            "ProjectionDataId": data,
            "ReconstructionDataId": image,
        }
        algorithm = astra.algorithm.create(chosen)
        astra.algorithm.run(algorithm)
        slices = astra.data2d.get(image)[None]
        astra.algorithm.delete(algorithm)
        astra.data2d.delete([data, image])
        return np.asarray(slices)

    return Reconstructor(run=run)


def _scikit_image(angles_rad: NDArray[np.float64], columns: int) -> Reconstructor:
    iradon = library("skimage.transform", "scikit-image").iradon
    theta = np.rad2deg(angles_rad)
    return Reconstructor(
        run=lambda sinogram: iradon(sinogram[0].T, theta, filter_name="ramp")[None],
        half_px=columns % 2 == 0,
    )


def _algotom_fbp(angles_rad: NDArray[np.float64], columns: int) -> Reconstructor:
    """Padded by half on each side: of the default, 150 columns, large slices are shaded."""
    return Reconstructor(
        run=_algotom("fbp_reconstruction", angles_rad, columns, gpu=False, pad=columns // 2)
    )


def _algotom_dfi(angles_rad: NDArray[np.float64], columns: int) -> Reconstructor:
    """Direct Fourier inversion: fast, but interpolated in Fourier space."""
    return Reconstructor(
        run=_algotom("dfi_reconstruction", angles_rad, columns), in_proportion=False
    )


def _algotom(
    name: str, angles_rad: NDArray[np.float64], columns: int, **options: object
) -> Callable[[NDArray[np.float32]], Any]:
    reconstruct = getattr(library("algotom.rec.reconstruction", "algotom"), name)
    return lambda sinogram: reconstruct(
        sinogram[0], (columns - 1) / 2, angles=angles_rad, ratio=1.0, filter_name=None,
        apply_log=False, **options,
    )[None]  # fmt: skip


COMPARATORS: Final[dict[str, Maker]] = {
    "ASTRA FBP": _astra_fbp,
    "scikit-image": _scikit_image,
    "algotom fbp": _algotom_fbp,
    "algotom dfi": _algotom_dfi,
}
