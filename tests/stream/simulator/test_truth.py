"""The expectation integrates its windows without the estimator that it is held against."""

import numpy as np
import pytest
from scipy.special import erf

from hexlive.reconstruct.compton import (
    ComptonSettings,
    FloatArray,
    pz_au,
)
from hexlive.reconstruct.cross_section import cross_section_factor
from hexlive.reconstruct.efficiency import czt_efficiency
from hexlive.reconstruct.emf import emf, emf_weights
from hexlive.stream.files import FileError
from hexlive.stream.simulator.expectation import window_weights
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator
from hexlive.stream.simulator.truth import truth

FINE_KEV = np.linspace(0.0, 160.0, 3201)
COARSE_KEV = np.linspace(0.0, 160.0, 801)
THETA_RAD = np.deg2rad([86.0, 90.0, 93.7])
WIDTH_AU = 2.0


@pytest.fixture
def line() -> FloatArray:
    """Counts of a profile that is a Gaussian in pz, ``(angles, fine bins)``."""
    compton, angle = ComptonSettings(), THETA_RAD[:, None]
    centres_kev = (FINE_KEV[1:] + FINE_KEV[:-1]) / 2
    profile = np.exp(-((pz_au(centres_kev, angle, compton.incident_kev) / WIDTH_AU) ** 2) / 2)
    profile /= WIDTH_AU * np.sqrt(2 * np.pi)
    factor = cross_section_factor(centres_kev, angle, compton.incident_kev, compton.polarisation)
    counts: FloatArray = profile * factor * czt_efficiency(centres_kev, compton.sensor_mm)
    return counts * np.diff(FINE_KEV)


def expected(counts: FloatArray, compton: ComptonSettings) -> FloatArray:
    """L and H as the expectation integrates them, ``(2, angles)``."""
    return np.einsum("ae,aei->ia", counts, window_weights(FINE_KEV, THETA_RAD, compton))


def measured(counts: FloatArray, compton: ComptonSettings) -> FloatArray:
    """L and H as the measurement finds them, in bins four times as wide, ``(2, angles)``."""
    coarse = counts.reshape(len(counts), -1, 4).sum(axis=-1)
    result = emf(coarse, emf_weights(COARSE_KEV, THETA_RAD, compton))
    return np.stack([result.low, result.high])


def test_both_integrals_of_a_known_line_are_right(line: FloatArray) -> None:
    compton = ComptonSettings()
    inner, outer = erf(np.array([compton.inner_au, compton.outer_au]) / WIDTH_AU / np.sqrt(2))
    known = np.array([[inner], [outer - inner]])
    np.testing.assert_allclose(expected(line, compton), np.tile(known, 3), rtol=1e-3)
    np.testing.assert_allclose(measured(line, compton), np.tile(known, 3), rtol=1e-3)


def test_both_subtract_the_same_background(line: FloatArray) -> None:
    compton = ComptonSettings(background="flat")
    with_floor = line + 0.01 * line.max() * np.diff(FINE_KEV)
    for method in (expected, measured):
        np.testing.assert_allclose(
            method(with_floor, compton), method(line, ComptonSettings()), rtol=2e-3
        )


@pytest.mark.parametrize("wrong", [{"inner_au": 1.02}, {"outer_au": 4.7}, {"sensor_mm": 1.0}])
def test_a_fault_in_the_weights_of_the_measurement_shows(line: FloatArray, wrong) -> None:
    low, high = measured(line, ComptonSettings(**wrong)) / expected(line, ComptonSettings())
    assert max(np.abs(low - 1).min(), np.abs(high - 1).min()) > 5e-3


def test_a_truth_without_a_folder_is_refused_in_one_sentence(tmp_path) -> None:
    pytest.importorskip("xraylib")
    known = truth(Simulator(SimulatorSettings(states=(1,), regions=(3,), frames_per_segment=10)))
    with pytest.raises(FileError, match="there is no folder"):
        known.save(tmp_path / "none" / "truth.json")
