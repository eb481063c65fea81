"""The facility's chain is reproduced step by step, and none of its faults with it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexlive.kernels.backend import EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.odin import OdinBackend

SHAPE = (6, 7)
AXIS = SpectrumSettings(max_kev=20.0, bin_kev=0.5)
F32 = np.float32


def scanned(energy: np.ndarray, policy: str, reach: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Energies after the scan in plain Python, the hits in each, and how many were discarded."""
    energy = energy.copy()
    hits, discarded = (energy > 0).astype(int), 0
    rows, columns = energy.shape
    for row, column in np.ndindex(energy.shape if policy != "none" else (0, 0)):
        if energy[row, column] <= 0:
            continue
        window = [
            (r, c)
            for r in range(max(row - reach, 0), min(row + reach + 1, rows))
            for c in range(max(column - reach, 0), min(column + reach + 1, columns))
            if (r, c) != (row, column) and energy[r, c] > 0
        ]
        best = (row, column)
        for other in window:
            if policy == "discriminate":
                discarded += 1
                energy[other] = hits[other] = 0
                continue
            winner, loser = (other, best) if energy[other] >= energy[best] else (best, other)
            energy[winner] = F32(energy[winner] + energy[loser])
            hits[winner] += hits[loser]
            energy[loser] = hits[loser] = 0
            best = winner
        if policy == "discriminate" and window:
            discarded += 1
            energy[best] = hits[best] = 0
    return energy, hits, discarded


def chain(pixels: PixelMaps, policy: str = "add", window: int = 3) -> OdinBackend:
    events = EventSettings(policy=policy)
    return OdinBackend(events=events, spectrum=AXIS, pixels=pixels, window=window)


