"""An HDF5 file that grows by rows and can be had back whole from itself and the index beside it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.disk import DiskBytes
from hexlive.stream.files import FileError, new_group, part_of
from hexlive.stream.journal import (
    AnyStep,
    Chunk,
    Column,
    Group,
    Journal,
    Link,
    Mark,
    Rows,
    Store,
    Tail,
    Value,
    checksum,
)
from hexlive.stream.packing import FILTER, pack

COLUMN_CHUNK: Final = 1024


class GoneError(OSError):
    """The file is no longer where it was made."""


class GrowingFile:
    """Groups, links, values, and the two things that grow: stores and columns.

    Whole chunks of a store are written once and never moved; the rows that do not fill one yet are
    in memory, and from the next `flush` on in the index.

    Parameters
    ----------
    mode
        "x": a new file; "w": instead of one that may be there.
    indexed
        Keep an index beside the file until it is closed.

    Raises
    ------
    FileError
        The file cannot be made, or exists already.
    """

    def __init__(self, path: Path, mode: Literal["x", "w"] = "x", *, indexed: bool = True) -> None:
        part_of(path)
        self.path = path
        try:
            self._disk = DiskBytes(path, f"{mode}+")
        except OSError as error:
            why = "it exists already" if isinstance(error, FileExistsError) else error.strerror
            raise FileError(f"Cannot write {path}: {why or error}.") from error
        try:
            self._journal = Journal(path) if indexed else None
        except FileError:
            self._disk.close()
            path.unlink()
            raise
        self._file = h5py.File(self._disk, "w")
        self._stores: dict[str, _Store] = {}
        self._columns: dict[str, _Column] = {}

    def n_bytes(self, name: str | None = None) -> int:
        """Bytes in the file so far, of one store or of all of them."""
        stores = self._stores if name is None else {name: self._stores[name]}
        return sum(store.n_bytes for store in stores.values())

    def n_rows(self, name: str) -> int:
        """Rows appended so far."""
        return (self._stores.get(name) or self._columns[name]).n_rows

    def make(self, step: Group | Mark | Value | Link | Store | Column) -> None:
        """Make something new in the file."""
        self._note(step)
        match step:
            case Group():
                new_group(self._file, step.name, step.nx_class)
            case Mark():
                self._file[step.name].attrs.update(step.attrs)
            case Value():
                self._file[step.name] = step.value
            case Link():
                self._file[step.name] = h5py.SoftLink(step.target)
            case Store():
                self._stores[step.name] = _Store(self._file, self._disk, step)
            case Column():
                self._columns[step.name] = _Column(self._file, step)
        self._disk.require_sound()

    def empty_rows(self, name: str, n_rows: int) -> NDArray[Any]:
        """An array for so many rows of a store."""
        store = self._stores[name]
        return np.empty((n_rows, *store.shape), store.dtype)

    def append(self, name: str, rows: Any) -> None:
        """Append rows to a store or a column.

        Raises
        ------
        OSError
            The disk is full or gone.
        """
        if name in self._columns:
            column = self._columns[name]
            self._note(Rows(name, column.add(rows)))
            return
        store = self._stores[name]
        for whole in store.fill(np.asarray(rows, store.dtype)):
            for chunk in store.bands(whole):
                self.append_chunk(name, pack(chunk))

    def append_chunk(self, name: str, packed: NDArray[np.uint8]) -> None:
        """Append a whole chunk that is packed already; no rows may be waiting for one."""
        store = self._stores[name]
        offset = store.write(packed)
        self._note(Chunk(name, offset, len(packed), checksum(packed.data)))

    def leave_chunk(self, name: str) -> None:
        """Leave out the next whole chunk of a store; its rows read as zeros."""
        self._stores[name].leave()

    def flush(self) -> None:
        """Hand everything so far to the operating system.

        Raises
        ------
        GoneError
            The file was removed or renamed.
        OSError
            The disk is full or gone.
        """
        self._require_present()
        self._note_tails()
        for column in self._columns.values():
            column.write()
        self._file.flush()
        self._disk.require_sound()

    def close(self) -> None:
        """Write what is waiting and finish the file; its index goes, unless that fails.

        Raises
        ------
        OSError
            The disk is full or gone; then the index stays.
        """
        whole = False
        try:
            self._finish()
            self._file.close()
            self._disk.require_sound()
            whole = True
        finally:
            self._file.close()
            self._disk.close()
            if self._journal is not None:
                self._journal.close(keep=not whole)

    def _finish(self) -> None:
        """Write what is waiting; HDF5 is not asked for anything more once a write has failed."""
        self._note_tails()
        self._disk.require_sound()
        for store in self._stores.values():
            store.finish()
            self._disk.require_sound()
        for column in self._columns.values():
            column.write()
            self._disk.require_sound()
        self._even_lengths()

    def _note(self, step: AnyStep) -> None:
        if self._journal is not None:
            self._journal.add(step)

    def _note_tails(self) -> None:
        """Put the rows that wait for their chunk to be full into the index, each once."""
        for name, store in self._stores.items():
            position, rows = store.tail()
            if len(rows):
                self._note(Tail(name, position, len(rows), pack(rows).tobytes()))
                store.n_noted += len(rows)

    def _even_lengths(self) -> None:
        """Cut what goes along with each other to the rows that all of them have."""
        parts = self._stores | self._columns
        families: dict[str, list[str]] = {}
        for name, part in parts.items():
            families.setdefault(part.along or name, []).append(name)
        for names in families.values():
            n_rows = min(parts[name].n_rows for name in names)
            for name in names:
                if parts[name].n_rows > n_rows:
                    self._file[name].resize(n_rows, axis=0)

    def _require_present(self) -> None:
        try:
            present = os.path.samestat(self.path.stat(), os.fstat(self._disk.fileno()))
        except FileNotFoundError:
            present = False
        if not present:
            raise GoneError(f"{self.path} was removed or renamed while it was being written.")


class _Store:
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


class _Column:
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
