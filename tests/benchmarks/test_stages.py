"""The highest rate that loses nothing, found with a machine of known limit."""

import numpy as np
import pytest

from hexlive.benchmarks.machine import resident_mb
from hexlive.benchmarks.soak import memory_slope
from hexlive.benchmarks.stages import REAL_TIME_HZ, Passed, highest_rate_hz, whole_batches


class Machine:
    """Loses frames above a rate."""

    def __init__(self, limit_hz: float) -> None:
        self.limit_hz, self.tried_hz = limit_hz, []

    def run(self, stage: str, n_frames: int, rate_hz: float) -> Passed:
        assert stage == "monitor"
        assert n_frames == whole_batches(2.0, rate_hz)
        self.tried_hz.append(rate_hz)
        lost = max(0, round(n_frames * (1 - self.limit_hz / rate_hz)))
        return Passed(rate_hz=min(rate_hz, self.limit_hz), dropped=lost, missing=lost, peak_mb=0.0)


def test_bisection_ends_below_the_limit_of_the_machine_and_close_to_it() -> None:
    machine = Machine(41_000.0)
    found_hz, tried = highest_rate_hz(machine, 2.0, 80_000.0, 0.05)
    assert 0.94 * 41_000 < found_hz <= 41_000
    assert [rate_hz for rate_hz, _ in tried] == machine.tried_hz


def test_a_machine_that_takes_everything_is_not_said_to_take_more_than_was_tried() -> None:
    found_hz, tried = highest_rate_hz(Machine(1e9), 2.0, 50_000.0, 0.05)
    assert found_hz == pytest.approx(50_000, rel=0.06)
    assert found_hz == max(rate_hz for rate_hz, _ in tried)


def test_a_machine_below_real_time_sustains_nothing() -> None:
    assert highest_rate_hz(Machine(REAL_TIME_HZ / 2), 2.0, 50_000.0, 0.05)[0] == 0


def test_the_slope_of_memory_is_found_after_the_buffers_have_filled() -> None:
    seconds = np.arange(240.0)
    resident = 300 + np.minimum(seconds, 40) * 5 + 0.01 * seconds
    resident += np.random.default_rng(1).normal(0, 0.2, seconds.size)
    slope, sigma = memory_slope(np.stack([seconds, resident], axis=1))
    assert slope == pytest.approx(0.6, abs=4 * sigma)
    assert 0 < sigma < 0.1
    assert memory_slope(np.empty((0, 2))) == (None, None)


def test_resident_memory_is_below_its_peak() -> None:
    now_mb, peak_mb = resident_mb(), resident_mb(peak=True)
    if now_mb is None or peak_mb is None:
        pytest.skip("this system does not tell")
    assert 10 < now_mb <= peak_mb
    assert resident_mb(2**30) is None
