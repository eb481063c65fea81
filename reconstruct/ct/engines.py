"""Filtered back-projection by several engines behind one function.

A sinogram stack is ``(rows, angles, columns) float32``, line integrals; a reconstruction is
``(rows, y, x) float32``, attenuation per pixel length. Every engine back-projects the same filtered
and centred projections, so engines differ in interpolation only.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.astra_engines import AstraCpu, AstraGpu
from hexlive.reconstruct.ct.choosing import Choice, choose
from hexlive.reconstruct.ct.direct import Direct
from hexlive.reconstruct.ct.filtering import RampFilter
from hexlive.reconstruct.ct.fourier import Fourier, gpu_fourier
from hexlive.reconstruct.ct.geometry import Geometry, field_of_view
from hexlive.reconstruct.optional import EngineUnavailableError as EngineUnavailableError
from hexlive.reconstruct.optional import library as library

EngineName = Literal["auto", "fourier", "fourier-gpu", "numba", "astra-cpu", "astra"]


class BackProjector(Protocol):
    """What an engine is made of.

    Attributes
    ----------
    rows_at_once
        Slices that are done together.
    working_bytes
        Memory of the host that it takes for them.
    xp
        NumPy or CuPy: where projections and slices are.
    shift_px
        See `hexlive.reconstruct.ct.filtering.RampFilter`.
    """

    rows_at_once: int
    working_bytes: int
    xp: Any
    shift_px: float | None

    def prepare(
        self, ramp: RampFilter, sinogram: Any, offsets_px: NDArray[np.float64] | None
    ) -> Any:
        """Filter ``(slices, angles, columns)``, and what else comes before the slices."""
        ...

    def __call__(self, prepared: Any, /) -> Any:
        """Slices ``(size, size)`` of what was prepared; there may be an empty one more."""
        ...


BACK_PROJECTORS: Final[dict[str, Callable[[Geometry], BackProjector]]] = {
    "fourier": Fourier,
    "fourier-gpu": gpu_fourier,
    "numba": Direct,
    "astra-cpu": AstraCpu,
    "astra": AstraGpu,
}


class Engine:
    """What all slices of a scan share, made ready once; call it with sinograms.

    Parameters
    ----------
    name
        Not "auto": see `pick_engine`.

    Attributes
    ----------
    working_bytes
        Memory of the host that it takes besides sinograms and volume.
    rows_at_once
        Slices that are done together.

    Raises
    ------
    EngineUnavailableError
        The engine's library or its GPU is not there.
    """

    def __init__(self, name: str, geometry: Geometry) -> None:
        self.name, self.geometry = name, geometry
        self._back_project = BACK_PROJECTORS[name](geometry)
        self.working_bytes = self._back_project.working_bytes
        self.rows_at_once = self._back_project.rows_at_once
        self._filter = RampFilter(geometry, self._back_project.xp, self._back_project.shift_px)
        inside = field_of_view(geometry.size).astype(np.float32)
        self._inside = self._back_project.xp.asarray(inside)

    def __call__(
        self,
        sinogram: NDArray[np.float32],
        offsets_px: NDArray[np.float64] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Reconstruct ``(rows, angles, columns)`` to ``(rows, size, size)``.

        Parameters
        ----------
        offsets_px
            ``(rows,)``: by how much the axis of each row lies beside ``geometry.centre_px``.
        out
            ``(rows or more, size, size)``, where slices are put: memory that was used before is
            quicker than new.

        Raises
        ------
        ValueError
            The sinograms do not fit the geometry.
        """
        size = self.geometry.size
        if out is None:
            out = np.empty((len(sinogram), size, size), np.float32)
        volume = out[: len(sinogram)]
        for part, slices in self._slices(sinogram, offsets_px):
            self._keep(slices, volume[part])
        return volume

    def add(self, sinogram: Any, volume: Any) -> None:
        """Add the slices of ``(rows, angles, columns)`` to ``(rows, size, size)``, in place.

        Both are where the engine has its arrays: on the GPU, of one for GPUs.
        """
        for part, slices in self._slices(sinogram, None):
            for whole, added in zip(volume[part], slices, strict=False):  # one may be too many
                whole += added * self._inside

    def _slices(
        self, sinogram: Any, offsets_px: NDArray[np.float64] | None
    ) -> Iterator[tuple[slice, Any]]:
        """Slices as many at a time as are done together, and which rows they are.

        Raises
        ------
        ValueError
            The sinograms do not fit the geometry.
        """
        expected = (len(self.geometry.angles_rad), self.geometry.columns)
        if sinogram.ndim != 3 or sinogram.shape[1:] != expected:
            raise ValueError(
                f"A sinogram stack of shape {sinogram.shape} does not fit {expected[0]} angles "
                f"and {expected[1]} columns."
            )
        back_project = self._back_project
        for first in range(0, len(sinogram), self.rows_at_once):
            part = slice(first, first + self.rows_at_once)
            offsets = None if offsets_px is None else offsets_px[part]
            lines = back_project.xp.asarray(sinogram[part], np.float32)
            yield part, back_project(back_project.prepare(self._filter, lines, offsets))

    def _keep(self, slices: Any, volume: NDArray[np.float32]) -> None:
        """Copy what is within the circle to the host's memory."""
        xp = self._back_project.xp

        def keep(i: int) -> None:
            if xp is np:
                np.multiply(slices[i], self._inside, out=volume[i])
            else:
                xp.asnumpy(slices[i] * self._inside, out=volume[i])

        self._filter.for_each(keep, list(range(len(volume))))


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


def pick_engine(name: EngineName, geometry: Geometry) -> Choice:
    """Turn "auto" into the engine that is fastest here and for this geometry, and say why."""
    return choose(geometry, Engine) if name == "auto" else Choice(name, f"{name} as asked for.")


def open_engine(name: EngineName, geometry: Geometry) -> Engine:
    """Prepare what all slices of a scan share."""
    return Engine(pick_engine(name, geometry).name, geometry)
