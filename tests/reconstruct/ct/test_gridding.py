import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexlive.reconstruct.ct.fourier import finufft_transform
from hexlive.reconstruct.ct.gridding import Gridding

N_POINTS = 200
TRANSFORMS = [Gridding, finufft_transform]


def points(seed):
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, (2, N_POINTS)).astype(np.float32)


def summed(size, y, x):
    """What a transform stands for, ``(pixels, points)``."""
    pixel = np.arange(size) - size // 2
    rows, columns = np.exp(1j * np.outer(pixel, y)), np.exp(1j * np.outer(pixel, x))
    return (rows[:, None] * columns[None]).reshape(size * size, -1)


def spectra(seed, n_pairs=2):
    real, imag = np.random.default_rng(seed).normal(size=(2, n_pairs, N_POINTS))
    return (real + 1j * imag).astype(np.complex64)


@pytest.mark.parametrize("transform", TRANSFORMS)
@settings(max_examples=8, deadline=None)
@given(size=st.integers(8, 21), seed=st.integers(0, 99))
def test_a_transform_is_the_sum_over_its_points(transform, size, seed):
    y, x = points(seed)
    found = transform(size, y, x)(spectra(seed))
    exact = (summed(size, y, x) @ spectra(seed).T).T.reshape(found.shape)
    assert np.std(found - exact) < 2e-3 * np.std(exact)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_is_the_adjoint_of_sampling_a_slice_in_fourier_space(transform):
    y, x = points(1)
    image = np.random.default_rng(2).normal(size=(16, 16))
    sampled = summed(16, y, x).conj().T @ image.ravel()
    back = transform(16, y, x)(spectra(3, 1))[0]
    assert np.vdot(sampled, spectra(3, 1)[0]) == pytest.approx(np.vdot(image, back), rel=2e-3)


@pytest.mark.parametrize("edge", [-np.pi, np.nextafter(np.float32(np.pi), 0, dtype=np.float32)])
def test_points_at_the_edge_of_the_grid_wrap_around(edge):
    y = x = np.full(3, edge, np.float32)
    found = Gridding(12, y, x)(np.ones((1, 3), np.complex64))[0]
    np.testing.assert_allclose(found, summed(12, y, x).sum(1).reshape(12, 12), atol=6e-3)


def test_points_are_spread_in_parts(monkeypatch):
    y, x = points(4)
    whole = Gridding(16, y, x)(spectra(4))
    monkeypatch.setattr("hexlive.reconstruct.ct.gridding.POINTS_AT_ONCE", 64)
    np.testing.assert_array_equal(Gridding(16, y, x)(spectra(4)), whole)
