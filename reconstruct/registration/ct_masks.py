"""Masks and maps of the anode in a CT slice, for the EMF grid: what lies where."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.registration.similarity import Grid, Similarity
from hexlive.reconstruct.volumes.segmentation import ANODE, VOID

MASKS = ("anode", "raised", "sunken", "porous", "dense")
MAPS = ("height_um", "thickness_um", "porosity")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Resampled:
    """The anode on the EMF grid.

    Attributes
    ----------
    masks
        ``(rows, columns)`` by name: the fraction of each pixel's area that is inside.
    maps
        ``(rows, columns)`` by name: the mean over that part of the pixel; NaN beside the anode.
    """

    masks: dict[str, FloatArray]
    maps: dict[str, FloatArray]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnodeMaps:
    """The anode seen along z.

    Attributes
    ----------
    height_um, thickness_um, porosity
        ``(y, x) float64``; NaN where not known.
    """

    height_um: FloatArray
    thickness_um: FloatArray
    porosity: FloatArray

    @classmethod
    def of(
        cls, height_um: FloatArray, thickness_um: FloatArray, slices: Iterable[NDArray[np.uint8]]
    ) -> "AnodeMaps":
        """Count voids along z, slice by slice of the materials of `Surface`."""
        anode, voids = np.zeros((2, *height_um.shape), np.int64)
        for layer in slices:
            anode += layer == ANODE
            voids += layer == VOID
        porosity = np.full(height_um.shape, np.nan)
        np.divide(voids, anode + voids, out=porosity, where=anode > 0)
        return cls(height_um=height_um, thickness_um=thickness_um, porosity=porosity)

    @property
    def footprint(self) -> NDArray[np.bool_]:
        """Where there is anode, ``(y, x)``."""
        return np.isfinite(self.thickness_um)

    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """The anode; what lies above and below its levelled surface; with and without voids."""
        anode = self.footprint
        with np.errstate(invalid="ignore"):
            raised, sunken = self.height_um > 0, self.height_um < 0
            porous = anode & (self.porosity > 0)
        found = (anode, raised, sunken, porous, anode & ~porous)
        return dict(zip(MASKS, found, strict=True))

    def resampled(self, voxel_mm: float, grid: Grid, place: Similarity) -> Resampled:
        """On the pixels of the EMF map."""
        masks = np.stack(list(self.masks().values())).astype(np.float32)
        maps = np.stack([self.height_um, self.thickness_um, self.porosity])
        return Resampled(
            masks=dict(zip(MASKS, grid.area_means(masks, voxel_mm, place), strict=True)),
            maps=dict(zip(MAPS, grid.area_averages(maps, voxel_mm, place), strict=True)),
        )
