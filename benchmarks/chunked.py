"""A volume in chunks of rows within a memory limit, from images that are made as they are read."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.benchmarks.ellipses import cell
from hexlive.benchmarks.peak_memory import peak_bytes
from hexlive.reconstruct.ct.engines import Engine, pick_engine
from hexlive.reconstruct.ct.geometry import Geometry
from hexlive.reconstruct.ct.memory import needed_mb
from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import ChunkedReconstruction, TomographySettings, rows_beside

CHUNK_ROWS: Final = 4
CHUNKS: Final = 3
BEAM: Final = 50_000.0


class ChunkedRun(NamedTuple):
    """How it went."""

    rows: int
    chunks: int
    chunk_rows: int
    limit_mb: float
    peak_bytes: int | None
    engine_reason: str


class MadeImages:
    """Images of a cell that is the same in every row: none is there before it is read."""

    def __init__(self, columns: int, n_angles: int, n_rows: int) -> None:
        lines = cell(columns / 2).sinogram(_angles_rad(n_angles), (columns - 1) / 2, columns)[0]
        # Attenuation in counts, so that little light remains behind the middle of the cell.
        self._row = np.rint(BEAM * np.exp(-lines / columns)).astype(np.uint16)
        self.shape, self.dtype = (n_angles, n_rows, columns), self._row.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.uint16]:
        """``[images, rows]``."""
        images, rows = key
        n_rows = len(range(self.shape[1])[rows])
        return np.repeat(self._row[images, None], n_rows, axis=1)


def reconstruct_in_chunks(columns: int, n_angles: int) -> ChunkedRun:
    """Reconstruct three chunks of four rows, with the memory that these take for a limit."""
    n_rows = CHUNKS * CHUNK_ROWS
    flats: NDArray[Any] = np.full((1, n_rows, columns), BEAM, np.uint16)
    scan = Scan(
        projections=MadeImages(columns, n_angles, n_rows), flats=flats,
        darks=np.zeros_like(flats), angles_deg=np.rad2deg(_angles_rad(n_angles)),
    )  # fmt: skip
    centre_px = (columns - 1) / 2
    geometry = Geometry(angles_rad=_angles_rad(n_angles), centre_px=centre_px, columns=columns)
    engine, reason = pick_engine("auto", geometry)
    working_bytes = Engine(engine, geometry).working_bytes
    settings = TomographySettings()
    limit_mb = needed_mb(geometry, working_bytes, rows_beside(settings), CHUNK_ROWS)
    settings = TomographySettings(memory_mb=limit_mb * (1 + 1e-9))
    work = ChunkedReconstruction(scan, settings)
    chunks = [part.stop - part.start for part, _ in work.chunks()]
    return ChunkedRun(n_rows, len(chunks), chunks[0], limit_mb, peak_bytes(), reason)


def _angles_rad(n_angles: int) -> NDArray[np.float64]:
    return np.arange(n_angles) * np.pi / n_angles
