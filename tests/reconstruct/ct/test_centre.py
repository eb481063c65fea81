from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexlive.benchmarks.ellipses import Ellipse, Ellipses
from hexlive.reconstruct.ct import centre as centre_module
from hexlive.reconstruct.ct.axis_methods import centroid_centre, mirror_centre
from hexlive.reconstruct.ct.centre import centre_warnings, find_centre
from hexlive.reconstruct.ct.tomography import TomographySettings, reconstruct
from hexlive.stream.nxtomo import read_scan

COLUMNS = 128
FOURIER = TomographySettings(engine="fourier")
HALF_TURN = np.arange(150) * np.pi / 150
FULL_TURN = np.arange(300) * np.pi / 150


def noisy(sinogram, sigma=0.003):
    noise = np.random.default_rng(0).normal(0, sigma, sinogram.shape)
    return (sinogram + noise).astype(np.float32)


@settings(max_examples=8, deadline=None)
@given(st.floats(50.0, 77.0))
def test_the_axis_is_found_to_a_tenth_of_a_pixel(disks, centre_px):
    found = find_centre(noisy(disks.sinogram(HALF_TURN, centre_px, COLUMNS)), HALF_TURN)
    assert found.px == pytest.approx(centre_px, abs=0.1)
    assert found.agreed


def test_two_methods_are_independent_and_agree(disks):
    found = find_centre(noisy(disks.sinogram(HALF_TURN, 61.3, COLUMNS)), HALF_TURN)
    assert found.by_method["mirror"] == pytest.approx(61.3, abs=0.1)
    assert found.by_method["vo"] == pytest.approx(61.3, abs=0.1)


def test_an_exact_opposite_pair_is_not_needed(disks):
    coarse = np.arange(60) * np.pi / 60
    found = mirror_centre(disks.sinogram(coarse, 61.3, COLUMNS), coarse)
    assert found == pytest.approx(61.3, abs=0.15)


def test_uneven_and_missing_angles_do_not_move_the_axis(disks):
    random = np.random.default_rng(1)
    angles_rad = HALF_TURN + random.normal(0, 0.003, len(HALF_TURN))
    angles_rad = random.permutation(angles_rad[random.random(len(HALF_TURN)) > 0.1])
    found = find_centre(noisy(disks.sinogram(angles_rad, 66.6, COLUMNS)), angles_rad)
    assert found.px == pytest.approx(66.6, abs=0.25)


@pytest.mark.parametrize("centre_px", [20.4, 64.0, 101.7])
def test_a_full_turn_finds_the_axis_anywhere(disks, centre_px):
    found = find_centre(noisy(disks.sinogram(FULL_TURN, centre_px, COLUMNS)), FULL_TURN)
    assert found.px == pytest.approx(centre_px, abs=0.15)
    assert found.agreed


def test_stripes_do_not_fool_it(disks):
    sinogram = disks.sinogram(HALF_TURN, 61.3, COLUMNS)
    stripes = np.random.default_rng(2).normal(0, 0.03, COLUMNS)
    stripes[np.random.default_rng(3).random(COLUMNS) > 0.1] = 0
    found = find_centre((sinogram + stripes).astype(np.float32), HALF_TURN)
    assert found.px == pytest.approx(61.3, abs=0.5)


@pytest.mark.parametrize("wrong_px", [57.0, 66.0])
def test_on_disagreement_the_sharper_slice_decides_and_says_so(monkeypatch, disks, wrong_px):
    monkeypatch.setattr(centre_module, "vo_centre", lambda sinogram, angles_rad: wrong_px)
    found = find_centre(noisy(disks.sinogram(HALF_TURN, 61.3, COLUMNS)), HALF_TURN)
    assert found.px == pytest.approx(61.3, abs=0.3)
    assert not found.agreed
    assert set(found.by_method) == {"mirror", "vo", "sharpness", "centroid"}


def test_on_disagreement_the_axis_of_the_previous_scan_is_kept_and_that_is_said(monkeypatch, disks):
    monkeypatch.setattr(centre_module, "vo_centre", lambda sinogram, angles_rad: 66.0)
    sinogram = noisy(disks.sinogram(HALF_TURN, 61.3, COLUMNS))
    found = find_centre(sinogram, HALF_TURN, previous_px=61.0)
    assert found.px == 61.0
    assert not found.agreed
    (warning,) = centre_warnings(found)
    assert "mirror 61.3, vo 66.0, previous 61.0 px" in warning
    assert "61.00 px, that of the previous scan, was used" in warning


def test_where_the_methods_agree_the_previous_scan_has_no_say(disks):
    sinogram = noisy(disks.sinogram(HALF_TURN, 61.3, COLUMNS))
    found = find_centre(sinogram, HALF_TURN, previous_px=70.0)
    assert found.px == pytest.approx(61.3, abs=0.1)
    assert centre_warnings(found) == []


@pytest.mark.parametrize("centre_px", [20.0, 110.0])
def test_an_axis_beyond_the_search_is_doubted_though_all_methods_end_there(disks, centre_px):
    sinogram = noisy(disks.sinogram(HALF_TURN, centre_px, COLUMNS))
    found = find_centre(sinogram, HALF_TURN)
    assert not found.agreed
    assert "set tomography.centre" in centre_warnings(found)[0]
    assert find_centre(sinogram, HALF_TURN, previous_px=centre_px).px == centre_px


