"""Spectra as HEXITEC's own software reads them: ``.hxt``, version 3.

184 bytes of header, then the energy at the start of each bin, then the counts of each pixel,
row by row, all as doubles.
"""

import struct
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.reconstruct.compton import FloatArray
from hexlive.stream.files import FileError, whole_or_absent

# Label, version, nine positions of stages, length of the prefix, prefix, date, rows, columns, bins.
HEADER: Final = struct.Struct("<8sQ9ii100s16s3I")
LABEL: Final = b"HEXITECH"
VERSION: Final = 3
NO_STAGES: Final = (0,) * 9
PREFIX_BYTES: Final = 100


def write_hxt(path: Path, counts: NDArray[np.uint32], edges_kev: FloatArray, name: str) -> Path:
    """Write the spectra of one exposure, without positions of stages and without a date.

    Parameters
    ----------
    counts
        ``(rows, columns, bins)``.
    edges_kev
        ``(bins + 1,) float64, keV``.
    name
        Into the header, at most 100 bytes.

    Raises
    ------
    FileError
        The folder cannot be written to.
    """
    prefix = name.encode()[:PREFIX_BYTES]
    header = HEADER.pack(LABEL, VERSION, *NO_STAGES, len(prefix), prefix, b"", *counts.shape)
    with whole_or_absent(path) as part, part.open("wb") as file:
        file.write(header)
        file.write(edges_kev[:-1].astype("<f8").tobytes())
        file.write(counts.astype("<f8").tobytes())
    return path


def read_hxt(path: Path) -> tuple[FloatArray, FloatArray]:
    """Energies at the start of each bin ``(bins,)`` and counts ``(rows, columns, bins)``.

    Raises
    ------
    FileError
        Not readable, not version 3, or cut off.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    if len(content) < HEADER.size or content[: len(LABEL)] != LABEL:
        raise FileError(f"{path} is not an .hxt file.")
    _, version, *_, rows, columns, bins = HEADER.unpack_from(content)
    size = HEADER.size + 8 * bins * (1 + rows * columns)
    if version != VERSION or len(content) != size:
        raise FileError(
            f"{path} has version {version} and {len(content)} bytes where version {VERSION} and "
            f"{size} bytes are expected."
        )
    values = np.frombuffer(content, "<f8", offset=HEADER.size)
    return values[:bins], values[bins:].reshape(rows, columns, bins)
