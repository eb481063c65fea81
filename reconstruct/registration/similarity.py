"""From the pixels of the EMF map to the voxels of a CT slice, and masks resampled that way.

A pixel looks at a place in the sheet beam, ``(down, across)`` mm from the optical axis in the
directions of the detector's rows and columns; the pinhole inverts both. In the CT, the point (x, y)
of a slice is seen at ``s = x cos(angle) + y sin(angle)`` across the beam, ``t = y cos(angle) - x
sin(angle)`` along it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import ComptonSettings, FloatArray
from hexlive.reconstruct.heterogeneity import sheet_position_mm

LEAST_POINTS: Final = 8  # per side of a pixel, however large the voxels are


@dataclass(frozen=True, kw_only=True, slots=True)
class Similarity:
    """Where the CT lies in the sheet beam.

    Attributes
    ----------
    offset_mm
        (down, across) of the rotation axis of the CT, as the EMF map shows it.
    scale
        Length in the sheet beam per length in the CT.
    rotation_rad
        Angle of the CT's rotation at which the cell stood during the Compton exposures.
    mirrored
        The slices of the CT are seen from the other side than the sheet beam.
    """

    offset_mm: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    rotation_rad: float = 0.0
    mirrored: bool = False

    def ct_mm(self, position_mm: FloatArray, compton: ComptonSettings) -> FloatArray:
        """``(2, ...)``, (y, x) mm from the axis in a slice, of places ``(2, ...)`` in the sheet."""
        down, across = (
            (place - offset) / self.scale
            for place, offset in zip(position_mm, self.offset_mm, strict=True)
        )
        along, beside = (across, down) if compton.beam_axis == "columns" else (down, across)
        s, t = (beside if self.mirrored else -beside), -compton.beam_sign * along
        cosine, sine = np.cos(self.rotation_rad), np.sin(self.rotation_rad)
        return np.stack([s * sine + t * cosine, s * cosine - t * sine])


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The pixels of the EMF map."""

    shape: tuple[int, int]
    pitch_mm: float
    compton: ComptonSettings

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel in the sheet beam."""
        return self.pitch_mm / self.compton.magnification

    @property
    def position_mm(self) -> FloatArray:
        """``(2, rows, columns)``: (down, across) of each pixel in the sheet beam."""
        return np.stack(sheet_position_mm(self.shape, self.pitch_mm, self.compton))

    def subpoints_mm(self, per_side: int) -> Iterator[FloatArray]:
        """Row by row, ``(2, columns, per_side ** 2)``: places spread evenly over each pixel."""
        within = ((np.arange(per_side) + 0.5) / per_side - 0.5) * self.pixel_mm
        spread = np.stack(np.meshgrid(within, within, indexing="ij")).reshape(2, 1, -1)
        for row in np.moveaxis(self.position_mm, 1, 0):
            yield row[..., None] + spread

    def area_means(
        self, images: NDArray[np.float32], voxel_mm: float, place: Similarity
    ) -> FloatArray:
        """Means of slices ``(n, y, x)`` over the area of each pixel, ``(n, rows, columns)``.

        Of a mask, the fraction of the pixel that it covers: points as dense as the voxels are
        looked up. Beside the slice there is nothing.
        """
        per_side = max(LEAST_POINTS, ceil(self.pixel_mm / (place.scale * voxel_mm)))
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        middle = (np.array(images.shape[1:]) - 1) / 2
        result = np.empty((len(images), *self.shape))
        for row, points in enumerate(self.subpoints_mm(per_side)):
            at_px = place.ct_mm(points, self.compton) / voxel_mm + middle[:, None, None]
            nearest = np.rint(at_px).astype(np.int64) + 1
            y, x = (
                np.clip(i, 0, size - 1) for i, size in zip(nearest, padded.shape[1:], strict=True)
            )
            result[:, row] = padded[:, y, x].mean(axis=-1)
        return result

    def area_averages(self, maps: FloatArray, voxel_mm: float, place: Similarity) -> FloatArray:
        """Means of ``(n, y, x)`` over what of each pixel they are finite in; NaN where nowhere."""
        known = np.isfinite(maps)
        both = np.concatenate([known, np.where(known, maps, 0.0)]).astype(np.float32)
        share, total = np.split(self.area_means(both, voxel_mm, place), 2)
        result = np.full(total.shape, np.nan)
        np.divide(total, share, out=result, where=share > 0)
        return result
