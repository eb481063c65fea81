"""The steps of the facility's odin-data chain: threshold, calibration, scan, histogram.

Its charge-sharing scans change the frame that they read, as do the plugins HexitecAddition and
HexitecDiscrimination of stfc-aeg/hexitec-detector.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled
from hexlive.kernels.state import BOOKED, OVER, TOO_LARGE, UNDER, Tally

NO_SCAN: Final = 0
ADDITION: Final = 1
DISCRIMINATION: Final = 2


class Chain(NamedTuple):
    """What the chain knows of each pixel, ``(pixels, ...)``, and of the image with its margin.

    Attributes
    ----------
    cell
        Index in the image with a margin of empty cells as wide as the scan reaches.
    steps
        From a cell to its neighbours in the window of the scan, in row-major order.
    energy_kev, n_hits
        ``(cells,)``: of the present frame; the hits that were added to this cell.
    scan
        NO_SCAN, ADDITION or DISCRIMINATION.
    """

    limit_adu: NDArray[np.uint16]
    calibration: NDArray[np.float32]
    window_edges_kev: NDArray[np.float32]
    cell: NDArray[np.int64]
    steps: NDArray[np.int64]
    energy_kev: NDArray[np.float32]
    n_hits: NDArray[np.int64]
    scan: int
    bin_kev: float


@compiled()
def count_frames(frames: NDArray[np.uint16], chain: Chain, tally: Tally) -> None:
    """Count ``(frames, pixels) uint16, ADU``."""
    for adu in frames:
        calibrate(adu, chain, tally)
        if chain.scan == ADDITION:
            add_shared_charge(chain)
        elif chain.scan == DISCRIMINATION:
            discard_shared_charge(chain, tally)
        book(chain, tally)


@compiled()
def calibrate(adu: NDArray[np.uint16], chain: Chain, tally: Tally) -> None:
    """Threshold in ADU, then energy; every cell is written, so that no frame leaves anything."""
    for p in range(len(adu)):
        cell = chain.cell[p]
        hit = adu[p] > chain.limit_adu[p]
        pedestal, gradient, intercept = chain.calibration[p, :3]
        energy = (np.float32(adu[p]) - pedestal) * gradient + intercept
        chain.energy_kev[cell] = energy if hit else np.float32(0)
        chain.n_hits[cell] = hit
        tally.hits[p] += hit


@compiled()
def add_shared_charge(chain: Chain) -> None:
    """Add the pixels of each window to its largest, by a running sum; ties go to the later."""
    energy_kev, n_hits = chain.energy_kev, chain.n_hits
    for cell in chain.cell:
        if energy_kev[cell] <= 0:
            continue
        largest = cell
        for step in chain.steps:
            smaller = cell + step
            if energy_kev[smaller] <= 0:
                continue
            if energy_kev[smaller] >= energy_kev[largest]:
                largest, smaller = smaller, largest
            energy_kev[largest] += energy_kev[smaller]
            n_hits[largest] += n_hits[smaller]
            energy_kev[smaller] = 0
            n_hits[smaller] = 0


@compiled()
def discard_shared_charge(chain: Chain, tally: Tally) -> None:
    """Discard each window with more than one pixel; what it cuts off may pass as a single."""
    energy_kev, n_hits = chain.energy_kev, chain.n_hits
    for cell in chain.cell:
        if energy_kev[cell] <= 0:
            continue
        size = 1
        for step in chain.steps:
            if energy_kev[cell + step] > 0:
                size += 1
                energy_kev[cell + step] = 0
                n_hits[cell + step] = 0
        if size > 1:
            energy_kev[cell] = 0
            n_hits[cell] = 0
            tally.fates[TOO_LARGE] += size
            tally.cluster_sizes[min(size, 5) - 1] += 1


@compiled()
def book(chain: Chain, tally: Tally) -> None:
    """Count what is left in the histogram of its pixel, in bins from 0 keV, and in its windows."""
    n_bins = tally.spectra.shape[1]
    for p in range(len(chain.cell)):
        n_hits = chain.n_hits[chain.cell[p]]
        if n_hits == 0:
            continue
        energy = chain.energy_kev[chain.cell[p]]
        position = energy / chain.bin_kev
        tally.cluster_sizes[min(n_hits, 5) - 1] += 1
        if energy <= 0:
            tally.under[p] += 1
            tally.fates[UNDER] += n_hits
        elif position < n_bins:
            tally.spectra[p, int(position)] += 1
            tally.fates[BOOKED] += n_hits
        else:
            tally.over[p] += 1
            tally.fates[OVER] += n_hits
        edges = chain.window_edges_kev[p]
        low = edges[1] <= energy < edges[2]
        tally.window_low[p] += low
        tally.window_high[p] += (edges[0] <= energy < edges[3]) and not low
