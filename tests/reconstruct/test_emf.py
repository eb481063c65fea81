"""EMF and profiles: closure against a known J(pz), Poisson statistics, pooling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from scipy.integrate import quad

from hexlive.reconstruct.compton import (
    ComptonSettings,
    pz_au,
    theta_from_peak_rad,
    theta_map_rad,
    window_edges_kev,
)
from hexlive.reconstruct.cross_section import cross_section_factor
from hexlive.reconstruct.crosscheck import CrossCheck
from hexlive.reconstruct.efficiency import czt_efficiency
from hexlive.reconstruct.emf import emf, emf_weights, pool, relative_emf, window_sum_emf
from hexlive.reconstruct.peak import peak_map_kev
from hexlive.reconstruct.profile import profile, profile_weights

EDGES_KEV = 0.2 * np.arange(801)
SETTINGS = ComptonSettings()
FLAT = ComptonSettings(background="flat")
RIGHT_ANGLE = np.array(np.pi / 2)
# Every 26th pixel of the 80 x 80 camera, with its corners nearly: (4, 4).
SPARSE_THETA = theta_map_rad((80, 80), 0.25, SETTINGS)[::26, ::26]


def lithium_j(pz):
    """Two hydrogen-like 1s electrons and a Gaussian for the 2s electron, per a.u."""
    core = 2 * 8 / (3 * np.pi * 2.7) / (1 + (pz / 2.7) ** 2) ** 3
    return core + np.exp(-((pz / 0.55) ** 2)) / (0.55 * np.sqrt(np.pi))


def true_emf():
    low = quad(lithium_j, -1, 1)[0]
    return low / (quad(lithium_j, -5, -1)[0] + quad(lithium_j, 1, 5)[0])


def expected_counts(theta, total, j=lithium_j, kinematics="paper"):
    """Noiseless spectra (..., 800) of a known J, ``total`` counts in each pixel."""
    nodes, node_weights = leggauss(8)
    energy = EDGES_KEV[350:551, None] + 0.1 * (1 + nodes)
    angle = np.asarray(theta)[..., None, None]
    rate = cross_section_factor(energy, angle, 115.0, SETTINGS.polarisation, kinematics)
    rate = rate * czt_efficiency(energy, SETTINGS.sensor_mm)
    rate = rate * j(pz_au(energy, angle, 115.0, kinematics))
    counts = np.zeros((*np.shape(theta), 800))
    counts[..., 350:551] = rate @ node_weights
    return counts * total / counts.sum(axis=-1, keepdims=True)


def poisson_emf(total, draws, rng, background_per_bin=0.0, chosen=SETTINGS):
    """Results of many exposures of one pixel at 90 degrees."""
    mean = expected_counts(RIGHT_ANGLE, total) + background_per_bin
    counts = rng.poisson(mean, (draws, mean.size))
    return emf(counts, emf_weights(EDGES_KEV, RIGHT_ANGLE, chosen))


def pull(result, truth):
    return np.nanstd((result.emf - truth) / np.nanmean(result.sigma))


@settings(max_examples=30, deadline=None)
@given(degrees=st.floats(84.0, 96.0))
def test_noiseless_spectrum_gives_the_true_emf_at_any_angle(degrees):
    theta = np.array(np.radians(degrees))
    result = emf(expected_counts(theta, 1e6), emf_weights(EDGES_KEV, theta, SETTINGS))
    assert result.emf == pytest.approx(true_emf(), rel=5e-4)


@pytest.mark.parametrize("kinematics", ["paper", "exact"])
def test_every_pixel_of_the_camera_sees_the_same_emf(kinematics):
    settings = ComptonSettings(kinematics=kinematics)
    half = theta_map_rad((80, 80), 0.25, settings)[:40]  # the other rows have the same angles
    for theta in half:
        counts = expected_counts(theta, 1e6, kinematics=kinematics)
        result = emf(counts, emf_weights(EDGES_KEV, theta, settings))
        np.testing.assert_allclose(result.emf, true_emf(), rtol=5e-4)


@pytest.mark.parametrize(
    ("atoms", "golden"),
    [({3: 1}, 2.45), ({3: 1, 28: 0.6, 25: 0.2, 27: 0.2, 8: 2}, 1.071), ({26: 1}, 0.80)],
    ids=["lithium", "lithiated NMC622", "iron"],
)
def test_golden_emf_of_free_atoms(atoms, golden):
    xraylib = pytest.importorskip("xraylib")
    grid = np.linspace(0, 50, 5001)
    table = sum(
        n * np.array([xraylib.ComptonProfile(z, q) for q in grid]) for z, n in atoms.items()
    )
    counts = expected_counts(RIGHT_ANGLE, 1e6, lambda pz: np.interp(np.abs(pz), grid, table))
    result = emf(counts, emf_weights(EDGES_KEV, RIGHT_ANGLE, SETTINGS))
    assert result.emf == pytest.approx(golden, abs=0.005)


def test_one_angle_for_all_pixels_makes_a_false_ridge():
    theta = theta_map_rad((1, 80), 0.25, SETTINGS)[0, [39, 47, 55, 71, 79]]
    counts = expected_counts(theta, 1e6)
    wrong = emf(counts, emf_weights(EDGES_KEV, np.full_like(theta, np.pi / 2), SETTINGS))
    bias = wrong.emf / true_emf() - 1
    assert abs(bias[0]) < 1e-3
    assert np.all(np.diff(bias) < 0)
    assert -0.25 < bias[2] < -0.08
    assert -0.85 < bias[4] < -0.45
    right = emf(counts, emf_weights(EDGES_KEV, theta, SETTINGS))
    assert np.ptp(right.emf) < 1e-3
    start = np.full((1, 5), np.pi / 2 - 0.02)
    peaks_kev = peak_map_kev(counts[None], EDGES_KEV, start, SETTINGS)[0]
    measured = emf_weights(EDGES_KEV, theta_from_peak_rad(peaks_kev, 115.0), SETTINGS)
    np.testing.assert_allclose(emf(counts, measured).emf, true_emf(), rtol=2e-3)


def test_flat_background_is_subtracted_and_costs_precision():
    clean = expected_counts(SPARSE_THETA, 1e4)
    weights = emf_weights(EDGES_KEV, SPARSE_THETA, FLAT)
    without, under = emf(clean, weights), emf(clean + 8.0, weights)
    np.testing.assert_allclose(under.emf, without.emf)
    assert np.all(under.sigma > without.sigma)
    ignored = emf(clean + 8.0, emf_weights(EDGES_KEV, SPARSE_THETA, SETTINGS))
    assert np.all(ignored.emf < 0.95 * without.emf)


@pytest.mark.parametrize(
    ("total", "low", "high"), [(100, 0.93, 1.12), (1000, 0.95, 1.05), (10_000, 0.95, 1.05)]
)
def test_sigma_matches_the_scatter_of_poisson_counts(total, low, high):
    result = poisson_emf(total, 2000, np.random.default_rng(1))
    assert low < pull(result, true_emf()) < high


@pytest.mark.parametrize(("total", "missing"), [(10, (0.99, 1.0)), (30, (0.3, 0.8))])
def test_emf_is_only_stated_where_its_sigma_is_right(total, missing):
    result = poisson_emf(total, 2000, np.random.default_rng(21))
    assert missing[0] <= np.isnan(result.emf).mean() <= missing[1]
    stated = (result.emf - true_emf())[result.defined] / result.sigma[result.defined]
    assert np.all(np.abs(stated) < 10)
    if total >= 30:
        assert 0.9 < stated.std() < 1.2


def test_sigma_includes_the_noise_of_a_subtracted_background():
    result = poisson_emf(3000, 4000, np.random.default_rng(2), 5.0, FLAT)
    assert 0.94 < pull(result, true_emf()) < 1.08


def test_stated_correlation_of_l_and_h_matches_the_scatter():
    coarse_kev = EDGES_KEV[::8]
    mean = (expected_counts(RIGHT_ANGLE, 2000) + 5.0).reshape(100, 8).sum(axis=1)
    counts = np.random.default_rng(9).poisson(mean, (20_000, 100))
    result = emf(counts, emf_weights(coarse_kev, RIGHT_ANGLE, FLAT))
    stated = np.mean(result.cov / np.sqrt(result.var_low * result.var_high))
    assert abs(stated) > 0.03
    assert np.corrcoef(result.low, result.high)[0, 1] == pytest.approx(stated, abs=0.02)


def test_only_bins_inside_the_background_window_enter_the_level():
    counts = expected_counts(RIGHT_ANGLE, 1e4)
    weights = emf_weights(EDGES_KEV, RIGHT_ANGLE, FLAT)
    just_outside = counts.copy()
    just_outside[[589, 700]] = 1e6
    assert emf(just_outside, weights).emf == emf(counts, weights).emf


def test_sigma_is_the_textbook_ratio_formula():
    result = emf(expected_counts(RIGHT_ANGLE, 1e5), emf_weights(EDGES_KEV, RIGHT_ANGLE, SETTINGS))
    momenta = pz_au((EDGES_KEV[1:] + EDGES_KEV[:-1]) / 2, RIGHT_ANGLE, 115.0)
    inside = expected_counts(RIGHT_ANGLE, 1e5)[np.abs(momenta) < 5].sum()
    ratio = result.emf
    assert result.relative_sigma == pytest.approx((1 + ratio) / np.sqrt(ratio * inside), rel=0.03)


def test_unbinned_sums_agree_with_the_spline():
    draws = np.random.default_rng(3).uniform(80, 110, 400_000)
    keep = np.random.default_rng(4).uniform(size=draws.size) * 1.01
    events = draws[keep * lithium_j(0.0) < lithium_j(pz_au(draws, RIGHT_ANGLE, 115.0))]
    edges = window_edges_kev(RIGHT_ANGLE[None], SETTINGS)[:, 0]
    outer_low, low, outer_high = np.histogram(events, edges)[0]
    unbinned = window_sum_emf(np.array(low), np.array(outer_low + outer_high))
    counts = np.histogram(events, EDGES_KEV)[0]
    binned = emf(counts, emf_weights(EDGES_KEV, RIGHT_ANGLE, SETTINGS))
    assert unbinned.emf == pytest.approx(binned.emf, rel=5e-3)
    assert unbinned.sigma == pytest.approx(binned.sigma, rel=0.03)


def cross_check(unbinned_low):
    counts = expected_counts(RIGHT_ANGLE, 1e6) + 500.0
    plain = emf(counts, emf_weights(EDGES_KEV, RIGHT_ANGLE, SETTINGS, normalised=False))
    return CrossCheck(
        binned=emf(counts, emf_weights(EDGES_KEV, RIGHT_ANGLE, FLAT)),
        plain=plain,
        unbinned=window_sum_emf(unbinned_low * plain.low, plain.high),
    )


def test_background_and_normalisation_explain_what_unbinned_sums_leave_out():
    check = cross_check(1.001)
    assert check.explained < -0.02
    assert check.unexplained == pytest.approx(0.001)
    assert check.difference_sigma < -3
    assert check.doubt is None


@pytest.mark.parametrize("factor", [0.97, 1.03])
def test_window_sums_that_nothing_explains_are_doubted(factor):
    doubt = cross_check(factor).doubt
    assert doubt is not None
    assert "3.0% apart" in doubt


def test_pooling_is_unbiased_where_averaging_is_not():
    result = poisson_emf(100, 8000, np.random.default_rng(5))
    pooled = pool(result, np.ones(8000, bool))
    assert abs(pooled.emf - true_emf()) < 3 * pooled.sigma
    assert np.nanmean(result.emf) > 1.01 * true_emf()


def test_counts_over_themselves_are_one_without_uncertainty():
    counts = np.random.default_rng(8).poisson(expected_counts(RIGHT_ANGLE, 1000) + 2.0)
    result = emf(counts, emf_weights(EDGES_KEV, RIGHT_ANGLE, FLAT))
    ratio, sigma = relative_emf(result, result, nested=True)
    assert ratio == 1
    assert sigma == 0


@pytest.mark.parametrize("nested", [True, False])
def test_sigma_of_relative_emf_is_the_scatter_whether_counts_are_shared_or_not(nested):
    rng = np.random.default_rng(10)
    mean = expected_counts(RIGHT_ANGLE, 1000) + 2.0
    before, after = (rng.poisson(mean, (4000, mean.size)) for _ in range(2))
    weights = emf_weights(EDGES_KEV, RIGHT_ANGLE, FLAT)
    result = emf(before + after if nested else after, weights)
    ratio, sigma = relative_emf(result, emf(before, weights), nested=nested)
    assert np.std(ratio) / np.mean(sigma) == pytest.approx(1, abs=0.07)


def test_plain_weights_count_what_the_windows_hold():
    counts = expected_counts(SPARSE_THETA, 1e6, lambda pz: np.exp(-((pz / 3) ** 2)))
    plain = emf(counts, emf_weights(EDGES_KEV, SPARSE_THETA, FLAT, normalised=False))
    total = plain.low + plain.high
    inside = quad(lambda pz: np.exp(-((pz / 3) ** 2)), -5, 5)[0] / (3 * np.sqrt(np.pi))
    np.testing.assert_allclose(total / 1e6, inside, rtol=2e-3)
    np.testing.assert_allclose(plain.var_low, plain.low, rtol=0.03)


def test_pixels_without_information_are_nan_without_a_warning():
    weights = emf_weights(EDGES_KEV, SPARSE_THETA, SETTINGS)
    counts = np.zeros((4, 4, 800), np.uint32)
    counts[0, 0, 464] = 1
    result = emf(counts, weights)
    assert np.all(np.isnan(result.emf) & np.isnan(result.sigma))


def test_an_axis_that_misses_the_windows_is_refused():
    with pytest.raises(ValueError, match="widen"):
        emf_weights(EDGES_KEV[:480], RIGHT_ANGLE, SETTINGS)
    with pytest.raises(ValueError, match="background_window_kev"):
        emf_weights(EDGES_KEV[:580], RIGHT_ANGLE, FLAT)
    with pytest.raises(ValueError, match="bins"):
        emf(np.zeros(700), emf_weights(EDGES_KEV, RIGHT_ANGLE, SETTINGS))
    with pytest.raises(ValueError, match="masked"):
        profile_weights(EDGES_KEV, SPARSE_THETA, np.zeros((4, 4), bool), SETTINGS)


def test_profile_gives_back_j_summed_over_angles():
    valid = np.ones((4, 4), bool)
    weights = profile_weights(EDGES_KEV, SPARSE_THETA, valid, SETTINGS)
    seen = profile(expected_counts(SPARSE_THETA, 1e6), weights).unit_area(5.0)
    truth = lithium_j(seen.pz_au) / quad(lithium_j, -5, 5)[0]
    np.testing.assert_allclose(seen.j, truth, atol=0.03 * truth.max())
    assert seen.j[seen.pz_au.size // 2] == seen.j.max()


def test_profile_leaves_out_masked_pixels_and_adds_up():
    rng = np.random.default_rng(7)
    counts = rng.poisson(expected_counts(SPARSE_THETA, 1e4))
    valid = rng.uniform(size=(4, 4)) > 0.5
    parts = [
        profile(counts, profile_weights(EDGES_KEV, SPARSE_THETA, mask, FLAT))
        for mask in (valid, ~valid, np.ones((4, 4), bool))
    ]
    np.testing.assert_allclose((parts[0] + parts[1]).j, parts[2].j, rtol=1e-9)


def test_profile_sigma_matches_the_scatter_of_poisson_counts():
    rng = np.random.default_rng(8)
    theta = np.full((1, 1), np.pi / 2)
    weights = profile_weights(EDGES_KEV, theta, np.ones((1, 1), bool), FLAT)
    mean = expected_counts(theta, 1e4) + 5
    draws = [profile(rng.poisson(mean), weights) for _ in range(400)]
    scatter = np.std([draw.j for draw in draws], axis=0)
    stated = np.mean([draw.j_sigma for draw in draws], axis=0)
    assert np.median(scatter / stated) == pytest.approx(1, abs=0.04)
