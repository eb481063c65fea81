"""A whole cell that grows while its scan runs, from pixels twice as wide, on a GPU."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled
from hexlive.reconstruct.ct.binning import binned_px
from hexlive.reconstruct.ct.fourier import PAIRS_AT_ONCE
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.ct.gridding import gridding_bytes
from hexlive.reconstruct.ct.live import LiveSlices
from hexlive.reconstruct.ct.tomography import TomographySettings, scan_geometry
from hexlive.reconstruct.optional import EngineUnavailableError, free_bytes, gpu_cupy

SIDE_PX: Final = 2
GPU_SHARE: Final = 0.8  # of the memory that is free: counting and volumes want some, too
TURN_DEG: Final = np.array([0.0, 360.0])  # whatever angles come, slices are no larger than of these


class LiveVolume(LiveSlices):
    """All slices of a scan whose axis is known, from images that were `halved`.

    Parameters
    ----------
    engine
        One for GPUs.
    shape
        (rows, columns) of the detector.
    centre_px
        Column of the axis on the detector.
    n_images
        Of the whole scan.

    Raises
    ------
    EngineUnavailableError
        There is no GPU, or its memory is too small.
    """

    def __init__(
        self,
        settings: TomographySettings,
        engine: str,
        shape: tuple[int, int],
        centre_px: float,
        n_images: int,
    ) -> None:
        cupy = gpu_cupy("A live volume")
        rows, columns = (side // SIDE_PX for side in shape)
        geometry = scan_geometry(TURN_DEG, binned_px(centre_px, SIDE_PX), columns)
        needed, there = needed_bytes(geometry, rows, n_images), GPU_SHARE * free_bytes(cupy)
        if needed > there:
            raise EngineUnavailableError(
                f"It takes {needed / 2**20:.0f} MiB of the GPU, which has {there / 2**20:.0f} to "
                "spare."
            )
        super().__init__(settings, engine, columns, slice(0, rows), geometry.centre_px, n_images)

    def cuts(self, *, finish: bool) -> dict[str, NDArray[np.float32]]:
        """``xz (z, x)`` and ``yz (z, y)`` through the middle, on the pixels of the detector.

        Parameters
        ----------
        finish
            Of all projections; else of those so far, and nothing before there can be.
        """
        volume = self.finish() if finish else self.update()
        if volume is None:
            return {}
        middle = volume.shape[1] // 2
        return {"xz": self._fine(volume[:, middle]), "yz": self._fine(volume[:, :, middle])}

    def _fine(self, cut: Any) -> NDArray[np.float32]:
        """Attenuation per pixel of the detector."""
        fine = self.on_host(cut).repeat(SIDE_PX, 0).repeat(SIDE_PX, 1)
        return np.asarray(fine / SIDE_PX, np.float32)


def needed_bytes(geometry: Geometry, rows: int, n_images: int) -> int:
    """Memory of the GPU for counts, slices, and what the engine takes for all angles at once."""
    counts = 2 * n_images * rows * geometry.columns
    slices = 4 * rows * geometry.size**2
    return counts + slices + gridding_bytes(geometry.size, n_images * geometry.width, PAIRS_AT_ONCE)


@compiled()
def halved(images: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Means of 2 x 2 pixels of ``(images, rows, columns)``, rounded; a last odd one is left out."""
    n_images, rows, columns = images.shape
    means = np.empty((n_images, rows // 2, columns // 2), np.uint16)
    for i in range(n_images):
        for row in range(rows // 2):
            upper, lower = images[i, 2 * row], images[i, 2 * row + 1]
            for column in range(columns // 2):
                first, second = 2 * column, 2 * column + 1
                total = np.uint32(upper[first]) + upper[second] + lower[first] + lower[second]
                means[i, row, column] = (total + 2) >> 2
    return means
