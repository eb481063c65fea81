"""The shape of the anode: both interfaces, to a fraction of a voxel, and its voids."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.volumes.roughness import levelled
from hexlive.reconstruct.volumes.segmentation import ANODE, Segmentation
from hexlive.reconstruct.volumes.smoothing import Filtered, percentiles
from hexlive.reconstruct.volumes.surface_settings import SurfaceError, SurfaceSettings
from hexlive.reconstruct.volumes.voids import void_volumes_px

SHARED_PX: Final = (-2, -1, 0, 1)  # voxels that the surface may touch, from the first of the anode
PLATEAU_PX: Final = 3  # so far above, and one less, there is only what lies on the anode
EDGE_PX: Final = 2.0  # from the anode's edge, where columns are not anode alone
LEVEL_BINS: Final = 2**16
CUT_SHARE: Final = 0.5  # of the surface in the first slice: then it is cut off


class Shape:
    """Where the anode begins and ends in each column, to a fraction of a voxel.

    Attributes
    ----------
    height_um, thickness_um
        ``(y, x) float64``; NaN where there is none.
    void_volumes_um3
        ``(voids,)``, largest first.
    volume_um3
        Of the anode without its voids.

    Raises
    ------
    SurfaceError
        No part of a surface belongs to the anode.
    """

    def __init__(self, found: Segmentation, voxel_um: float, settings: SurfaceSettings) -> None:
        smooth, solid = found.filtered.smooth, found.length > 0
        within_px = ndimage.distance_transform_edt(np.pad(solid, 1))[1:-1, 1:-1]
        level = _anode_level(found)
        above = _interface(smooth, found.top, level, found.filtered)
        last = len(smooth) - found.top - found.length
        below = _interface(smooth[::-1], last, level, found.filtered)
        free = np.isfinite(above) & (within_px > settings.rim_um / voxel_um)
        if not free.any():
            _refuse_cut(found)
            raise SurfaceError("The anode has no free surface here; see [tomography.surface].")
        height_um = np.where(free, -above * voxel_um, np.nan)
        self.height_um = levelled(height_um, settings.level)
        thickness_px = len(smooth) - np.where(np.isfinite(below), below, last)
        thickness_px -= np.where(np.isfinite(above), above, found.top)
        thickness_px = np.where(within_px > EDGE_PX, thickness_px, found.length)
        self.thickness_um = np.where(solid, thickness_px * voxel_um, np.nan)
        solid_px = float(thickness_px[solid].sum())
        voids_px = void_volumes_px(
            found.filtered.part, found.void, found.material, level, found.filtered.slabs
        )
        self.void_volumes_um3 = -np.sort(-voids_px) * voxel_um**3
        self.volume_um3 = solid_px * voxel_um**3 - float(self.void_volumes_um3.sum())


def _interface(
    smooth: NDArray[np.float32], top: NDArray[np.int32], anode: float, limits: Filtered
) -> NDArray[np.float64]:
    """Where the anode begins along z, voxels; NaN where that cannot be seen, ``(y, x)``.

    A voxel at the surface is shared by two materials, so the attenuation of the voxels about it
    tells how much of them is anode. Unlike a linear interpolation to a threshold, this is right
    for a step: at a roughness of 0.3 voxels, Ra comes out 4 % too low instead of 14 %.
    """
    first = np.maximum(top, PLATEAU_PX)

    def at(offset_px: int) -> NDArray[np.float64]:
        z = np.clip(first + offset_px, 0, len(smooth) - 1)
        return np.asarray(np.take_along_axis(smooth, z[None], axis=0)[0], np.float64)

    above = (at(-PLATEAU_PX) + at(1 - PLATEAU_PX)) / 2
    valid = (top >= PLATEAU_PX) & (top < len(smooth))
    valid &= (above >= limits.high) | (above <= limits.low)
    excess = sum(at(offset_px) - anode for offset_px in SHARED_PX)
    missing = np.divide(excess, above - anode, out=np.full_like(above, np.nan), where=valid)
    return np.asarray(first + SHARED_PX[0] + missing)


def _anode_level(found: Segmentation) -> float:
    """Median attenuation of the anode, per pixel length."""
    slabs, smooth = found.filtered.slabs, found.filtered.smooth
    inside = [smooth[slab][found.material[slab] == ANODE] for slab in slabs]
    ends = min(v.min() for v in inside if v.size), max(v.max() for v in inside if v.size)
    counts = sum(np.histogram(v, LEVEL_BINS, ends)[0] for v in inside)
    about = percentiles(np.asarray(counts), (float(ends[0]), float(ends[1])), (50.0, 50.0))
    return sum(about) / 2


def _refuse_cut(found: Segmentation) -> None:
    solid = found.length > 0
    if np.mean(found.top[solid] == 0) > CUT_SHARE:
        raise SurfaceError(
            "The anode reaches the first slice of the part that is looked at, so its surface is "
            "cut off; see first_slice and faces in [tomography.surface]."
        )
