import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hexlive.reconstruct.ct.geometry import angular_weights, redundancy_weights

N_ANGLES = 240
ANGLES = np.arange(N_ANGLES) * np.pi / N_ANGLES


@given(arrays(float, st.integers(2, 40), elements=st.floats(-10, 10)))
def test_angular_weights_share_half_a_turn(angles_rad):
    weights = angular_weights(angles_rad)
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(np.pi)


def test_angular_weights_are_equal_for_equal_steps_and_halved_for_repeats():
    np.testing.assert_allclose(angular_weights(ANGLES), np.pi / N_ANGLES)
    repeated = angular_weights(np.append(ANGLES, ANGLES[7]))
    assert repeated[7] + repeated[-1] == pytest.approx(np.pi / N_ANGLES)


def test_each_angle_weighs_half_the_way_to_both_its_neighbours_in_any_order():
    angles_deg = np.array([40.0, 280.0, 10.0, 180.0])  # 280 is seen as 100, and 180 as 0
    np.testing.assert_allclose(
        np.rad2deg(angular_weights(np.deg2rad(angles_deg))), [45, 70, 20, 45]
    )


@given(st.floats(1.0, 62.0))
def test_opposite_rays_of_a_full_turn_share_one_weight(centre_px):
    weights = redundancy_weights(centre_px, 64)
    column = np.arange(64.0)
    opposite = 2 * centre_px - column
    both = (opposite >= 0) & (opposite <= 63)
    total = weights + np.interp(opposite, column, weights)
    np.testing.assert_allclose(total[both], 1, atol=0.2 / min(centre_px, 63 - centre_px))
    np.testing.assert_allclose(weights[~both], 1)
