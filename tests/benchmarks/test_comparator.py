from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hexlive.benchmarks.comparator import FLAGS, FacilityChain, compile_chains, find_compiler
from hexlive.benchmarks.frames import (
    GRADIENT_KEV_PER_ADU,
    INTERCEPT_KEV,
    SHAPE,
    SPECTRUM,
    THRESHOLD_ADU,
    make_pixels,
)
from hexlive.kernels.backend import EventSettings
from hexlive.kernels.cpu import CpuBackend

POLICIES = ("add", "discriminate", "none")
PITCH = 4  # pixels between photons: no two clusters touch, even when both have two pixels


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    if find_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    return compile_chains(tmp_path_factory.mktemp("chains"))


def bin_position(adu: NDArray[np.int64], n_pixels: int = 1) -> NDArray[np.float64]:
    return (adu * GRADIENT_KEV_PER_ADU + n_pixels * INTERCEPT_KEV) / SPECTRUM.bin_kev


def inside_a_bin(position: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Far enough from its edges that float, double and fused operations agree."""
    return np.abs(position % 1 - 0.5) < 0.49


def separate_photons(shared: bool) -> NDArray[np.uint16]:
    """Photons on a grid; each in one pixel, or its charge in two."""
    rng = np.random.default_rng(3)
    frames = np.zeros((40, *SHAPE), np.uint16)
    spots = (slice(None), slice(1, -1, PITCH), slice(1, -1, PITCH))
    adu, part = rng.integers(THRESHOLD_ADU, 3000, (2, *frames[spots].shape))
    clear = inside_a_bin(bin_position(adu))
    if shared:
        clear &= adu != part  # the chain gives a tie to the later pixel
        clear &= inside_a_bin(bin_position(part)) & inside_a_bin(bin_position(adu + part, 2))
        frames[:, 1:-1:PITCH, 2::PITCH] = part * clear
    frames[spots] = adu * clear
    return frames


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shared", [False, True], ids=["single", "shared"])
def test_separate_photons_are_counted_as_hexlive_counts_them(
    chains: dict[str, object], flags: str, policy: str, shared: bool
) -> None:
    frames = separate_photons(shared)
    chain = FacilityChain(chains[flags], policy)
    chain.add(frames)
    backend = CpuBackend(
        events=EventSettings(policy=policy), spectrum=SPECTRUM, pixels=make_pixels()
    )
    backend.add(frames, 0)
    expected = backend.snapshot().spectra
    assert np.array_equal(chain.spectra, expected)
    assert np.array_equal(chain.summed, expected.sum(axis=(0, 1)))
    assert bool(expected.any()) != (shared and policy == "discriminate")


def test_an_energy_beyond_the_axis_is_not_counted(chains: dict[str, object]) -> None:
    frames = np.full((1, *SHAPE), 0, np.uint16)
    frames[0, 40, 40] = np.iinfo(np.uint16).max
    chain = FacilityChain(chains["facility"], "none")
    chain.add(frames)
    assert not chain.spectra.any()


def test_without_a_compiler_there_is_no_comparator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_compiler() is None
    assert compile_chains(tmp_path) == {}
