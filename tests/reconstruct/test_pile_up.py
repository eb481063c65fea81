"""Survival from pile-up, against photons thrown one by one, and against the simulator's truth."""

import numpy as np
import pytest

from hexlive.kernels.backend import Counts, EventSettings, SpectrumSettings
from hexlive.kernels.opening import open_backend
from hexlive.reconstruct.compton import window_edges_kev
from hexlive.reconstruct.pile_up import pooled_survival, survival, touching_places
from hexlive.stream.simulator import expectation
from hexlive.stream.simulator.expectation import window_yield
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator

SINGLES = EventSettings(policy="discriminate")


def count(frames, pixels, events) -> Counts:
    backend = open_backend("cpu", events=events, spectrum=SpectrumSettings(), pixels=pixels)
    backend.add(frames, 0)
    return backend.snapshot()


@pytest.mark.parametrize(
    ("target", "other", "connectivity", "places"),
    [(0, 0, 8, 9), (0, 0, 4, 5), (0, 1, 8, 12), (1, 1, 8, 15.5), (0, 3, 8, 16), (0, 0, 0, 1)],
)
def test_places_where_clusters_touch(target, other, connectivity, places):
    assert touching_places(target, other, connectivity) == places


@pytest.mark.parametrize(
    ("events", "rate"), [(SINGLES, 0.003), (SINGLES, 0.01), (EventSettings(connectivity=4), 0.01)]
)
def test_survival_is_the_fraction_of_photons_that_met_no_other(make_pixels, events, rate):
    rng = np.random.default_rng(1)
    photons = rng.poisson(rate, (3000, 40, 40))
    counts = count((94 * (photons > 0)).astype(np.uint16), make_pixels((40, 40)), events)
    around = np.pad(photons, ((0, 0), (1, 1), (1, 1)))
    far = [-1, 0, 1] if events.connectivity == 8 else [0]
    others = sum(
        around[:, 1 + i : 41 + i, 1 + j : 41 + j]
        for i in (-1, 0, 1)
        for j in (far if i else (-1, 0, 1))
    )
    alone = np.sum((photons == 1) & (others == 1)) / photons.sum()
    kept = counts.spectra.sum(axis=-1)
    assert pooled_survival(survival(counts, events), kept) == pytest.approx(alone, abs=6e-3)


def test_nothing_is_lost_where_nothing_was_hit(make_pixels):
    counts = count(np.zeros((10, 8, 8), np.uint16), make_pixels((8, 8)), SINGLES)
    assert np.all(survival(counts, SINGLES) == 1)
    assert pooled_survival(np.ones(4), np.zeros(4)) == 1


def test_correction_brings_the_cathode_back_to_photons_that_never_meet(monkeypatch):
    pytest.importorskip("xraylib")
    monkeypatch.setattr(expectation, "N_GROUPS", 2)  # enough to know 0.1 %
    simulator, events = Simulator(SimulatorSettings(states=(1,))), EventSettings()
    theta_rad, compton = simulator.theta_rad, simulator.settings.compton
    photons = {region: simulator.photon_map(1, region) for region in (1, 2, 3)}
    yields = window_yield(photons[1], theta_rad, compton, events, 1)
    pixels = simulator.camera.calibration().pixel_maps(events, window_edges_kev(theta_rad, compton))

    def cathode(corrected: bool, share: float = 1.0) -> np.ndarray:
        sums = {}
        for region, per_frame in photons.items():
            rate = per_frame.sum(axis=0)
            lost = np.ones_like(rate)
            if corrected:
                frames = simulator.frames(1, region, 0, 1500)
                lost = survival(count(frames, pixels, events), events)
            amounts = (per_frame / lost).reshape(len(per_frame), -1)
            of_groups = yields.sums(amounts, theta_rad.ravel(), share * rate.ravel())
            sums[region] = of_groups.mean(axis=0)
        return sums[1] - sums[2] + 0.25 * sums[3]

    alone, seen, mended = cathode(False, 0.0), cathode(False), cathode(True)
    assert seen.sum() / alone.sum() < 0.8
    assert mended.sum() / alone.sum() == pytest.approx(1, abs=0.02)
    emf = [low / high for low, high in (alone, seen, mended)]
    assert emf[1] / emf[0] - 1 < -0.02
    assert abs(emf[2] / emf[0] - 1) < 0.015
