"""Volumes that may be larger than memory: read in slabs of slices, kept on disk where need be."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from tempfile import TemporaryFile, gettempdir
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hexlive.reconstruct.volumes.surface_settings import SurfaceError

MB: Final = 1_000_000
BYTES_PER_VOXEL: Final = 40  # that filters and labels take for each voxel of a slab, at their peak


Progress = Callable[[float], None]


class Volume(Protocol):
    """``(z, y, x)``, attenuation per pixel length: an array, or an HDF5 dataset that is open."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(z, y, x)."""
        ...

    def __getitem__(self, slices: slice, /) -> Any: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Part:
    """The slices of a volume that are looked at, averaged and turned as the settings say.

    Attributes
    ----------
    first, end
        Slices of the volume, as it is stored.
    binning
        So many voxels along each axis become one.
    turned
        The last slice comes first.
    """

    volume: Volume
    first: int
    end: int
    binning: int
    turned: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) of what is read."""
        height, width = self.volume.shape[1:]
        n = self.binning
        return (self.end - self.first) // n, height // n, width // n

    def read(self, slices: slice) -> NDArray[np.float32]:
        """Some slices, counted as they are looked at, ``(z, y, x) float32``."""
        z, y, x = self.shape
        first, end = (z - slices.stop, z - slices.start) if self.turned else (
            slices.start, slices.stop
        )  # fmt: skip
        n = self.binning
        values = np.asarray(self.volume[self.first + first * n : self.first + end * n], np.float32)
        if n > 1:
            blocks = values[:, : y * n, : x * n].reshape(end - first, n, y, n, x, n)
            values = blocks.mean((1, 3, 5), dtype=np.float32)
        return values[::-1] if self.turned else values


def part_of(progress: Progress, begin: float, end: float) -> Progress:
    """What is told of a part of some work, as told of the whole."""
    return lambda fraction: progress(begin + (end - begin) * fraction)


@dataclass(frozen=True, slots=True)
class Slabs:
    """How a volume of some shape is gone through within so much memory."""

    shape: tuple[int, int, int]
    memory_mb: float

    def __iter__(self) -> Iterator[slice]:
        """Slices along z, one slab after the other."""
        depth, height, width = self.shape
        thickness = max(1, int(self.memory_mb * MB / (height * width * BYTES_PER_VOXEL)))
        for first in range(0, depth, thickness):
            yield slice(first, min(first + thickness, depth))

    def scratch(self, dtype: DTypeLike) -> NDArray[Any]:
        """An array for all of the volume; in a file without a name where it would not fit.

        Raises
        ------
        SurfaceError
            The disk has no room for it.
        """
        n_bytes = prod(self.shape) * np.dtype(dtype).itemsize
        if n_bytes <= self.memory_mb * MB / 4:
            return np.zeros(self.shape, dtype)
        with TemporaryFile() as file:  # the map keeps what has no name any more
            try:
                # Taken at once: a map that finds the disk full later ends the process.
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            except OSError as error:
                raise SurfaceError(
                    f"The disk of {gettempdir()} has no room for the {n_bytes / MB:.0f} MB of an "
                    "intermediate volume; set TMPDIR, or tomography.surface.memory_mb or binning."
                ) from error
            return np.memmap(file, dtype, "r+", shape=self.shape)

    def filtered(
        self,
        read: Callable[[slice], NDArray[np.float32]],
        function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        halo: int,
        progress: Progress,
    ) -> NDArray[np.float32]:
        """What a filter that looks ``halo`` slices far makes of a volume."""
        depth, whole = self.shape[0], self.scratch(np.float32)
        for slab in self:
            first, end = max(0, slab.start - halo), min(depth, slab.stop + halo)
            whole[slab] = function(read(slice(first, end)))[slab.start - first :][
                : slab.stop - slab.start
            ]
            progress(slab.stop / depth)
        return whole


def value_range(volume: NDArray[np.float32], slabs: Slabs) -> tuple[float, float]:
    """Lowest and highest value; NaN where there is one."""
    ends = [(volume[slab].min(), volume[slab].max()) for slab in slabs]
    low, high = np.array(ends).T
    return float(low.min()), float(high.max())
