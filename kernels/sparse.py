"""Frames as lists of their pixels, and back; one function each, for NumPy and CuPy arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ListedPixels(NamedTuple):
    """Pixels of consecutive frames, strictly ascending in (frame, pixel).

    Attributes
    ----------
    frame
        ``(n,) uint32``, counted from the first frame.
    pixel
        ``(n,) uint32``, row-major index within the frame.
    adu
        ``(n,) uint16``.
    """

    frame: NDArray[np.uint32]
    pixel: NDArray[np.uint32]
    adu: NDArray[np.uint16]


def list_pixels(
    frames: NDArray[np.uint16], listing_adu: NDArray[np.float32 | np.uint16] | float
) -> ListedPixels:
    """List the pixels of ``(frames, rows, columns) uint16, ADU`` that reach ``listing_adu``.

    Parameters
    ----------
    listing_adu
        One value or ``(rows, columns)``. Counts stay those of the whole frames as long as it is at
        or below the ADU that makes the pixel a hit.
    """
    listed = np.flatnonzero(frames >= listing_adu)
    frame, pixel = np.divmod(listed, frames.shape[1] * frames.shape[2])
    return ListedPixels(
        frame.astype(np.uint32), pixel.astype(np.uint32), frames.reshape(-1)[listed]
    )


def dense_frames(listed: ListedPixels, n_frames: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Make ``(n_frames, rows, columns) uint16, ADU`` of a list.

    Pixels that are not listed get 0 ADU, which is never a hit (docs/events.md).
    """
    frames = np.zeros((n_frames, shape[0] * shape[1]), np.uint16, like=listed.adu)
    frames[listed.frame, listed.pixel] = listed.adu
    return frames.reshape(n_frames, *shape)
