"""A slice of ellipses, whose line integrals are known exactly.

Lengths are in pixels from the rotation axis, attenuation is per pixel. A point (x, y) is seen
``x cos(angle) + y sin(angle)`` columns from the axis, as in `hexlive.reconstruct.ct.geometry`.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SUBPIXELS: Final = 4


class Ellipse(NamedTuple):
    """An ellipse with its semi-axes along x and y before it is turned; attenuations add up."""

    x: float
    y: float
    semi_x: float
    semi_y: float
    turned_rad: float
    attenuation: float


class Ellipses:
    """Ellipses on top of each other, as a sinogram and as a slice."""

    def __init__(self, *ellipses: Ellipse) -> None:
        self.ellipses = ellipses

    def sinogram(
        self, angles_rad: NDArray[np.float64], centre_px: float, columns: int
    ) -> NDArray[np.float32]:
        """Line integrals ``(1, angles, columns)``, averaged over the width of each column."""
        edges = np.arange(columns + 1) - 0.5 - centre_px
        total = np.zeros((len(angles_rad), columns))
        for e in self.ellipses:
            middle = e.x * np.cos(angles_rad) + e.y * np.sin(angles_rad)
            own_rad = angles_rad - e.turned_rad
            reach = np.hypot(e.semi_x * np.cos(own_rad), e.semi_y * np.sin(own_rad))[:, None]
            s = np.clip((edges - middle[:, None]) / reach, -1, 1)
            area = e.semi_x * e.semi_y * (s * np.sqrt(1 - s**2) + np.arcsin(s))
            total += e.attenuation * np.diff(area, axis=1)
        return total[None].astype(np.float32)

    def image(self, size: int, axis_px: float | None = None) -> NDArray[np.float32]:
        """The slice ``(size, size)``, averaged over each pixel.

        Parameters
        ----------
        axis_px
            Pixel of the rotation axis in both directions; None: the middle.
        """
        axis = (size - 1) / 2 if axis_px is None else axis_px
        fine = (np.arange(size * SUBPIXELS) + 0.5) / SUBPIXELS - 0.5 - axis
        x, y = fine.astype(np.float32), fine.astype(np.float32)[:, None]
        total = np.zeros((size, size), np.float32)
        for e in self.ellipses:
            across = (x - e.x) * np.cos(e.turned_rad) + (y - e.y) * np.sin(e.turned_rad)
            along = (y - e.y) * np.cos(e.turned_rad) - (x - e.x) * np.sin(e.turned_rad)
            inside = (across / e.semi_x) ** 2 + (along / e.semi_y) ** 2 <= 1
            part = inside.reshape(size, SUBPIXELS, size, SUBPIXELS).mean((1, 3), np.float32)
            total += e.attenuation * part
        return total


def cell(radius_px: float) -> Ellipses:
    """A cell-like slice: casing, filling, dense and light parts of many sizes, none on the axis.

    Parameters
    ----------
    radius_px
        Of the circle that holds it. An attenuation of 1 is that of the filling.
    """
    parts = (
        (0.01, -0.02, 0.95, 0.93, 0.0, 2.0),
        (0.01, -0.02, 0.90, 0.88, 0.0, -1.0),
        (0.35, 0.20, 0.22, 0.15, 0.4, 1.0),
        (-0.35, 0.25, 0.30, 0.10, -0.7, -0.5),
        (0.0, -0.45, 0.12, 0.12, 0.0, 0.5),
        (-0.25, -0.35, 0.04, 0.06, 0.2, 2.0),
        (0.30, -0.25, 0.02, 0.02, 0.0, 1.0),
        (0.45, -0.30, 0.05, 0.02, 1.0, -0.8),
        (-0.55, -0.10, 0.01, 0.03, 0.3, 3.0),
    )
    return Ellipses(
        *(Ellipse._make([*(radius_px * length for length in p[:4]), *p[4:]]) for p in parts)
    )
