"""A phantom of disks, whose slices and projections are known exactly."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


class Disks:
    """Disks ``(x, y, radius, attenuation)`` in pixels from the axis, and per pixel."""

    def __init__(self, *disks: tuple[float, float, float, float]) -> None:
        self.disks = disks

    def sinogram(
        self, angles_rad: NDArray[np.float64], centre_px: float, columns: int
    ) -> NDArray[np.float32]:
        """Line integrals ``(1, angles, columns)``, averaged over the width of each column."""
        edges = np.arange(columns + 1) - 0.5 - centre_px
        total = np.zeros((len(angles_rad), columns))
        for x, y, radius, attenuation in self.disks:
            middle = x * np.cos(angles_rad) + y * np.sin(angles_rad)
            s = np.clip((edges - middle[:, None]) / radius, -1, 1)
            area = radius**2 * (s * np.sqrt(1 - s**2) + np.arcsin(s))
            total += attenuation * np.diff(area, axis=1)
        return total[None].astype(np.float32)

    def flat_parts(self, size: int, margin_px: float = 3) -> list[tuple[NDArray[np.bool_], float]]:
        """Voxels ``(size, size)`` far from every edge, level by level, and their attenuation."""
        axis = np.arange(size) - (size - 1) / 2
        distance = [np.hypot(axis - x, axis[:, None] - y) - r for x, y, r, _ in self.disks]
        far_from_edges = np.min(np.abs(distance), axis=0) > margin_px
        value = sum(d[3] * (near < 0) for d, near in zip(self.disks, distance, strict=True))
        return [
            (far_from_edges & (value == level), float(level)) for level in np.unique(value) if level
        ]


@pytest.fixture(scope="session")
def disks() -> Disks:
    """A cell-like slice within 90 px: a body, a dense and a light part, none on the axis."""
    return Disks((2, -3, 38, 0.01), (14, 8, 9, 0.02), (-15, -10, 8, -0.005))


@pytest.fixture(scope="session")
def shared_tomography(shared_data: Path) -> Path:
    return shared_data / "tomography"
