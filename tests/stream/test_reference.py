"""A reference belongs to one camera, one calibration and one set of settings."""

from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.kernels.backend import EventSettings
from hexlive.reconstruct.compton import ComptonSettings
from hexlive.reconstruct.drift import DriftSettings
from hexlive.stream.calibration import Calibration, load_calibration
from hexlive.stream.config import Config, ConfigError, DetectorSettings
from hexlive.stream.files import FileError
from hexlive.stream.model import AnyMessage
from hexlive.stream.reference import load_reference, reference_from_result, save_reference
from hexlive.stream.session import Outputs, run_session


@pytest.fixture
def messages(long_source) -> list[AnyMessage]:
    return list(takewhile(lambda message: message is not None, long_source))


@pytest.fixture
def result(messages, make_source, config: Config, calibration: Calibration, tmp_path: Path) -> Path:
    path = tmp_path / "result.nxs"
    run_session(make_source(messages), config, calibration, Outputs(result=path))
    return path


@pytest.fixture
def with_reference(result: Path, calibration_file: Path) -> Path:
    save_reference(calibration_file, reference_from_result(result, 3))
    return calibration_file


def test_a_reference_survives_the_calibration_file(result: Path, with_reference: Path) -> None:
    made, found = reference_from_result(result, 3), load_reference(with_reference)
    assert found is not None
    assert found.config == made.config
    assert (found.segment, found.series, found.source) == (3, made.series, "result.nxs")
    with h5py.File(result) as file, h5py.File(with_reference) as calibration:
        np.testing.assert_array_equal(found.windows.emf, file["entry/segment_0003/emf"])
        np.testing.assert_array_equal(found.windows.emf, calibration["reference/emf"])
        assert "gradient_kev_per_adu" in calibration
    assert load_calibration(with_reference).reference is not None


def test_a_calibration_without_a_reference_has_none(calibration_file: Path) -> None:
    assert load_reference(calibration_file) is None


def test_relative_emf_is_one_for_the_reference_itself_and_uncertain_for_the_others(
    with_reference: Path, messages, make_source, config: Config, tmp_path: Path
) -> None:
    again = tmp_path / "again.nxs"
    calibration = load_calibration(with_reference)
    run_session(make_source(messages), config, calibration, Outputs(result=again))
    with h5py.File(again) as file:
        itself, other = (file[f"entry/segment_{number:04d}"] for number in (3, 4))
        known = np.isfinite(itself["emf"][()])
        np.testing.assert_allclose(itself["emf_relative"][()][known], 1)
        np.testing.assert_allclose(itself["emf_relative_sigma"][()][known], 0, atol=1e-6)
        assert itself.attrs["emf_relative_mean"] == pytest.approx(1)
        assert itself.attrs["emf_relative_mean_sigma"] == pytest.approx(0, abs=1e-6)
        assert other["emf_relative"].attrs["reference"] == "result.nxs, segment 3"
        apart = abs(other.attrs["emf_relative_mean"] - 1)
        assert 0 < apart < 4 * other.attrs["emf_relative_mean_sigma"]


@pytest.mark.parametrize(
    ("table", "name", "value"),
    [
        ("events", "threshold_kev", 4.0),
        ("events", "policy", "discriminate"),
        ("events", "connectivity", 4),
        ("events", "max_cluster", 3),
        ("compton", "inner_au", 1.2),
        ("compton", "outer_au", 4.0),
        ("compton", "beam_sign", -1),
        ("spectrum", "bin_kev", 0.25),
        ("spectrum", "min_kev", 1.0),
        ("drift", "correct", True),
    ],
)
def test_a_reference_of_other_settings_is_refused_by_name(
    result: Path, config: Config, table: str, name: str, value: object
) -> None:
    settings = replace(getattr(config, table), **{name: value})
    reference = reference_from_result(result, 1)
    with pytest.raises(ConfigError, match=rf"{table}\.{name} = .*{value}"):
        reference.require_match(replace(config, **{table: settings}), reference.calibration_id)


def test_settings_that_emf_does_not_depend_on_may_differ(result: Path, config: Config) -> None:
    other = replace(
        config,
        events=EventSettings(keep_multiplicity=True),
        compton=ComptonSettings(pile_up="survival"),
        spectrum=replace(config.spectrum, max_kev=config.spectrum.max_kev + 10),
        drift=DriftSettings(alarm_percent=0.2, alarm_sigma=4.0, interval_s=1.0, lines=()),
    )
    reference = reference_from_result(result, 1)
    reference.require_match(other, reference.calibration_id)


def test_a_reference_of_another_detector_or_calibration_is_refused(
    result: Path, config: Config, calibration: Calibration
) -> None:
    reference = reference_from_result(result, 1)
    with pytest.raises(ConfigError, match=r"another detector: 12 x 10"):
        reference.require_match(Config(), calibration.id)
    turned = replace(config, detector=DetectorSettings(rows=12, columns=10, pitch_mm=0.5))
    with pytest.raises(ConfigError, match=r"detector\.pitch_mm"):
        reference.require_match(turned, calibration.id)
    with pytest.raises(ConfigError, match="another-one"):
        reference.require_match(config, "another-one")


def test_a_run_with_a_reference_that_does_not_fit_does_not_begin(
    with_reference: Path, messages, make_source, config: Config, tmp_path: Path
) -> None:
    other = replace(config, events=EventSettings(threshold_kev=5.0))
    calibration = load_calibration(with_reference)
    with pytest.raises(ConfigError, match=r"events\.threshold_kev"):
        run_session(make_source(messages), other, calibration, Outputs(result=tmp_path / "r.nxs"))
    without = replace(other, compton=ComptonSettings(reference="none"))
    run_session(make_source(messages), without, calibration, Outputs(result=tmp_path / "r.nxs"))
    with h5py.File(tmp_path / "r.nxs") as file:
        assert "emf_relative" not in file["entry/segment_0001"]


def test_a_reference_only_goes_into_its_own_calibration(
    result: Path, calibration: Calibration, tmp_path: Path
) -> None:
    other = tmp_path / "other.h5"
    replace(calibration, id="another-one").save(other)
    before = other.read_bytes()
    with pytest.raises(FileError, match="another-one"):
        save_reference(other, reference_from_result(result, 1))
    assert other.read_bytes() == before


def test_which_exposure_must_be_said_and_must_exist(result: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"several exposures.*segment_0001, segment_0002"):
        reference_from_result(result)
    with pytest.raises(FileError, match="no segment_0009"):
        reference_from_result(result, 9)
    with h5py.File(tmp_path / "no.h5", "w") as file:
        file["something"] = 1
    with pytest.raises(FileError, match="not a result"):
        reference_from_result(tmp_path / "no.h5", 1)


def test_the_first_state_is_the_reference_of_later_ones(
    long_source, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    relative = replace(config, compton=ComptonSettings(reference="first_state"))
    path = tmp_path / "first.nxs"
    run_session(long_source, relative, calibration, Outputs(result=path))
    with h5py.File(path) as file:
        first, later = (file[f"entry/segment_{number:04d}"] for number in (1, 4))
        assert "emf_relative" not in first
        ratio = later["emf"][()] / first["emf"][()]
        assert np.isfinite(ratio).mean() > 0.9
        np.testing.assert_allclose(later["emf_relative"][()], ratio)
        assert later["emf_relative"].attrs["reference"] == "state 1, same region"
