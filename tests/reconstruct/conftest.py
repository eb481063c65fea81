"""A slice of disks and ellipses, whose slices and projections are known exactly."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hexlive.benchmarks.ellipses import Ellipse, Ellipses


class FlatParts(Ellipses):
    """Ellipses with the parts of their slice that are flat."""

    def flat_parts(self, size: int, margin_px: float = 3) -> list[tuple[NDArray[np.bool_], float]]:
        """Voxels ``(size, size)`` far from every edge, level by level, and their attenuation."""
        axis = np.arange(size) - (size - 1) / 2
        x, y = axis, axis[:, None]
        far_from_edges = np.ones((size, size), bool)
        value = np.zeros((size, size))
        for e in self.ellipses:
            cos, sin = np.cos(e.turned_rad), np.sin(e.turned_rad)
            across, along = (x - e.x) * cos + (y - e.y) * sin, (y - e.y) * cos - (x - e.x) * sin
            ratio = np.hypot(across / e.semi_x, along / e.semi_y)
            # The least distance for this ratio is that along the smaller semi-axis.
            far_from_edges &= np.abs(ratio - 1) * min(e.semi_x, e.semi_y) > margin_px
            value += e.attenuation * (ratio < 1)
        levels = [level for level in np.unique(value.round(9)) if level]
        return [(far_from_edges & np.isclose(value, level), float(level)) for level in levels]


@pytest.fixture(scope="session")
def disks() -> FlatParts:
    """A cell-like slice within 90 px: a body, a dense and a light part, none on the axis."""
    return FlatParts(
        Ellipse(2, -3, 38, 38, 0.0, 0.01),
        Ellipse(14, 8, 12, 8, 0.6, 0.02),
        Ellipse(-15, -10, 8, 8, 0.0, -0.005),
    )


@pytest.fixture(scope="session")
def shared_tomography(shared_data: Path) -> Path:
    return shared_data / "tomography"
