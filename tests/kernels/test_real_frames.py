"""Every device on frames of real cameras, against the slow reference."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hexlive.kernels.backend import (
    Backend,
    Counts,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)

SlowCount = Callable[..., Counts]
AssertSame = Callable[[Counts, Counts], None]
MakePixels = Callable[..., PixelMaps]
Open = Callable[..., Backend]


def count(open_here: Open, batches: Any, **options: Any) -> Counts:
    backend = open_here(**options)
    for first_frame, frames in batches:
        backend.add(frames, first_frame)
    return backend.snapshot()


EVENTS = (
    EventSettings(),
    EventSettings(policy="discriminate", connectivity=4, veto_masked=True),
    EventSettings(policy="none", dither=True, keep_multiplicity=True),
    EventSettings(low_threshold_kev=2.0, max_cluster=4, next_frame=True, dither=True),
)


@pytest.mark.parametrize("events", EVENTS)
def test_raw_camera_frames_give_the_counts_of_the_slow_reference(
    assert_same: AssertSame,
    open_here: Open,
    shared_data: Path,
    make_pixels: MakePixels,
    count_slowly: SlowCount,
    events: EventSettings,
) -> None:
    data = shared_data / "hexitec"
    with h5py.File(data / "gse_30_frames.h5") as file:
        frames, dark = file["raw_frames"][:], file["dark_frames"][:]
    pixels = make_pixels(
        frames.shape[1:],
        pedestal_adu=dark.mean(axis=0),
        gradient_kev_per_adu=np.load(data / "gradient_80x80.npy"),
        intercept_kev=np.load(data / "intercept_80x80.npy"),
        threshold_kev=4.5,  # noise sits at the intercept, up to 4.0 keV in this calibration
        masked=dark.std(axis=0) > 15,
    )
    options = {"events": events, "spectrum": SpectrumSettings(max_kev=330), "pixels": pixels}
    batches = [(0, frames[:17]), (17, frames[17:])]
    expected = count_slowly(batches, **options)
    assert_same(count(open_here, batches, **options), expected)
    assert expected.hits.sum() > 900


@pytest.mark.parametrize("events", EVENTS)
def test_calibration_pulses_in_four_modules_give_the_counts_of_the_slow_reference(
    assert_same: AssertSame,
    open_here: Open,
    shared_data: Path,
    make_pixels: MakePixels,
    count_slowly: SlowCount,
    events: EventSettings,
) -> None:
    data = shared_data / "hexitec"
    with h5py.File(data / "vcal_2x2_30_frames.h5") as file:
        frames = file["raw_frames"][:9]
    gradient, intercept = (
        np.loadtxt(data / f"{name}_2x6.txt.gz").reshape(160, 480)[:, :160]
        for name in ("gradients", "intercepts")
    )
    pixels = make_pixels(
        frames.shape[1:],
        gradient_kev_per_adu=gradient,
        intercept_kev=intercept,
        threshold_kev=10,
        modules=(2, 2),
    )
    low = None if events.low_threshold_kev is None else 9.0
    options = {
        "events": replace(events, threshold_kev=10.0, low_threshold_kev=low),
        "spectrum": SpectrumSettings(bin_kev=1.0),
        "pixels": pixels,
    }
    expected = count_slowly([(3, frames)], **options)
    assert_same(count(open_here, [(3, frames)], **options), expected)
    assert expected.hits.sum() > 1000
