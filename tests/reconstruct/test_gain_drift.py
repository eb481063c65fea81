"""Changes of the gain, as seen by fluorescence lines on a background."""

import numpy as np
import pytest
from scipy.special import ndtr

from hexlive.reconstruct.drift import DriftSettings, line_centres
from hexlive.reconstruct.lines import find_line

EDGES_KEV = np.linspace(0.0, 160.0, 801)
LINES = [find_line("W Ka"), find_line("Pb Ka")]


def drawn(gains, counts, seed=1):
    """Spectra at some gains, with lines on a floor that slopes."""
    centres_kev = (EDGES_KEV[1:] + EDGES_KEV[:-1]) / 2
    rows = []
    for gain in gains:
        mean = 0.02 * counts * np.exp(-centres_kev / 60)
        for line in LINES:
            total = sum(share for _, share in line.components)
            for energy_kev, share in line.components:
                below = ndtr((EDGES_KEV - gain * energy_kev) / 0.4)
                mean = mean + counts * share / total * np.diff(below)
        rows.append(mean)
    return np.random.default_rng(seed).poisson(rows)


def change(gains, counts):
    start = line_centres(drawn(np.ones(len(gains)), counts, seed=2), EDGES_KEV, LINES)
    return line_centres(drawn(gains, counts), EDGES_KEV, LINES).gain_change(start)


def test_a_change_of_a_thousandth_is_measured():
    found = change(np.full(100, 1.001), 20_000)
    assert found.relative.mean() == pytest.approx(1e-3, abs=3e-5)
    assert (found.exceeds(0.5e-3, 2.0)).all()


def test_errors_are_those_of_the_counts():
    found = change(np.ones(200), 5000)
    assert (found.relative / found.sigma).std() == pytest.approx(1.0, abs=0.12)


def test_few_counts_raise_no_alarm():
    found = change(np.ones(200), 100)
    assert np.nanmedian(found.sigma) > 3e-4
    assert found.exceeds(1e-3, 2.0).mean() < 0.05


def test_without_a_line_the_change_is_unknown():
    spectra = np.full((2, EDGES_KEV.size - 1), 100)
    centres = line_centres(spectra, EDGES_KEV, LINES)
    assert np.isnan(centres.centre_kev).all()
    found = centres.gain_change(centres)
    assert np.isnan(found.relative).all()
    assert not found.exceeds(1e-3, 2.0).any()


def test_the_default_lets_chance_alone_raise_few_alarms():
    found = change(np.ones(400), 5000)
    alarms = found.exceeds(0.0, DriftSettings().alarm_sigma).mean()
    assert alarms < 0.01
    assert found.exceeds(0.0, 2.0).mean() > 0.02


@pytest.mark.parametrize(
    "wrong", [{"interval_s": 0.0}, {"alarm_percent": float("nan")}, {"lines": ("W La",)}]
)
def test_impossible_settings_are_refused_in_one_sentence(wrong):
    with pytest.raises(ValueError, match=r"\.$"):
        DriftSettings(**wrong)
