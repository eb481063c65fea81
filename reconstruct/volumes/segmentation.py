"""The second half of the chain: which voxels are anode, and which are voids in it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.volumes.parts import connected_parts
from hexlive.reconstruct.volumes.slabs import Slabs
from hexlive.reconstruct.volumes.smoothing import Filtered
from hexlive.reconstruct.volumes.surface_settings import SurfaceSettings

OTHER, ANODE, VOID = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Segmentation:
    """What is anode, and what are voids in it.

    Attributes
    ----------
    filtered
        Where this was found.
    material
        ``(z, y, x) uint8``: `OTHER`, `ANODE` or `VOID`.
    void
        ``(z, y, x) int32``: number of the void from 1; 0 elsewhere.
    top, length
        ``(y, x)``: first slice and number of slices of the anode with its voids, per column.
    """

    filtered: Filtered
    material: NDArray[np.uint8]
    void: NDArray[np.int32]
    top: NDArray[np.int32]
    length: NDArray[np.int32]

    def by_slab(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
        """Materials of each slab, and the depth of its voxels below the surface."""
        for slab in self.filtered.slabs:
            yield self.material[slab], _z(slab) - self.top


def segment(filtered: Filtered, settings: SurfaceSettings) -> Segmentation | None:
    """Find the anode, or None; see `hexlive.reconstruct.volumes.surface.anode_surface`."""
    slabs = filtered.slabs
    material = slabs.scratch(np.uint8)
    for slab in slabs:
        material[slab] = candidates(filtered, slab, filtered.low, filtered.high)
    if settings.connected:
        keep_largest(material, slabs)
    hollow = connected_parts(lambda slab: material[slab] != ANODE, slabs)
    is_void = (hollow.sizes_px >= settings.smallest_void_px) & ~hollow.at_face
    is_void[0] = False
    for slab in slabs:
        material[slab][is_void[hollow.of(slab)]] = VOID
    top, length = _longest_run(material)
    void, number = slabs.scratch(np.int32), np.cumsum(is_void, dtype=np.int32) * is_void
    found_any = False
    for slab in slabs:
        depth, numbers = _z(slab) - top, number[hollow.of(slab)]
        # A voxel shared by gas and electrolyte looks like lithium: such films are not the anode.
        material[slab][(depth < 0) | (depth >= length)] = OTHER
        void[slab] = numbers * (material[slab] == VOID)
        found_any |= bool(np.any(material[slab] == ANODE))
    if not found_any:
        return None
    return Segmentation(filtered=filtered, material=material, void=void, top=top, length=length)


def _z(slab: slice) -> NDArray[np.int32]:
    return np.arange(slab.start, slab.stop, dtype=np.int32)[:, None, None]


def candidates(filtered: Filtered, slab: slice, low: float, high: float) -> NDArray[np.bool_]:
    """What of a slab lies between two limits, smooth and opened.

    The opening swallows thin layers around the anode; the median alone keeps them.
    """
    opened, smooth = filtered.opened[slab], filtered.smooth[slab]
    between = (opened > low) & (opened < high) & (smooth > low) & (smooth < high)
    return np.asarray(between & filtered.inside)


def keep_largest(material: NDArray[np.uint8], slabs: Slabs) -> None:
    """Leave only the largest connected part of the anode."""
    parts = connected_parts(lambda slab: material[slab] == ANODE, slabs)
    largest = parts.sizes_px[1:].argmax() + 1 if len(parts.sizes_px) > 1 else 0
    for slab in slabs:
        material[slab] = (parts.of(slab) == largest) & (material[slab] == ANODE)


def _longest_run(material: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """First slice and length of the longest uninterrupted run along z, ``(y, x)`` each."""
    run, length, end = np.zeros((3, *material.shape[1:]), np.int32)
    for z, layer in enumerate(material):
        run = np.where(layer != OTHER, run + 1, 0).astype(np.int32)
        longer = run > length
        length[longer] = run[longer]
        end[longer] = z + 1
    return end - length, length
