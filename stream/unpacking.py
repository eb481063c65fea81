"""Reading a packed dataset from its first row to its last, unpacked ahead in other threads.

HDF5 unpacks under a lock, in the thread that asks. Where a dataset is packed as recordings are, its
chunks are read from their places in the file instead; the rows are the same.
"""

import math
import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import FileError
from hexlive.stream.packing import FILTER_ID, LZ4, unpack

BLOCK_BYTES: Final = 16 << 20
BLOCKS_AHEAD: Final = 3
THREADS: Final = 2
Rows = NDArray[Any]


class RowReader:
    """The rows of a dataset in order, as many at a time as are asked for.

    Parameters
    ----------
    path
        Of the file that the dataset is in.
    begin, end
        The first row to read, and the row after the last.
    """

    def __init__(self, path: Path, dataset: h5py.Dataset, begin: int, end: int) -> None:
        self._blocks = _blocks(path, dataset, begin, end)
        self._rest: Rows = np.empty((0, *dataset.shape[1:]), dataset.dtype)

    def take(self, n_rows: int) -> Rows:
        """The next rows; they may share memory with the ones before.

        Raises
        ------
        FileError, OSError
            A chunk is damaged.
        """
        pieces = [self._cut(n_rows)]
        while missing := n_rows - sum(map(len, pieces)):
            self._rest = next(self._blocks)
            pieces.append(self._cut(missing))
        pieces = [piece for piece in pieces if len(piece)] or pieces
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def close(self) -> None:
        """Stop reading ahead."""
        self._blocks.close()

    def _cut(self, n_rows: int) -> Rows:
        piece, self._rest = self._rest[:n_rows], self._rest[n_rows:]
        return piece


def _blocks(path: Path, dataset: h5py.Dataset, begin: int, end: int) -> Generator[Rows, None, None]:
    chunk_rows = dataset.chunks[0] if dataset.chunks else 1
    places = _places(dataset, begin // chunk_rows)
    chunk_bytes = max(1, chunk_rows * dataset.dtype.itemsize * math.prod(dataset.shape[1:]))
    block_rows = chunk_rows * max(1, BLOCK_BYTES // chunk_bytes)
    with path.open("rb") as file, ThreadPoolExecutor(THREADS, "unpack") as pool:
        waiting: deque[Future[Rows]] = deque()
        for first in range(begin // block_rows * block_rows, end, block_rows):
            rows = slice(max(begin, first), min(first + block_rows, end))
            if places is None:
                waiting.append(pool.submit(dataset.__getitem__, rows))
            else:
                waiting.append(pool.submit(_unpacked, file, dataset, places, rows))
            if len(waiting) > BLOCKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _places(dataset: h5py.Dataset, first: int) -> NDArray[np.int64] | None:
    """Offset and size of each chunk, ``(chunks, 2)``, needed from the chunk ``first`` on.

    None where HDF5 has to read them.
    """
    plan = dataset.id.get_create_plist()
    if plan.get_nfilters() != 1 or dataset.file.userblock_size:
        return None
    code, _, options, _ = plan.get_filter(0)
    rows_only = dataset.chunks[1:] == dataset.shape[1:]
    if code != FILTER_ID or options[4:5] != (LZ4,) or not rows_only or not dataset.dtype.isnative:
        return None
    places = np.zeros((-(-len(dataset) // dataset.chunks[0]), 2), np.int64)
    skipped: list[Any] = []

    def note(chunk: Any) -> None:
        if chunk.filter_mask:
            skipped.append(chunk)
        places[chunk.chunk_offset[0] // dataset.chunks[0]] = chunk.byte_offset, chunk.size

    dataset.id.chunk_iter(note)
    return None if skipped or not places[first:].all() else places


def _unpacked(
    file: IO[bytes], dataset: h5py.Dataset, places: NDArray[np.int64], rows: slice
) -> Rows:
    chunk_rows = dataset.chunks[0]
    first, end = rows.start // chunk_rows, -(-rows.stop // chunk_rows)
    unpacked = np.empty(((end - first) * chunk_rows, *dataset.shape[1:]), dataset.dtype)
    for number, (offset, size) in enumerate(places[first:end].tolist()):
        chunk = unpacked[number * chunk_rows : (number + 1) * chunk_rows]
        try:
            unpack(os.pread(file.fileno(), size, offset), chunk)
        except ValueError as error:
            where = f"row {(first + number) * chunk_rows} of {dataset.name}"
            raise FileError(f"{file.name} is damaged at {where}: {error}") from error
    return unpacked[rows.start - first * chunk_rows :][: rows.stop - rows.start]
