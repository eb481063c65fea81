"""Measured peaks expose a wrong beam axis or sign, and stand in for the geometry."""

from dataclasses import replace

import numpy as np
import pytest

from hexlive.reconstruct.alignment import align
from hexlive.reconstruct.compton import (
    ComptonSettings,
    peak_kev,
    scattered_kev,
    theta_from_peak_rad,
    theta_map_rad,
)
from hexlive.reconstruct.peak import peak_map_kev

SHAPE = (80, 80)
EDGES_KEV = np.linspace(0, 160, 801)
SETTINGS = ComptonSettings()
ORIENTATIONS = [(axis, sign) for axis in ("columns", "rows") for sign in (1, -1)]


def measured(settings: ComptonSettings, per_pixel: int, width_au: float = 1.5) -> np.ndarray:
    """Spectra of a Gaussian profile as seen with this geometry."""
    rng = np.random.default_rng(3)
    theta = theta_map_rad(SHAPE, 0.25, settings)[..., None]
    energy = scattered_kev(rng.normal(0, width_au, (*SHAPE, per_pixel)), theta, 115.0)
    counts = np.zeros((*SHAPE, 800), np.uint32)
    at = np.searchsorted(EDGES_KEV, energy) - 1
    np.add.at(counts, (np.arange(80)[:, None, None], np.arange(80)[:, None], at), 1)
    return counts


@pytest.mark.parametrize(("axis", "sign"), ORIENTATIONS)
def test_a_wrong_axis_or_sign_is_named_and_the_right_one_is_not(axis, sign):
    truth = replace(SETTINGS, beam_axis=axis, beam_sign=sign)
    counts, valid = measured(truth, 20), np.ones(SHAPE, bool)
    for other_axis, other_sign in ORIENTATIONS:
        settings = replace(SETTINGS, beam_axis=other_axis, beam_sign=other_sign)
        found = align(counts, EDGES_KEV, 0.25, settings, valid)
        assert found is not None
        remedy = found.remedy(settings)
        if settings == truth:
            assert remedy is None
            continue
        assert remedy is not None
        assert (f"compton.beam_axis = {axis!r}" in remedy) == (axis != other_axis)
        assert (f"compton.beam_sign = {sign}" in remedy) == (sign != other_sign)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("offset_mm", [7.0, -7.0])
def test_an_axis_far_off_along_the_beam_is_told_with_its_place(sign, offset_mm):
    settings = replace(SETTINGS, beam_sign=sign)
    counts = measured(replace(settings, axis_offset_mm=(0.0, offset_mm)), 20)
    found = align(counts, EDGES_KEV, 0.25, settings, np.ones(SHAPE, bool))
    assert found is not None
    assert found.offset_mm == pytest.approx(offset_mm, abs=0.5)
    assert found.offset_kev == pytest.approx(-0.115 * sign * offset_mm, abs=0.05)
    remedy = found.remedy(settings)
    assert remedy is not None
    assert "axis_offset_mm" in remedy
    assert "gain" in remedy


def test_the_offset_of_hidden_charge_accuses_nobody():
    counts = measured(replace(SETTINGS, axis_offset_mm=(0.0, 2.5)), 20)  # 0.29 keV below
    found = align(counts, EDGES_KEV, 0.25, SETTINGS, np.ones(SHAPE, bool))
    assert found is not None
    assert found.offset_kev == pytest.approx(-0.29, abs=0.05)
    assert found.remedy(SETTINGS) is None


def test_few_counts_or_pixels_accuse_nobody():
    wrong, valid = replace(SETTINGS, beam_sign=-1), np.ones(SHAPE, bool)
    counts = measured(wrong, 1)
    counts[::2] = 0
    found = align(counts, EDGES_KEV, 0.25, SETTINGS, valid)
    assert found is None or found.remedy(SETTINGS) is None
    assert align(counts[:8, :8], EDGES_KEV, 0.25, SETTINGS, valid[:8, :8]) is None


def test_the_peak_map_finds_the_angles_that_the_geometry_has_wrong():
    truth = replace(SETTINGS, axis_offset_mm=(0.0, 2.0))
    counts = measured(truth, 1500)
    counts[0, 0] = 0
    start = theta_map_rad(SHAPE, 0.25, SETTINGS)
    found = peak_map_kev(counts, EDGES_KEV, start, SETTINGS)
    assert np.isnan(found[0, 0])
    right = theta_map_rad(SHAPE, 0.25, truth)
    residual_kev = (found - peak_kev(right, 115.0)).ravel()[1:]
    assert abs(residual_kev.mean()) < 0.005
    assert residual_kev.std() < 0.06
    angle_error_deg = np.degrees(theta_from_peak_rad(found, 115.0) - right).ravel()[1:]
    assert np.abs(angle_error_deg.mean()) < 0.02
    assert np.degrees(np.abs(start - right)).min() > 0.5
