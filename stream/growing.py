"""An HDF5 file that grows by rows and can be had back whole from itself and the index beside it."""

import os
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.disk import DiskBytes
from hexlive.stream.files import FileError, new_group, part_of
from hexlive.stream.growing_rows import ColumnRows, StoredRows
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
from hexlive.stream.packing import pack


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
        self._stores: dict[str, StoredRows] = {}
        self._columns: dict[str, ColumnRows] = {}

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
                self._stores[step.name] = StoredRows(self._file, self._disk, step)
            case Column():
                self._columns[step.name] = ColumnRows(self._file, step)
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
