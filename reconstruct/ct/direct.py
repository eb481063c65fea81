"""Direct back-projection on the CPU: linear interpolation, the slices innermost."""

from math import ceil, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled, prange
from hexlive.reconstruct.ct.filtering import RampFilter
from hexlive.reconstruct.ct.geometry import Geometry

SLICES_INNERMOST: Final = 32  # slices per interpolation weight, one vector loop
ROWS_PER_TILE: Final = 16  # rows of a slice that share one pass over the projections


class Direct:
    """Interpolate linearly in the projections, for many slices at once."""

    rows_at_once = SLICES_INNERMOST
    xp: Any = np

    def __init__(self, geometry: Geometry) -> None:
        self._size = geometry.size
        # Interpolation deals with parts of a column; as a phase they would make edges ring.
        self.shift_px: float | None = round(geometry.shift_px)
        self._axis_px = (geometry.width - 1) / 2 + geometry.shift_px - self.shift_px
        self._cos, self._sin = np.cos(geometry.angles_rad), np.sin(geometry.angles_rad)
        # Projections and slices, each also with the slices innermost.
        per_slice = len(geometry.angles_rad) * geometry.width + geometry.size**2
        self.working_bytes = 2 * 4 * SLICES_INNERMOST * per_slice

    def prepare(
        self, ramp: RampFilter, sinogram: Any, offsets_px: NDArray[np.float64] | None
    ) -> Any:
        """Filter ``(slices, angles, columns)``."""
        return ramp(sinogram, offsets_px)

    def __call__(self, projections: NDArray[np.float32]) -> NDArray[np.float32]:
        """Back-project ``(slices, angles, width)``."""
        innermost = np.ascontiguousarray(projections.transpose(1, 2, 0))
        slices = np.zeros((self._size, self._size, len(projections)), np.float32)
        _add_projections(innermost, self._cos, self._sin, self._axis_px, slices)
        return slices.transpose(2, 0, 1)


@compiled(parallel=True, error_model="numpy")
def _add_projections(
    projections: NDArray[np.float32],
    cos: NDArray[np.float64],
    sin: NDArray[np.float64],
    axis_px: float,
    slices: NDArray[np.float32],
) -> None:
    """Add ``(angles, width, slices)`` projections to ``(y, x, slices)`` within the circle."""
    n_angles, _, n_slices = projections.shape
    size = slices.shape[0]
    middle = (size - 1) / 2
    for tile in prange(ceil(size / ROWS_PER_TILE)):
        for angle in range(n_angles):
            for y in range(tile * ROWS_PER_TILE, min(size, (tile + 1) * ROWS_PER_TILE)):
                first_x = int(middle - sqrt(max(size * size / 4 - (y - middle) ** 2, 0.0)))
                start = axis_px + (y - middle) * sin[angle]
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
