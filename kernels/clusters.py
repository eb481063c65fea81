"""Clusters of any size, among bits."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.bits import bits_at, clear_at, lowest_bit
from hexlive.kernels.compiled import compiled, step
from hexlive.kernels.hits import ONE, PLACE, WORD, ZERO, pixel_at
from hexlive.kernels.state import Count, Kit

STRAIGHT: Final = np.uint64(2)  # of three neighbours in a row, the one in the middle
ABREAST: Final = np.uint64(7)  # all three

# A cluster is looked at in a window of 5 x 8 cells, a byte per row; its first cell is in the first.
ROWS: Final = 5
SIDE: Final = np.uint64(8)
MARGIN: Final = np.uint64(3)  # cells to the left of the first
FIRST: Final = ONE << MARGIN
ROW: Final = np.uint64(0xFF)
LEFT_EDGE: Final = np.uint64(0x0101010101010101)
RIGHT_EDGE: Final = np.uint64(0x8080808080808080)
RIM: Final = LEFT_EDGE | RIGHT_EDGE | (ROW << np.uint64(8 * (ROWS - 1)))


@step
def look(words: NDArray[np.uint64], corner: np.uint64, row_cells: np.uint64) -> np.uint64:
    """The window whose top left cell is ``corner``."""
    window = ZERO
    for row in range(ROWS):
        bits = bits_at(words, corner + np.uint64(row) * row_cells) & ROW
        window |= bits << (np.uint64(row) * SIDE)
    return window


@step
def grow(window: np.uint64, corners: np.uint64) -> np.uint64:
    """The cluster of the window's first cell; most are complete after three steps."""
    cluster = FIRST
    for _ in range(3):
        cluster = grow_once(cluster, window, corners)
    while True:
        grown = grow_once(cluster, window, corners)
        if grown == cluster:
            return cluster
        cluster = grown


@step
def grow_once(cluster: np.uint64, window: np.uint64, corners: np.uint64) -> np.uint64:
    """Part of a cluster, and its neighbours."""
    column = cluster | (cluster << SIDE) | (cluster >> SIDE)
    source = column & corners | cluster
    row = ((source & ~RIGHT_EDGE) << ONE) | ((source & ~LEFT_EDGE) >> ONE)
    return (column | row) & window


@step
def erase(
    words: NDArray[np.uint64], corner: np.uint64, row_cells: np.uint64, cluster: np.uint64
) -> None:
    """Clear the bits of a cluster that does not reach the last row of its window."""
    for _ in range(ROWS - 1):
        clear_at(words, corner, cluster & ROW)
        cluster >>= SIDE
        corner += row_cells


@step
def list_members(cluster: np.uint64, corner: np.uint64, kit: Kit) -> None:
    """List the pixels of a cluster in row-major order."""
    n = 0
    while cluster:
        place = lowest_bit(cluster)
        cell = corner + place // SIDE * kit.grid.row_cells + place % SIDE
        kit.work.member[n] = pixel_at(cell, kit)
        cluster &= cluster - ONE
        n += 1


@compiled(_nrt=False)
def walk(cell: np.uint64, kit: Kit) -> Count:
    """List a cluster of any extent in row-major order, clear its bits, return its size."""
    grid, crowd, cells, cluster = kit.grid, kit.bits.crowd, kit.work.cell, kit.bits.cluster
    clear_at(crowd, cell, ONE)
    cells[0] = cell
    n, done = 1, 0
    while done < n:
        for row in range(3):
            begin = cells[done] + np.uint64(row) * grid.row_cells - grid.row_cells - ONE
            near = bits_at(crowd, begin) & ABREAST
            if row != 1:
                near &= grid.corners | STRAIGHT
            clear_at(crowd, begin, near)
            while near:
                cells[n] = begin + lowest_bit(near)
                near &= near - ONE
                n += 1
        done += 1
    for i in range(n):
        cluster[cells[i] // WORD] |= ONE << (cells[i] & PLACE)
    w, listed = cell // WORD, 0
    while listed < n:
        while cluster[w]:
            kit.work.member[listed] = grid.first_pixel[w] + lowest_bit(cluster[w])
            cluster[w] &= cluster[w] - ONE
            listed += 1
        w += ONE
    return n
