"""Frames of calibration exposures: one or more files, read as often as needed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import FileError, opened

BLOCK_FRAMES: Final = 256
RECORDED: Final = "entry/instrument/detector/data"
DARK_DATASETS: Final = ("dark_frames", RECORDED, "raw_frames", "data", "entry/data/data")
BRIGHT_DATASETS: Final = (RECORDED, "raw_frames", "data", "entry/data/data")


class FrameFiles:
    """Blocks of frames of several files, ``(frames, rows, columns) uint16, ADU``.

    Parameters
    ----------
    paths
        Recordings, or HDF5 with a stack of frames.
    names
        Where to look for the frames; the first that is there.

    Raises
    ------
    FileError
        No frames, not uint16, or files of different cameras.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self._stacks = [(path, *_find_frames(path, names)) for path in paths]
        shapes = {shape[1:]: path for path, _, shape in self._stacks}
        if len(shapes) > 1:
            sizes = " and ".join(f"{path} {size[0]} x {size[1]}" for size, path in shapes.items())
            raise FileError(f"The files are of different cameras: {sizes}.")
        rows, columns = next(iter(shapes))
        self.shape: tuple[int, int] = (rows, columns)
        self.n_frames = sum(shape[0] for *_, shape in self._stacks)

    def __iter__(self) -> Iterator[NDArray[np.uint16]]:
        for path, name, (n_frames, *_) in self._stacks:
            with opened(path) as file:
                for begin in range(0, n_frames, BLOCK_FRAMES):
                    yield file[name][begin : begin + BLOCK_FRAMES]


def _find_frames(path: Path, names: Sequence[str]) -> tuple[str, tuple[int, int, int]]:
    with opened(path) as file:
        name = next((name for name in names if isinstance(file.get(name), h5py.Dataset)), None)
        if name is None:
            wanted = " or ".join(names)
            raise FileError(f"{path} has no dataset {wanted}; name the frames with --dataset.")
        data = file[name]
        if data.ndim != 3 or data.dtype != np.uint16 or data.size == 0:
            raise FileError(
                f"{path}: {name} is {data.shape} {data.dtype}, "
                "frames are (frames, rows, columns) uint16."
            )
        return name, data.shape
