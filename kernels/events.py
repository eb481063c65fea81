"""Frames to counts on one CPU core: find hits, sort them, book events.

The path of a frame is ``count_frames``; ``hits.py`` finds and sorts, ``clusters.py`` handles the
larger clusters, ``energies.py`` calibrates and adds. Measured: wrong guesses of branches and waits
for memory cost most, hence lists instead of branches, and bins that are asked for ahead of use.
"""

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.bits import bits_at, count_bits, fetch, lowest_bit
from hexlive.kernels.clusters import (
    ABREAST,
    MARGIN,
    RIM,
    ROW,
    STRAIGHT,
    erase,
    grow,
    list_members,
    look,
    walk,
)
from hexlive.kernels.compiled import compiled, step
from hexlive.kernels.energies import add_members, add_pair, booked_kev
from hexlive.kernels.hits import (
    ONE,
    WORD,
    find_hits,
    list_cells,
    pixel_at,
    reject_repeated,
    sort_hits,
    take_all,
)
from hexlive.kernels.state import (
    BELOW_THRESHOLD,
    BOOKED,
    FRAMES_AT_ONCE,
    OVER,
    TOO_LARGE,
    UNDER,
    VETOED,
    Count,
    Kit,
)
from hexlive.kernels.words import SAME_ROW


@compiled(_nrt=False)
def count_frames(frames: NDArray[np.uint16], first_frame: int, kit: Kit) -> None:
    """Count ``(frames, pixels) uint16, ADU``."""
    n_events: Count = 0
    for index in range(len(frames)):
        adu, number = frames[index], first_frame + index
        find_hits(adu, kit)
        if kit.rules.next_frame:
            reject_repeated(number, kit)
        if kit.rules.simple:
            sort_hits(kit)
            n_events = book_singles(adu, number, n_events, kit)
            n_events = book_pairs(adu, number, n_events, kit)
        else:
            take_all(kit)
        n_events = book_clusters(adu, number, n_events, kit)
        if n_events > len(kit.work.event) - len(adu):
            n_events = book_spectra(n_events, kit)
        if index % FRAMES_AT_ONCE == FRAMES_AT_ONCE - 1:
            book_hits(kit)
    book_spectra(n_events, kit)
    book_hits(kit)


@compiled(_nrt=False)
def see_frame(adu: NDArray[np.uint16], number: int, kit: Kit) -> None:
    """Remember the hits of a frame that is counted elsewhere, for next-frame rejection."""
    find_hits(adu, kit)
    for w in range(len(kit.bits.hit)):
        kit.bits.previous[w] = kit.bits.hit[w]
    kit.work.last_frame[0] = number
    for p in range(len(kit.work.n_hits)):
        kit.work.n_hits[p] = 0


@step
def book_singles(adu: NDArray[np.uint16], number: int, n_events: Count, kit: Kit) -> Count:
    """Book the hits without neighbours; return how many events wait for their spectra."""
    n = list_cells(kit.bits.alone, kit.bits.with_alone, kit.work.cell, kit)
    for i in range(n):
        p = pixel_at(kit.work.cell[i], kit)
        n_events = add_event(p, booked_kev(adu[p], number, p, kit), 1, True, n_events, kit)
    kit.tally.cluster_sizes[0] += n
    kit.tally.fates[BOOKED] += n
    return n_events


@step
def book_pairs(adu: NDArray[np.uint16], number: int, n_events: Count, kit: Kit) -> Count:
    """Book the clusters of two pixels, or drop them."""
    grid, bits, work = kit.grid, kit.bits, kit.work
    n = list_cells(bits.first, bits.with_first, work.cell, kit)
    kit.tally.cluster_sizes[1] += n
    if kit.rules.max_cluster < 2:
        kit.tally.fates[TOO_LARGE] += 2 * n
        return n_events
    kit.tally.fates[BOOKED] += 2 * n
    near = ABREAST & grid.corners | STRAIGHT
    for i in range(n):
        cell = work.cell[i]
        below = bits_at(bits.one, cell + grid.row_cells - ONE) & near
        p = pixel_at(cell, kit)
        work.member[0] = p
        work.member[1] = p + grid.second[lowest_bit(below | SAME_ROW)]
        p, kev = add_pair(adu, number, kit)
        n_events = add_event(p, kev, 2, False, n_events, kit)
    return n_events


