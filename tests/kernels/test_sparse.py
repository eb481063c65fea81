"""Listed pixels stand for whole frames: nothing that can be counted gets lost on the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hexlive.kernels.backend import EventSettings, SpectrumSettings
from hexlive.kernels.cpu import CpuBackend
from hexlive.kernels.sparse import dense_frames, list_pixels

SHAPE = (3, 5)
FRAMES = arrays(np.uint16, st.tuples(st.integers(1, 4), *map(st.just, SHAPE)))


@given(FRAMES, st.integers(0, 65535))
def test_the_listed_pixels_come_back_and_all_others_are_zero(frames, listing_adu: int) -> None:
    back = dense_frames(list_pixels(frames, listing_adu), len(frames), SHAPE)
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, np.where(frames >= listing_adu, frames, 0))


@given(FRAMES, arrays(np.float32, SHAPE, elements=st.floats(0, 65535, width=32)))
def test_a_list_is_ascending_in_frame_then_pixel_and_each_pixel_has_its_own_level(
    frames, listing_adu
) -> None:
    listed = list_pixels(frames, listing_adu)
    assert [part.dtype for part in listed] == [np.uint32, np.uint32, np.uint16]
    places = list(zip(listed.frame.tolist(), listed.pixel.tolist(), strict=True))
    expected = [
        (frame, int(np.ravel_multi_index((row, column), SHAPE)))
        for frame, row, column in np.argwhere(frames >= listing_adu).tolist()
    ]
    assert places == expected


@pytest.mark.parametrize("low_threshold_kev", [None, 2.0])
def test_counts_are_those_of_the_whole_frames_up_to_the_lowest_threshold(
    make_pixels, low_threshold_kev: float | None
) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 12, (40, 20, 30)).astype(np.uint16)
    pixels = make_pixels((20, 30), threshold_kev=rng.uniform(3, 9, (20, 30)))
    lowest_adu = np.ceil(low_threshold_kev or pixels.threshold_kev)

    def count(frames: np.ndarray) -> list[np.ndarray]:
        backend = CpuBackend(
            events=EventSettings(low_threshold_kev=low_threshold_kev),
            spectrum=SpectrumSettings(max_kev=20.0, bin_kev=1.0),
            pixels=pixels,
        )
        backend.add(frames, 0)
        counts = backend.snapshot()
        return [counts.spectra, counts.over, counts.hits, counts.cluster_sizes]

    def sparse(listing_adu: np.ndarray) -> np.ndarray:
        return dense_frames(list_pixels(frames, listing_adu), 40, (20, 30))

    whole = count(frames)
    for listing_adu in (lowest_adu, lowest_adu - 1):
        for one, other in zip(count(sparse(listing_adu)), whole, strict=True):
            np.testing.assert_array_equal(one, other)
    assert count(sparse(lowest_adu + 1))[2].sum() < whole[2].sum()