@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("policy", ["add", "discriminate", "none"])
def test_the_chain_counts_as_its_steps_one_by_one(make_pixels, policy: str, window: int) -> None:
    rng = np.random.default_rng(7)
    masked = np.zeros(SHAPE, bool)
    masked[2, 3] = True
    gradient = rng.uniform(0.5, 1.5, SHAPE)
    pixels = make_pixels(
        SHAPE, pedestal_adu=2, gradient_kev_per_adu=gradient, intercept_kev=0.25, masked=masked
    )
    backend = chain(pixels, policy, window)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**32), st.floats(0.02, 0.9))
    def check(seed: int, occupancy: float) -> None:
        rng = np.random.default_rng(seed)
        frames = rng.integers(0, 14, (3, *SHAPE)) * (rng.random((3, *SHAPE)) < occupancy)
        backend.clear()
        backend.add(frames.astype(np.uint16), 0)
        counts = backend.snapshot()
        spectra, over = np.zeros((*SHAPE, AXIS.n_bins), int), np.zeros(SHAPE, int)
        hits_in, hits_over, dropped = 0, 0, 0
        for frame in frames.astype(F32):
            kev = (frame - pixels.pedestal_adu) * pixels.gradient_kev_per_adu + F32(0.25)
            kev[masked | (kev < 3)] = 0
            kev, hits, discarded = scanned(kev, policy, window // 2)
            dropped += discarded
            for cell in np.argwhere(kev > 0):
                place = tuple(cell)
                position = int(float(kev[place]) / AXIS.bin_kev)
                if position < AXIS.n_bins:
                    spectra[(*place, position)] += 1
                    hits_in += hits[place]
                else:
                    over[place] += 1
                    hits_over += hits[place]
        np.testing.assert_array_equal(counts.spectra, spectra)
        np.testing.assert_array_equal(counts.over, over)
        assert (counts.booked_hits, counts.over_hits) == (hits_in, hits_over)
        assert counts.dropped_hits["too_large"] == dropped

    check()


def one_frame(shape: tuple[int, int], **values: int) -> np.ndarray:
    frame = np.zeros((1, *shape), np.uint16)
    for place, adu in values.items():
        frame[0, int(place[1]), int(place[2])] = adu
    return frame


def booked(backend: OdinBackend) -> dict[tuple[int, int], float]:
    spectra = backend.snapshot().spectra
    return {(int(r), int(c)): bin_ * AXIS.bin_kev for r, c, bin_ in np.argwhere(spectra)}


def test_of_equal_pixels_the_later_gets_the_sum(make_pixels) -> None:
    backend = chain(make_pixels(SHAPE))
    backend.add(one_frame(SHAPE, p22=5, p23=5), 0)
    assert booked(backend) == {(2, 3): 10.0}


def test_the_scan_passes_the_end_of_a_long_cluster_as_a_single(make_pixels) -> None:
    backend = chain(make_pixels(SHAPE), "discriminate")
    backend.add(one_frame(SHAPE, p21=5, p22=6, p23=7), 0)
    assert booked(backend) == {(2, 3): 7.0}
    assert backend.snapshot().cluster_sizes.tolist() == [1, 1, 0, 0, 0]


def test_the_scan_crosses_the_edges_of_modules(make_pixels) -> None:
    backend = chain(make_pixels((4, 6), modules=(1, 2)))
    backend.add(one_frame((4, 6), p12=5, p13=6), 0)
    assert booked(backend) == {(1, 3): 11.0}


def test_a_wider_window_reaches_two_pixels_away(make_pixels) -> None:
    for window, expected in ((3, {(2, 1): 5.0, (2, 3): 6.0}), (5, {(2, 3): 11.0})):
        backend = chain(make_pixels(SHAPE), window=window)
        backend.add(one_frame(SHAPE, p21=5, p23=6), 0)
        assert booked(backend) == expected


def test_an_energy_at_the_end_of_the_axis_stays_with_its_pixel(make_pixels) -> None:
    backend = chain(make_pixels(SHAPE))
    backend.add(one_frame(SHAPE, p22=20), 0)
    counts = backend.snapshot()
    assert not counts.spectra.any()
    assert np.argwhere(counts.over).tolist() == [[2, 2]]


def test_counts_loaded_and_frames_added_are_the_counts_of_all(make_pixels, assert_same) -> None:
    frames = np.random.default_rng(3).integers(0, 9, (6, *SHAPE)).astype(np.uint16)
    whole, first, second = (chain(make_pixels(SHAPE)) for _ in range(3))
    whole.add(frames, 0)
    first.add(frames[:4], 0)
    second.add(frames[4:], 4)
    second.load(first.snapshot())
    assert_same(second.snapshot(), whole.snapshot())


def test_nothing_is_left_of_older_frames(make_pixels) -> None:
    backend = chain(make_pixels(SHAPE))
    backend.add(one_frame(SHAPE, p22=5), 0)
    backend.add(one_frame(SHAPE, p33=6), 900)
    assert booked(backend) == {(2, 2): 5.0, (3, 3): 6.0}
    assert backend.snapshot().n_frames == 2
    backend.clear()
    backend.add(one_frame(SHAPE), 901)
    backend.add(one_frame(SHAPE)[:0], 902)
    assert not backend.snapshot().spectra.any()


def test_counters_go_on_where_a_float32_stops(make_pixels) -> None:
    backend = chain(make_pixels(SHAPE))
    backend._tally.spectra[8, 10] = 2**24
    backend._tally.fates[0] = backend._tally.hits[8] = 2**24
    backend.add(np.repeat(one_frame(SHAPE, p11=5), 3, axis=0), 0)
    assert backend.snapshot().spectra[1, 1, 10] == 2**24 + 3


def test_window_sums_follow_the_edges_of_their_pixel(make_pixels) -> None:
    edges = np.broadcast_to(np.float32([4, 6, 8, 10])[:, None, None], (4, *SHAPE))
    backend = chain(make_pixels(SHAPE, window_edges_kev=edges))
    for adu in (3, 4, 6, 7, 8, 9, 10):
        backend.add(one_frame(SHAPE, p22=adu), 0)
    counts = backend.snapshot()
    assert counts.window_low[2, 2] == counts.window_low.sum() == 2
    assert counts.window_high[2, 2] == counts.window_high.sum() == 3


@pytest.mark.parametrize(
    ("events", "spectrum", "says"),
    [
        (EventSettings(dither=True, next_frame=True), AXIS, "take next_frame, dither out"),
        (EventSettings(max_cluster=3), AXIS, "max_cluster"),
        (EventSettings(), replace(AXIS, min_kev=1.0), "min_kev to 0"),
    ],
)
def test_settings_that_the_chain_does_not_have_are_refused(
    make_pixels, events: EventSettings, spectrum: SpectrumSettings, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        OdinBackend(events=events, spectrum=spectrum, pixels=make_pixels(SHAPE))


@pytest.mark.parametrize("frames", [np.zeros((1, 7, 6), np.uint16), np.zeros((1, *SHAPE))])
def test_frames_of_another_shape_or_type_are_refused(make_pixels, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Frames must"):
        chain(make_pixels(SHAPE)).add(frames, 0)
