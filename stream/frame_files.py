"""Frames of calibration exposures: one or more files, read as often as needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import FileError
from hexlive.stream.interop.stacks import find_stack

RECORDED: Final = "entry/instrument/detector/data"
DARK_DATASETS: Final = ("dark_frames", RECORDED, "raw_frames", "data", "entry/data/data")
BRIGHT_DATASETS: Final = (RECORDED, "raw_frames", "data", "entry/data/data")


class FrameFiles:
    """Blocks of frames of several files, ``(frames, rows, columns) uint16, ADU``.

    Parameters
    ----------
    paths
        Recordings, HDF5 with a stack of frames, or ``.bin``.
    names
        Where to look for the frames; the first that is there.

    Raises
    ------
    FileError
        No frames, not uint16, or files of different cameras.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self._stacks = [find_stack(path, names) for path in paths]
        shapes = {stack.shape: stack.path for stack in self._stacks}
        if len(shapes) > 1:
            sizes = " and ".join(f"{path} {size[0]} x {size[1]}" for size, path in shapes.items())
            raise FileError(f"The files are of different cameras: {sizes}.")
        self.shape = self._stacks[0].shape
        self.n_frames = sum(end - begin for stack in self._stacks for begin, end in stack.present)

    def __iter__(self) -> Iterator[NDArray[np.uint16]]:
        for stack in self._stacks:
            for _, block in stack.blocks():
                yield block
