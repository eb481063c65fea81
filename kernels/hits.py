"""Find the hits of a frame as bits, and tell single ones, pairs and larger clusters apart.

A frame's hits are found 64 pixels at a time; neighbours are shifts of bits, so that hits without
neighbours (most of them) and pairs are known before any is looked at by itself.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.bits import (
    any_of_words,
    compare,
    count_bits,
    lowest_bit,
    pair_words,
    sort_words,
)
from hexlive.kernels.compiled import step
from hexlive.kernels.state import NEXT_FRAME, Count, Kit
from hexlive.kernels.words import AT_ONCE

ZERO: Final = np.uint64(0)
ONE: Final = np.uint64(1)
WORD: Final = np.uint64(64)
PLACE: Final = np.uint64(63)
FEW: Final = 3  # bits of a word that are listed without asking whether there are so many


@step
def find_hits(adu: NDArray[np.uint16], kit: Kit) -> None:
    """Set the bits of the pixels above their limit, and count the hits of each pixel."""
    limit, n_hits, hit = kit.tables.limit_adu, kit.work.n_hits, kit.bits.hit
    for row in range(len(kit.grid.row_word)):
        w, p = kit.grid.row_word[row], kit.grid.row_pixel[row]
        end = p + kit.grid.columns
        while p + 64 <= end:
            hit[w] = compare(adu, limit, n_hits, p, 64)
            p += 64
            w += 1
        word, place = ZERO, ZERO
        while p + 16 <= end:
            word |= compare(adu, limit, n_hits, p, 16) << place
            p += 16
            place += np.uint64(16)
        while p < end:
            word |= compare(adu, limit, n_hits, p, 1) << place
            p += 1
            place += ONE
        hit[w] = word


@step
def reject_repeated(number: int, kit: Kit) -> None:
    """Remove hits whose pixel was also hit one frame earlier."""
    bits, last_frame = kit.bits, kit.work.last_frame
    follows = last_frame[0] == number - 1
    last_frame[0] = number
    n_repeated = ZERO
    for w in range(len(bits.hit)):
        hit = bits.hit[w]
        repeated = hit & bits.previous[w] if follows else ZERO
        n_repeated += count_bits(repeated)
        bits.hit[w] = hit & ~repeated
        bits.previous[w] = hit
    kit.tally.fates[NEXT_FRAME] += np.int64(n_repeated)


@step
def sort_hits(kit: Kit) -> None:
    """Tell hits without neighbours, pairs and larger clusters apart."""
    grid, bits = kit.grid, kit.bits
    for v in range(grid.begin, grid.end, AT_ONCE):
        sort_words(bits.hit, bits.alone, bits.one, bits.crowd, v, grid.row_words, grid.corners)
    w = grid.begin
    for part in range(len(bits.with_crowd)):
        with_alone, with_first, with_crowd, place = ZERO, ZERO, ZERO, ZERO
        while place < WORD and w < grid.end:
            pair_words(bits.one, bits.first, bits.crowd, w, grid.row_words, grid.corners)
            with_alone |= any_of_words(bits.alone, w) << place
            with_first |= any_of_words(bits.first, w) << place
            with_crowd |= any_of_words(bits.crowd, w) << place
            w += np.uint64(AT_ONCE)
            place += np.uint64(AT_ONCE)
        bits.with_alone[part] = with_alone
        bits.with_first[part] = with_first
        bits.with_crowd[part] = with_crowd


@step
def take_all(kit: Kit) -> None:
    """Take each hit for one of a larger cluster."""
    grid, bits = kit.grid, kit.bits
    w = grid.begin
    for part in range(len(bits.with_crowd)):
        busy, place = ZERO, ZERO
        while place < WORD and w < grid.end:
            bits.crowd[w] = bits.hit[w]
            busy |= np.uint64(bits.hit[w] != ZERO) << place
            w += ONE
            place += ONE
        bits.with_crowd[part] = busy


@step
def list_cells(
    words: NDArray[np.uint64], with_bits: NDArray[np.uint64], cells: NDArray[np.uint64], kit: Kit
) -> Count:
    """List the cells of the bits set; return how many.

    Always writes a few, overwritten unless a word has so many bits: cheaper than a branch per bit.
    """
    n = ZERO
    for part in range(len(with_bits)):
        busy = with_bits[part]
        while busy:
            w = kit.grid.begin + np.uint64(part) * WORD + lowest_bit(busy)
            busy &= busy - ONE
            word = words[w]
            n_after = n + count_bits(word)
            for _ in range(FEW):
                cells[n] = w * WORD + lowest_bit(word)
                word &= word - ONE
                n += ONE
            while word:
                cells[n] = w * WORD + lowest_bit(word)
                word &= word - ONE
                n += ONE
            n = n_after
    return np.int64(n)


@step
def pixel_at(cell: np.uint64, kit: Kit) -> np.uint64:
    """Pixel of a cell."""
    pixel: np.uint64 = kit.grid.first_pixel[cell // WORD] + (cell & PLACE)
    return pixel
