"""How many detector rows are reconstructed at a time, so that memory stays within a limit.

With A angles, C columns and slices of N x N, one more row takes

    2 x 4 A C    its sinogram with and without rings
    2 x 4 N N    its slice, and that of the chunk before, which the caller may still hold

and besides there are the program itself, the rows beside a chunk that tell rings from structure,
and what the engine works with (`working_bytes`), which does not depend on the rows. Not counted are
flats, darks, projections that are an array already, and a volume that is kept whole.
"""

from typing import Final

from hexlive.reconstruct.geometry import Geometry

MIB: Final = 1 << 20
PROGRAM_BYTES: Final = 350 * MIB  # Python with NumPy, SciPy, numba and HDF5
MAX_ROWS: Final = 128  # of a chunk: larger ones only make the progress coarse
SAMPLED_ROWS: Final = 16  # to find the axis
SAMPLE_COPIES: Final = 6  # counts, line integrals, by row, sorted, smoothed and a part of these


def chunk_rows(geometry: Geometry, working_bytes: int, rows_beside: int, memory_mb: float) -> int:
    """Rows of a chunk.

    Parameters
    ----------
    working_bytes
        What the engine takes.
    rows_beside
        Further rows that are read with a chunk.

    Raises
    ------
    ValueError
        The memory is too small for one row.
    """
    sinogram_bytes = 4 * len(geometry.angles_rad) * geometry.columns
    per_row = 2 * sinogram_bytes + 2 * 4 * geometry.size**2
    fixed = PROGRAM_BYTES + working_bytes + 2 * rows_beside * sinogram_bytes
    rows = int((memory_mb * MIB - fixed) / per_row)
    if rows < 1:
        raise ValueError(
            f"tomography.memory_mb = {memory_mb:g} is too little: one row of "
            f"{len(geometry.angles_rad)} angles and {geometry.columns} columns takes "
            f"{(fixed + per_row) / MIB:.0f}."
        )
    return min(rows, MAX_ROWS)


def sample_rows(n_angles: int, columns: int, memory_mb: float) -> int:
    """Rows from which the axis is found."""
    per_row = SAMPLE_COPIES * 4 * n_angles * columns
    return max(1, min(SAMPLED_ROWS, int((memory_mb * MIB - PROGRAM_BYTES) / per_row)))
