"""A volume that grows on a GPU: what is left to do when the last projections have come."""

import time
from typing import Final

import numpy as np

from hexlive.benchmarks.ellipses import cell
from hexlive.reconstruct.ct.live_volume import LiveVolume
from hexlive.reconstruct.ct.tomography import TomographySettings

BEAM: Final = 50_000.0
BATCH: Final = 90
LAST_PART: Final = 0.05  # of the projections, which come after the last update


def seconds_to_cuts(columns: int, n_angles: int, rows: int, engine: str) -> float:
    """From the last part of a scan in the GPU's memory to two cuts of all of it, s.

    Raises
    ------
    EngineUnavailableError
        There is no GPU, or its memory is too small.
    """
    angles_deg = np.arange(n_angles) * 180 / n_angles
    centre_px = (columns - 1) / 2
    lines = cell(columns / 2).sinogram(np.deg2rad(angles_deg), centre_px, columns)[0]
    halves = lines[:, : columns // 2 * 2].reshape(n_angles, -1, 2).mean(2)
    counts = np.rint(BEAM * np.exp(-halves / columns)).astype(np.uint16)
    volume = LiveVolume(TomographySettings(), engine, (rows, columns), centre_px, n_angles)
    flats = np.full((1, rows // 2, counts.shape[1]), BEAM, np.uint16)
    volume.add_references(flats, np.zeros_like(flats), np.array([-1]))

    def add(first: int, end: int) -> None:
        for start in range(first, end, BATCH):
            part = slice(start, min(start + BATCH, end))
            images = np.repeat(counts[part, None], rows // 2, axis=1)
            volume.add(images, angles_deg[part], np.arange(part.start, part.stop))

    early = n_angles - round(LAST_PART * n_angles)
    add(0, early)
    volume.cuts(finish=False)
    add(early, n_angles)
    began = time.perf_counter()
    volume.cuts(finish=True)
    return time.perf_counter() - began
