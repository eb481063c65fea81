"""Events lost because photons met: the fraction that survived, from the hits themselves.

Two photons of one frame whose clusters touch become one cluster, which is too large or has the
wrong energy. Bright regions lose more of their events than dark ones, which tilts the subtraction
of exposures. An event survives if no other cluster touches its own: with Poisson statistics,
exp(-sum over sizes of (clusters per pixel and frame) x (places where they touch)).
"""

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hexlive.kernels.backend import Counts, EventSettings
from hexlive.reconstruct.compton import FloatArray

# The usual form of a cluster of 1, 2, 3, 4 and 5 or more pixels; charge spreads to 2 x 2 at most.
SHAPES: Final = (
    np.ones((1, 1), int),
    np.ones((1, 2), int),
    np.array([[1, 1], [1, 0]]),
    np.ones((2, 2), int),
    np.array([[1, 1, 1], [1, 1, 0]]),
)
QUARTER_TURNS: Final = 4

# Hits are averaged over this many pixels along each axis for the rate around a pixel.
NEIGHBOURHOOD_PX: Final = 5


def survival(counts: Counts, events: EventSettings) -> FloatArray:
    """Fraction of the events of each pixel that met no other photon.

    Against photons followed one by one it is right to 0.003 where 1 % of the pixels are hit per
    frame, to 0.03 where 6 % are. Clusters that the next-frame rule or the veto drops are not
    events, and not in it.

    Returns
    -------
    NDArray
        ``(rows, columns) float64``, 1 where nothing was hit.
    """
    sizes = counts.cluster_sizes.astype(np.float64)
    hits_in_clusters = sizes @ np.arange(1, sizes.size + 1)
    if not hits_in_clusters or not counts.n_frames:
        return np.ones(counts.hits.shape)
    rate = ndimage.uniform_filter(counts.hits / counts.n_frames, NEIGHBOURHOOD_PX, mode="nearest")
    largest = events.max_cluster if events.policy == "add" else 1
    kept = sizes[:largest] / max(sizes[:largest].sum(), 1.0)
    reach = {"none": 0}.get(events.policy, events.connectivity)
    places = np.array(
        [
            [touching_places(target, other, reach) for other in range(sizes.size)]
            for target in range(kept.size)
        ]
    )
    per_hit = places @ (sizes / hits_in_clusters)
    # Two clusters that touch are seen as one: half of the touching pairs is missing from the rate.
    rate = rate * (1 + kept @ per_hit * rate / 2)
    return np.tensordot(kept, np.exp(-per_hit[:, None, None] * rate), 1)


def pooled_survival(of_pixel: FloatArray, events: NDArray[Any]) -> float:
    """Survival of the events of many pixels together: kept over true; 1 without events.

    Parameters
    ----------
    of_pixel, events
        Of the same shape: survival, and events that were kept.
    """
    true = float(np.sum(events / of_pixel))
    return float(np.sum(events)) / true if true > 0 else 1.0


@cache
def touching_places(target: int, other: int, connectivity: int) -> float:
    """Places of a cluster at which it overlaps or touches another, averaged over quarter turns.

    Parameters
    ----------
    target, other
        Index into `SHAPES`.
    connectivity
        8 or 4 neighbours of a pixel; 0: only overlap counts.
    """
    area = np.pad(SHAPES[target], 1)
    if connectivity:
        structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
        area = ndimage.binary_dilation(area, structure)
    turned = [np.rot90(SHAPES[other], turn) for turn in range(QUARTER_TURNS)]
    return float(np.mean([_n_sums(area, one) for one in turned]))


def _n_sums(area: NDArray[Any], other: NDArray[Any]) -> int:
    """How many places a pixel of one and a pixel of the other add up to."""
    sums = np.argwhere(area)[:, None] + np.argwhere(other)
    return len(np.unique(sums.reshape(-1, 2), axis=0))
