"""A configuration is right or refused with one sentence that names the place."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from hexlive.stream.config import Config, ConfigError, load_config, to_toml


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_default_configuration_survives_toml(tmp_path: Path) -> None:
    assert load_config(written(tmp_path / "c.toml", to_toml(Config()))) == Config()


def test_stated_keys_win_and_the_rest_are_defaults(tmp_path: Path) -> None:
    path = written(
        tmp_path / "c.toml",
        '[detector]\nmodules = [2, 2]\n[events]\npolicy = "none"\n[compton]\nbeam_sign = -1\n',
    )
    config = load_config(path)
    assert config.detector.modules == (2, 2)
    assert config.events.policy == "none"
    assert config.compton.beam_sign == -1
    assert config.spectrum == Config().spectrum


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[detector]\ncolums = 3", "Did you mean 'columns'"),
        ("[detecter]\n", "Did you mean 'detector'"),
        ("detector = 3", "must be a table"),
        ('[events]\npolicy = "maybe"', "events.policy"),
        ("[events]\nmax_cluster = 0", "max_cluster"),
        ("[events]\nthreshold_kev = 1.0\nlow_threshold_kev = 2.0", "low_threshold_kev"),
        ("[spectrum]\nbin_kev = 0.0", "energy axis"),
        ("[detector]\nmodules = [3, 1]", "do not tile"),
        ('[detector]\nrows = "eighty"', "detector.rows"),
        ("[detector]\nframe_rate_hz = nan", "frame_rate_hz"),
        ("[detector]\npitch_mm = inf", "pitch_mm"),
        ("[monitor]\nrate_hz = 0", "rate_hz must be positive"),
        ("[stream]\nhigh_water_mark_mb = -1", "high_water_mark_mb must be positive"),
        ("[stream]\nidle_timeout_s = nan", "idle_timeout_s must be positive"),
        ("[compton]\ninner_au = 6.0", "inner_au"),
        ("not toml at all", "not valid TOML"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_place(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(written(tmp_path / "c.toml", text))


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml")


def test_the_toml_of_a_result_is_complete() -> None:
    tables = tomllib.loads(to_toml(Config()))
    assert set(tables) == {field.name for field in fields(Config)}
    assert {"detector", "events", "compton", "stream"} <= set(tables)


def test_electron_densities_need_the_efficiency_of_the_sensor(tmp_path: Path) -> None:
    beam = "flux_per_mm2_s = 1e10\ntransmission_in = 0.8\ntransmission_out = 0.6\n"
    beam += "kept_fraction = 0.6\n"
    text = f"[compton]\nefficiency = false\n[density]\n{beam}"
    with pytest.raises(ConfigError, match=r"compton\.efficiency = true"):
        load_config(written(tmp_path / "c.toml", text))
