"""Opening and writing files so that errors are one sentence and results are whole or absent."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin  # noqa: F401  (registers the bitshuffle/LZ4 filter with HDF5)

MB: Final = 1_000_000
RESERVE_BYTES: Final = 32 * MB


class FileError(ValueError):
    """A file that cannot be used; the sentence says which and why."""


class DiskFullError(OSError):
    """Too little room on the disk to go on writing."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    FileError
        Missing, unreadable, not HDF5, or never closed.
    """
    if not path.is_file():
        raise FileError(f"There is no file {path}.")
    if index_of(path).exists():
        raise FileError(
            f"{path} is still being written, or its writer was killed: "
            f"then run hexlive recover {path}."
        )
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FileError(f"{path} is not a readable HDF5 file.") from error
    with file:
        yield file


@contextmanager
def whole_or_absent(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; flush and rename it at the end, or remove it.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """
    part = part_of(path)
    try:
        require_room(path, 0)
        yield part
        publish(part, path)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {reason(error)}.") from error
    finally:
        part.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """What the system said, without what HDF5 wraps it in, and without a full stop."""
    wrapped = re.search(r"errno = (\d+)", str(error))
    said = os.strerror(int(wrapped[1])) if wrapped else error.strerror or str(error)
    return said.removesuffix(".")


def require_room(path: Path, n_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
    """Stop before the disk is full: HDF5 does not survive a write that fails.

    Raises
    ------
    DiskFullError
        Less than ``n_bytes`` and the reserve are free.
    """
    free = shutil.disk_usage(path.parent).free
    if free < n_bytes + reserve_bytes:
        left = f"{free / MB:.0f} MB are left on the disk of {path.parent}"
        raise DiskFullError(f"No room for {path.name}: {left}.")


def refuse_same(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Refuse an output that would replace an input, or another output.

    Raises
    ------
    FileError
        Two names are the same file.
    """
    taken = {name: path.resolve() for name, path in inputs.items() if path is not None}
    for name, path in outputs.items():
        if path is None:
            continue
        for other, place in taken.items():
            if path.resolve() == place:
                raise FileError(f"{name} and {other} are the same file, {path}.")
        taken[name] = path.resolve()


def part_of(path: Path) -> Path:
    """Temporary name of a file being written.

    Raises
    ------
    FileError
        The folder does not exist or is not writable.
    """
    if not path.parent.is_dir():
        raise FileError(f"Cannot write {path}: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(f"Cannot write {path}: the folder is read-only.")
    if path.is_dir():
        raise FileError(f"Cannot write {path}: it is a folder.")
    return path.with_name(path.name + ".part")


def index_of(path: Path) -> Path:
    """Where the index of a file is while the file grows; see `hexlive.stream.journal`."""
    return path.with_name(path.name + ".index")


def publish(part: Path, path: Path) -> None:
    """Flush ``part`` to disk and give it its final name, in one step."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def new_group(
    parent: h5py.Group, name: str, nx_class: str = "NXcollection", **attrs: Any
) -> h5py.Group:
    """Make a NeXus group."""
    made = parent.create_group(name)
    made.attrs.update({"NX_class": nx_class, **attrs})
    return made