@pytest.mark.parametrize("tilt", [-0.004, 0.002])
def test_a_tilted_axis_is_found_row_by_row(disks, tilt):
    rows = np.arange(12) * 60
    centres_px = 62.7 + tilt * (rows - rows.mean())
    stack = np.concatenate([disks.sinogram(HALF_TURN, c, COLUMNS) for c in centres_px])
    found = find_centre(noisy(stack), HALF_TURN, rows)
    assert found.px_per_row == pytest.approx(tilt, rel=0.05)
    np.testing.assert_allclose(
        found.px + found.offsets_px(slice(0, 661))[::60], centres_px, atol=0.15
    )
    assert "tilted" in centre_warnings(found)[0]


def test_an_upright_axis_is_not_called_tilted(disks):
    stack = np.repeat(disks.sinogram(HALF_TURN, 62.7, COLUMNS), 12, axis=0)
    found = find_centre(noisy(stack, 0.02), HALF_TURN, np.arange(12) * 60)
    assert found.px_per_row == 0
    assert found.offsets_px(slice(0, 12)) is None


def test_halves_of_a_full_turn_that_do_not_meet_are_reported(disks):
    good = disks.sinogram(FULL_TURN, 25.4, 80)
    assert centre_warnings(find_centre(noisy(good), FULL_TURN)) == []
    # As when the sample moves, or the beam changes, within the scan.
    changed = good.copy()
    changed[:, 150:] = np.roll(1.3 * good[:, 150:], 2, axis=-1)
    sentences = centre_warnings(find_centre(noisy(changed), FULL_TURN))
    assert any("halves of the full turn differ" in sentence for sentence in sentences)


@pytest.mark.parametrize("covered_deg", [60, 90, 120, 150, 170])
def test_a_short_scan_has_the_axis_of_its_centre_of_mass(disks, covered_deg):
    angles_rad = np.deg2rad(np.arange(0, covered_deg, 1.2))
    rows = np.concatenate([k * disks.sinogram(angles_rad, 68.4, COLUMNS) for k in (0.8, 1, 1.2)])
    found = find_centre(noisy(rows), angles_rad, np.arange(3))
    assert set(found.by_method) == {"centroid", "vo"}
    assert found.px == found.by_method["centroid"] == pytest.approx(68.4, abs=0.4)


def test_angles_that_are_wrong_fool_other_methods_but_not_the_centre_of_mass(disks):
    true_rad = np.arange(120) * np.pi / 120
    found = find_centre(disks.sinogram(true_rad, 50.3, 96), true_rad**2 / np.pi)
    assert abs(found.by_method["mirror"] - 50.3) > 1
    assert abs(found.by_method["sharpness"] - 50.3) > 1
    assert found.px == pytest.approx(50.3, abs=0.5)
    assert not found.agreed


def test_a_sample_that_leaves_the_field_has_no_centre_of_mass(disks):
    sinogram = disks.sinogram(HALF_TURN, 68.4, COLUMNS)
    assert centroid_centre(sinogram, HALF_TURN) == pytest.approx(68.4, abs=0.05)
    assert centroid_centre(sinogram[..., 36:96].copy(), HALF_TURN) is None
    # A disk that fills the field looks as if it were on an axis in the middle.
    wide = Ellipses(Ellipse(5, 2, 200, 200, 0.0, 0.01)).sinogram(HALF_TURN, 50.0, COLUMNS)
    assert centroid_centre(wide, HALF_TURN) is None


@pytest.mark.parametrize(
    ("name", "covered_deg", "axis_px", "within_px"),
    [("tooth", 90, 296.0, 0.6), ("tooth", 120, 296.0, 0.5), ("tooth", 150, 296.0, 0.5),
     ("dendrite", 120, 629.2, 1.5), ("dendrite", 150, 629.2, 1.5)],
)  # fmt: skip
def test_a_part_of_a_real_scan_has_the_axis_of_it_all(
    shared_tomography, name, covered_deg, axis_px, within_px
):
    scan = read_scan(shared_tomography / f"{name}.nxs")
    kept = np.flatnonzero(scan.angles_deg - scan.angles_deg[0] < covered_deg)
    part = replace(scan, projections=scan.projections[kept], angles_deg=scan.angles_deg[kept],
                   taken=None)  # fmt: skip
    assert reconstruct(part, FOURIER, rows=slice(0, 1)).centre.px == pytest.approx(
        axis_px, abs=within_px
    )


def test_too_little_data_is_refused():
    with pytest.raises(ValueError, match="at least 8 angles"):
        find_centre(np.zeros((1, 5, 64), np.float32), np.arange(5.0))


def found_in(path):
    return reconstruct(read_scan(path), FOURIER, rows=slice(0, 1)).centre


def test_tooth_has_its_published_axis(shared_tomography):
    path = shared_tomography / "tooth.nxs"
    with h5py.File(path) as file:
        published_px = float(
            file["entry1/tomo_entry/instrument/detector/x_rotation_axis_pixel_position"][()]
        )
    assert found_in(path).px == pytest.approx(published_px, abs=0.5)


def test_dendrite_is_sharp_where_the_axis_is_found(shared_tomography):
    found = found_in(shared_tomography / "dendrite.nxs")
    assert found.px == pytest.approx(629.0, abs=1.0)
    assert not found.agreed


def test_a_handful_of_columns_gives_a_sane_axis_without_confidence(shared_tomography):
    found = found_in(shared_tomography / "k11_diad.nxs")
    assert found.px == pytest.approx(12.5, abs=1.0)
    assert not found.agreed
