"""Connected parts of a mask that is too large to be labelled in one piece."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from hexlive.reconstruct.volumes.slabs import Slabs

Mask = Callable[[slice], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """The parts of a mask, voxels that touch by their faces, numbered from 1 across all slabs.

    Attributes
    ----------
    mask
        Gives the mask of a slab, which must be the same at any time until `of` was asked for it.
    sizes_px
        ``(parts + 1,)``: voxels of each part; [0] is 0.
    at_face
        ``(parts + 1,) bool``: the part reaches a face of the volume.
    numbers
        By slab, the part of each of the slab's own labels.
    """

    mask: Mask
    sizes_px: NDArray[np.int64]
    at_face: NDArray[np.bool_]
    numbers: dict[int, NDArray[np.int32]]

    def of(self, slab: slice) -> NDArray[np.int32]:
        """Number of the part of each voxel of a slab, 0 where there is none."""
        labels, _ = ndimage.label(self.mask(slab))
        return np.asarray(self.numbers[slab.start][labels], np.int32)


def connected_parts(mask: Mask, slabs: Slabs) -> Parts:
    """Label a mask slab by slab; parts that meet where two slabs meet are one."""
    offsets, sizes, joined = {}, [np.zeros(1, np.int64)], [np.zeros((2, 0), np.int64)]
    at_face = [np.zeros(1, bool)]
    total, last = 0, None
    for slab in slabs:
        labels, n = ndimage.label(mask(slab))
        offsets[slab.start] = (total, n)
        sizes.append(np.bincount(labels.ravel(), minlength=n + 1)[1:])
        at_face.append(_at_face(labels, n, slab, slabs.shape[0])[1:])
        ids = np.where(labels[[0, -1]] > 0, labels[[0, -1]].astype(np.int64) + total, 0)
        if last is not None:
            meet = (last > 0) & (ids[0] > 0)
            joined.append(np.unique(np.stack([last[meet], ids[0][meet]]), axis=1))
        total, last = total + n, ids[1]
    pairs = np.concatenate(joined, axis=1)
    graph = sparse.coo_array((np.ones(pairs.shape[1]), tuple(pairs)), (total + 1, total + 1))
    n_parts, part = csgraph.connected_components(graph, directed=False)  # 0 stays 0: it is first
    whole = np.zeros(n_parts, np.int64)
    np.add.at(whole, part, np.concatenate(sizes))
    face = np.zeros(n_parts, bool)
    np.logical_or.at(face, part, np.concatenate(at_face))
    numbers = {
        start: np.append(0, part[offset + 1 : offset + n + 1]).astype(np.int32)
        for start, (offset, n) in offsets.items()
    }
    return Parts(mask=mask, sizes_px=whole, at_face=face, numbers=numbers)


def _at_face(labels: NDArray[np.int32], n: int, slab: slice, depth: int) -> NDArray[np.bool_]:
    """Which labels of a slab reach a face of the whole volume, ``(n + 1,)``."""
    found = np.zeros(n + 1, bool)
    planes = [labels[:, [0, -1]], labels[:, :, [0, -1]]]
    planes += [labels[0]] if slab.start == 0 else []
    planes += [labels[-1]] if slab.stop == depth else []
    for plane in planes:
        found[plane] = True
    return found
