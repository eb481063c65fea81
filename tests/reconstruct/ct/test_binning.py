"""A scan of coarser pixels is the same scan, seen less sharply."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.reconstruct.ct import binning
from hexlive.reconstruct.ct.binning import BinnedImages, binned_px, binned_scan, unbinned_px
from hexlive.reconstruct.ct.scan import Scan
from hexlive.reconstruct.ct.tomography import TomographySettings, reconstruct

STACK = np.random.default_rng(0).integers(0, 60_000, (7, 13, 10)).astype(np.uint16)
KEYS = [np.s_[:, 1:3], np.s_[2:6, :], np.s_[:, 1:4:2], np.s_[:, 0:0], np.s_[3:], np.s_[:, 2:99]]


@pytest.mark.parametrize("bytes_per_read", [1, 1 << 26])
@pytest.mark.parametrize("key", KEYS)
def test_squares_are_averaged_whatever_is_asked_for(monkeypatch, key, bytes_per_read):
    monkeypatch.setattr(binning, "BYTES_PER_READ", bytes_per_read)
    images = BinnedImages(STACK, 3)
    expected = STACK[:, :12, :9].reshape(7, 4, 3, 3, 3).mean((2, 4))
    assert images.shape == expected.shape
    np.testing.assert_allclose(images[key], expected[key], rtol=1e-6)


@given(st.floats(0, 3000), st.integers(1, 9))
def test_columns_are_found_again(column_px, side_px):
    assert unbinned_px(binned_px(column_px, side_px), side_px) == pytest.approx(column_px)


def test_the_middle_of_a_square_is_the_middle_of_its_pixels():
    assert binned_px(1.0, 3) == 0
    assert binned_px(3.5, 4) == pytest.approx(0.5)


def test_coarse_slices_are_those_of_the_phantom(disks):
    side, columns, centre_px = 2, 192, 97.5
    angles_deg = np.arange(150) * 1.2
    lines = disks.sinogram(np.deg2rad(angles_deg), centre_px, columns)
    beam = np.full((3, 4, columns), 30_000, np.uint16)
    counts = np.rint(30_000 * np.exp(-np.repeat(lines.transpose(1, 0, 2), 4, axis=1)))
    fine = Scan(
        projections=counts.astype(np.uint16), flats=beam, darks=np.zeros_like(beam),
        angles_deg=angles_deg, pixel_um=3.0,
    )  # fmt: skip
    result = reconstruct(binned_scan(fine, side), TomographySettings(rings="none", engine="numba"))
    assert result.pixel_um == 6.0
    assert unbinned_px(result.centre.px, side) == pytest.approx(centre_px, abs=0.2)
    for inside, attenuation in disks.flat_parts(columns, margin_px=6):
        found = np.repeat(np.repeat(result.volume[0], side, axis=0), side, axis=1)[inside]
        assert found.mean() == pytest.approx(side * attenuation, rel=0.02)
