"""Ages of frames, from the times at which they left and at which snapshots came."""

import numpy as np

from hexlive.benchmarks.camera import BATCH
from hexlive.benchmarks.latency import WARM_UP_S, ages, newest_ages

LEFT_S = np.arange(10.0)


def test_a_batch_is_as_old_as_the_first_snapshot_that_holds_it() -> None:
    heard = np.array([[2.5, 2 * BATCH], [5.5, 2 * BATCH], [6.5, 6 * BATCH]])
    found = ages(LEFT_S, heard)
    np.testing.assert_array_equal(found[:6], [2.5, 1.5, 4.5, 3.5, 2.5, 1.5])
    assert np.isnan(found[6:]).all()


def test_half_a_batch_is_not_there_yet() -> None:
    heard = np.array([[1.0, BATCH - 1], [2.0, BATCH]])
    assert ages(LEFT_S, heard)[0] == 2.0


def test_the_newest_frames_of_a_snapshot_are_the_last_that_it_holds() -> None:
    heard = np.array([[0.5, BATCH], [4.25, 4 * BATCH], [5.0, 4 * BATCH], [9.5, 9 * BATCH]])
    assert LEFT_S[3] > WARM_UP_S
    np.testing.assert_array_equal(newest_ages(LEFT_S, heard), [1.25, 1.5])
