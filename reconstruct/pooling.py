"""Pooling of pixels: L and H are added, EMF never averaged.

The mean of ratios is 2.1 % high at 100 counts each, 7.9 % at 30. Whatever groups pixels (blocks,
adaptive blocks, regions, masks of a CT volume) is a map of labels.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.reconstruct.emf import EmfResult, each, pool

NO_LABEL: Final = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolingSettings:
    """How maps are pooled; the ``[pooling]`` table of the configuration.

    Attributes
    ----------
    superpixel_px
        Side of the blocks of the superpixel map.
    target_relative_sigma
        Sigma/EMF that adaptive superpixels grow to, and that times to target are for.
    recent_s
        Live time that the map of the last seconds covers.
    """

    superpixel_px: int = 4
    target_relative_sigma: float = 0.02
    recent_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse settings that pool nothing.

        Raises
        ------
        ValueError
            A value is out of range; the sentence names it.
        """
        if self.superpixel_px < 1:
            raise ValueError(f"pooling.superpixel_px must be 1 or more, not {self.superpixel_px}.")
        for name in ("target_relative_sigma", "recent_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"pooling.{name} must be positive, not {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Superpixels:
    """Groups of pixels that share no count.

    Attributes
    ----------
    labels
        ``(rows, columns) int32``: number of the group, -1 for masked pixels.
    windows
        L and H of each group, ``(groups,)``.
    """

    labels: NDArray[np.int32]
    windows: EmfResult

    @property
    def emf(self) -> FloatArray:
        """EMF of each pixel's group, ``(rows, columns)``, NaN where undefined or masked."""
        return self._spread(self.windows.emf)

    @property
    def sigma(self) -> FloatArray:
        """Its standard uncertainty; pixels of one group have it in common."""
        return self._spread(self.windows.sigma)

    def _spread(self, values: FloatArray) -> FloatArray:
        return np.append(values, np.nan)[self.labels]


def pool_labels(result: EmfResult, labels: NDArray[np.int32]) -> EmfResult:
    """Add L and H of each label, ``(labels,)``; pixels of label -1 are left out."""
    inside = labels != NO_LABEL
    of_pixel = labels[inside]
    n_labels = int(of_pixel.max(initial=NO_LABEL)) + 1
    return each(lambda values: np.bincount(of_pixel, values[inside], n_labels), result)


def pool_weighted(result: EmfResult, weights: FloatArray, valid: NDArray[np.bool_]) -> EmfResult:
    """Add L and H of all valid pixels, each times its weight, such as the fraction inside a mask.

    Pixels are independent: var L = sum w^2 var L_i, and so for var H and the covariance. Masks that
    share pixels share counts.
    """
    return pool(result.scaled(weights), valid)


def block_labels(shape: tuple[int, int], side_px: int) -> NDArray[np.int32]:
    """Blocks of side_px x side_px pixels in row-major order; those at the far edges may be cut."""
    rows, columns = (np.arange(count, dtype=np.int32) // side_px for count in shape)
    blocks: NDArray[np.int32] = rows[:, None] * (columns[-1] + 1) + columns
    return blocks


def superpixels(result: EmfResult, side_px: int, valid: NDArray[np.bool_]) -> EmfResult:
    """Sum L and H over blocks of side_px x side_px valid pixels.

    Returns
    -------
    EmfResult
        ``(ceil(rows / side_px), ceil(columns / side_px))``.
    """
    blocks = block_labels(valid.shape, side_px)
    kept = each(lambda values: np.where(valid, values, 0.0), result)
    shape = [-(-count // side_px) for count in valid.shape]
    return each(lambda values: values.reshape(shape), pool_labels(kept, blocks))


def adaptive_superpixels(
    result: EmfResult, target_relative_sigma: float, valid: NDArray[np.bool_]
) -> Superpixels:
    """Groups that reach the target sigma/EMF, each as small as it can be.

    From single pixels on, and in blocks of twice the side each time: the pixels of a block that are
    in no group yet become one if they reach the target together. What is left at the end is one
    group that may miss it.

    Parameters
    ----------
    result, valid
        ``(rows, columns)``.
    """
    labels = np.full(valid.shape, NO_LABEL, np.int32)
    side_px, n_labels, left = 1, 0, valid.copy()
    while left.any():
        blocks = block_labels(valid.shape, side_px)
        pooled = pool_labels(result, np.where(left, blocks, NO_LABEL).astype(np.int32))
        enough = pooled.relative_sigma <= target_relative_sigma
        enough |= side_px >= max(valid.shape)
        chosen = left.copy()
        chosen[left] = enough[blocks[left]]
        labels[chosen] = blocks[chosen] + n_labels
        n_labels += int(blocks[-1, -1]) + 1
        left &= ~chosen
        side_px *= 2
    _, numbers = np.unique(labels[valid], return_inverse=True)
    labels[valid] = numbers.astype(np.int32)
    return Superpixels(labels=labels, windows=pool_labels(result, labels))


def time_to_target_s(
    result: EmfResult, live_time_s: float, target_relative_sigma: float
) -> FloatArray:
    """Seconds of live time still needed until sigma/EMF reaches the target; 0 when it has.

    Sigma falls with the square root of the live time at the present rate. NaN where undefined.
    """
    needed = (result.relative_sigma / target_relative_sigma) ** 2
    return live_time_s * np.maximum(needed - 1, 0.0)
