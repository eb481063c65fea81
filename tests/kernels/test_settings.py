"""Settings that cannot mean anything are refused with their name."""

from typing import Any

import pytest

from hexlive.kernels.backend import EventSettings, SpectrumSettings

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"connectivity": 6}, r"events.connectivity must be one of \(4, 8\), not 6"),
        ({"policy": "foo"}, "events.policy must be one of .*, not 'foo'"),
        ({"max_cluster": 0}, "events.max_cluster must be a whole number of at least 1, not 0"),
        ({"max_cluster": 2.5}, "a whole number of at least 1, not 2.5"),
        ({"dither_seed": 1.5}, "events.dither_seed must be a whole number, not 1.5"),
        ({"threshold_kev": NAN}, "events.threshold_kev must be a finite energy, not nan"),
        ({"low_threshold_kev": 4.0}, "must not exceed"),
    ],
)
def test_events(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EventSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_kev": INF},
        {"min_kev": -INF},
        {"bin_kev": NAN},
        {"bin_kev": 0},
        {"bin_kev": 1e-40},
        {"min_kev": 160},
        {"bin_kev": 400},
    ],
)
def test_energy_axis(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not a usable energy axis"):
        SpectrumSettings(**settings)


def test_any_whole_seed_is_taken() -> None:
    assert EventSettings(dither_seed=-(2**70)).dither_seed == -(2**70)
