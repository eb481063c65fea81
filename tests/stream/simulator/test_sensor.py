"""The simulated sensor: charge sharing, noise, and counting statistics."""

import numpy as np
import pytest

from hexlive.stream.simulator.camera import NOISE_KEV, make_camera
from hexlive.stream.simulator.sensor import GAP_LOSS, absorb, empty_charge, render, start_random
from hexlive.stream.simulator.sensor_tables import EventRules, Photons, sensor_tables
from hexlive.stream.simulator.tagging import tag_photons

SHAPE = (16, 20)
TABLES = sensor_tables()
RULES = EventRules(
    threshold_kev=3.0,
    low_threshold_kev=3.0,
    every_hit=False,
    diagonals=True,
    noise_kev=NOISE_KEV,
    intercept_kev=1.2,
)
OTHERS_KEV = np.full(8, 94.0, np.float32)


def photons_of(energy_kev, per_frame, pixel=None):
    n = SHAPE[0] * SHAPE[1]
    keep, other = np.ones(n, np.float32), np.arange(n, dtype=np.int32)
    if pixel is not None:
        keep, other = np.zeros(n, np.float32), np.full(n, pixel, np.int32)
    return Photons(
        keep=keep,
        other=other,
        quantile_kev=np.full((1, 2, 3), energy_kev, np.float32),
        angle=np.zeros(n, np.int32),
        blend=np.zeros(n, np.float32),
        per_frame=per_frame,
    )


@pytest.fixture(scope="module")
def camera():
    return make_camera(SHAPE, seed=1)


def rendered(camera, photons, n_frames, first_frame=0, seed=1):
    frames = np.empty((n_frames, *SHAPE), np.uint16)
    render(frames, first_frame, seed, photons, TABLES, camera.electronics())
    return frames


def energies_kev(camera, frames):
    signal_adu = frames - camera.pedestal_adu
    return signal_adu * camera.gradient_kev_per_adu + camera.intercept_kev


def test_charge_is_shared_as_measured_at_59_kev():
    n = 40_000
    _, size = tag_photons(np.full(n, 59.54), 1, 0.0, OTHERS_KEV, TABLES, RULES)
    fractions = np.bincount(size, minlength=6)[1:5] / n
    np.testing.assert_allclose(fractions, [0.55, 0.31, 0.06, 0.07], atol=0.035)


def test_singles_have_the_resolution_of_fano_and_electronic_noise():
    event_kev, size = tag_photons(np.full(40_000, 93.87), 1, 0.0, OTHERS_KEV, TABLES, RULES)
    above = event_kev[(size == 1) & (event_kev > 93.87)] - 93.87
    fwhm_kev = 2.3548 * np.sqrt(np.mean(above**2))
    assert fwhm_kev == pytest.approx(0.844, rel=0.05)


def test_other_photons_of_the_frame_take_events_away():
    tagged_kev = np.full(20_000, 94.0)
    yields = []
    for rate in (0.0, 0.01, 0.02):
        _, size = tag_photons(tagged_kev, 1, rate, OTHERS_KEV, TABLES, RULES)
        yields.append(np.mean((size == 1) | (size == 2)))
    assert yields[0] > yields[1] > yields[2]
    assert (yields[1] / yields[0]) ** 2 == pytest.approx(yields[2] / yields[0], abs=0.02)


def test_charge_is_conserved_but_for_gap_and_escape():
    charge, state = empty_charge(9, 9), np.empty(1, np.uint64)
    total_kev = np.empty(3000)
    for i in range(total_kev.size):
        start_random(state, 1, i)
        absorb(charge, 4, 4, 94.0, TABLES, state)
        total_kev[i] = charge.kev.sum()
        charge.kev[:] = 0.0
        charge.n_touched[0] = 0
    assert np.median(total_kev) == pytest.approx(94.0, abs=0.15)
    escaped = total_kev < 75
    assert 0.001 < escaped.mean() < 0.05
    assert (total_kev[~escaped] > 94.0 * (1 - 2 * GAP_LOSS) - 1.2).all()


def test_photon_numbers_are_poisson_and_independent(camera):
    frames = rendered(camera, photons_of(100.0, per_frame=3.0), 4000)
    total_kev = (energies_kev(camera, frames) - 1.2).clip(min=0)
    total_kev[:, camera.faulty] = 0
    total_kev[total_kev < 3] = 0
    number = total_kev.sum(axis=(1, 2)) / 100
    assert number.mean() == pytest.approx(3.0, rel=0.08)
    assert number.var() / number.mean() == pytest.approx(1.0, abs=0.12)
    assert abs(np.corrcoef(number[1:], number[:-1])[0, 1]) < 0.06


def test_calibrated_lines_lie_at_their_energy(camera):
    pixel = int(np.flatnonzero(~camera.faulty.ravel())[150])
    for line_kev in (59.54, 93.87):
        frames = rendered(camera, photons_of(line_kev, 0.5, pixel), 4000)
        of_pixel = energies_kev(camera, frames).reshape(len(frames), -1)[:, pixel]
        near = of_pixel[np.abs(of_pixel - line_kev) < 1.0]
        counts, edges_kev = np.histogram(near, 20)
        assert edges_kev[counts.argmax()] == pytest.approx(line_kev - 0.05, abs=0.3)
        assert len(near) > 500


def test_frames_without_photons_are_dark(camera):
    frames = rendered(camera, photons_of(94.0, 1e-9), 2000)
    dark = camera.dark_frames(2000)
    good = ~camera.faulty
    difference = (frames.mean(axis=0) - dark.mean(axis=0))[good]
    np.testing.assert_allclose(difference, 0.0, atol=1.5)
    noise_adu = frames.std(axis=0)[good]
    np.testing.assert_allclose(noise_adu / camera.noise_adu[good], 1.0, atol=0.1)


def test_faulty_pixels_show_in_the_dark_and_dead_ones_see_nothing(camera):
    noise_kev = camera.dark_frames(500).std(axis=0) * camera.gradient_kev_per_adu
    np.testing.assert_array_equal(noise_kev > 1.0, camera.hot)
    np.testing.assert_array_equal(noise_kev < 0.08, camera.dead)
    np.testing.assert_array_equal(camera.calibration().mask.astype(bool), camera.faulty)
    pixel = int(np.flatnonzero(camera.dead.ravel())[0])
    frames = rendered(camera, photons_of(94.0, 5.0, pixel), 100)
    assert np.ptp(frames[:, camera.dead], axis=0).max() == 0


def test_a_frame_depends_on_seed_and_number_only(camera):
    photons = photons_of(94.0, 4.0)
    frames = rendered(camera, photons, 30, first_frame=100)
    np.testing.assert_array_equal(rendered(camera, photons, 7, first_frame=111), frames[11:18])
    assert (rendered(camera, photons, 30, first_frame=100, seed=2) != frames).any()
    assert (frames[0] != frames[1]).any()


def test_a_camera_is_the_same_for_the_same_seed(camera):
    again = make_camera(SHAPE, seed=1)
    np.testing.assert_array_equal(again.gradient_kev_per_adu, camera.gradient_kev_per_adu)
    assert again.calibration().id == camera.calibration().id
    assert make_camera(SHAPE, seed=2).calibration().id != camera.calibration().id
