"""The CPU backend against the slow reference, on random small frames and on real data."""

from collections.abc import Callable
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hexlive.kernels.backend import (
    Counts,
    EventSettings,
    PixelMaps,
    SpectrumSettings,
)
from hexlive.kernels.cpu import CpuBackend

SlowCount = Callable[..., Counts]
MakePixels = Callable[..., PixelMaps]
AXIS = SpectrumSettings(min_kev=4.0, max_kev=12.0, bin_kev=0.5)
AXES = (AXIS, SpectrumSettings(min_kev=-1.0, max_kev=30.0, bin_kev=0.3))
N_ADU = 24
# Small ones, and rows of one bit less than a word, of a word, and of more.
MODULES = (
    *((1, 1), (1, 7), (5, 1), (3, 4), (6, 6), (9, 8), (12, 20)),
    *((4, 63), (3, 64), (3, 80), (2, 200)),
)


def assert_same(counts: Counts, expected: Counts) -> None:
    for field in fields(Counts):
        value, wanted = getattr(counts, field.name), getattr(expected, field.name)
        np.testing.assert_array_equal(value, wanted, err_msg=field.name)
        if isinstance(wanted, np.ndarray):
            assert value.dtype == wanted.dtype, field.name


def count(batches: Any, **options: Any) -> Counts:
    backend = CpuBackend(**options)
    for first_frame, frames in batches:
        backend.add(frames, first_frame)
    return backend.snapshot()


def random_pixels(
    rng: np.random.Generator, modules: tuple[int, int], shape: tuple[int, int], *, level: bool
) -> PixelMaps:
    """Maps with masked and unusable pixels; ``level``: equal pixels, so that energies tie.

    0 ADU is below 0.5 keV, and each threshold is exactly the energy of some ADU above 0.
    """

    def uniform(low: float, high: float) -> NDArray[np.float32]:
        size = () if level else shape
        return np.broadcast_to(rng.uniform(low, high, size), shape).astype(np.float32)

    pedestal, gradient, intercept = uniform(0, 3), uniform(0.3, 0.7), uniform(-0.5, 0.5)
    adu = rng.integers(2, 10, shape).astype(np.float32)
    threshold = (adu - pedestal) * gradient + intercept
    gradient = np.where(rng.random(shape) < 0.03, rng.choice([0, -1, np.nan, np.inf]), gradient)
    edges = np.sort(rng.uniform(0, 15, (4, *shape)), axis=0)
    return PixelMaps(
        pedestal_adu=pedestal,
        gradient_kev_per_adu=gradient.astype(np.float32),
        intercept_kev=intercept,
        threshold_kev=threshold,
        masked=rng.random(shape) < 0.05,
        window_edges_kev=edges.astype(np.float32) if rng.random() < 0.8 else None,
        charge_loss=rng.uniform(0.9, 1.5, rng.integers(2, 9)).astype(np.float32),
        modules=modules,
    )


