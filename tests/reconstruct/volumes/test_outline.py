"""The move between two outlines is found, as far as they tell it."""

import numpy as np
import pytest

from hexlive.reconstruct.volumes.outline import OutlineError, find_move

SIZE, RADIUS_PX = 181, 60.0


def leaf(y=0.0, x=0.0, turn=0.0, lobes_px=3.0):
    """A disk with lobes, of whole pixels."""
    down, across = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    down, across = down - y, across - x
    angle = np.arctan2(down, across) - turn
    radius = RADIUS_PX + lobes_px * (np.cos(3 * angle) + 0.5 * np.sin(2 * angle))
    return (np.hypot(down, across) < radius).astype(float)


@pytest.mark.parametrize("turn", [0.0, 0.03, -0.12])
def test_shift_and_rotation_are_recovered(turn):
    move = find_move(leaf(0.4, -1.0), leaf(3.1, -2.6, turn))
    moved_middle = np.array([0.4, -1.0]) @ turned(turn).T
    assert move.rotation_known
    assert -move.rotation_rad == pytest.approx(turn, abs=0.005)
    assert move.shift_px == pytest.approx(np.array([3.1, -2.6]) - moved_middle, abs=0.15)
    assert move.residual_px < 0.4


def turned(angle):
    """From (y, x) to (y, x), of a turn from x to y."""
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def test_a_moved_mask_lies_on_the_first():
    first, second = leaf(), leaf(5.0, -3.0, 0.05)
    move = find_move(first, second)
    wrong = np.count_nonzero(move.moved(second > 0) != (first > 0))
    assert wrong < 0.3 * 2 * np.pi * RADIUS_PX
    assert np.count_nonzero((second > 0) != (first > 0)) > 5 * wrong


def test_a_disk_does_not_tell_its_rotation():
    move = find_move(leaf(lobes_px=0.0), leaf(2.0, 1.0, 0.1, lobes_px=0.0))
    assert not move.rotation_known
    assert move.rotation_rad == 0.0
    assert move.shift_px == pytest.approx((2.0, 1.0), abs=0.1)


def test_a_mask_laid_upon_itself_stays_where_it_is():
    move = find_move(leaf(), leaf())
    assert move.shift_px == pytest.approx((0.0, 0.0), abs=1e-3)
    assert move.rotation_rad == pytest.approx(0.0, abs=1e-9)
    same = leaf() > 0
    np.testing.assert_array_equal(move.moved(same), same)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [(np.zeros((40, 40)), "empty"), (np.ones((40, 40)), "edge of the map"),
     (np.float64(np.arange(40) < 20) * np.ones((40, 1)), "edge of the map")],
)  # fmt: skip
def test_a_mask_without_an_outline_is_refused(mask, sentence):
    with pytest.raises(OutlineError, match=sentence):
        find_move(mask, mask)
