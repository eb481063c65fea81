"""An engine for CT: back-projection by the nearest column, in NumPy; it is short, not fast."""

from typing import Any

import numpy as np

from hexlive.reconstruct.ct.engines import BACK_PROJECTORS, Engine
from hexlive.reconstruct.ct.geometry import Geometry


class Nearest:
    """Filtered projections ``(slices, angles, width)`` to slices ``(slices, size, size)``."""

    rows_at_once = 16
    xp: Any = np
    shift_px = None  # projections come with the axis in their middle

    def __init__(self, geometry: Geometry) -> None:
        self._angles_rad, self._middle = geometry.angles_rad, (geometry.width - 1) / 2
        self._y, self._x = np.mgrid[: geometry.size, : geometry.size] - (geometry.size - 1) / 2
        self.working_bytes = 8 * self.rows_at_once * self._x.size

    def prepare(self, ramp: Any, sinogram: Any, offsets_px: Any) -> Any:
        """Filter, and centre."""
        return ramp(sinogram, offsets_px)

    def __call__(self, projections: Any) -> Any:
        """Sum over the angles."""
        slices = np.zeros((len(projections), *self._x.shape), np.float32)
        for i, angle in enumerate(self._angles_rad):
            s = self._middle + self._x * np.cos(angle) + self._y * np.sin(angle)
            slices += projections[:, i, np.rint(s).astype(int).clip(0, projections.shape[2] - 1)]
        return slices


BACK_PROJECTORS["nearest"] = Nearest

if __name__ == "__main__":
    angles_rad = np.arange(180) * np.pi / 180
    disk = 2 * np.sqrt(np.maximum(40.0**2 - (np.arange(128) - 63.5) ** 2, 0))  # its line integrals
    sinogram = np.broadcast_to(disk, (1, 180, 128)).astype(np.float32)
    for name in ("numba", "nearest"):
        engine = Engine(name, Geometry(angles_rad=angles_rad, centre_px=63.5, columns=128))
        print(f"{name}: {engine(sinogram)[0, 54:74, 54:74].mean():.3f} within a disk of 1")
