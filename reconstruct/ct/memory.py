"""How many detector rows are reconstructed at a time, so that memory stays within a limit.

With A angles, C columns and slices of N x N, one more row takes

    2 x 4 A C    its sinogram with and without rings
    2 x 4 N N    its slice, and that of the chunk before, which the caller may still hold

and besides there are the program itself, the rows beside a chunk that tell rings from structure,
and what the engine works with (`working_bytes`), which does not depend on the rows. Not counted are
flats, darks, projections that are an array already, and a volume that is kept whole.
"""

from typing import Final

from hexlive.reconstruct.ct.geometry import Geometry

MB: Final = 1_000_000
PROGRAM_BYTES: Final = 370 * MB  # Python with NumPy, SciPy, numba and HDF5
MAX_ROWS: Final = 128  # of a chunk: larger ones only make the progress coarse
SAMPLED_ROWS: Final = 16  # to find the axis
SAMPLE_COPIES: Final = 6  # counts, line integrals, by row, sorted, smoothed and a part of these


def needed_mb(geometry: Geometry, working_bytes: int, rows_beside: int, n_rows: int) -> float:
    """Memory that a reconstruction takes in chunks of so many rows, MB.

    Parameters
    ----------
    working_bytes
        What the engine takes.
    rows_beside
        Further rows on either side that are read with a chunk.
    """
    sinogram_bytes = 4 * len(geometry.angles_rad) * geometry.columns
    per_row = 2 * sinogram_bytes + 2 * 4 * geometry.size**2
    beside = 2 * 2 * rows_beside * sinogram_bytes
    return (PROGRAM_BYTES + working_bytes + beside + n_rows * per_row) / MB


def chunk_rows(geometry: Geometry, working_bytes: int, rows_beside: int, memory_mb: float) -> int:
    """Rows of a chunk within a limit; see `needed_mb`.

    Raises
    ------
    ValueError
        The memory is too small for one row.
    """
    none_mb, one_mb = (needed_mb(geometry, working_bytes, rows_beside, n) for n in (0, 1))
    if one_mb > memory_mb:
        raise ValueError(
            f"tomography.memory_mb = {memory_mb:g} is too little: one row of "
            f"{len(geometry.angles_rad)} angles and {geometry.columns} columns takes "
            f"{one_mb:.0f} MB."
        )
    return min(int((memory_mb - none_mb) / (one_mb - none_mb)), MAX_ROWS)


def sample_rows(n_angles: int, columns: int, memory_mb: float) -> int:
    """Rows from which the axis is found."""
    per_row = SAMPLE_COPIES * 4 * n_angles * columns
    return max(1, min(SAMPLED_ROWS, int((memory_mb * MB - PROGRAM_BYTES) / per_row)))
