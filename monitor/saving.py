"""What a panel draws, in a file: a picture, or the numbers as HDF5 or CSV."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO, StringIO
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QBuffer
from PySide6.QtGui import QPixmap

from hexlive.stream.sheets import inert

SUFFIXES: Final = (".h5", ".csv")
Arrays = Mapping[str, NDArray[Any]]


class SavingError(RuntimeError):
    """A file cannot be written; the text is one sentence for the user."""


def png(image: QPixmap) -> bytes:
    """The bytes of a PNG file."""
    buffer = QBuffer()
    image.save(buffer, "PNG")
    return bytes(buffer.data().data())


def save_bytes(content: bytes, path: Path) -> None:
    """Write a file that is whole or absent.

    Raises
    ------
    SavingError
        It cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise SavingError(f"Cannot write {path}: {error.strerror}.") from error


def save_data(arrays: Arrays, path: Path) -> None:
    """Write arrays to ``.h5`` as they are, or to ``.csv`` in columns.

    In CSV, maps are one row per pixel, with its row and column first; curves are columns side by
    side, of which some may be shorter, such as counts between edges.

    Raises
    ------
    SavingError
        There is nothing to save, the name ends in something else, or it cannot be written.
    """
    if not arrays:
        raise SavingError("This panel shows nothing that could be saved.")
    if path.suffix not in SUFFIXES:
        raise SavingError(f"{path.name} ends neither in .h5 nor in .csv.")
    save_bytes(_hdf5(arrays) if path.suffix == ".h5" else _csv(arrays), path)


def _hdf5(arrays: Arrays) -> bytes:
    """In memory, because HDF5 may end the process where the disk is full."""
    content = BytesIO()
    with h5py.File(content, "w") as file:
        for name, values in arrays.items():
            kind = h5py.string_dtype() if values.dtype == object else None
            file.create_dataset(name.replace("/", " per "), data=values, dtype=kind)
    return content.getvalue()


def _csv(arrays: Arrays) -> bytes:
    content = StringIO(newline="")
    csv.writer(content).writerows(map(_cells, _table(arrays)))
    return content.getvalue().encode()


def _cells(row: Iterable[object]) -> Iterator[object]:
    return (inert(cell) if isinstance(cell, str) else cell for cell in row)


def _table(arrays: Arrays) -> Iterable[Iterable[object]]:
    maps = {name: values for name, values in arrays.items() if values.ndim == 2}
    if not maps:
        yield arrays
        yield from zip_longest(*(values.tolist() for values in arrays.values()), fillvalue="")
        return
    shape = max((values.shape for values in maps.values()), key=lambda shape: shape[0] * shape[1])
    maps = {name: values for name, values in maps.items() if values.shape == shape}
    yield ["row", "column", *maps]
    places = (index.ravel().tolist() for index in np.indices(shape))
    yield from zip(*places, *(values.ravel().tolist() for values in maps.values()), strict=True)
