"""The index beside a file that grows: what was done to it, step by step, so that it can be redone.

HDF5 keeps in memory where the parts of a file are, so the file of a process that was killed may not
open. Its index is only ever appended to. A step is written after what it points to, with its length
and a checksum; the first that is not whole is the end.
"""

import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from hexlive.stream.files import FileError, index_of

MAGIC: Final = b"hexlive index 1\n"
LOG: Final = logging.getLogger(__name__)
FRAME: Final = struct.Struct("<II")  # length and CRC-32 of a step


class Step(msgspec.Struct, frozen=True, tag=True):
    """Something that was done to a file; ``name`` is the path inside it."""

    name: str


class Group(Step, frozen=True, tag=True):
    """A group was made."""

    nx_class: str = "NXcollection"


class Mark(Step, frozen=True, tag=True):
    """Attributes were set."""

    attrs: dict[str, str]


class Value(Step, frozen=True, tag=True):
    """A single value was written."""

    value: str | float


class Link(Step, frozen=True, tag=True):
    """A soft link was made."""

    target: str


class Store(Step, frozen=True, tag=True):
    """An array was made that grows by rows of ``shape`` in packed chunks of ``chunk_rows``.

    ``along`` names the store, here and for a column, that has a row for each row of this. With a
    ``band``, each row is several chunks, of so much along the first axis of ``shape``; then
    ``chunk_rows`` is 1.
    """

    dtype: str
    shape: tuple[int, ...]
    chunk_rows: int
    along: str = ""
    band: int = 0


class Column(Step, frozen=True, tag=True):
    """A column of numbers or of text (``dtype`` is None) was made; it is plain in the file."""

    dtype: str | None
    along: str = ""


class Rows(Step, frozen=True, tag=True):
    """Rows of a column: their bytes, or texts."""

    rows: bytes | list[bytes]


class Chunk(Step, frozen=True, tag=True):
    """The next whole chunk of a store is in the file, so many bytes from ``offset``."""

    offset: int
    size: int
    crc: int


class Tail(Step, frozen=True, tag=True):
    """Rows of a store that do not fill a chunk yet: ``count`` from row ``position``, packed."""

    position: int
    count: int
    packed: bytes


AnyStep = Group | Mark | Value | Link | Store | Column | Rows | Chunk | Tail


def checksum(data: bytes | memoryview) -> int:
    """CRC-32."""
    return zlib.crc32(data)


class Journal:
    """Writes the index of a file; locked as long as this process lives.

    Raises
    ------
    FileError
        There is an index already.
    """

    def __init__(self, path: Path) -> None:
        self._path = index_of(path)
        try:
            self._file = self._path.open("xb", buffering=0)
        except FileExistsError as error:
            raise FileError(
                f"Cannot write {path}: {self._path.name} is left of a run that was killed; "
                f"run hexlive recover {path}."
            ) from error
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._encode = msgspec.msgpack.Encoder().encode
        self._write(MAGIC)

    def add(self, step: AnyStep) -> None:
        """Append one step; it is with the operating system when this returns.

        Raises
        ------
        OSError
            The disk is full or gone; the index ends with the step before.
        """
        body = self._encode(step)
        self._write(FRAME.pack(len(body), checksum(body)) + body)

    def close(self, *, keep: bool = False) -> None:
        """Remove the index, or keep it where the file is not whole."""
        if not keep:
            self._path.unlink(missing_ok=True)
        self._file.close()

    def _write(self, step: bytes) -> None:
        end = self._file.tell()
        if self._file.write(step) != len(step):
            self._file.truncate(end)
            raise OSError(f"No room for {self._path.name}.")


@contextmanager
def locked_index(path: Path) -> Iterator[IO[bytes]]:
    """The index of a file that nobody writes any more.

    Raises
    ------
    FileError
        There is none, or the file is still being written.
    """
    try:
        file = index_of(path).open("rb")
    except OSError as error:
        raise FileError(f"{path} has no index beside it, {index_of(path).name}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(f"{path} is still being written.") from error
        yield file


def put_aside(path: Path) -> None:
    """Give a file that a run left unfinished, and its index, a name of their own.

    Raises
    ------
    FileError
        The file is still being written.
    """
    if not index_of(path).exists():
        return
    with locked_index(path):
        whole = path.with_suffix("")
        stem, suffixes = whole.stem, whole.suffix + path.suffix
        names = (path.with_name(f"{stem}_left_{n}{suffixes}") for n in count(1))
        aside = next(name for name in names if not name.exists())
        path.replace(aside)
        index_of(path).replace(index_of(aside))
    LOG.warning("%s is left of a run that was killed; hexlive recover makes it whole.", aside)


def read_steps(index: IO[bytes]) -> Iterator[AnyStep]:
    """The steps of an index, up to the first that is not whole."""
    if index.read(len(MAGIC)) != MAGIC:
        return
    decode: Any = msgspec.msgpack.Decoder(AnyStep).decode
    room = os.fstat(index.fileno()).st_size
    while len(frame := index.read(FRAME.size)) == FRAME.size:
        length, crc = FRAME.unpack(frame)
        body = index.read(length) if length <= room else b""
        if len(body) != length or checksum(body) != crc:
            return
        yield decode(body)
