"""Frames to counts on one CPU core: scan, cluster, book.

Only the scan touches every pixel; all that follows is per hit. All compiled functions are in this
file, because numba's cache does not notice a change in a function imported from another.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.compiled import compiled
from hexlive.kernels.state import Rules, Tally, Workspace
from hexlive.kernels.tables import PixelTables

# Places in Tally.fates: the first three belong to hits in events, the others to DROP_REASONS.
BOOKED: Final = 0
UNDER: Final = 1
OVER: Final = 2
TOO_LARGE: Final = 3
BELOW_THRESHOLD: Final = 4
NEXT_FRAME: Final = 5
VETOED: Final = 6

# SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 16.
SPLITMIX_INCREMENT: Final = np.uint64(0x9E3779B97F4A7C15)
SPLITMIX_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SPLITMIX_SECOND: Final = np.uint64(0x94D049BB133111EB)

# Strict float32 throughout: no fastmath, hence no fused or reordered operation.


@compiled()
def count_frames(
    frames: NDArray[np.uint16],
    first_frame: int,
    tables: PixelTables,
    rules: Rules,
    work: Workspace,
    tally: Tally,
) -> None:
    """Count ``(frames, pixels) uint16, ADU``."""
    for index in range(len(frames)):
        adu = frames[index]
        n_hits = find_hits(adu, tables.limit_adu, work.pixel)
        for i in range(n_hits):
            tally.hits[work.pixel[i]] += 1
        if rules.next_frame:
            n_kept = reject_repeated(first_frame + index, n_hits, work)
            tally.fates[NEXT_FRAME] += n_hits - n_kept
            n_hits = n_kept
        calibrate(adu, first_frame + index, n_hits, tables.calibration, rules, work)
        link_clusters(n_hits, tables, work)
        measure_clusters(n_hits, tables, work)
        if len(tables.charge_loss):
            correct_charge_loss(n_hits, tables.charge_loss, work)
        n_events = judge_clusters(n_hits, rules, work, tally)
        book_spectra(n_events, rules, work, tally)
        book_windows(n_events, tables.window_edges_kev, work, tally)


@compiled()
def find_hits(
    adu: NDArray[np.uint16], limit_adu: NDArray[np.uint16], pixel: NDArray[np.int32]
) -> int:
    """List the pixels above their limit; return how many."""
    n_hits = 0
    for p in range(len(adu)):
        pixel[n_hits] = p  # overwritten unless a hit: cheaper than a branch
        n_hits += adu[p] > limit_adu[p]
    return n_hits


@compiled()
def reject_repeated(frame_number: int, n_hits: int, work: Workspace) -> int:
    """Remove hits whose pixel was also hit one frame earlier; return how many are kept."""
    n_kept = 0
    for i in range(n_hits):
        p = work.pixel[i]
        work.pixel[n_kept] = p
        n_kept += work.last_hit[p] != frame_number - 1
        work.last_hit[p] = frame_number
    return n_kept


@compiled()
def calibrate(
    adu: NDArray[np.uint16],
    frame_number: int,
    n_hits: int,
    calibration: NDArray[np.float32],
    rules: Rules,
    work: Workspace,
) -> None:
    """Energies of the hits, and the energies to book."""
    for i in range(n_hits):
        p = work.pixel[i]
        pedestal, gradient, intercept = calibration[p, 0], calibration[p, 1], calibration[p, 2]
        value = np.float32(adu[p])
        work.energy_kev[i] = energy_kev(value, pedestal, gradient, intercept)
        work.booked_kev[i] = work.energy_kev[i]
        if rules.dither:
            value += dither_adu(rules.dither_seed, frame_number, p)
            work.booked_kev[i] = energy_kev(value, pedestal, gradient, intercept)


@compiled()
def energy_kev(
    adu: np.float32, pedestal: np.float32, gradient: np.float32, intercept: np.float32
) -> np.float32:
    """Energy of a pixel, each operation rounded to float32, left to right."""
    return (adu - pedestal) * gradient + intercept


@compiled()
def dither_adu(seed: np.uint64, frame_number: int, pixel: int) -> np.float32:
    """Offset in [-0.5, 0.5) ADU, a pure function of its arguments, exact in float32."""
    bits = mix(mix(mix(seed) + np.uint64(frame_number)) + np.uint64(pixel))
    return np.float32(bits >> np.uint64(40)) * np.float32(2**-24) - np.float32(0.5)


@compiled()
def mix(z: np.uint64) -> np.uint64:
    """Scramble 64 bits: the output of SplitMix64 in state ``z``, modulo 2^64."""
    z = z + SPLITMIX_INCREMENT
    z = (z ^ (z >> np.uint64(30))) * SPLITMIX_FIRST
    z = (z ^ (z >> np.uint64(27))) * SPLITMIX_SECOND
    return z ^ (z >> np.uint64(31))


@compiled()
def link_clusters(n_hits: int, tables: PixelTables, work: Workspace) -> None:
    """Set the root of each hit: union-find over neighbours, the earlier hit wins."""
    for i in range(n_hits):
        cell = tables.cell[work.pixel[i]]
        work.hit_at[cell] = i
        work.root[i] = i
        for step in tables.earlier:
            j = work.hit_at[cell - step]
            if j >= 0:
                unite(work.root, i, j)
    for i in range(n_hits):
        # A root is never later than its hits, so one pass in order flattens every chain.
        work.root[i] = work.root[work.root[i]]
        work.hit_at[tables.cell[work.pixel[i]]] = -1


@compiled()
def unite(root: NDArray[np.int32], i: int, j: int) -> None:
    """Join the clusters of two hits under the earlier root."""
    while root[i] != i:
        i = root[i]
    while root[j] != j:
        j = root[j]
    root[max(i, j)] = min(i, j)


@compiled()
def measure_clusters(n_hits: int, tables: PixelTables, work: Workspace) -> None:
    """Size, sum and largest pixel of each cluster, hits taken in row-major order."""
    for i in range(n_hits):
        p = work.pixel[i]
        reaches = work.energy_kev[i] >= tables.calibration[p, 3]
        vetoed = tables.beside_masked[p]
        k = work.root[i]
        if k == i:
            work.size[k] = 1
            work.sum_kev[k] = work.booked_kev[i]
            work.largest[k] = i
            work.reaches[k] = reaches
            work.vetoed[k] = vetoed
        else:
            work.size[k] += 1
            work.sum_kev[k] += work.booked_kev[i]
            if work.energy_kev[i] > work.energy_kev[work.largest[k]]:
                work.largest[k] = i
            work.reaches[k] |= reaches
            work.vetoed[k] |= vetoed


@compiled()
def correct_charge_loss(n_hits: int, curve: NDArray[np.float32], work: Workspace) -> None:
    """Scale the sums of clusters of two pixels."""
    for i in range(n_hits):
        k = work.root[i]
        if k != i and work.size[k] == 2:
            difference = work.booked_kev[k] - work.booked_kev[i]
            work.sum_kev[k] *= charge_loss_factor(difference, work.sum_kev[k], curve)


@compiled(error_model="numpy")
def charge_loss_factor(
    difference_kev: np.float32, sum_kev: np.float32, curve: NDArray[np.float32]
) -> np.float32:
    """Factor at R = difference / sum, between nodes from -1 to 1; NaN is taken as -1."""
    last = len(curve) - 1
    ratio = difference_kev / sum_kev
    position = (ratio + np.float32(1)) * (np.float32(last) * np.float32(0.5))
    position = min(position, np.float32(last)) if position > 0 else np.float32(0)
    node = min(int(position), last - 1)
    part = position - np.float32(node)
    return curve[node] + part * (curve[node + 1] - curve[node])


@compiled()
def judge_clusters(n_hits: int, rules: Rules, work: Workspace, tally: Tally) -> int:
    """Turn clusters into events, or drop them; return how many events there are."""
    n_events = 0
    n_sizes = len(tally.cluster_sizes)
    for i in range(n_hits):
        k = work.root[i]
        size = work.size[k]
        if k == i and work.reaches[k]:
            tally.cluster_sizes[min(size, n_sizes) - 1] += 1
        if not work.reaches[k]:
            tally.fates[BELOW_THRESHOLD] += 1
        elif work.vetoed[k]:
            tally.fates[VETOED] += 1
        elif rules.every_hit:
            work.event_pixel[n_events] = work.pixel[i]
            work.event_kev[n_events] = work.booked_kev[i]
            work.event_size[n_events] = size
            n_events += 1
        elif size > rules.max_cluster:
            tally.fates[TOO_LARGE] += 1
        elif k == i:
            work.event_pixel[n_events] = work.pixel[work.largest[k]]
            work.event_kev[n_events] = work.sum_kev[k]
            work.event_size[n_events] = size
            n_events += 1
    return n_events


@compiled()
def book_spectra(n_events: int, rules: Rules, work: Workspace, tally: Tally) -> None:
    """Count the events in the half-open bins of their pixels."""
    n_bins = np.float32(tally.spectra.shape[1])
    for i in range(n_events):
        p = work.event_pixel[i]
        size = work.event_size[i]
        n_hits = 1 if rules.every_hit else size
        position = (work.event_kev[i] - rules.min_kev) * rules.bins_per_kev
        if position < 0:
            tally.under[p] += 1
            tally.fates[UNDER] += n_hits
        elif position < n_bins:
            tally.spectra[p, int(position)] += 1
            tally.fates[BOOKED] += n_hits
            if size == 1 and rules.keep_singles:
                tally.single_spectra[p, int(position)] += 1
        else:
            tally.over[p] += 1
            tally.fates[OVER] += n_hits


@compiled()
def book_windows(
    n_events: int, edges_kev: NDArray[np.float32], work: Workspace, tally: Tally
) -> None:
    """Count the events between the window edges of their pixels, without bins."""
    for i in range(n_events):
        p = work.event_pixel[i]
        energy = work.event_kev[i]
        low = edges_kev[p, 1] <= energy < edges_kev[p, 2]
        tally.window_low[p] += low
        tally.window_high[p] += (edges_kev[p, 0] <= energy < edges_kev[p, 3]) and not low
