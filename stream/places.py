"""Frames that are not read: where each of them is in its file, in the shape of frames.

What only asks how many frames there are and what their numbers are, such as the ledger, cannot tell
them from frames; whoever wants the pixels knows where to find them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def places(begin: int, end: int, shape: tuple[int, int]) -> NDArray[Any]:
    """Stands in for the frames of a file from one place to another, ``(frames, rows, columns)``.

    Every pixel is the place of its frame; all pixels of a frame share the memory of one.
    """
    return np.broadcast_to(np.arange(begin, end)[:, None, None], (end - begin, *shape))


def bounds(frames: NDArray[Any]) -> tuple[int, int]:
    """Where consecutive frames that `places` stands in for begin and end in their file."""
    return int(frames[0, 0, 0]), int(frames[-1, 0, 0]) + 1


class PlaceReader:
    """The places of the frames of a recording, in their order."""

    def __init__(self, begin: int, shape: tuple[int, int]) -> None:
        self._next, self._shape = begin, shape

    def take(self, n_frames: int) -> NDArray[Any]:
        """Those of the next frames."""
        self._next += n_frames
        return places(self._next - n_frames, self._next, self._shape)

    def close(self) -> None:
        """Nothing is read ahead."""
