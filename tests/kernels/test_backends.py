"""Every device against the slow reference, on random small frames and on real data."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

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
AXIS = SpectrumSettings(min_kev=4.0, max_kev=12.0, bin_kev=0.5)
AXES = (AXIS, SpectrumSettings(min_kev=-1.0, max_kev=30.0, bin_kev=0.3))
N_ADU = 24
# Small ones, and rows of one bit less than a word, of a word, and of more.
MODULES = (
    *((1, 1), (1, 7), (5, 1), (3, 4), (6, 6), (9, 8), (12, 20)),
    *((4, 63), (3, 64), (3, 80), (2, 200)),
)


def count(open_here: Open, batches: Any, **options: Any) -> Counts:
    backend = open_here(**options)
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
    module = draw(st.sampled_from(MODULES))
    shape = (modules[0] * module[0], modules[1] * module[1])
    frames = rng.integers(0, N_ADU, (draw(st.integers(1, 6)), *shape)).astype(np.uint16)
    frames *= rng.random(frames.shape) < draw(st.sampled_from([0.1, 0.3, 0.6, 1.0]))
    pixels = random_pixels(rng, modules, shape, level=draw(st.booleans()))
    events, spectrum = draw(event_settings()), draw(st.sampled_from(AXES))
    options = {"events": events, "spectrum": spectrum, "pixels": pixels}
    return draw(st.sampled_from([0, 1, 2**32, 2**62])), frames, options


relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(case=cases(), gap_after=st.integers(0, 6), gap=st.integers(1, 3))
@settings(relaxed, max_examples=400)
def test_counts_equal_the_slow_reference(
    assert_same: AssertSame,
    open_here: Open,
    count_slowly: SlowCount,
    case: Any,
    gap_after: int,
    gap: int,
) -> None:
    first, frames, options = case
    batches = [(first, frames[:gap_after]), (first + gap_after + gap, frames[gap_after:])]
    assert_same(count(open_here, batches, **options), count_slowly(batches, **options))


@given(case=cases(), cuts=st.lists(st.integers(0, 6), max_size=4))
@settings(relaxed, max_examples=60)
def test_counts_do_not_depend_on_how_frames_are_batched(
    assert_same: AssertSame, open_here: Open, case: Any, cuts: list[int]
) -> None:
    first, frames, options = case
    edges = [0, *sorted(min(cut, len(frames)) for cut in cuts), len(frames)]
    batches = [(first + a, frames[a:b]) for a, b in pairwise(edges)]
    assert_same(
        count(open_here, batches, **options), count(open_here, [(first, frames)], **options)
    )


@given(case=cases(), cut=st.integers(0, 6))
@settings(relaxed, max_examples=60)
def test_counts_loaded_and_frames_added_are_the_counts_of_all(
    assert_same: AssertSame, open_here: Open, case: Any, cut: int
) -> None:
    first, frames, options = case
    before = (first, frames[:cut])
    after = (first + cut + 1, frames[cut:])  # one is missing, so that neither needs the other
    backend = open_here(**options)
    backend.load(count(open_here, [before], **options))
    backend.add(after[1], after[0])
    assert_same(backend.snapshot(), count(open_here, [before, after], **options))
    other_way_round = open_here(**options)
    other_way_round.add(after[1], after[0])
    other_way_round.load(count(open_here, [before], **options))
    assert_same(other_way_round.snapshot(), backend.snapshot())


def test_a_load_does_not_come_between_two_frames(open_here: Open, make_pixels: MakePixels) -> None:
    frames = np.full((2, 1, 1), 9, np.uint16)
    events = EventSettings(next_frame=True)
    options = {"events": events, "spectrum": AXIS, "pixels": make_pixels((1, 1))}
    backend = open_here(**options)
    backend.add(frames[:1], 4)
    backend.load(count(open_here, [(9, frames[:1])], **options))
    backend.add(frames[1:], 5)
    assert backend.snapshot().dropped_hits["next_frame"] == 1


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"spectrum": AXES[1]}, r"The counts are \(4, 5, 103\), these counters are \(4, 5, 16\)"),
        ({"shape": (5, 4)}, r"The counts are \(5, 4, 16\)"),
        ({"events": EventSettings(keep_multiplicity=True)}, r"events\.keep_multiplicity"),
    ],
)
def test_counts_of_another_kind_are_refused_whole(
    open_here: Open, make_pixels: MakePixels, other: Any, sentence: str
) -> None:
    plain = {"events": EventSettings(), "spectrum": AXIS}
    shape = other.get("shape", (4, 5))
    options = {**plain, **{name: other[name] for name in plain if name in other}}
    frames = np.full((1, *shape), 9, np.uint16)
    counts = count(open_here, [(0, frames)], **options, pixels=make_pixels(shape))
    backend = open_here(**plain, pixels=make_pixels((4, 5)))
    with pytest.raises(ValueError, match=sentence):
        backend.load(counts)
    assert backend.snapshot().n_frames == backend.snapshot().hits.sum() == 0


@given(case=cases(), extra=cases())
@settings(relaxed, max_examples=60)
def test_clear_leaves_nothing_behind(
    assert_same: AssertSame, open_here: Open, case: Any, extra: Any
) -> None:
    first, frames, options = case
    backend = open_here(**options)
    backend.add(frames[::-1], max(first - len(frames), 0))
    backend.clear()
    backend.add(frames, first)
    assert_same(backend.snapshot(), count(open_here, [(first, frames)], **options))


@given(case=cases())
@settings(relaxed, max_examples=60)
def test_every_hit_is_accounted_for_and_every_event_is_somewhere(
    open_here: Open, case: Any
) -> None:
    first, frames, options = case
    options["events"] = replace(options["events"], policy="none", keep_multiplicity=True)
    counts = count(open_here, [(first, frames)], **options)
    counts.check()
    assert counts.spectra.sum() == counts.booked_hits
    assert (counts.under.sum(), counts.over.sum()) == (counts.under_hits, counts.over_hits)
    assert counts.single_spectra is not None
    assert np.all(counts.single_spectra <= counts.spectra)
    assert counts.dropped_hits["too_large"] == 0


def test_a_snapshot_does_not_follow_later_counts(open_here: Open, make_pixels: MakePixels) -> None:
    backend = open_here(events=EventSettings(), spectrum=AXIS, pixels=make_pixels((3, 3)))
    before = backend.snapshot()
    backend.add(np.full((1, 3, 3), 9, np.uint16), 0)
    assert before.hits.sum() == 0
    assert before.spectra.sum() == 0
    assert backend.snapshot().hits.sum() == 9


def test_bins_and_windows_are_half_open(open_here: Open, make_pixels: MakePixels) -> None:
    edges = np.array([5, 7, 9, 11], np.float32).reshape(4, 1, 1)
    frames = np.arange(3, 14, dtype=np.uint16).reshape(-1, 1, 1)  # 3 to 13 keV
    pixels = make_pixels((1, 1), window_edges_kev=edges)
    counts = count(open_here, [(0, frames)], events=EventSettings(), spectrum=AXIS, pixels=pixels)
    assert (counts.under.item(), counts.over.item()) == (1, 2)
    assert np.flatnonzero(counts.spectra).tolist() == list(range(0, 16, 2))
    assert (counts.window_low.item(), counts.window_high.item()) == (2, 4)


def test_next_frame_rejection_needs_consecutive_numbers(
    open_here: Open, make_pixels: MakePixels
) -> None:
    frames = np.full((2, 1, 1), 9, np.uint16)
    options = {
        "events": EventSettings(next_frame=True),
        "spectrum": AXIS,
        "pixels": make_pixels((1, 1)),
    }
    assert count(open_here, [(4, frames)], **options).dropped_hits["next_frame"] == 1
    batches = [(4, frames[:1]), (6, frames[1:])]
    assert count(open_here, batches, **options).dropped_hits["next_frame"] == 0


@pytest.mark.parametrize("columns", [63, 64, 448, 480, 960])
def test_a_track_along_the_first_row_is_one_cluster(
    open_here: Open, make_pixels: MakePixels, columns: int
) -> None:
    """Longer than the window in which clusters are looked at, and at the first bit of all."""
    frames = np.zeros((1, 3, columns), np.uint16)
    frames[0, 0, :30] = 9
    frames[0, 2, -30:] = 9
    options = {"events": EventSettings(), "spectrum": AXIS, "pixels": make_pixels((3, columns))}
    counts = count(open_here, [(0, frames)], **options)
    assert counts.cluster_sizes.tolist() == [0, 0, 0, 0, 2]
    assert counts.dropped_hits["too_large"] == 60


def test_frame_numbers_may_jump_far(
    assert_same: AssertSame, open_here: Open, make_pixels: MakePixels, count_slowly: SlowCount
) -> None:
    rng = np.random.default_rng(4)
    batches = [
        (first, rng.integers(0, 20, (3, 4, 5)).astype(np.uint16))
        for first in (0, 2**32 - 2, 2**32 + 1, 2**40, 2**62, 2**63 - 4)
    ]
    events = EventSettings(next_frame=True, dither=True, policy="none")
    options = {"events": events, "spectrum": AXIS, "pixels": make_pixels((4, 5))}
    expected = count_slowly(batches, **options)
    assert_same(count(open_here, batches, **options), expected)
    assert expected.dropped_hits["next_frame"] > 0


def test_energies_are_rounded_after_each_operation(
    assert_same: AssertSame, open_here: Open, make_pixels: MakePixels, count_slowly: SlowCount
) -> None:
    """Bins of a hundred roundings: a fused or a reordered operation moves some event."""
    rng = np.random.default_rng(5)
    calibration = {
        "pedestal_adu": rng.uniform(0, 50, (8, 8)),
        "gradient_kev_per_adu": rng.uniform(0.02, 0.04, (8, 8)),
        "intercept_kev": rng.uniform(-1, 1, (8, 8)),
    }
    options = {
        "events": EventSettings(policy="none", dither=True),
        "spectrum": SpectrumSettings(min_kev=3.0, max_kev=12.0, bin_kev=1e-4),
        "pixels": make_pixels((8, 8), **calibration),
    }
    batches = [(9, rng.integers(250, 350, (60, 8, 8)).astype(np.uint16))]
    assert_same(count(open_here, batches, **options), count_slowly(batches, **options))


def test_charge_loss_is_corrected_at_every_ratio(
    assert_same: AssertSame, open_here: Open, make_pixels: MakePixels, count_slowly: SlowCount
) -> None:
    """Energies from -4 to 11 keV: the ratio of two may lie beyond -1 and 1, or be 0/0."""
    curve = np.array([1.0, 1.5, 0.7, 1.2], np.float32)
    calibration = {"intercept_kev": -6, "threshold_kev": -4.5}
    options = {
        "events": EventSettings(threshold_kev=-4.5, charge_loss=True),
        "spectrum": SpectrumSettings(min_kev=-20.0, max_kev=40.0, bin_kev=0.01),
        "pixels": make_pixels((1, 2), charge_loss=curve, **calibration),
    }
    pairs = np.indices((16, 16), np.uint16).reshape(2, -1).T + np.uint16(2)
    batches = [(0, np.ascontiguousarray(pairs).reshape(-1, 1, 2))]
    assert_same(count(open_here, batches, **options), count_slowly(batches, **options))


def test_any_kind_of_array_gives_the_same_counts(
    assert_same: AssertSame, open_here: Open, make_pixels: MakePixels
) -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 9, (4, 6, 5)).astype(np.uint16)
    options = {"events": EventSettings(), "spectrum": AXIS, "pixels": make_pixels((6, 5))}
    expected = count(open_here, [(0, frames)], **options)
    received = np.frombuffer(b"\0" + frames.tobytes(), np.uint16, offset=1).reshape(frames.shape)
    assert not received.flags.aligned
    assert not received.flags.writeable
    for other in (received, np.asfortranarray(frames), np.repeat(frames, 2, axis=1)[:, ::2]):
        assert_same(count(open_here, [(np.uint64(0), other)], **options), expected)
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
    open_here: Open, make_pixels: MakePixels, frames: Any, first_frame: int, sentence: str
) -> None:
    backend = open_here(events=EventSettings(), spectrum=AXIS, pixels=make_pixels((4, 5)))
    with pytest.raises(ValueError, match=sentence):
        backend.add(frames, first_frame)
    assert backend.snapshot().n_frames == 0


def preset(backend: Any, n_frames: int, n_hits: int) -> None:
    """Let a backend of one pixel believe that it has counted so many hits at 9 keV."""
    on_cpu = backend.name == "cpu"
    tally = backend._kits[0].tally if on_cpu else backend._tally
    with nullcontext() if on_cpu else backend._device.in_order():
        tally.spectra[0, 10] = n_frames
        for counters in (tally.hits, tally.window_low):
            counters[0] = n_hits
        tally.cluster_sizes[0] = tally.fates[0] = n_hits
    backend._n_frames = n_frames


@pytest.mark.parametrize(
    ("n_frames", "n_hits"), [(2**32 - 2, 2**32 - 2), (10**9, 10**9), (10**9, 2**40), (1, 2**62)]
)
def test_counters_are_exact_up_to_their_limits(
    open_here: Open, make_pixels: MakePixels, n_frames: int, n_hits: int
) -> None:
    edges = np.array([5, 7, 11, 13], np.float32).reshape(4, 1, 1)
    pixels = make_pixels((1, 1), window_edges_kev=edges)
    backend = open_here(events=EventSettings(), spectrum=AXIS, pixels=pixels)
    preset(backend, n_frames, n_hits)
    backend.add(np.full((1, 1, 1), 9, np.uint16), 0)
    counts = backend.snapshot()
    assert counts.spectra[0, 0, 10] == counts.n_frames == n_frames + 1
    for n_counted in (counts.hits, counts.window_low, counts.cluster_sizes[0], counts.booked_hits):
        assert int(np.squeeze(n_counted)) == n_hits + 1
    if n_frames == 2**32 - 2:
        with pytest.raises(OverflowError, match="4294967296 frames are more than the counters"):
            backend.add(np.full((1, 1, 1), 9, np.uint16), 1)
        assert backend.snapshot().hits.sum() == n_hits + 1


def test_spectra_too_large_for_memory_are_refused_with_their_size(
    open_here: Open, make_pixels: MakePixels
) -> None:
    spectrum = SpectrumSettings(max_kev=160, bin_kev=0.002)
    with pytest.raises(ValueError, match=r"230400 spectra of 80000 bins take 68\.7 GiB"):
        open_here(
            events=EventSettings(keep_multiplicity=True),
            spectrum=spectrum,
            pixels=make_pixels((240, 480)),
        )
