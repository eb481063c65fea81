"""The bytes of an HDF5 file on disk, so that a full disk is an error and not a crash."""

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

SIGNATURE_BYTES: Final = 64  # at the end of a chunk, to know it by


class DiskBytes(io.RawIOBase):
    """A file for HDF5 to write to, which never says that a write failed but keeps the error.

    HDF5 cannot close a file that it could not write to: it ends the process instead, and the run
    with it. So its owner has to ask, with `require_sound`, after each step.

    Parameters
    ----------
    mode
        "x+": a new file; "w+": instead of one that may be there; "r+": one that is there.

    Attributes
    ----------
    place
        Where the bytes of the last `watch_for` were written; None: they were not.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self._path, self._file = path, io.FileIO(path, mode)
        self._error: OSError | None = None
        self._watched = (0, b"")
        self.place: int | None = None

    def require_sound(self) -> None:
        """Tell of the first write that failed.

        Raises
        ------
        OSError
            There was one; the file is not whole.
        """
        if self._error is not None:
            why = self._error.strerror or str(self._error)
            raise OSError(f"{self._path} cannot be written: {why}.")

    def watch_for(self, data: NDArray[np.uint8]) -> None:
        """Note where these bytes go, in one piece."""
        self._watched, self.place = _signature(data.data), None

    def write(self, data: Any, /) -> int:
        """Write as much as the disk takes."""
        place, view = self._file.tell(), memoryview(data)
        if _signature(view) == self._watched:
            self.place = place
        try:
            n_written = 0
            while n_written < len(view):
                n_written += self._file.write(view[n_written:]) or 0
        except OSError as error:
            self._error = self._error or error
            self._file.seek(place + len(view))
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend, if the disk lets it."""
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer from here on."""
        return self._file.readinto(buffer) or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go somewhere else."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._file.tell()

    def fileno(self) -> int:
        """Number of the open file."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file itself."""
        self._file.close()
        super().close()


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, instead of one that may be there; all of it is written when this ends.

    Raises
    ------
    OSError
        The file cannot be made, or a write failed.
    """
    with closing(DiskBytes(path, "w+")) as disk:
        with h5py.File(disk, "w") as file:
            yield file
        disk.require_sound()


def claim(path: Path) -> DiskBytes:
    """Empty a file that nobody else has claimed, or make it; it is ours until it is closed.

    Raises
    ------
    BlockingIOError
        Somebody has claimed it.
    OSError
        It cannot be made.
    """
    path.touch()
    disk = DiskBytes(path, "r+")
    try:
        fcntl.flock(disk.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not (path.exists() and os.path.samestat(path.stat(), os.fstat(disk.fileno()))):
            raise BlockingIOError  # it got its final name meanwhile
    except OSError:
        disk.close()
        raise
    disk.truncate(0)
    return disk


def _signature(view: memoryview) -> tuple[int, bytes]:
    return len(view), bytes(view[-SIGNATURE_BYTES:])
