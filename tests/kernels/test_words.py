"""The layout of bits: nothing touches but true neighbours, and nothing outside is looked at."""

from itertools import product

import numpy as np
import pytest

from hexlive.kernels.backend import EventSettings
from hexlive.kernels.words import AT_ONCE, WORD_BITS, make_grid

MODULES = [(1, 1), (2, 3)]
SHAPES = [(1, 1), (3, 63), (2, 64), (5, 65), (4, 80), (2, 448), (3, 480), (2, 512)]
LAYOUTS = list(product(MODULES, SHAPES))


@pytest.mark.parametrize(("modules", "module"), LAYOUTS)
def test_every_pixel_has_a_bit_whose_neighbours_are_those_in_its_module(
    modules: tuple[int, int], module: tuple[int, int]
) -> None:
    shape = (modules[0] * module[0], modules[1] * module[1])
    grid = make_grid(shape, modules, EventSettings())
    pixel_of = np.full(WORD_BITS * len(grid.first_pixel), -1)
    for word, pixel in zip(grid.row_word, grid.row_pixel, strict=True):
        pixel_of[WORD_BITS * word + np.arange(module[1])] = pixel + np.arange(module[1])
    cells = np.flatnonzero(pixel_of >= 0)
    assert np.array_equal(np.sort(pixel_of[cells]), np.arange(shape[0] * shape[1]))
    first = grid.first_pixel[cells // WORD_BITS].astype(np.int64)
    assert np.array_equal(first + cells % WORD_BITS, pixel_of[cells])
    row, column = np.divmod(pixel_of[cells], shape[1])
    for down, right in product((-1, 0, 1), repeat=2):
        beside = pixel_of[cells + down * int(grid.row_cells) + right]
        same = (row // module[0] == (row + down) // module[0]) & (
            column // module[1] == (column + right) // module[1]
        )
        expected = np.where(same, pixel_of[cells] + down * shape[1] + right, -1)
        assert np.array_equal(beside, expected)


@pytest.mark.parametrize(("modules", "module"), LAYOUTS)
def test_a_row_and_a_word_around_all_bits_and_the_rows_of_a_window_are_inside(
    modules: tuple[int, int], module: tuple[int, int]
) -> None:
    shape = (modules[0] * module[0], modules[1] * module[1])
    grid = make_grid(shape, modules, EventSettings())
    begin, end, n_words = int(grid.begin), int(grid.end), len(grid.first_pixel)
    assert begin - grid.row_words - 1 >= 0
    assert end + grid.row_words < n_words
    assert (end - begin) % AT_ONCE == 0
    assert grid.row_word.min() >= begin
    last_bit = WORD_BITS * int(grid.row_word.max() + grid.row_words) - 1
    assert last_bit + 5 * int(grid.row_cells) + 16 < WORD_BITS * n_words
