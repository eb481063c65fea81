"""Several cores: the same counts, whoever counts which frames."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hexlive.kernels.backend import Counts, EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.cpu import CpuBackend

AXIS = SpectrumSettings(min_kev=4.0, max_kev=12.0, bin_kev=0.5)
CUTS = (0, 1, 7, 40, 41, 60)


def batches(shape: tuple[int, int]) -> list[tuple[int, np.ndarray]]:
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 14, (60, *shape)).astype(np.uint16)
    frames *= rng.random(frames.shape) < 0.4
    return [(1000 + a, frames[a:b]) for a, b in pairwise(CUTS)]


@pytest.mark.parametrize("threads", [2, 3, 7])
@pytest.mark.parametrize(
    "events",
    [
        EventSettings(next_frame=True),
        EventSettings(next_frame=True, policy="none", keep_multiplicity=True),
        EventSettings(policy="discriminate", low_threshold_kev=2.0),
    ],
)
def test_any_number_of_threads_gives_the_counts_of_the_slow_reference(
    assert_same: Callable[[Counts, Counts], None],
    make_pixels: Callable[..., PixelMaps],
    count_slowly: Callable[..., Counts],
    monkeypatch: pytest.MonkeyPatch,
    events: EventSettings,
    threads: int,
) -> None:
    monkeypatch.setattr("hexlive.kernels.cpu.MIN_FRAMES_PER_THREAD", 4)
    options: dict[str, Any] = {
        "events": events,
        "spectrum": AXIS,
        "pixels": make_pixels((7, 9), threshold_kev=4.0),
    }
    backend = CpuBackend(**options, threads=threads)
    assert backend.threads == threads
    backend.add(np.full((20, 7, 9), 9, np.uint16), 5)
    backend.clear()
    for first_frame, frames in batches((7, 9)):
        backend.add(frames, first_frame)
    assert_same(backend.snapshot(), count_slowly(batches((7, 9)), **options))


def test_counters_of_all_threads_together_stay_below_the_limit_of_memory(
    make_pixels: Callable[..., PixelMaps], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexlive.kernels.cpu.MAX_THREAD_BYTES", 3_000_000)
    pixels = make_pixels((80, 80), threshold_kev=4.0)
    backend = CpuBackend(events=EventSettings(), spectrum=AXIS, pixels=pixels, threads=64)
    assert 1 < backend.threads < 7
