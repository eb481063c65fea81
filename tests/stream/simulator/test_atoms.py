"""What the simulator knows of atoms, with xraylib and without."""

import sys

import numpy as np
import pytest

from hexlive.stream.simulator.atoms import (
    BIGGS,
    HYDROGENIC,
    PZ_AU,
    SimulatorUnavailableError,
    absorbed_fraction,
    hydrogenic_profile,
    profile_per_atom,
    profile_source,
)

ELEMENTS = (1, 3, 6, 8, 9, 13, 15, 24, 25, 26, 27, 28)


@pytest.fixture
def without_xraylib(monkeypatch):
    monkeypatch.setitem(sys.modules, "xraylib", None)


def area(profile):
    return np.sum((profile[1:] + profile[:-1]) * np.diff(PZ_AU))


def emf(profile):
    inner, outer = (area(np.where(limit >= PZ_AU, profile, 0.0)) for limit in (1.0, 5.0))
    return inner / (outer - inner)


@pytest.mark.parametrize("element", ELEMENTS)
def test_tabulated_profiles_hold_all_electrons(element):
    pytest.importorskip("xraylib")
    assert area(profile_per_atom(element)) == pytest.approx(element, rel=2e-3)


@pytest.mark.parametrize("element", ELEMENTS)
def test_stand_in_profiles_hold_all_electrons_exactly(element):
    assert area(hydrogenic_profile(element)) == pytest.approx(element, rel=1e-4)


@pytest.mark.parametrize("element", ELEMENTS)
def test_stand_ins_are_right_to_a_quarter(element):
    pytest.importorskip("xraylib")
    profile = profile_per_atom(element)
    assert emf(hydrogenic_profile(element)) == pytest.approx(emf(profile), rel=0.25)


def test_the_hydrogen_atom_is_exact():
    momentum_au = PZ_AU[:200]
    exact = 8 / (3 * np.pi * (1 + momentum_au**2) ** 3)
    np.testing.assert_allclose(hydrogenic_profile(1)[:200], exact)


def test_without_xraylib_the_stand_ins_are_used_and_named(without_xraylib):
    assert profile_source() == HYDROGENIC
    profile = profile_per_atom.__wrapped__(3)
    np.testing.assert_array_equal(profile, hydrogenic_profile(3))
    with pytest.raises(SimulatorUnavailableError, match=r"pip install xraylib"):
        profile_per_atom.__wrapped__(82)


def test_absorption_hardly_needs_xraylib(monkeypatch):
    pytest.importorskip("xraylib")
    energy_kev = np.array([60.0, 80.0, 94.0, 110.0])
    known = absorbed_fraction(energy_kev, 2.0)
    assert profile_source() == BIGGS
    monkeypatch.setitem(sys.modules, "xraylib", None)
    np.testing.assert_allclose(absorbed_fraction(energy_kev, 2.0), known, rtol=0.01)
