"""Exposures of one region in one state add up."""

from dataclasses import replace

import numpy as np
import pytest

from hexlive.reconstruct.components import ComponentSettings, RegionSums
from hexlive.reconstruct.emf import EmfResult
from hexlive.reconstruct.profile import Profile
from hexlive.stream.model import Segment
from hexlive.stream.regions import Regions


def segment(series: str, number: int) -> Segment:
    return Segment(series=series, number=number, mode="xcs", first_frame=0, region=3, state=1)


def sums(n: float, exposure_s: float) -> RegionSums:
    value = np.float64(n)
    windows = EmfResult(
        low=2 * value, high=value, var_low=2 * value, var_high=value, cov=np.float64(0)
    )
    profile = Profile(pz_au=np.zeros(2), j=np.full(2, value), variance=np.full(2, value))
    return RegionSums(
        spectrum=np.full(4, value), profile=profile, windows=windows, exposure_s=exposure_s
    )


def test_an_exposure_is_updated_and_a_second_one_adds_to_it() -> None:
    regions = Regions(ComponentSettings())
    for series, number, n, seconds in (
        ("a", 1, 50.0, 5.0),
        ("a", 1, 100.0, 10.0),
        ("a", 2, 20.0, 2.0),
        ("b", 1, 30.0, 3.0),
    ):
        regions.keep(segment(series, number), sums(n, seconds), seconds)
    anode = regions.components()[1]["anode"]
    volume = ComponentSettings().volumes.anode_mm3
    assert anode.spectrum == pytest.approx(np.full(4, 150 / 15 / volume))
    assert anode.windows.sigma / anode.windows.emf == pytest.approx(np.sqrt(1 / 300 + 1 / 150))
    assert regions.live_time_s() == {1: {"anode": 15.0}}
    assert regions.states[1].number == 1


def test_exposures_that_were_normalised_differently_do_not_add() -> None:
    with pytest.raises(ValueError, match="normalised in different ways"):
        sums(1, 1) + replace(sums(1, 1), normalised_by="monitor")
