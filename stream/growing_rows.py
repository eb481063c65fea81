"""What grows in an HDF5 file that is being written: stores of packed chunks, and small columns."""

from collections.abc import Iterator
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.disk import DiskBytes
from hexlive.stream.journal import Column, Store
from hexlive.stream.packing import FILTER, pack

COLUMN_CHUNK: Final = 1024


class StoredRows:
    """An array in chunks that are packed here and written whole."""

    def __init__(self, file: h5py.File, disk: DiskBytes, step: Store) -> None:
        shape, n = step.shape, step.chunk_rows
        self._band = step.band if step.band and step.band < shape[0] else 0
        self._n_bands = -(-shape[0] // self._band) if self._band else 1
        self._next_band = 0
        self._dataset = file.create_dataset(
            step.name,
            (0, *shape),
            step.dtype,
            maxshape=(None, *shape),
            chunks=(n, self._band, *shape[1:]) if self._band else (n, *shape),
            **FILTER,
        )
        self._disk, self._chunk_rows, self._whole_rows = disk, n, 0
        self._buffer = np.zeros((n, *shape), step.dtype)
        self._n_waiting = 0
        self.along = step.along
        self.n_noted = 0  # of those that wait: in the index
        self.n_bytes = 0
        self.dtype, self.shape = self._buffer.dtype, shape

    @property
    def n_rows(self) -> int:
        """Rows so far, written or waiting."""
        return self._whole_rows + self._n_waiting

    def fill(self, rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Give the rows of each chunk that is full, to be written before the next is asked for."""
        if rows.shape[1:] != self.shape:
            raise ValueError(f"Rows of {rows.shape[1:]} do not fit {self._dataset.name}.")
        while len(rows):
            if not self._n_waiting and len(rows) >= self._chunk_rows:
                part = rows[: self._chunk_rows]
                yield part
            else:
                begin = self._n_waiting
                part = rows[: self._chunk_rows - begin]
                self._n_waiting += len(part)
                self._buffer[begin : self._n_waiting] = part
                if self._n_waiting == self._chunk_rows:
                    yield self._buffer
                    self._n_waiting = self.n_noted = 0
            rows = rows[len(part) :]

    def bands(self, rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The chunks that the rows of one lie in, each of full size."""
        if not self._band:
            yield rows
            return
        for first in range(0, self.shape[0], self._band):
            chunk = np.zeros((len(rows), self._band, *self.shape[1:]), self.dtype)
            part = rows[:, first : first + self._band]
            chunk[:, : part.shape[1]] = part
            yield chunk

    def tail(self) -> tuple[int, NDArray[Any]]:
        """Where the rows begin that wait and are not in the index yet, and these rows."""
        rows = self._buffer[self.n_noted : self._n_waiting]
        return self._whole_rows + self.n_noted, rows

    def write(self, packed: NDArray[np.uint8]) -> int:
        """Write the next chunk and say where in the file it is."""
        self._disk.watch_for(packed)
        self._put(packed, self._whole_rows + self._chunk_rows)
        self._disk.require_sound()
        if self._disk.place is None:
            raise OSError(f"HDF5 kept a chunk of {self._dataset.name} to itself.")
        self.leave()
        self.n_bytes += len(packed)
        return self._disk.place

    def leave(self) -> None:
        """Go behind the next chunk, written or not."""
        self._next_band = (self._next_band + 1) % self._n_bands
        if not self._next_band:
            self._whole_rows += self._chunk_rows

    def finish(self) -> None:
        """Write the rows that wait as a chunk that is not full."""
        if self._n_waiting:
            self._buffer[self._n_waiting :] = 0
            packed = pack(self._buffer)
            self._put(packed, self.n_rows)
            self.n_bytes += len(packed)
        self._dataset.resize(self.n_rows, axis=0)

    def _put(self, packed: NDArray[np.uint8], n_rows: int) -> None:
        self._dataset.resize(n_rows, axis=0)
        place = (self._next_band * self._band, *(0 for _ in self.shape[1:]))
        self._dataset.id.write_direct_chunk((self._whole_rows, *place[: len(self.shape)]), packed)


class ColumnRows:
    """A small array; its rows are in the index at once and in the file at the next flush."""

    def __init__(self, file: h5py.File, step: Column) -> None:
        self._text, self.along = step.dtype is None, step.along
        self._dtype = h5py.string_dtype() if self._text else np.dtype(step.dtype)
        self._dataset = file.create_dataset(
            step.name, (0,), self._dtype, maxshape=(None,), chunks=(COLUMN_CHUNK,)
        )
        self._waiting: list[Any] = []

    @property
    def n_rows(self) -> int:
        """Rows so far, written or waiting."""
        return len(self._dataset) + len(self._waiting)

    def add(self, rows: Any) -> bytes | list[bytes]:
        """Keep rows, or their bytes, for the next `write`; gives them as the index has them."""
        if self._text:
            texts = [bytes(row) for row in rows]
            self._waiting.extend(texts)
            return texts
        is_bytes = isinstance(rows, bytes)
        numbers = np.frombuffer(rows, self._dtype) if is_bytes else np.asarray(rows, self._dtype)
        self._waiting.extend(numbers.tolist())
        return numbers.tobytes()

    def write(self) -> None:
        """Write the rows that wait."""
        if self._waiting:
            begin = len(self._dataset)
            self._dataset.resize(self.n_rows, axis=0)
            self._dataset[begin:] = self._waiting
            self._waiting = []
