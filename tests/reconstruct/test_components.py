"""Component algebra: exact on noiseless sums, honest about its noise."""

import numpy as np
import pytest

from hexlive.reconstruct.components import (
    ComponentSettings,
    ComponentVolumes,
    RegionSums,
    component_windows,
    components,
    emf_covariance,
)
from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.emf import EmfResult, emf, emf_weights
from hexlive.reconstruct.profile import Profile, profile, profile_weights

EDGES_KEV = 0.2 * np.arange(801)
THETA = np.full((1, 1), np.pi / 2)
SETTINGS = ComptonSettings()
EMF_WEIGHTS = emf_weights(EDGES_KEV, THETA[0, 0], SETTINGS)
PROFILE_WEIGHTS = profile_weights(EDGES_KEV, THETA, np.ones((1, 1), bool), SETTINGS)
EVEN = ComponentSettings(
    volumes=ComponentVolumes(anode_mm3=1.0, electrolyte_mm3=1.0, cathode_mm3=1.0)
)
EXPOSURES_S = {1: 400.0, 2: 500.0, 3: 250.0}


def line(width_kev, rate):
    """Noiseless spectrum per second, (800,)."""
    energy = (EDGES_KEV[1:] + EDGES_KEV[:-1]) / 2
    shape = np.exp(-(((energy - 93.87) / width_kev) ** 2) / 2)
    return rate * shape / shape.sum()


ANODE, ELECTROLYTE, CATHODE = line(1.0, 400.0), line(1.3, 50.0), line(2.2, 300.0)


def region_spectra():
    """Counts of each region, mixed as the sheet beam mixes them."""
    f1, f2 = EVEN.li_in_region_1, EVEN.li_in_region_2
    rates = {
        1: CATHODE + ELECTROLYTE + f1 * ANODE,
        2: ELECTROLYTE + f2 * ANODE,
        3: ANODE,
    }
    return {number: rate * EXPOSURES_S[number] for number, rate in rates.items()}


def sums(spectrum, exposure_s):
    return RegionSums(
        spectrum=spectrum,
        profile=profile(spectrum[None, None], PROFILE_WEIGHTS),
        windows=emf(spectrum, EMF_WEIGHTS),
        exposure_s=exposure_s,
    )


def separated(spectra, settings=EVEN):
    regions = {number: sums(spectra[number], EXPOSURES_S[number]) for number in spectra}
    return components(regions, settings)


def test_noiseless_regions_give_back_their_components():
    found = separated(region_spectra())
    for name, rate in (("anode", ANODE), ("electrolyte", ELECTROLYTE), ("cathode", CATHODE)):
        np.testing.assert_allclose(found[name].spectrum, rate, atol=1e-10)
        assert found[name].windows.emf == pytest.approx(emf(1e6 * rate, EMF_WEIGHTS).emf)
        expected = profile(rate[None, None], PROFILE_WEIGHTS).j
        np.testing.assert_allclose(found[name].profile.j, expected, atol=1e-9 * expected.max())


def test_stated_uncertainties_match_a_monte_carlo():
    rng = np.random.default_rng(11)
    mean = region_spectra()
    draws = [separated({n: rng.poisson(counts) for n, counts in mean.items()}) for _ in range(500)]
    for name in ("anode", "electrolyte", "cathode"):
        emfs = [draw[name].windows.emf for draw in draws]
        sigmas = [draw[name].windows.sigma for draw in draws]
        assert np.std(emfs) / np.mean(sigmas) == pytest.approx(1, abs=0.12)
        peaks = [draw[name].spectrum[469] for draw in draws]
        variances = [draw[name].spectrum_variance[469] for draw in draws]
        assert np.var(peaks) / np.mean(variances) == pytest.approx(1, abs=0.3)


def test_components_that_share_regions_are_correlated_as_stated():
    rng = np.random.default_rng(12)
    mean = region_spectra()

    def windows(spectra):
        return {number: emf(counts, EMF_WEIGHTS) for number, counts in spectra.items()}

    def emfs():
        draw = windows({n: rng.poisson(counts) for n, counts in mean.items()})
        found = component_windows(draw, EXPOSURES_S, EVEN)
        return [each.low / each.high for each in found.values()]

    repeated = np.cov(np.array([emfs() for _ in range(4000)]), rowvar=False)
    stated = emf_covariance(windows(mean), EXPOSURES_S, EVEN)
    scale = np.sqrt(np.outer(np.diagonal(stated), np.diagonal(stated)))
    np.testing.assert_allclose(repeated / scale, stated / scale, atol=0.08)
    assert np.abs(stated / scale)[np.triu_indices(3, 1)].max() > 0.3
    sigmas = [float(each.windows.sigma) for each in separated(mean).values()]
    np.testing.assert_allclose(np.sqrt(np.diagonal(stated)), sigmas)


