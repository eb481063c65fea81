"""Geometry of a parallel-beam scan: sizes, and the weights of angles and columns.

A sinogram stack is ``(rows, angles, columns) float32``, line integrals. The point (x, y) of a
slice, in pixels from its middle, is seen at ``s = x cos(angle) + y sin(angle)``, in columns from
the rotation axis.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

MARGIN_PX: Final = 16  # columns beyond the slice on either side, for windows to fall to 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Geometry:
    """What the slices of one scan share.

    Attributes
    ----------
    angles_rad
        ``(angles,) float64``, as measured: in any order, equally spaced or not.
    centre_px
        Column of the rotation axis, counted from the middle of the first column.
    columns
        Columns of the detector.
    extended_field
        360-degree scan with the axis off the middle: the field is twice the longer side.
    weights_rad
        ``(angles,)``, share of each projection, where it is not that of these angles alone: a slice
        is the sum of its parts. Signed.
    """

    angles_rad: NDArray[np.float64]
    centre_px: float
    columns: int
    extended_field: bool = False
    weights_rad: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse a geometry that has no reconstruction.

        Raises
        ------
        ValueError
            Fewer than two angles, angles that are not finite, or the axis outside the detector.
        """
        if np.ndim(self.angles_rad) != 1 or len(self.angles_rad) < 2:
            raise ValueError("A reconstruction needs a list of at least two angles.")
        if not np.isfinite(self.angles_rad).all():
            raise ValueError("Some rotation angles are not finite numbers.")
        if not 0 < self.centre_px < self.columns - 1:
            raise ValueError(
                f"The rotation axis ({self.centre_px} px) is outside the detector "
                f"of {self.columns} columns."
            )

    @property
    def reach_px(self) -> float:
        """Distance from the axis to the farther edge of the detector."""
        return max(self.centre_px, self.columns - 1 - self.centre_px)

    @property
    def size(self) -> int:
        """Side of the reconstructed slices, pixels; the axis is in the middle."""
        return 2 * ceil(self.reach_px) + 1 if self.extended_field else self.columns

    @property
    def width(self) -> int:
        """Columns of the filtered projections; the axis is at ``(width - 1) / 2``.

        Even where the size is, so that an axis in the middle needs no shift by half a column.
        """
        width = int(fft.next_fast_len(self.size + 2 * MARGIN_PX))
        while (width - self.size) % 2:
            width = int(fft.next_fast_len(width + 1))
        return width

    @property
    def shift_px(self) -> float:
        """By how many columns the axis lies right of where filtered projections have it."""
        return self.centre_px - (self.width - 1) / 2

    @property
    def weights(self) -> NDArray[np.float64]:
        """Share of each projection, ``(angles,)``, rad."""
        if self.weights_rad is not None:
            return self.weights_rad
        return angular_weights(self.angles_rad, self.period_rad)

    @property
    def period_rad(self) -> float:
        """Angle after which the rays of this scan repeat."""
        return 2 * pi if self.extended_field else pi


@lru_cache(maxsize=2)
def field_of_view(size: int) -> NDArray[np.bool_]:
    """The inscribed circle of a slice, ``(size, size) bool``, not to be changed."""
    distance_px = np.arange(size) - (size - 1) / 2
    inside: NDArray[np.bool_] = np.hypot(distance_px[:, None], distance_px) <= size / 2
    inside.flags.writeable = False
    return inside


def angular_weights(angles_rad: NDArray[np.float64], period_rad: float = pi) -> NDArray[np.float64]:
    """Half the way to both neighbours around the circle (Voronoi cells), rad; the sum is a period.

    Repeated angles share their cell; a gap is shared by the two angles beside it.
    """
    around = angles_rad % period_rad
    order = np.argsort(around)
    gaps = np.diff(around[order], append=around[order[0]] + period_rad)
    weights = np.empty_like(gaps)
    weights[order] = (gaps + np.roll(gaps, 1)) / 2
    return weights


def redundancy_weights(centre_px: float, columns: int) -> NDArray[np.float64]:
    """Share of each column of an off-axis 360-degree scan; opposite rays add to 1, ``(columns,)``.

    Rises smoothly from 0 at the short side's edge to 1 where the long side is alone, so that the
    two halves need no stitching and leave no seam.
    """
    overlap_px = min(centre_px, columns - 1 - centre_px)
    towards_long_side = 1 if centre_px < (columns - 1) / 2 else -1
    s = towards_long_side * (np.arange(columns) - centre_px) / overlap_px
    return np.asarray(0.5 + 0.5 * np.sin(np.clip(s, -1, 1) * pi / 2))
