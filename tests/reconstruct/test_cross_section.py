"""The cross-section, the efficiency of the sensor, and the electron density of Eq. 1."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.reconstruct import efficiency
from hexlive.reconstruct.compton import ComptonSettings, peak_kev, scattered_kev
from hexlive.reconstruct.cross_section import (
    BARN_PER_CM2,
    CLASSICAL_RADIUS_CM,
    cross_section_factor,
    klein_nishina_barn,
)
from hexlive.reconstruct.density import DensitySettings, electrons_per_mm3, pinhole_sr
from hexlive.reconstruct.efficiency import EfficiencyUnavailableError, czt_efficiency
from hexlive.reconstruct.emf import EmfResult

RIGHT_ANGLE = np.pi / 2
SETTINGS = ComptonSettings()
BEAM = DensitySettings(
    flux_per_mm2_s=1e10, transmission_in=0.8, transmission_out=0.6, kept_fraction=0.5
)

angles_rad = st.floats(0.3, 3.1)
energies_kev = st.floats(40.0, 200.0)


@pytest.mark.parametrize("kinematics", ["paper", "exact"])
@given(theta=angles_rad, incident=energies_kev, polarisation=st.floats(-1.0, 1.0))
def test_factor_is_klein_nishina_for_an_electron_at_rest(kinematics, theta, incident, polarisation):
    peak = peak_kev(theta, incident)
    step = 1e-4
    around = scattered_kev(np.array([-step, step]), theta, incident, kinematics)
    kev_per_au = (around[1] - around[0]) / (2 * step)
    factor = cross_section_factor(peak, theta, incident, polarisation, kinematics)
    factor = factor * kev_per_au
    assert factor == pytest.approx(klein_nishina_barn(theta, incident, polarisation), rel=1e-6)


def test_forward_cross_section_is_thomson():
    assert klein_nishina_barn(0.0, 115.0, 1.0) == pytest.approx(
        CLASSICAL_RADIUS_CM**2 * BARN_PER_CM2
    )


@pytest.mark.parametrize(
    ("polarisation", "golden"),
    [(0.0, [0.969, 0.994, 1, 1.006, 1.029]), (1.0, [0.970, 0.994, 1, 1.006, 1.028])],
    ids=["unpolarised", "polarised"],
)
def test_golden_factors(polarisation, golden):
    energies = scattered_kev(np.array([-5.0, -1.0, 0.0, 1.0, 5.0]), RIGHT_ANGLE, 115.0)
    factor = cross_section_factor(energies, RIGHT_ANGLE, 115.0, polarisation)
    np.testing.assert_allclose(factor / factor[2], golden, atol=5e-4)


def test_golden_efficiency():
    pytest.importorskip("xraylib")
    found = czt_efficiency(np.array([89.4, 93.9, 98.3]), 2.0)
    np.testing.assert_allclose(found, [0.922, 0.894, 0.863], atol=7e-4)


def test_efficiency_rises_with_thickness_and_falls_above_the_edges():
    pytest.importorskip("xraylib")
    assert np.all(np.diff(czt_efficiency(np.arange(33.0, 160.0, 3.0), 2.0)) < 0)
    assert czt_efficiency(94.0, 1.0) < czt_efficiency(94.0, 2.0) < 1
    assert czt_efficiency(0.0, 2.0) == 1


def test_without_xraylib_the_error_says_how_to_do_without(monkeypatch):
    efficiency._attenuation_per_cm.cache_clear()
    monkeypatch.setitem(sys.modules, "xraylib", None)
    with pytest.raises(EfficiencyUnavailableError, match=r"compton\.efficiency = false"):
        czt_efficiency(93.9, 2.0)


def windows(low: float, high: float) -> EmfResult:
    low_high = np.array([[low]]), np.array([[high]])
    return EmfResult(
        low=low_high[0], high=low_high[1], var_low=low_high[0], var_high=low_high[1],
        cov=np.zeros((1, 1)),
    )  # fmt: skip


def test_electron_density_gives_back_the_counts_that_eq_1_predicts():
    true_per_mm3, seconds = 3e20, 100.0
    volume_mm3 = (0.25 / 0.9375) ** 2 * 0.268
    solid_angle_sr = np.pi * 0.1**2 / 160**2
    photons_per_mm2 = 1e10 * seconds * 0.8 * 0.6 * 0.5
    # Counts over K and the efficiency: what L + H holds if all electrons are inside the windows.
    total = photons_per_mm2 * true_per_mm3 * volume_mm3 * solid_angle_sr * 1e-22
    found = electrons_per_mm3(windows(0.7 * total, 0.3 * total), seconds, 0.25, SETTINGS, BEAM)
    assert found is not None
    assert found[0].item() == pytest.approx(true_per_mm3, rel=1e-3)
    assert found[1].item() == pytest.approx(true_per_mm3 / np.sqrt(total), rel=1e-3)


def test_electron_density_is_nan_without_counts_and_absent_without_a_flux():
    arguments = 100.0, 0.25, SETTINGS
    density = electrons_per_mm3(windows(0.0, 0.0), *arguments, BEAM)
    assert density is not None
    assert np.isnan(density).all()
    assert electrons_per_mm3(windows(5.0, 5.0), *arguments, DensitySettings()) is None


def test_a_higher_sheet_and_a_wider_pinhole_mean_fewer_electrons_per_count():
    counts = windows(900.0, 500.0)

    def found(**beam):
        density = electrons_per_mm3(counts, 60.0, 0.25, SETTINGS, replace(BEAM, **beam))
        assert density is not None
        return density[0]

    np.testing.assert_allclose(found(sheet_height_mm=3 * BEAM.sheet_height_mm), found() / 3)
    np.testing.assert_allclose(found(pinhole_mm=2 * BEAM.pinhole_mm), found() / 4)


def test_the_pinhole_is_smaller_where_it_is_seen_obliquely():
    solid_angle_sr = pinhole_sr((81, 81), 0.25, SETTINGS, BEAM)
    straight_sr = np.pi * 0.1**2 / 160**2
    assert solid_angle_sr[40, 40] == pytest.approx(straight_sr)
    edge, corner = (150 / np.sqrt(150**2 + n * 10.0**2) for n in (1, 2))
    for place in ((0, 40), (40, 0), (80, 40), (40, 80)):
        assert solid_angle_sr[place] == pytest.approx(straight_sr * edge**3)
    assert solid_angle_sr[0, 80] == pytest.approx(straight_sr * corner**3)


def test_the_pinhole_follows_the_optical_axis_and_not_the_beam():
    columns, rows = (
        pinhole_sr(
            (41, 81),
            0.25,
            ComptonSettings(beam_axis=axis, beam_sign=sign, axis_offset_mm=(1.0, -2.0)),
            BEAM,
        )
        for axis, sign in (("columns", 1), ("rows", -1))
    )
    np.testing.assert_allclose(columns, rows)
    # The corner (0, 0) is 5 mm and 10 mm from the centre of the detector.
    cos_psi = 150 / np.sqrt((-5.0 - 1.0) ** 2 + (-10.0 + 2.0) ** 2 + 150**2)
    assert rows[0, 0] == pytest.approx(np.pi * 0.1**2 / 160**2 * cos_psi**3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"flux_per_mm2_s": -1.0},
        {"transmission_in": 1.2},
        {"kept_fraction": 0.0},
        {"flux_per_mm2_s": 1e10},
        {"kept_fraction": 0.6},
        {"kept_fraction": 1.1},
        {"flux_per_mm2_s": 1e10, "transmission_in": 0.8, "transmission_out": 0.6},
    ],
)
def test_density_settings_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DensitySettings(**wrong)
