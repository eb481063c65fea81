"""Compton kinematics and cross-section."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.reconstruct.compton import (
    ALPHA_INVERSE,
    ELECTRON_REST_KEV,
    ComptonSettings,
    peak_kev,
    pz_au,
    scattered_kev,
    theta_from_peak_rad,
    theta_map_rad,
    window_edges_kev,
)

RIGHT_ANGLE = np.pi / 2
SETTINGS = ComptonSettings()

angles_rad = st.floats(0.3, 3.1)
energies_kev = st.floats(40.0, 200.0)


@given(momentum=st.floats(-20.0, 20.0), theta=angles_rad, incident=energies_kev)
def test_scattered_energy_inverts_momentum(momentum, theta, incident):
    energy = scattered_kev(momentum, theta, incident)
    assert pz_au(energy, theta, incident) == pytest.approx(momentum, abs=1e-9)


@given(momentum=st.floats(-20.0, 20.0), theta=angles_rad, incident=energies_kev)
def test_the_exact_form_has_a_closed_inverse_too(momentum, theta, incident):
    energy = scattered_kev(momentum, theta, incident, "exact")
    assert pz_au(energy, theta, incident, "exact") == pytest.approx(momentum, abs=1e-8)


@given(momentum=st.floats(-20.0, 20.0), theta=angles_rad, incident=energies_kev)
def test_the_exact_form_conserves_energy_and_momentum(momentum, theta, incident):
    scattered = scattered_kev(momentum, theta, incident, "exact")
    transfer = np.sqrt(incident**2 + scattered**2 - 2 * incident * scattered * np.cos(theta))
    before_kev = -momentum * ELECTRON_REST_KEV / ALPHA_INVERSE  # along the transfer
    gained = np.hypot(ELECTRON_REST_KEV, before_kev + transfer)
    gained -= np.hypot(ELECTRON_REST_KEV, before_kev)
    assert gained == pytest.approx(incident - scattered, abs=1e-8)


def test_both_forms_agree_at_the_peak_and_nearly_at_the_windows():
    energies = scattered_kev(SETTINGS.limits_au, RIGHT_ANGLE, 115.0)
    exact = pz_au(energies, RIGHT_ANGLE, 115.0, "exact")
    np.testing.assert_allclose(exact, SETTINGS.limits_au, rtol=4e-3)
    assert np.all(exact != SETTINGS.limits_au)
    assert pz_au(peak_kev(RIGHT_ANGLE, 115.0), RIGHT_ANGLE, 115.0, "exact") == pytest.approx(0)


@given(theta=angles_rad, incident=energies_kev)
def test_momentum_is_zero_at_the_peak_and_positive_above(theta, incident):
    peak = peak_kev(theta, incident)
    assert pz_au(peak, theta, incident) == pytest.approx(0, abs=1e-9)
    assert pz_au(peak + 0.1, theta, incident) > 0


@given(theta=angles_rad, incident=energies_kev)
def test_the_peak_gives_the_angle_back(theta, incident):
    assert theta_from_peak_rad(peak_kev(theta, incident), incident) == pytest.approx(theta)


def test_golden_energies():
    energies = scattered_kev(np.array([-5.0, -1.0, 0.0, 1.0, 5.0]), RIGHT_ANGLE, 115.0)
    expected = [89.53296, 92.99279, 93.87377, 94.76140, 98.38127]
    np.testing.assert_allclose(energies, expected, atol=5e-6)
    assert pz_au(115.0, RIGHT_ANGLE, 115.0) == pytest.approx(21.81, abs=0.005)


def test_golden_slopes():
    around = np.array([-1e-4, 1e-4])
    per_degree = np.diff(peak_kev(RIGHT_ANGLE + np.radians(around), 115.0)) / 2e-4
    per_au = np.diff(scattered_kev(around, RIGHT_ANGLE, 115.0)) / 2e-4
    assert per_degree[0] == pytest.approx(-0.30099, abs=5e-6)
    assert per_au[0] == pytest.approx(0.8843, abs=5e-5)


def test_golden_angles_of_the_default_detector():
    theta = theta_map_rad((80, 80), 0.25, SETTINGS)
    assert np.degrees([theta.min(), theta.max()]) == pytest.approx([86.2, 93.8], abs=0.05)
    peaks = peak_kev(theta, SETTINGS.incident_kev)
    assert [peaks.min(), peaks.max()] == pytest.approx([92.75, 95.02], abs=0.005)


def test_angle_falls_along_the_beam_and_follows_its_sign_and_axis():
    theta = theta_map_rad((6, 8), 0.25, SETTINGS)
    assert np.all(np.diff(theta, axis=1) < 0)
    against = theta_map_rad((6, 8), 0.25, ComptonSettings(beam_sign=-1))
    np.testing.assert_allclose(against, theta[:, ::-1])
    turned = theta_map_rad((8, 6), 0.25, ComptonSettings(beam_axis="rows"))
    np.testing.assert_allclose(turned, theta.T)


def test_axis_offset_moves_the_right_angle_by_whole_pixels():
    shifted = theta_map_rad((6, 8), 0.25, ComptonSettings(axis_offset_mm=(0.25, 0.5)))
    plain = theta_map_rad((6, 8), 0.25, SETTINGS)
    np.testing.assert_allclose(shifted[1:, 2:], plain[:-1, :-2])


def test_window_edges_rise_and_surround_the_peak():
    theta = theta_map_rad((6, 8), 0.25, SETTINGS)
    edges = window_edges_kev(theta, SETTINGS)
    assert edges.shape == (4, 6, 8)
    assert edges.dtype == np.float32
    assert np.all(np.diff(edges, axis=0) > 0)
    peaks = peak_kev(theta, SETTINGS.incident_kev)
    assert np.all((edges[1] < peaks) & (peaks < edges[2]))


def test_magnification_of_the_default_pinhole():
    assert SETTINGS.magnification == 0.9375


@pytest.mark.parametrize(
    "wrong",
    [
        {"incident_kev": 0.0},
        {"beam_axis": "diagonal"},
        {"beam_sign": 2},
        {"pinhole_to_detector_mm": -150.0},
        {"inner_au": 5.0},
        {"outer_au": 200.0},
        {"polarisation": 1.5},
        {"background": "linear"},
        {"kinematics": "newton"},
        {"angles": "guess"},
        {"pile_up": "yes"},
        {"reference": "yesterday"},
        {"background_window_kev": (140.0, 118.0)},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ComptonSettings(**wrong)
