"""Back-projection by the ASTRA toolbox: on a GPU, and on the CPU for cross-checks."""

import weakref
from threading import Lock
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.filtering import RampFilter
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.optional import EngineUnavailableError, free_bytes, gpu_cupy, library

GPU_SHARE: Final = 0.7  # of the free memory, for one slab
MAX_ROWS: Final = 256  # more rows of a slab gain nothing
ONE_AT_A_TIME: Final = Lock()  # ASTRA's 3D back-projection is not for two threads on one GPU


class AstraCpu:
    """One 2D back-projection per slice; ASTRA's y axis points up."""

    rows_at_once = 1
    shift_px: float | None = None
    xp: Any = np

    def __init__(self, geometry: Geometry) -> None:
        self._astra, self._size = library("astra", "The engine astra-cpu"), geometry.size
        volume_geometry = self._astra.create_vol_geom(geometry.size, geometry.size)
        detector = self._astra.create_proj_geom(
            "parallel", 1.0, geometry.width, -geometry.angles_rad
        )
        self._projector = self._astra.create_projector("linear", detector, volume_geometry)
        # ASTRA's own copies of a sinogram and a slice.
        per_slice = len(geometry.angles_rad) * geometry.width + geometry.size**2
        self.working_bytes = 2 * 4 * per_slice
        weakref.finalize(self, self._astra.projector.delete, self._projector)

    def prepare(
        self, ramp: RampFilter, sinogram: Any, offsets_px: NDArray[np.float64] | None
    ) -> Any:
        """Filter ``(slices, angles, columns)``."""
        return ramp(sinogram, offsets_px)

    def __call__(self, projections: NDArray[np.float32]) -> NDArray[np.float32]:
        """Back-project ``(slices, angles, width)``."""
        volume = np.empty((len(projections), self._size, self._size), np.float32)
        for row, sinogram in enumerate(projections):
            number, volume[row] = self._astra.create_backprojection(sinogram, self._projector)
            self._astra.data2d.delete(number)
        return volume


class AstraGpu:
    """3D back-projection of slabs that fit the GPU, in CuPy's arrays without a copy.

    Raises
    ------
    EngineUnavailableError
        ASTRA, CuPy or the GPU is missing, or ASTRA did not finish.
    """

    working_bytes = 0
    shift_px: float | None = None

    def __init__(self, geometry: Geometry) -> None:
        self._astra = gpu_astra()
        self.xp = self._cupy = gpu_cupy("The engine astra")
        self._geometry = geometry
        self.rows_at_once = rows_that_fit(geometry, GPU_SHARE * free_bytes(self._cupy))

    def prepare(
        self, ramp: RampFilter, sinogram: Any, offsets_px: NDArray[np.float64] | None
    ) -> Any:
        """Filter ``(slices, angles, columns)``."""
        return ramp(sinogram, offsets_px)

    def __call__(self, projections: Any) -> Any:
        """Back-project ``(slices, angles, width)``, float32, contiguous, on the GPU."""
        astra, xp, size = self._astra, self._cupy, self._geometry.size
        n_rows, _, width = projections.shape
        volume = xp.full((n_rows, size, size), xp.nan, xp.float32)
        xp.cuda.get_current_stream().synchronize()
        with ONE_AT_A_TIME:
            projector = astra.create_projector(
                "cuda3d",
                astra.create_proj_geom(
                    "parallel3d", 1.0, 1.0, n_rows, width, self._geometry.angles_rad
                ),
                astra.create_vol_geom(size, size, n_rows),
            )
            try:
                astra.projector3d.direct_BP(projector, projections, out=volume)
            finally:
                astra.projector3d.delete(projector)
        # A failed direct call is silent, but it leaves the volume as it was.
        if bool(xp.isnan(volume).any()):
            raise EngineUnavailableError("ASTRA left the volume unfinished; is the GPU full?")
        return volume


def gpu_astra() -> ModuleType:
    """ASTRA, where it can use a GPU.

    Raises
    ------
    EngineUnavailableError
        It is not there, or no GPU is. Without this question, a 3D CUDA call on a machine without a
        GPU kills the process.
    """
    astra = library("astra", "The engine astra")
    if not astra.use_cuda():
        raise EngineUnavailableError("The engine astra needs an NVIDIA GPU that ASTRA can use.")
    return astra


def rows_that_fit(geometry: Geometry, n_bytes: float) -> int:
    """Rows of a slab: each is there as measured, filtered and once more inside ASTRA, and as slice.

    Raises
    ------
    EngineUnavailableError
        Not even one.
    """
    per_row = 4 * (3 * len(geometry.angles_rad) * geometry.width + geometry.size**2)
    filtering = 3 * 8 * len(geometry.angles_rad) * (geometry.width + geometry.columns)
    rows = int((n_bytes - filtering) / per_row)
    if rows < 1:
        raise EngineUnavailableError(
            f"The GPU has {n_bytes / 2**20:.0f} MiB to spare, too few for one row of this scan; "
            "choose the engine fourier or numba."
        )
    return min(rows, MAX_ROWS)
