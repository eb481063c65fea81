"""Float32 to the last bit, and the dither hash: the same numbers on every device."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hexlive.kernels.backend import EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.cpu import CpuBackend
from hexlive.kernels.energies import dither_adu, mix

MakePixels = Callable[..., PixelMaps]
SlowDither = Callable[[int, int, int], float]
words = st.integers(0, 2**63 - 1)


def test_the_mixer_gives_the_published_first_output_of_splitmix64() -> None:
    assert mix(np.uint64(0)) == 0xE220A8397B1DCDAF


def test_golden_offsets() -> None:
    found = [dither_adu(np.uint64(s), f, p) for s, f, p in ((0, 0, 0), (7, 9000, 6399), (1, 2, 3))]
    assert found == [-0.3612906336784363, -0.277135968208313, -0.08244198560714722]


@given(seed=words, frame_number=words, pixel=st.integers(0, 2**31 - 1))
def test_offsets_equal_plain_integer_arithmetic(
    slow_dither_adu: SlowDither, seed: int, frame_number: int, pixel: int
) -> None:
    offset = dither_adu(np.uint64(seed), frame_number, pixel)
    assert offset == slow_dither_adu(seed, frame_number, pixel)
    assert -0.5 <= offset < 0.5


def test_offsets_are_uniform_and_differ_between_frames_pixels_and_seeds() -> None:
    def offsets(seed: int, frame_number: int) -> NDArray[np.float64]:
        return np.array([dither_adu(np.uint64(seed), frame_number, i) for i in range(20_000)])

    base = offsets(1, 5)
    counts, _ = np.histogram(base, bins=20, range=(-0.5, 0.5))
    chi_squared = float(np.sum((counts - 1000.0) ** 2 / 1000.0))
    assert 7 < chi_squared < 40  # 19 degrees of freedom
    for other in (offsets(1, 6), offsets(2, 5), np.roll(base, 1)):
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.03


@pytest.mark.parametrize("dither", [False, True])
@pytest.mark.parametrize("n_pixels", [1, 2, 3])
def test_energies_are_bit_exact_float32(
    make_pixels: MakePixels, slow_dither_adu: SlowDither, n_pixels: int, dither: bool
) -> None:
    """A window one float32 wide catches every event, so each energy has exactly these bits."""
    shape, rng = (120, 60 * (n_pixels + 1)), np.random.default_rng(n_pixels)
    # A cluster is a run of n_pixels in every other row; (clusters, n_pixels) indices of pixels.
    run = np.arange(np.prod(shape)).reshape(shape)[::2].reshape(-1, n_pixels + 1)[:, :n_pixels]
    pedestal, gradient, intercept = (
        rng.uniform(low, high, shape).astype(np.float32)
        for low, high in ((0, 900), (0.025, 0.035), (-3, 3))
    )
    frame = np.zeros(shape, np.uint16)
    frame.flat[run] = rng.integers(1200, 2**16, run.shape)
    offset = np.zeros(shape, np.float32)
    if dither:
        offset.flat[run] = [[slow_dither_adu(7, 5, int(i)) for i in pixels] for pixels in run]
    adu = frame.astype(np.float32)
    energy = (adu - pedestal) * gradient + intercept
    booked = ((adu + offset) - pedestal) * gradient + intercept
    total = np.add.accumulate(booked.flat[run], axis=1)[:, -1]
    on = run[np.arange(len(run)), np.argmax(energy.flat[run], axis=1)]
    edges = np.full((4, frame.size), np.inf, np.float32)
    edges[:3, on] = total
    edges[2, on] = np.nextafter(total, np.float32(np.inf))
    pixels = make_pixels(
        shape,
        pedestal_adu=pedestal,
        gradient_kev_per_adu=gradient,
        intercept_kev=intercept,
        threshold_kev=np.where(frame > 0, energy, 5),
        window_edges_kev=edges.reshape(4, *shape),
    )
    events = EventSettings(max_cluster=n_pixels, dither=dither, dither_seed=7)
    backend = CpuBackend(events=events, spectrum=SpectrumSettings(bin_kev=16), pixels=pixels)
    backend.add(frame[None], 5)
    counts = backend.snapshot()
    assert np.array_equal(counts.hits, frame > 0)  # the threshold of each is its very energy
    assert np.array_equal(np.flatnonzero(counts.window_low), on)
    fused = ((adu - pedestal).astype(np.float64) * gradient + intercept).astype(np.float32)
    assert np.any(fused.flat[run] != energy.flat[run])  # a fused multiply-add would be seen


def test_dither_makes_a_flat_spectrum_flat(make_pixels: MakePixels) -> None:
    """0.2 keV holds 6.9 levels: undithered, one bin in ten holds 6 and the others 7, 4.4 % rms."""
    shape, levels = (60, 60), np.arange(400, 2400)
    pixels = make_pixels(shape, gradient_kev_per_adu=0.029)
    frames = np.zeros((1600, *shape), np.uint16)
    frames[:, ::3, ::3] = np.resize(levels, (1600, 20, 20))
    rms = {}
    for dither in (False, True):
        backend = CpuBackend(
            events=EventSettings(dither=dither), spectrum=SpectrumSettings(), pixels=pixels
        )
        backend.add(frames, 0)
        inside = backend.snapshot().spectra.sum(axis=(0, 1))[70:330].astype(float)
        rms[dither] = inside.std() / inside.mean()
    assert rms[False] > 0.04
    assert rms[True] < 0.006  # what is left is the statistics of levels that straddle two bins