@st.composite
def event_settings(draw: st.DrawFn) -> EventSettings:
    return EventSettings(
        threshold_kev=20.0,  # the map wins
        low_threshold_kev=draw(st.sampled_from([None, 0.75, 1.5, 3.0])),
        connectivity=draw(st.sampled_from([4, 8])),
        policy=draw(st.sampled_from(["add", "discriminate", "none"])),
        max_cluster=draw(st.integers(1, 5)),
        veto_masked=draw(st.booleans()),
        next_frame=draw(st.booleans()),
        dither=draw(st.booleans()),
        dither_seed=draw(st.integers(-3, 2**64)),
        keep_multiplicity=draw(st.booleans()),
        charge_loss=draw(st.booleans()),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, NDArray[np.uint16], dict[str, Any]]:
    """A first frame number, frames, and settings of a backend."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    modules = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)]))
    module = draw(
        st.sampled_from(
            [
                (1, 1),
                (1, 7),
                (5, 1),
                (3, 4),
                (6, 6),
                (9, 8),
                (4, 63),
                (3, 64),
                (3, 80),
                (12, 20),
                (2, 200),
            ]
        )
    )
    shape = (modules[0] * module[0], modules[1] * module[1])
    frames = rng.integers(0, N_ADU, (draw(st.integers(1, 6)), *shape)).astype(np.uint16)
    frames *= rng.random(frames.shape) < draw(st.sampled_from([0.1, 0.3, 0.6, 1.0]))
    pixels = random_pixels(rng, modules, shape, level=draw(st.booleans()))
    events, spectrum = draw(event_settings()), draw(st.sampled_from(AXES))
    options = {"events": events, "spectrum": spectrum, "pixels": pixels}
    return draw(st.sampled_from([0, 1, 2**32, 2**62])), frames, options


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(case=cases(), gap_after=st.integers(0, 6), gap=st.integers(1, 3))
@settings(relaxed, max_examples=1000)
def test_counts_equal_the_slow_reference(
    count_slowly: SlowCount, case: Any, gap_after: int, gap: int
) -> None:
    first, frames, options = case
    batches = [(first, frames[:gap_after]), (first + gap_after + gap, frames[gap_after:])]
    assert_same(count(batches, **options), count_slowly(batches, **options))


@given(case=cases(), cuts=st.lists(st.integers(0, 6), max_size=4))
@settings(relaxed, max_examples=60)
def test_counts_do_not_depend_on_how_frames_are_batched(case: Any, cuts: list[int]) -> None:
    first, frames, options = case
    edges = [0, *sorted(min(cut, len(frames)) for cut in cuts), len(frames)]
    batches = [(first + a, frames[a:b]) for a, b in pairwise(edges)]
    assert_same(count(batches, **options), count([(first, frames)], **options))


@given(case=cases(), extra=cases())
@settings(relaxed, max_examples=60)
def test_clear_leaves_nothing_behind(case: Any, extra: Any) -> None:
    first, frames, options = case
    backend = CpuBackend(**options)
    backend.add(frames[::-1], max(first - len(frames), 0))
    backend.clear()
    backend.add(frames, first)
    assert_same(backend.snapshot(), count([(first, frames)], **options))


@given(case=cases())
@settings(relaxed, max_examples=60)
def test_every_hit_is_accounted_for_and_every_event_is_somewhere(case: Any) -> None:
    first, frames, options = case
    options["events"] = replace(options["events"], policy="none", keep_multiplicity=True)
    counts = count([(first, frames)], **options)
    counts.check()
    assert counts.spectra.sum() == counts.booked_hits
    assert (counts.under.sum(), counts.over.sum()) == (counts.under_hits, counts.over_hits)
    assert counts.single_spectra is not None
    assert np.all(counts.single_spectra <= counts.spectra)
    assert counts.dropped_hits["too_large"] == 0


def test_a_snapshot_does_not_follow_later_counts(make_pixels: MakePixels) -> None:
    backend = CpuBackend(events=EventSettings(), spectrum=AXIS, pixels=make_pixels((3, 3)))
    before = backend.snapshot()
    backend.add(np.full((1, 3, 3), 9, np.uint16), 0)
    assert before.hits.sum() == 0
    assert before.spectra.sum() == 0
    assert backend.snapshot().hits.sum() == 9


def test_bins_and_windows_are_half_open(make_pixels: MakePixels) -> None:
    edges = np.array([5, 7, 9, 11], np.float32).reshape(4, 1, 1)
    frames = np.arange(3, 14, dtype=np.uint16).reshape(-1, 1, 1)  # 3 to 13 keV
    pixels = make_pixels((1, 1), window_edges_kev=edges)
    counts = count([(0, frames)], events=EventSettings(), spectrum=AXIS, pixels=pixels)
    assert (counts.under.item(), counts.over.item()) == (1, 2)
    assert np.flatnonzero(counts.spectra).tolist() == list(range(0, 16, 2))
    assert (counts.window_low.item(), counts.window_high.item()) == (2, 4)


def test_next_frame_rejection_needs_consecutive_numbers(make_pixels: MakePixels) -> None:
    frames = np.full((2, 1, 1), 9, np.uint16)
    options = {
        "events": EventSettings(next_frame=True),
        "spectrum": AXIS,
        "pixels": make_pixels((1, 1)),
    }
    assert count([(4, frames)], **options).dropped_hits["next_frame"] == 1
    batches = [(4, frames[:1]), (6, frames[1:])]
    assert count(batches, **options).dropped_hits["next_frame"] == 0


def test_any_kind_of_array_gives_the_same_counts(make_pixels: MakePixels) -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 9, (4, 6, 5)).astype(np.uint16)
    options = {"events": EventSettings(), "spectrum": AXIS, "pixels": make_pixels((6, 5))}
    expected = count([(0, frames)], **options)
    received = np.frombuffer(b"\0" + frames.tobytes(), np.uint16, offset=1).reshape(frames.shape)
    assert not received.flags.aligned
    assert not received.flags.writeable
    for other in (received, np.asfortranarray(frames), np.repeat(frames, 2, axis=1)[:, ::2]):
        assert_same(count([(np.uint64(0), other)], **options), expected)
    assert frames.flags.writeable


@pytest.mark.parametrize(
    ("frames", "first_frame", "sentence"),
    [
        (np.zeros((2, 4, 5), np.int16), 0, "Frames must be uint16, not int16"),
        (np.zeros((2, 4, 5), ">u2"), 0, "Frames must be uint16, not >u2"),
        (np.zeros((2, 5, 4), np.uint16), 0, r"the shape \(frames, 4, 5\), not \(2, 5, 4\)"),
        (np.zeros((4, 5), np.uint16), 0, r"not \(4, 5\)"),
        (np.zeros((2, 4, 5), np.uint16), -1, "2 frames begin at -1"),
        (np.zeros((2, 4, 5), np.uint16), 2**63 - 2, "Frame numbers must lie in 0 to"),
    ],
)
def test_a_bad_batch_is_refused_whole(
    make_pixels: MakePixels, frames: Any, first_frame: int, sentence: str
) -> None:
    backend = CpuBackend(events=EventSettings(), spectrum=AXIS, pixels=make_pixels((4, 5)))
    with pytest.raises(ValueError, match=sentence):
        backend.add(frames, first_frame)
    assert backend.snapshot().n_frames == 0


def test_counters_refuse_to_wrap(make_pixels: MakePixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexlive.kernels.contract.MAX_FRAMES", 3)
    backend = CpuBackend(events=EventSettings(), spectrum=AXIS, pixels=make_pixels((1, 1)))
    backend.add(np.zeros((3, 1, 1), np.uint16), 0)
    with pytest.raises(OverflowError, match="4 frames are more than the counters hold"):
        backend.add(np.zeros((1, 1, 1), np.uint16), 3)


def test_spectra_too_large_for_memory_are_refused_with_their_size(make_pixels: MakePixels) -> None:
    spectrum = SpectrumSettings(max_kev=160, bin_kev=0.002)
    with pytest.raises(ValueError, match=r"230400 spectra of 80000 bins take 68\.7 GiB"):
        CpuBackend(
            events=EventSettings(keep_multiplicity=True),
            spectrum=spectrum,
            pixels=make_pixels((240, 480)),
        )


EVENTS = (
    EventSettings(),
    EventSettings(policy="discriminate", connectivity=4, veto_masked=True),
    EventSettings(policy="none", dither=True, keep_multiplicity=True),
    EventSettings(low_threshold_kev=2.0, max_cluster=4, next_frame=True, dither=True),
)


@pytest.mark.parametrize("events", EVENTS)
def test_raw_camera_frames_give_the_counts_of_the_slow_reference(
    shared_data: Path, make_pixels: MakePixels, count_slowly: SlowCount, events: EventSettings
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
    assert_same(count(batches, **options), expected)
    assert expected.hits.sum() > 900


@pytest.mark.parametrize("events", EVENTS)
def test_calibration_pulses_in_four_modules_give_the_counts_of_the_slow_reference(
    shared_data: Path, make_pixels: MakePixels, count_slowly: SlowCount, events: EventSettings
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
    assert_same(count([(3, frames)], **options), expected)
    assert expected.hits.sum() > 1000
