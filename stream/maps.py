"""Numbers made elsewhere: maps of a value per pixel, and curves, from .npy, text, or one number."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    """All numbers of a ``.npy`` file, or of a text file, which may be packed (``.gz``).

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
        else:
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt") as text:
                values = np.array(text.read().split())
        return np.asarray(values, np.float64)
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise FileError(f"{path} does not hold numbers: {error}.") from error