@step
def book_clusters(adu: NDArray[np.uint16], number: int, n_events: Count, kit: Kit) -> Count:
    """Book the clusters of the crowd; what can only be dropped is not even listed."""
    grid, crowd = kit.grid, kit.bits.crowd
    for part in range(len(kit.bits.with_crowd)):
        busy = kit.bits.with_crowd[part]
        while busy:
            w = grid.begin + np.uint64(part) * WORD + lowest_bit(busy)
            busy &= busy - ONE
            todo = crowd[w]
            while todo:
                place = lowest_bit(todo)
                corner = w * WORD + place - MARGIN
                cluster = grow(look(crowd, corner, grid.row_cells), grid.corners)
                if cluster & RIM:
                    size = walk(corner + MARGIN, kit)
                    todo = crowd[w]
                else:
                    size = np.int64(count_bits(cluster))
                    todo &= ~(((cluster & ROW) >> MARGIN) << place)
                    erase(crowd, corner, grid.row_cells, cluster)
                    if size <= kit.rules.max_listed:
                        list_members(cluster, corner, kit)
                if size <= kit.rules.max_listed:
                    n_events = book_cluster(adu, number, size, n_events, kit)
                else:
                    kit.tally.cluster_sizes[min(size, 5) - 1] += 1
                    kit.tally.fates[TOO_LARGE] += size
    return n_events


@compiled(_nrt=False)
def book_cluster(
    adu: NDArray[np.uint16], number: int, size: Count, n_events: Count, kit: Kit
) -> Count:
    """Decide about the cluster listed in ``work.member``; return how many events wait."""
    tables, tally, member = kit.tables, kit.tally, kit.work.member
    reaches, vetoed = False, False
    for i in range(size):
        p = member[i]
        reaches |= adu[p] > tables.qualify_adu[p]
        vetoed |= tables.beside_masked[p]
    if not reaches:
        tally.fates[BELOW_THRESHOLD] += size
        return n_events
    tally.cluster_sizes[min(size, 5) - 1] += 1
    if vetoed:
        tally.fates[VETOED] += size
    elif kit.rules.every_hit:
        tally.fates[BOOKED] += size
        for i in range(size):
            p = member[i]
            kev = booked_kev(adu[p], number, p, kit)
            n_events = add_event(p, kev, 1, size == 1, n_events, kit)
    elif size > kit.rules.max_cluster:
        tally.fates[TOO_LARGE] += size
    else:
        tally.fates[BOOKED] += size
        p, kev = add_pair(adu, number, kit) if size == 2 else add_members(adu, number, size, kit)
        n_events = add_event(p, kev, size, size == 1, n_events, kit)
    return n_events


@step
def add_event(
    p: np.uint64, kev: np.float32, n_hits: Count, single: bool, n_events: Count, kit: Kit
) -> Count:
    """Count an event in its window, find its bin, and let it wait for ``book_spectra``.

    Its hits were counted as booked; those outside the axis are moved.
    """
    rules, tally = kit.rules, kit.tally
    if rules.windows:
        count_in_windows(p, kev, kit)
    position = (kev - rules.min_kev) * rules.bins_per_kev
    if position < 0:
        tally.under[p] += np.uint32(1)
        tally.fates[UNDER] += n_hits
        tally.fates[BOOKED] -= n_hits
    elif position < np.float32(rules.n_bins):
        place = p * rules.n_bins + np.uint64(np.int32(position))
        fetch(kit.spectra, place)
        kit.work.event[n_events] = place
        n_events += 1
        if single and rules.keep_singles:
            kit.single_spectra[place] += np.uint32(1)
    else:
        tally.over[p] += np.uint32(1)
        tally.fates[OVER] += n_hits
        tally.fates[BOOKED] -= n_hits
    return n_events


@step
def count_in_windows(p: np.uint64, kev: np.float32, kit: Kit) -> None:
    """Count an event between the window edges of its pixel, without bins and branches."""
    edges = kit.tables.window_edges_kev
    low = np.int64(kev >= edges[p, 1]) & np.int64(kev < edges[p, 2])
    either = np.int64(kev >= edges[p, 0]) & np.int64(kev < edges[p, 3])
    kit.tally.window_low[p] += low
    kit.tally.window_high[p] += either & ~low


@step
def book_spectra(n_events: Count, kit: Kit) -> Count:
    """Count the events that wait, in the bins of their pixels; none waits any more."""
    for i in range(n_events):
        kit.spectra[kit.work.event[i]] += np.uint32(1)
    return 0


@step
def book_hits(kit: Kit) -> None:
    """Move the hits of the last frames to the hit map."""
    for p in range(len(kit.work.n_hits)):
        kit.tally.hits[p] += kit.work.n_hits[p]
        kit.work.n_hits[p] = 0
