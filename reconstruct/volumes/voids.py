"""How large voids are, from how much attenuation they lack: not by the filters, which shrink them.

A median takes a tenth of the volume of a void of four voxels' radius, and a threshold depends on
what fills it. The missing attenuation, added up over the void and its edge in the volume as it is,
does not change under a blur and has no bias from noise.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.reconstruct.volumes.slabs import Part, Slabs

EDGE_PX: Final = 2  # so far a void's edge reaches into the anode
CORE_PX: Final = 1  # so far from it a voxel holds only what fills the void


def void_volumes_px(
    part: Part, number: NDArray[np.int32], solid: NDArray[np.uint8], anode: float, slabs: Slabs
) -> NDArray[np.float64]:
    """Volume of each void, voxels, ``(voids,)``; those without a core are counted as found.

    Parameters
    ----------
    number
        ``(z, y, x)``: number of the void, from 1; 0 elsewhere.
    solid
        ``(z, y, x)``: not 0 in the anode and its voids.
    anode
        Attenuation of the anode, per pixel length.
    """
    n = int(max((number[slab].max() for slab in slabs), default=0)) + 1
    if n == 1:
        return np.zeros(0)
    counted, core, level, missing = np.zeros((4, n))
    for slab in slabs:
        here, values = number[slab], part.read(slab).astype(np.float64)
        inside = (here > 0) & (_reach(number, slab, CORE_PX, ndimage.minimum_filter) == here)
        counted += np.bincount(here.ravel(), minlength=n)
        core += np.bincount(here[inside], minlength=n)
        level += np.bincount(here[inside], values[inside], n)
        near = _reach(number, slab, EDGE_PX, ndimage.maximum_filter) * (solid[slab] > 0)
        missing += np.bincount(near.ravel(), (anode - values).ravel(), n)
    filled = np.divide(level, core, out=np.full(n, np.nan), where=core > 0)
    lacking = anode - filled
    graded = np.divide(missing, lacking, out=np.full(n, np.nan), where=np.abs(lacking) > 0)
    usable = np.isfinite(graded) & (graded > 0)
    return np.where(usable, graded, counted)[1:]


def _reach(
    number: NDArray[np.int32],
    slab: slice,
    reach_px: int,
    of: Callable[..., NDArray[np.int32]],
) -> NDArray[np.int32]:
    """A filter of a slab that sees so many voxels around each."""
    first = max(0, slab.start - reach_px)
    around = of(number[first : slab.stop + reach_px], 2 * reach_px + 1)
    return np.asarray(around[slab.start - first :][: slab.stop - slab.start])
