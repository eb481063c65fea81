"""What is measured in the simulated cell is what was put into it."""

from functools import cache

import numpy as np
import pytest

from hexlive.reconstruct.volumes.surface import anode_surface
from hexlive.reconstruct.volumes.surface_settings import SurfaceSettings
from hexlive.stream.simulator.phantom import ScanSettings, make_phantom

SCAN = ScanSettings(rows=64, columns=200, pixel_um=3.24)
NOISE = 1e-4  # per pixel, a tenth of what lithium has


@cache
def measured(state):
    phantom = make_phantom(state, SCAN, seed=3)
    noise = np.random.default_rng(state).normal(0, NOISE, phantom.volume.shape)
    volume = (phantom.volume + noise).astype(np.float32)
    return phantom, anode_surface(volume, SCAN.pixel_um, SurfaceSettings(threshold_percent=0.0))


def test_two_voxels_of_roughness_are_recovered_within_5_percent():
    phantom, surface = measured(5)
    assert phantom.ra_um / SCAN.pixel_um == pytest.approx(2.0, abs=0.1)
    assert surface.ra_um == pytest.approx(phantom.ra_um, rel=0.05)
    assert surface.rq_um == pytest.approx(phantom.rq_um, rel=0.05)


@pytest.mark.parametrize("state", [2, 5])
def test_the_change_of_volume_is_recovered_within_two_tenths_of_a_percent(state):
    (first, before), (phantom, after) = measured(1), measured(state)
    truth = phantom.anode_volume_um3 / first.anode_volume_um3
    assert after.volume_um3 / before.volume_um3 == pytest.approx(truth, abs=0.002)
    assert after.volume_um3 == pytest.approx(phantom.anode_volume_um3, rel=0.01)


@pytest.mark.parametrize("state", [1, 2, 5])
def test_voids_are_counted_and_measured(state):
    phantom, surface = measured(state)
    assert surface.n_voids == phantom.n_voids
    assert surface.void_volumes_um3.sum() == pytest.approx(phantom.void_volume_um3, rel=0.05)
