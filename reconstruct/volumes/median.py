"""The 3 x 3 x 3 median of the chain, many voxels at a time: the same numbers as SciPy's.

A sorting network compares the same two of the 27 neighbours in every voxel, so that a whole piece
of a row goes through each comparison as one vector: no branch depends on the data.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled, prange

NEIGHBOURS: Final = 27
MIDDLE: Final = NEIGHBOURS // 2
PIECE: Final = 256  # voxels; with their neighbours 27 KiB, which stay in the nearest cache


def median_3x3x3(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Median of each voxel ``(z, y, x)`` and its 26 neighbours.

    As ``scipy.ndimage.median_filter(volume, 3)``, at the faces too, where the outermost voxels
    count twice.
    """
    medians = np.empty(volume.shape, np.float32)
    _medians(np.ascontiguousarray(volume, np.float32), NETWORK, medians)
    return medians


def comparisons(n: int, wanted: int) -> NDArray[np.int64]:
    """Which two values to put in order, one pair after the other, ``(pairs, 2)``.

    After them, ``wanted`` of ``n`` values is where sorting would have it. Merging odd and even
    values (Batcher, AFIPS Spring Joint Computer Conference 32, 307, 1968), without the comparisons
    that the wanted value does not depend on.
    """
    pairs = []
    for run in (1 << i for i in range(n.bit_length())):
        step = run
        while step:
            for first in range(step % run, n - step, 2 * step):
                for low in range(first, min(first + step, n - step)):
                    if low // (2 * run) == (low + step) // (2 * run):
                        pairs.append((low, low + step))
            step //= 2
    needed, kept = {wanted}, []
    for pair in reversed(pairs):
        if needed.intersection(pair):
            needed.update(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int64)


NETWORK: Final = comparisons(NEIGHBOURS, MIDDLE)


@compiled(parallel=True)
def _medians(
    volume: NDArray[np.float32], network: NDArray[np.int64], medians: NDArray[np.float32]
) -> None:
    depth, height, width = volume.shape
    for row in prange(depth * height):
        z, y = row // height, row % height
        values = np.empty((NEIGHBOURS, PIECE), np.float32)
        for first in range(0, width, PIECE):
            n = min(PIECE, width - first)
            for place in range(NEIGHBOURS):
                at_z = min(max(z + place // 9 - 1, 0), depth - 1)
                at_y = min(max(y + place // 3 % 3 - 1, 0), height - 1)
                for i in range(n):
                    at_x = min(max(first + i + place % 3 - 1, 0), width - 1)
                    values[place, i] = volume[at_z, at_y, at_x]
            for pair in range(len(network)):
                low, high = network[pair]
                for i in range(n):
                    one, other = values[low, i], values[high, i]
                    values[low, i] = min(one, other)
                    values[high, i] = max(one, other)
            for i in range(n):
                medians[z, y, first + i] = values[MIDDLE, i]
