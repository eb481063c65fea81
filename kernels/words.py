"""Where each pixel is among the bits of a frame.

Each row of a module takes whole words, with at least one empty bit at its end, and there are empty
rows before, between and after the modules: a neighbour across an edge is an empty bit, so no edge
needs a test. A bit's number, its cell, is 64 times its word plus its place in the word; the cell
one row down is ``64 * row_words`` later.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings

WORD_BITS: Final = 64
AT_ONCE: Final = 8  # words that are sorted at once
EMPTY_ROWS: Final = 8  # after the last row; a cluster is looked at in a window of fewer rows
SAME_ROW: Final = np.uint64(8)  # see Grid.second


class Grid(NamedTuple):
    """The words of a frame.

    Attributes
    ----------
    first_pixel
        ``(words,) uint64``, pixel of the lowest bit of each word, 0 where a word is empty.
    row_word, row_pixel
        ``(module rows,) int64``, first word and first pixel of each row of each module.
    begin, end
        Words that may have bits; a multiple of ``AT_ONCE``.
    row_words, row_cells, columns
        Words, cells and pixels of a row of a module.
    second
        ``(4,) uint64``, how many pixels after the first of a pair its second is: in the row below
        to the left, straight below, to the right; in the same row. Indexed by the place of the bit.
    corners
        All bits if diagonal pixels are neighbours, else none.
    """

    first_pixel: NDArray[np.uint64]
    row_word: NDArray[np.int64]
    row_pixel: NDArray[np.int64]
    begin: np.uint64
    end: np.uint64
    row_words: int
    row_cells: np.uint64
    columns: int
    second: NDArray[np.uint64]
    corners: np.uint64


class Bits(NamedTuple):
    """One bit per pixel, ``(words,) uint64`` each: what is known of the hits of a frame.

    All of them, those of the frame before, those without neighbours, those with exactly one, the
    first pixels of pairs, those in larger clusters; and those of one cluster while it is listed.
    ``with_...`` have one bit per word, counted from ``Grid.begin``: whether the word has any.
    """

    hit: NDArray[np.uint64]
    previous: NDArray[np.uint64]
    alone: NDArray[np.uint64]
    one: NDArray[np.uint64]
    first: NDArray[np.uint64]
    crowd: NDArray[np.uint64]
    cluster: NDArray[np.uint64]
    with_alone: NDArray[np.uint64]
    with_first: NDArray[np.uint64]
    with_crowd: NDArray[np.uint64]


def make_grid(shape: tuple[int, int], modules: tuple[int, int], events: EventSettings) -> Grid:
    """Lay out the words of frames of ``(rows, columns)``."""
    (rows, columns), (down, across) = shape, modules
    module_rows, module_columns = rows // down, columns // across
    row_words = module_columns // WORD_BITS + 1
    begin = AT_ONCE * -(-(row_words + 1) // AT_ONCE)  # a row and a word above are looked at
    pixel = np.arange(rows * columns).reshape(down, module_rows, across, module_columns)
    row_pixel = pixel.transpose(0, 2, 1, 3)[..., 0].reshape(-1, module_rows)
    row = np.arange(row_pixel.size).reshape(row_pixel.shape) + np.arange(down * across)[:, None]
    row_word = begin + row * row_words
    end = begin + AT_ONCE * -(-(row.max() + 1) * row_words // AT_ONCE)
    first_pixel = np.zeros(end + EMPTY_ROWS * row_words + 1, np.uint64)
    for k in range(row_words):
        first_pixel[row_word + k] = row_pixel + WORD_BITS * k
    return Grid(
        first_pixel=first_pixel,
        row_word=row_word.ravel().astype(np.int64),
        row_pixel=row_pixel.ravel().astype(np.int64),
        begin=np.uint64(begin),
        end=np.uint64(end),
        row_words=row_words,
        row_cells=np.uint64(WORD_BITS * row_words),
        columns=module_columns,
        second=np.array([columns - 1, columns, columns + 1, 1], np.uint64),
        corners=np.uint64(2**64 - 1 if events.connectivity == 8 else 0),
    )


def make_bits(grid: Grid) -> Bits:
    """Reserve the words of a frame."""
    n_words, n_parts = len(grid.first_pixel), int(grid.end - grid.begin) // WORD_BITS + 1
    sizes = {name: n_parts if name.startswith("with_") else n_words for name in Bits._fields}
    return Bits(**{name: np.zeros(size, np.uint64) for name, size in sizes.items()})
