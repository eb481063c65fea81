"""The median of the chain is SciPy's, value by value, at the faces too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from hexlive.reconstruct.volumes.median import PIECE, comparisons, median_3x3x3

# Few values, so that many are equal; both zeros, which are equal but not the same.
VALUES = st.sampled_from(
    np.float32([-np.inf, -1.5, -0.0, 0.0, 1e-30, 2.0, 2.0000002, np.inf]).tolist()
)


@settings(deadline=None, max_examples=60)
@given(arrays(np.float32, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=VALUES))
def test_medians_are_those_of_scipy(volume):
    np.testing.assert_array_equal(median_3x3x3(volume), ndimage.median_filter(volume, 3))


@pytest.mark.parametrize("width", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 3])
def test_rows_longer_than_a_piece_have_no_seam(width):
    volume = np.random.default_rng(width).normal(size=(3, 4, width)).astype(np.float32)
    np.testing.assert_array_equal(median_3x3x3(volume), ndimage.median_filter(volume, 3))


def test_a_volume_that_is_turned_or_cut_is_taken_as_it_looks():
    volume = np.random.default_rng(0).normal(size=(6, 9, 14)).astype(np.float32)[::-1, 1:, ::2]
    before = volume.copy()
    np.testing.assert_array_equal(median_3x3x3(volume), ndimage.median_filter(volume, 3))
    np.testing.assert_array_equal(volume, before)


@given(st.permutations(range(27)), st.integers(0, 26))
def test_after_the_comparisons_the_wanted_value_is_in_its_place(values, wanted):
    values = list(values)
    for low, high in comparisons(27, wanted):
        values[low], values[high] = sorted((values[low], values[high]))
    assert values[wanted] == wanted
