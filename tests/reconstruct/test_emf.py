"""EMF and profiles: closure against a known J(pz), Poisson statistics, pooling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from scipy.integrate import quad

from hexlive.reconstruct.compton import (
    ComptonSettings,
    cross_section_factor,
    czt_efficiency,
    pz_au,
    theta_map_rad,
    window_edges_kev,
)
from hexlive.reconstruct.emf import (
    EmfResult,
    adaptive_superpixels,
    emf,
    emf_weights,
    pool,
    relative_emf,
    superpixels,
    time_to_target_s,
    window_sum_emf,
)
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


def expected_counts(theta, total, j=lithium_j):
    """Noiseless spectra (..., 800) of a known J, ``total`` counts in each pixel."""
    nodes, node_weights = leggauss(8)
    energy = EDGES_KEV[350:551, None] + 0.1 * (1 + nodes)
    angle = np.asarray(theta)[..., None, None]
    rate = cross_section_factor(energy, angle, 115.0, SETTINGS.polarisation)
    rate = rate * czt_efficiency(energy, SETTINGS.sensor_mm) * j(pz_au(energy, angle, 115.0))
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


def test_every_pixel_of_the_camera_sees_the_same_emf():
    result = emf(expected_counts(SPARSE_THETA, 1e6), emf_weights(EDGES_KEV, SPARSE_THETA, SETTINGS))
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


def test_flat_background_is_subtracted_and_costs_precision():
    clean = expected_counts(SPARSE_THETA, 1e4)
    weights = emf_weights(EDGES_KEV, SPARSE_THETA, FLAT)
    without, under = emf(clean, weights), emf(clean + 8.0, weights)
    np.testing.assert_allclose(under.emf, without.emf)
    assert np.all(under.sigma > without.sigma)
    ignored = emf(clean + 8.0, emf_weights(EDGES_KEV, SPARSE_THETA, SETTINGS))
    assert np.all(ignored.emf < 0.95 * without.emf)


@pytest.mark.parametrize("total", [100, 1000])
def test_sigma_matches_the_scatter_of_poisson_counts(total):
    result = poisson_emf(total, 4000, np.random.default_rng(1))
    assert 0.93 < pull(result, true_emf()) < 1.12


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


def test_pooling_is_unbiased_where_averaging_is_not():
    result = poisson_emf(100, 8000, np.random.default_rng(5))
    pooled = pool(result, np.ones(8000, bool))
    assert abs(pooled.emf - true_emf()) < 3 * pooled.sigma
    assert np.nanmean(result.emf) > 1.01 * true_emf()


def test_superpixels_keep_every_valid_count():
    rng = np.random.default_rng(6)
    result = window_sum_emf(rng.integers(0, 50, (7, 10)), rng.integers(0, 50, (7, 10)))
    valid = rng.uniform(size=(7, 10)) > 0.2
    blocks = superpixels(result, 4, valid)
    assert blocks.low.shape == (2, 3)
    assert blocks.low.sum() == pool(result, valid).low
    assert blocks.high[0, 0] == result.high[:4, :4][valid[:4, :4]].sum()


def test_adaptive_superpixels_grow_only_where_counts_are_few():
    low = np.full((8, 8), 60)
    low[:4] = 10_000
    chosen = adaptive_superpixels(window_sum_emf(low, low), 0.05, np.ones((8, 8), bool))
    assert np.all(chosen.low[:4] == 10_000)
    assert np.all(chosen.low[4:] == 16 * 60)
    assert np.all(chosen.relative_sigma <= 0.05)


def test_time_windows_add():
    first, second = (window_sum_emf(np.array(n), np.array(2 * n)) for n in (40, 60))
    both = first + second
    assert both.emf == 0.5
    assert both.sigma == window_sum_emf(np.array(100), np.array(200)).sigma


def test_time_to_target_grows_with_the_square_of_the_precision():
    result = window_sum_emf(np.array([100, 0]), np.array([100, 0]))
    target = float(result.relative_sigma[0]) / 2
    needed = time_to_target_s(result, 10.0, target)
    assert needed[0] == pytest.approx(30.0)
    assert np.isnan(needed[1])
    assert time_to_target_s(result, 10.0, 4 * target)[0] == 0


def test_relative_emf_adds_relative_variances():
    result = window_sum_emf(np.array(200), np.array(100))
    ratio, sigma = relative_emf(result, result)
    assert ratio == 1
    assert sigma == pytest.approx(np.sqrt(2) * result.relative_sigma)


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


def test_what_moves_l_and_h_alike_leaves_emf_certain():
    low, high, var = np.array([100.0, 50.0, 25.0])
    alike = EmfResult(low=low, high=high, var_low=4 * var, var_high=var, cov=2 * var)
    assert alike.sigma == 0
    apart = EmfResult(low=low, high=high, var_low=4 * var, var_high=var, cov=-2 * var)
    assert apart.relative_sigma == pytest.approx(0.2)


def test_scaling_keeps_emf_and_its_relative_uncertainty():
    low, high, var_low, var_high, cov = np.array([200.0, 100.0, 210.0, 110.0, 5.0])
    result = EmfResult(low=low, high=high, var_low=var_low, var_high=var_high, cov=cov)
    scaled = result.scaled(0.25)
    assert scaled.emf == result.emf
    assert scaled.sigma == pytest.approx(result.sigma)