def test_a_component_without_an_emf_has_no_covariance():
    windows = {number: emf(counts, EMF_WEIGHTS) for number, counts in region_spectra().items()}
    stated = emf_covariance(windows, EXPOSURES_S, EVEN)
    # Region 2 holds less than its anode, so there is no electrolyte.
    nothing = windows[3].scaled(0.8 * EXPOSURES_S[2] / EXPOSURES_S[3])
    without = emf_covariance({**windows, 2: nothing}, EXPOSURES_S, EVEN)
    assert np.isnan(without[1]).all()
    assert np.isnan(without[:, 1]).all()
    assert without[0, 0] == pytest.approx(stated[0, 0])
    assert np.isfinite(without[np.ix_([0, 2], [0, 2])]).all()


def test_a_map_of_a_component_adds_up_to_the_component():
    rng = np.random.default_rng(13)
    mean = region_spectra()
    maps = {n: rng.poisson(np.tile(counts / 12, (4, 3, 1))) for n, counts in mean.items()}
    weights = emf_weights(EDGES_KEV, np.full((4, 3), np.pi / 2), SETTINGS)
    windows = {n: emf(counts, weights) for n, counts in maps.items()}
    found = component_windows(windows, EXPOSURES_S, EVEN)
    whole = separated({n: counts.sum(axis=(0, 1)) for n, counts in maps.items()})
    for name, component in whole.items():
        assert found[name].low.shape == (4, 3)
        assert found[name].low.sum() == pytest.approx(component.windows.low)
        assert found[name].var_high.sum() == pytest.approx(component.windows.var_high)


def test_variance_of_the_cathode_counts_the_anode_region_once():
    f1, f2 = EVEN.li_in_region_1, EVEN.li_in_region_2
    spectra = region_spectra()
    found = separated(spectra)["cathode"].spectrum_variance
    poisson = {n: spectra[n] / EXPOSURES_S[n] ** 2 for n in spectra}
    expected = poisson[1] + poisson[2] + (f2 - f1) ** 2 * poisson[3]
    np.testing.assert_allclose(found, expected)


def test_a_subtracted_component_is_much_noisier_than_its_region():
    spectra = region_spectra()
    region = emf(spectra[2], EMF_WEIGHTS)
    assert separated(spectra)["electrolyte"].windows.relative_sigma > 5 * region.relative_sigma


def test_volumes_scale_rates_and_leave_emf_alone():
    spectra = region_spectra()
    even, default = separated(spectra), separated(spectra, ComponentSettings())
    volume = ComponentSettings().volumes.cathode_mm3
    np.testing.assert_allclose(
        default["cathode"].spectrum * volume, even["cathode"].spectrum, atol=1e-12
    )
    assert default["cathode"].windows.emf == pytest.approx(even["cathode"].windows.emf)


def test_golden_volumes():
    volumes = ComponentVolumes()
    assert volumes.electrolyte_mm3 == pytest.approx(np.pi * 9**2 * 0.030)
    assert volumes.cathode_mm3 == pytest.approx(np.pi * 7**2 * 0.065)


def test_only_components_whose_regions_exist_are_returned():
    spectra = region_spectra()
    assert set(separated({3: spectra[3]})) == {"anode"}
    assert set(separated({2: spectra[2], 3: spectra[3]})) == {"anode", "electrolyte"}


@pytest.mark.parametrize("exposure_s", [0.0, -1.0, float("nan")])
def test_exposures_without_live_time_are_refused(exposure_s):
    with pytest.raises(ValueError, match="Region 3"):
        components({3: sums(ANODE, exposure_s)}, EVEN)


def test_live_time_and_monitor_do_not_mix():
    spectra = region_spectra()
    regions = {3: sums(spectra[3], 250.0), 2: sums(spectra[2], 500.0)}
    monitored = RegionSums(
        spectrum=spectra[2],
        profile=regions[2].profile,
        windows=regions[2].windows,
        exposure_s=500.0,
        normalised_by="monitor",
    )
    assert components(regions, EVEN)["electrolyte"].normalised_by == "live_time"
    with pytest.raises(ValueError, match="different ways"):
        components({3: regions[3], 2: monitored}, EVEN)


def test_an_empty_component_is_nan_without_a_warning():
    nothing = np.zeros(800)
    found = components({n: sums(nothing, 1.0) for n in (1, 2, 3)}, EVEN)
    assert all(
        np.isnan(each.windows.emf) and np.isnan(each.windows.sigma) for each in found.values()
    )
    assert isinstance(found["anode"].windows, EmfResult)
    assert isinstance(found["anode"].profile, Profile)


@pytest.mark.parametrize("name", ["li_in_region_1", "li_in_region_2"])
def test_fractions_and_volumes_out_of_range_are_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        ComponentSettings(**{name: 1.2})
    with pytest.raises(ValueError, match="cathode"):
        ComponentVolumes(cathode_mm3=0.0)
