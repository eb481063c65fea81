"""Compton kinematics and cross-section."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.reconstruct.compton import (
    CLASSICAL_RADIUS_CM,
    ComptonSettings,
    cross_section_factor,
    czt_efficiency,
    electrons_per_mm3,
    klein_nishina_barn,
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


@given(theta=angles_rad, incident=energies_kev)
def test_momentum_is_zero_at_the_peak_and_positive_above(theta, incident):
    peak = peak_kev(theta, incident)
    assert pz_au(peak, theta, incident) == pytest.approx(0, abs=1e-9)
    assert pz_au(peak + 0.1, theta, incident) > 0


@given(theta=angles_rad, incident=energies_kev)
def test_the_peak_gives_the_angle_back(theta, incident):
    assert theta_from_peak_rad(peak_kev(theta, incident), incident) == pytest.approx(theta)


@given(theta=angles_rad, incident=energies_kev, polarisation=st.floats(-1.0, 1.0))
def test_factor_is_klein_nishina_for_an_electron_at_rest(theta, incident, polarisation):
    peak = peak_kev(theta, incident)
    step = 1e-4
    around = scattered_kev(np.array([-step, step]), theta, incident)
    kev_per_au = (around[1] - around[0]) / (2 * step)
    factor = cross_section_factor(peak, theta, incident, polarisation) * kev_per_au
    assert factor == pytest.approx(klein_nishina_barn(theta, incident, polarisation), rel=1e-6)


def test_forward_cross_section_is_thomson():
    assert klein_nishina_barn(0.0, 115.0, 1.0) == pytest.approx(CLASSICAL_RADIUS_CM**2 * 1e24)


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


def test_golden_factor_of_unpolarised_light():
    energies = scattered_kev(np.array([-5.0, -1.0, 0.0, 1.0, 5.0]), RIGHT_ANGLE, 115.0)
    factor = cross_section_factor(energies, RIGHT_ANGLE, 115.0, 0.0)
    np.testing.assert_allclose(factor / factor[2], [0.969, 0.994, 1, 1.006, 1.029], atol=5e-4)


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


def test_golden_efficiency():
    efficiency = czt_efficiency(np.array([89.4, 93.9, 98.3]), 2.0)
    np.testing.assert_allclose(efficiency, [0.922, 0.894, 0.863], atol=7e-4)


def test_efficiency_agrees_with_tabulated_attenuation():
    xraylib = pytest.importorskip("xraylib")
    parts = {48: 0.9 * 112.414, 30: 0.1 * 65.38, 52: 127.60}
    energies = np.arange(34.0, 160.0, 3.0)
    per_gram = [
        sum(mass * xraylib.CS_Total(z, float(energy)) for z, mass in parts.items())
        for energy in energies
    ]
    attenuation_per_cm = 5.78 * np.array(per_gram) / sum(parts.values())
    expected = 1 - np.exp(-0.2 * attenuation_per_cm)
    np.testing.assert_allclose(czt_efficiency(energies, 2.0), expected, atol=1e-3)


def test_electron_density_gives_back_the_counts_that_eq_1_predicts():
    barn = klein_nishina_barn(RIGHT_ANGLE, 115.0, 1.0)
    stopped = czt_efficiency(peak_kev(RIGHT_ANGLE, 115.0), 2.0)
    counts = 1e12 * 0.5 * 3e20 * 0.01 * (barn * 1e-22) * 1e-6 * stopped
    density = electrons_per_mm3(
        counts,
        RIGHT_ANGLE,
        SETTINGS,
        fluence_per_mm2=1e12,
        transmission=0.5,
        volume_mm3=0.01,
        solid_angle_sr=1e-6,
    )
    assert density == pytest.approx(3e20)


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
        {"background_window_kev": (140.0, 118.0)},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ComptonSettings(**wrong)
