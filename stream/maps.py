"""Numbers made elsewhere: maps and curves from .npy, .mat, text, or one number."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from hexlive.stream.files import FileError


def read_map(text: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    """A per-pixel map from a file or from one number, ``(rows, columns) float32``.

    Raises
    ------
    FileError
        Not a number and not a file with exactly rows x columns numbers.
    """
    try:
        return np.full(shape, float(text), np.float32)
    except ValueError:
        values = read_numbers(Path(text))
    if values.size != shape[0] * shape[1]:
        raise FileError(
            f"{text} holds {values.size} numbers, "
            f"{shape[0]} x {shape[1]} = {shape[0] * shape[1]} are needed."
        )
    with np.errstate(over="ignore"):
        return values.reshape(shape).astype(np.float32)


def read_numbers(path: Path) -> NDArray[np.float64]:
    """All numbers of a ``.npy``, ``.mat`` or text file; the last may be packed (``.gz``).

    A ``.mat`` file, of any version, holds one array of numbers.

    Raises
    ------
    FileError
        There is no such file, or it does not hold numbers.
    """
    if not path.is_file():
        raise FileError(f"{path} is neither a number nor a file.")
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif path.suffix == ".mat":
            values = _only_array(path)
        else:
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt") as text:
                values = np.array(text.read().split())
        return np.asarray(values, np.float64)
    except (ValueError, TypeError, OSError, EOFError, zlib.error, MatReadError) as error:
        raise FileError(f"{path} does not hold numbers: {error}.") from error


def _only_array(path: Path) -> NDArray[Any]:
    """The array of a MATLAB file; from version 7.3 on that is HDF5, with the axes reversed."""
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            arrays = {name: item[()].T for name, item in file.items() if hasattr(item, "dtype")}
    else:
        arrays = {name: item for name, item in loadmat(path).items() if not name.startswith("__")}
    if len(arrays) != 1:
        raise ValueError(f"it has {', '.join(arrays) or 'no arrays'}, one array is needed")
    array: NDArray[Any] = next(iter(arrays.values()))
    return array
