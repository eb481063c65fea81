"""A scan with pixels taken together, for slices of the whole cell long before its volume."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.ct.scan import Scan

BYTES_PER_READ: Final = 1 << 26


class BinnedImages:
    """Means of squares of ``side_px`` pixels, made when they are sliced.

    Parameters
    ----------
    stack
        ``(images, rows, columns)``, an array, `ChosenImages` or an HDF5 dataset.
    """

    dtype: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, stack: Any, side_px: int) -> None:
        self._stack, self._side = stack, side_px
        n_images, rows, columns = stack.shape
        self.shape = (n_images, rows // side_px, columns // side_px)

    def __getitem__(self, key: slice | tuple[slice, slice]) -> NDArray[np.float32]:
        """Read ``[images, rows]``; of rows that are far apart all between them are read, once."""
        images, rows = key if isinstance(key, tuple) else (key, slice(None))
        wanted = range(self.shape[1])[rows]
        first_image, end_image, _ = images.indices(self.shape[0])
        binned = np.empty((end_image - first_image, len(wanted), self.shape[2]), np.float32)
        if not binned.size:
            return binned
        n, columns = self._side, self.shape[2] * self._side
        raw_rows = slice(wanted[0] * n, (wanted[-1] + 1) * n)
        at_once = max(1, BYTES_PER_READ // (4 * (raw_rows.stop - raw_rows.start) * columns))
        for first in range(first_image, end_image, at_once):
            part = self._stack[first : min(first + at_once, end_image), raw_rows]
            squares = part[..., :columns].reshape(len(part), -1, n, columns // n, n)
            means = squares.mean((2, 4), dtype=np.float32)
            binned[first - first_image :][: len(part)] = means[:, :: wanted.step]
        return binned


def binned_scan(scan: Scan, side_px: int) -> Scan:
    """The same scan with coarser pixels; what does not fill a square at the edges is left out."""
    flats, darks = (
        None if images is None else BinnedImages(images, side_px)[:]
        for images in (scan.flats, scan.darks)
    )
    pixel_um = None if scan.pixel_um is None else scan.pixel_um * side_px
    projections = BinnedImages(scan.projections, side_px)
    return replace(scan, projections=projections, flats=flats, darks=darks, pixel_um=pixel_um)


def binned_px(column_px: float, side_px: int) -> float:
    """Where a column of the detector is among coarser ones; both count from pixel middles."""
    return (column_px + 0.5) / side_px - 0.5


def unbinned_px(column_px: float, side_px: int) -> float:
    """The same, back."""
    return (column_px + 0.5) * side_px - 0.5
