"""Thresholds in ADU, masks, modules, and what is refused."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hexlive.kernels.backend import Counts, EventSettings, PixelMaps, SpectrumSettings
from hexlive.kernels.cpu import CpuBackend
from hexlive.kernels.tables import pixel_tables

MAPS = ("pedestal_adu", "gradient_kev_per_adu", "intercept_kev", "threshold_kev")
SHAPE = (4, 6)
MakePixels = Callable[..., PixelMaps]


def count(pixels: PixelMaps, frame: NDArray[np.uint16], **events: Any) -> Counts:
    backend = CpuBackend(events=EventSettings(**events), spectrum=SpectrumSettings(), pixels=pixels)
    backend.add(frame[None], 0)
    return backend.snapshot()


def hits(pixels: PixelMaps, adu: int = 9, **events: Any) -> NDArray[np.uint64]:
    return count(pixels, np.full(pixels.shape, adu, np.uint16), **events).hits


def cluster_sizes(pixels: PixelMaps, frame: NDArray[np.uint16]) -> list[int]:
    return count(pixels, frame).cluster_sizes.tolist()


@given(seed=st.integers(0, 2**32), scale=st.floats(-6, 4))
@settings(deadline=None, max_examples=50)
def test_one_integer_per_pixel_decides_as_the_float32_energy_does(
    make_pixels: MakePixels, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    pedestal, gradient, intercept = rng.normal(
        size=(3, 40, 1), loc=[[[900]], [[0]], [[1]]], scale=[[[300]], [[10**scale]], [[3]]]
    ).astype(np.float32)
    gradient = np.abs(gradient) + np.float32(1e-9)
    adu = np.arange(2**16, dtype=np.float32)
    energy = (adu - pedestal) * gradient + intercept
    assert energy.dtype == np.float32
    threshold = energy[np.arange(40), rng.integers(1, 2**16, 40)][:, None]
    threshold = np.maximum(threshold, np.nextafter(energy[:, :1], np.float32(np.inf)))
    pixels = make_pixels(
        (40, 1),
        pedestal_adu=pedestal,
        gradient_kev_per_adu=gradient,
        intercept_kev=intercept,
        threshold_kev=threshold,
    )
    limit = pixel_tables(pixels, EventSettings()).limit_adu
    np.testing.assert_array_equal(adu > limit[:, None], energy >= threshold)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_pixel_without_a_finite_calibration_is_never_hit(
    make_pixels: MakePixels, name: str, value: float
) -> None:
    values = np.full(SHAPE, 2, np.float32)
    values[1, 2] = value
    found = hits(make_pixels(SHAPE, **{"threshold_kev": 3, name: values}))
    assert found[1, 2] == 0
    assert found.sum() == 23


@pytest.mark.parametrize("gradient", [0, -0.03])
def test_a_gradient_that_is_not_positive_masks_the_pixel(
    make_pixels: MakePixels, gradient: float
) -> None:
    gradients = np.ones(SHAPE, np.float32)
    gradients[0, 0] = gradient
    found = hits(make_pixels(SHAPE, gradient_kev_per_adu=gradients), adu=65535)
    assert found[0, 0] == 0
    assert found.sum() == 23


def test_a_threshold_beyond_the_range_is_never_reached(make_pixels: MakePixels) -> None:
    assert hits(make_pixels(SHAPE, threshold_kev=65536), adu=65535).sum() == 0
    assert hits(make_pixels(SHAPE, threshold_kev=65535), adu=65535).sum() == 24


@pytest.mark.parametrize("low", [None, 2.0])
def test_a_pixel_hit_in_every_frame_is_refused(make_pixels: MakePixels, low: float | None) -> None:
    intercept = np.zeros(SHAPE, np.float32)
    intercept[2, 5] = 3
    with pytest.raises(ValueError, match=r"1 of 24 pixels .* at row 2, column 5"):
        hits(make_pixels(SHAPE, intercept_kev=intercept), low_threshold_kev=low)
    pixels = make_pixels(SHAPE, intercept_kev=intercept, masked=intercept == 3)
    assert hits(pixels, low_threshold_kev=low)[2, 5] == 0


def test_a_cluster_never_crosses_a_module_edge(make_pixels: MakePixels) -> None:
    frame = np.zeros(SHAPE, np.uint16)
    frame[1:3, 2:4] = 9
    for modules, sizes in (
        ((1, 1), [0, 0, 0, 1, 0]),
        ((2, 1), [0, 2, 0, 0, 0]),
        ((1, 2), [0, 2, 0, 0, 0]),
        ((2, 2), [4, 0, 0, 0, 0]),
    ):
        assert cluster_sizes(make_pixels(SHAPE, modules=modules), frame) == sizes


def test_frame_edges_are_not_neighbours(make_pixels: MakePixels) -> None:
    frame = np.zeros(SHAPE, np.uint16)
    frame[[0, 1, 2, 3], [5, 0, 5, 0]] = 9
    assert cluster_sizes(make_pixels(SHAPE), frame) == [4, 0, 0, 0, 0]


@pytest.mark.parametrize(("connectivity", "n_in_one", "n_in_two"), [(4, 4, 3), (8, 8, 5)])
def test_the_veto_reaches_the_neighbours_of_a_masked_pixel(
    make_pixels: MakePixels, connectivity: Literal[4, 8], n_in_one: int, n_in_two: int
) -> None:
    masked = np.zeros(SHAPE, bool)
    masked[2, 2] = True

    events = EventSettings(veto_masked=True, connectivity=connectivity)
    for modules, n_beside in (((1, 1), n_in_one), ((2, 1), n_in_two)):
        tables = pixel_tables(make_pixels(SHAPE, masked=masked, modules=modules), events)
        assert tables.beside_masked.sum() == n_beside
    without = pixel_tables(make_pixels(SHAPE, masked=masked), EventSettings())
    assert not without.beside_masked.any()


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        ({"modules": (3, 1)}, "3 x 1 modules do not divide a frame of 4 x 6"),
        ({"modules": (1, 0)}, "1 x 0 modules"),
        ({"masked": np.zeros((4, 6), np.uint8)}, r"masked must be \(4, 6\) bool, not .* uint8"),
        ({"masked": np.zeros((6, 4), bool)}, r"pedestal_adu must be \(6, 4\) float32"),
        ({"window_edges_kev": np.zeros((3, 4, 6), np.float32)}, "window_edges_kev must be"),
        ({"window_edges_kev": np.zeros((4, 4, 6))}, "window_edges_kev must be .* float64"),
    ],
)
def test_maps_that_do_not_fit_are_refused(
    make_pixels: MakePixels, maps: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        pixel_tables(make_pixels(SHAPE, **maps), EventSettings())


@pytest.mark.parametrize("name", ["threshold_kev", "low_threshold_kev"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_threshold_that_is_not_finite_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"events.{name} must be a finite energy"):
        EventSettings(**{name: value})
