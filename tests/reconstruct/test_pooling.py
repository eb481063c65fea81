"""Pooling adds L and H: blocks, adaptive blocks, labels; and the time that is still needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.reconstruct.emf import pool, window_sum_emf
from hexlive.reconstruct.pooling import (
    PoolingSettings,
    adaptive_superpixels,
    pool_labels,
    superpixels,
    time_to_target_s,
)


def test_superpixels_keep_every_valid_count():
    rng = np.random.default_rng(6)
    result = window_sum_emf(rng.integers(0, 50, (7, 10)), rng.integers(0, 50, (7, 10)))
    valid = rng.uniform(size=(7, 10)) > 0.2
    blocks = superpixels(result, 4, valid)
    assert blocks.low.shape == (2, 3)
    assert blocks.low.sum() == pool(result, valid).low
    assert blocks.high[0, 0] == result.high[:4, :4][valid[:4, :4]].sum()


def test_adaptive_superpixels_grow_only_where_counts_are_few():
    low = np.full((8, 8), 60)
    low[:4] = 10_000
    chosen = adaptive_superpixels(window_sum_emf(low, low), 0.05, np.ones((8, 8), bool))
    assert chosen.windows.low.tolist() == 32 * [10_000] + 2 * [16 * 60]
    assert np.unique(chosen.labels[4:]).size == 2
    assert np.all(chosen.windows.relative_sigma <= 0.05)
    assert np.all(chosen.emf == 1)
    np.testing.assert_allclose(chosen.sigma[4:], np.sqrt(2 / 960))


@given(seed=st.integers(0, 2**32 - 1), target=st.floats(0.02, 0.5))
def test_adaptive_superpixels_hold_every_valid_count_once_and_reach_the_target(seed, target):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, rng.integers(2, 400), (2, 9, 13))
    result, valid = window_sum_emf(*counts), rng.uniform(size=(9, 13)) > 0.1
    found = adaptive_superpixels(result, target, valid)
    assert found.windows.low.sum() == pool(result, valid).low
    assert np.all((found.labels == -1) == ~valid)
    assert np.all(np.isnan(found.emf[~valid]))
    missed = ~(found.windows.relative_sigma <= target)
    assert missed.sum() <= 1


def test_labels_of_any_shape_pool_like_a_mask():
    rng = np.random.default_rng(7)
    result = window_sum_emf(*rng.integers(0, 50, (2, 6, 6)))
    labels = rng.integers(-1, 3, (6, 6)).astype(np.int32)
    pooled = pool_labels(result, labels)
    assert [pool(result, labels == i).low for i in range(3)] == pooled.low.tolist()


def test_without_a_valid_pixel_there_is_no_superpixel():
    nothing = adaptive_superpixels(
        window_sum_emf(np.ones((4, 4)), np.ones((4, 4))), 0.1, np.zeros((4, 4), bool)
    )
    assert nothing.windows.low.size == 0
    assert np.isnan(nothing.emf).all()


@pytest.mark.parametrize(
    "wrong", [{"superpixel_px": 0}, {"target_relative_sigma": 0.0}, {"recent_s": -1.0}]
)
def test_pooling_that_cannot_be_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PoolingSettings(**wrong)


def test_time_to_target_grows_with_the_square_of_the_precision():
    result = window_sum_emf(np.array([100, 0]), np.array([100, 0]))
    target = float(result.relative_sigma[0]) / 2
    needed = time_to_target_s(result, 10.0, target)
    assert needed[0] == pytest.approx(30.0)
    assert np.isnan(needed[1])
    assert time_to_target_s(result, 10.0, 4 * target)[0] == 0
