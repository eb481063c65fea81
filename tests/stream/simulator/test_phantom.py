"""The CT phantom and its scan."""

import numpy as np
import pytest

from hexlive.reconstruct.ct.engines import fbp
from hexlive.stream.simulator.phantom import OPTICAL_DEPTH, ScanSettings, make_phantom
from hexlive.stream.simulator.scanning import DARK, FLAT, PROJECTION, project, scan_images
from hexlive.stream.simulator.scene import STATES

SCAN = ScanSettings(
    rows=64, columns=120, n_projections=90, n_flats=20, n_darks=3, axis_offset_px=3.2
)


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(4, SCAN, seed=1)


@pytest.fixture(scope="module")
def scan(phantom):
    batches = list(scan_images(phantom, SCAN, seed=1))
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


@pytest.mark.parametrize("state", [1, 7])
def test_roughness_is_exactly_that_of_the_state(state):
    phantom = make_phantom(state, SCAN, seed=3)
    assert phantom.ra_um == pytest.approx(STATES[state].roughness_um, rel=1e-9)
    assert np.nanmean(phantom.surface_um) == pytest.approx(0.0, abs=1e-9)
    assert phantom.rq_um == pytest.approx(np.sqrt(np.pi / 2) * phantom.ra_um, rel=0.15)


def test_volumes_are_those_of_the_voxels(phantom):
    void_px = phantom.void_volume_um3 / SCAN.pixel_um**3
    assert phantom.n_voids == STATES[4].n_voids
    assert void_px / phantom.n_voids == pytest.approx(4 / 3 * np.pi * 4.5**3, rel=0.4)
    anode_per_px = OPTICAL_DEPTH["anode"] / SCAN.cell_px
    voxels = np.isclose(phantom.volume, anode_per_px, rtol=1e-3).sum()
    assert phantom.anode_volume_um3 / SCAN.pixel_um**3 == pytest.approx(voxels, rel=0.1)


def test_the_anode_grows_on_charge(phantom):
    assert phantom.anode_volume_um3 > make_phantom(1, SCAN, seed=1).anode_volume_um3


def test_the_same_seed_gives_the_same_phantom_and_scan(phantom, scan):
    again = make_phantom(4, SCAN, seed=1)
    np.testing.assert_array_equal(again.volume, phantom.volume)
    first = next(iter(scan_images(again, SCAN, seed=1)))
    np.testing.assert_array_equal(first.images, scan[0][: len(first.images)])


def test_every_projection_holds_the_whole_slice(phantom):
    slices_last = np.ascontiguousarray(np.moveaxis(phantom.volume, 0, -1))
    angles_rad = np.radians([0.0, 30.0, 45.0, 117.3])
    integrals = project(slices_last, angles_rad, SCAN.centre_px, SCAN.columns)
    expected = np.broadcast_to(phantom.volume.sum(axis=(1, 2)), (4, SCAN.rows))
    np.testing.assert_allclose(integrals.sum(axis=2), expected, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("angle_deg", [0.0, 20.0, 45.0, 80.0, 135.0])
def test_line_integrals_of_a_disk_are_its_chords(angle_deg):
    y, x = np.mgrid[:101, :101] - 50.0
    disk = np.clip(30.5 - np.hypot(y - 5, x + 8), 0, 1).astype(np.float32)[..., None]
    (seen,) = project(disk, np.radians([angle_deg]), 47.0, 101)
    angle_rad = np.radians(angle_deg)
    away = np.arange(101) - 47.0 - (-8 * np.cos(angle_rad) + 5 * np.sin(angle_rad))
    chord = 2 * np.sqrt(np.maximum(30.0**2 - away**2, 0))
    inside = np.abs(away) < 25
    np.testing.assert_allclose(seen[0][inside], chord[inside], rtol=0.02)


def test_a_cell_that_does_not_fit_the_detector_is_refused():
    with pytest.raises(ValueError, match="axis_offset_px"):
        ScanSettings(columns=120, axis_offset_px=6.3)


def test_scan_has_darks_flats_and_projections_in_range(scan):
    images, angles_deg, key = scan
    assert images.dtype == np.uint16
    assert images.shape == (SCAN.n_images, SCAN.rows, SCAN.columns)
    assert [int((key == kind).sum()) for kind in (DARK, FLAT, PROJECTION)] == [3, 20, 90]
    assert images[key == FLAT].max() < 65535
    np.testing.assert_allclose(np.diff(angles_deg[key == PROJECTION]), 2.0)


def test_noise_of_the_flats_is_poisson(scan):
    flats = scan[0][scan[2] == FLAT].astype(np.float64)
    assert np.median(flats.var(axis=0, ddof=1) / flats.mean(axis=0)) == pytest.approx(1, abs=0.1)


def test_scan_reconstructs_to_the_phantom_at_its_true_axis(phantom, scan):
    images, angles_deg, key = scan
    dark, flat = (images[key == kind].mean(axis=0) for kind in (DARK, FLAT))
    transmission = (images[key == PROJECTION] - dark) / (flat - dark)
    sinogram = np.ascontiguousarray(-np.log(transmission).transpose(1, 0, 2), dtype=np.float32)
    angles_rad = np.radians(angles_deg[key == PROJECTION])
    errors = []
    for centre_px in (SCAN.centre_px - 1, SCAN.centre_px, SCAN.centre_px + 1):
        slices = fbp(sinogram, angles_rad, centre_px, engine="numba")
        errors.append(float(np.sqrt(np.mean((slices - phantom.volume)[:, 20:100, 20:100] ** 2))))
    assert errors[1] == min(errors)
    assert errors[1] < 0.2 * OPTICAL_DEPTH["steel"] / SCAN.cell_px
