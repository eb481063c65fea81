"""What a result says of an exposure beside its counts."""

import logging
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.reconstruct.compton import ComptonSettings, theta_from_peak_rad
from hexlive.reconstruct.emf import REASONS, window_sum_emf
from hexlive.reconstruct.pooling import PoolingSettings
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config, ConfigError
from hexlive.stream.model import AnyMessage, Frames, Segment
from hexlive.stream.recent import RecentCounts
from hexlive.stream.reducers import ComptonReducer
from hexlive.stream.session import Outputs, run_session


@pytest.fixture
def messages(long_source) -> list[AnyMessage]:
    return list(takewhile(lambda message: message is not None, long_source))


@pytest.fixture
def result(messages, make_source, config: Config, calibration: Calibration, tmp_path: Path) -> Path:
    path = tmp_path / "result.nxs"
    density = replace(
        config.density,
        flux_per_mm2_s=1e10,
        transmission_in=0.5,
        transmission_out=0.5,
        kept_fraction=0.5,
    )
    pooled = replace(config, pooling=PoolingSettings(superpixel_px=5, target_relative_sigma=0.1))
    mask = calibration.mask.copy()
    mask[2, 3] = 1
    pooled, masked = replace(pooled, density=density), replace(calibration, mask=mask)
    run_session(make_source(messages), pooled, masked, Outputs(result=path))
    return path


def test_unbinned_sums_stand_beside_the_result_and_agree(result: Path) -> None:
    with h5py.File(result) as file:
        group = file["entry/segment_0001"]
        difference = group["emf_unbinned_difference"][()]
        np.testing.assert_allclose(
            difference, (group["emf_unbinned"] - group["emf"][()]) / group["emf_sigma"]
        )
        assert np.nanstd(difference) < 1
        assert abs(group.attrs["emf_unbinned_difference_sigma"]) < 1
        assert abs(group.attrs["emf_unbinned_explained"]) < 0.002
        assert group.attrs["doubts"] == ""


def test_a_result_can_be_pooled_again_with_its_own_covariances(result: Path) -> None:
    with h5py.File(result) as file:
        group = file["entry/segment_0001"]
        low, high = group["emf_low"][()].sum(), group["emf_high"][()].sum()
        assert group.attrs["emf_mean"] == pytest.approx(low / high)
        var_low, var_high, cov = (
            group[name][()].sum()
            for name in ("emf_low_variance", "emf_high_variance", "emf_covariance")
        )
        relative = var_low / low**2 + var_high / high**2 - 2 * cov / (low * high)
        expected = low / high * np.sqrt(relative)
        assert group.attrs["emf_mean_sigma"] == pytest.approx(expected)


def test_pooled_maps_reach_the_target_or_say_how_long_it_takes(result: Path) -> None:
    with h5py.File(result) as file:
        group = file["entry/segment_0001/pooling"]
        assert group["superpixel_emf"].shape == (3, 2)
        emf, sigma = group["adaptive_emf"][()], group["adaptive_emf_sigma"][()]
        labels = group["adaptive_label"][()]
        assert (labels == -1).sum() == 1
        assert np.isnan(emf[2, 3])
        relative = sigma / emf
        assert np.nanmedian(relative) <= 0.1
        wait_s = group["time_to_target_s"][()]
        assert np.nanmin(wait_s) > 0
        assert group.attrs["recent_s"] == file["entry/segment_0001"].attrs["live_time_s"]


def test_nan_has_a_reason(result: Path) -> None:
    with h5py.File(result) as file:
        group = file["entry/segment_0001"]
        codes = group["emf_undefined"][()]
        assert REASONS[codes[2, 3]] == "masked"
        np.testing.assert_array_equal(codes != 0, np.isnan(group["emf"][()]))
        assert group["emf_undefined"].attrs["meaning"][1] == "1: masked"


def test_electron_density_is_absolute_with_a_flux_and_relative_without(
    result: Path, messages, make_source, config: Config, calibration: Calibration, tmp_path: Path
) -> None:
    with h5py.File(result) as file:
        group = file["entry/segment_0001"]
        assert group.attrs["intensity"] == "absolute"
        assert np.nanmedian(group["electrons_per_mm3"][()]) > 0
    run_session(
        make_source(messages), config, calibration, Outputs(result=tmp_path / "relative.nxs")
    )
    with h5py.File(tmp_path / "relative.nxs") as file:
        assert file["entry/segment_0001"].attrs["intensity"] == "relative"
        assert "electrons_per_mm3" not in file["entry/segment_0001"]


def test_components_say_how_long_they_still_need(result: Path) -> None:
    with h5py.File(result) as file:
        anode, cathode = (file[f"entry/components/{name}/state_1"] for name in ("anode", "cathode"))
        assert cathode.attrs["live_time_s"] == pytest.approx(3 * anode.attrs["live_time_s"])
        assert anode.attrs["time_to_target_s"] >= 0


def test_the_last_seconds_are_the_difference_of_two_moments() -> None:
    recent = RecentCounts(10.0)
    for second in range(1, 31):
        found = recent.update(second, window_sum_emf(np.array(second**2), np.array(second)))
        assert found.live_time_s == min(second, 10)
    assert found.windows.low == 30**2 - 20**2
    assert found.windows.emf == 50
    recent.clear()
    assert recent.update(1.0, window_sum_emf(np.array(5), np.array(5))).windows.low == 5


def test_survival_scales_exposures_but_not_counts(
    messages, config: Config, calibration: Calibration
) -> None:
    anodes = []
    for pile_up in ("none", "survival"):
        chosen = replace(config, compton=ComptonSettings(pile_up=pile_up))
        reducer = ComptonReducer(chosen, calibration, "cpu")
        for message in messages:
            reducer.add(message)
            found = reducer.snapshot()
        anodes.append(found.components[2]["anode"])
    assert np.all(found.survival < 1)
    ratio = anodes[1].windows.high / anodes[0].windows.high
    assert ratio == pytest.approx(1 / found.survival.mean(), rel=0.1)
    assert anodes[1].windows.emf == pytest.approx(anodes[0].windows.emf, rel=0.05)
    assert anodes[1].spectrum.sum() == pytest.approx(ratio * anodes[0].spectrum.sum(), rel=0.05)


def test_a_peak_map_replaces_the_geometry_where_it_is_measured(
    config: Config, calibration: Calibration
) -> None:
    measured = replace(config, compton=ComptonSettings(angles="peak_map"))
    with pytest.raises(ConfigError, match="peak_kev"):
        ComptonReducer(measured, calibration, "cpu")
    peak = np.full(calibration.shape, 93.5)
    peak[0, 0] = np.nan
    reducer = ComptonReducer(measured, replace(calibration, peak_kev=peak), "cpu")
    plain = ComptonReducer(config, calibration, "cpu")
    np.testing.assert_allclose(reducer.theta_rad[0, 1:], theta_from_peak_rad(93.5, 115.0))
    assert reducer.theta_rad[0, 0] == plain.theta_rad[0, 0]
    assert any("1 pixels have no measured peak" in note for note in reducer.notes)


@pytest.mark.parametrize(
    ("truth", "fix"),
    [
        ({"beam_sign": -1}, "compton.beam_sign = -1"),
        ({"beam_axis": "rows"}, "compton.beam_axis = 'rows'"),
    ],
)
def test_a_wrong_beam_direction_is_warned_of_with_the_setting_to_change(caplog, truth, fix) -> None:
    pytest.importorskip("xraylib")
    from hexlive.stream.simulator.settings import SimulatorSettings
    from hexlive.stream.simulator.simulate import Simulator

    simulator = Simulator(SimulatorSettings(states=(1,), compton=ComptonSettings(**truth)))
    reducer = ComptonReducer(Config(), simulator.camera.calibration(), "cpu")
    reducer.add(Segment(series="s", number=1, first_frame=0, state=1, region=3))
    frames = simulator.frames(1, 3, 0, 1500)
    reducer.add(Frames(series="s", first_frame=0, timestamp_s=0.0, frames=frames))
    with caplog.at_level(logging.WARNING):
        doubts = reducer.snapshot().doubts
        reducer.snapshot()
    assert len(doubts) == 1
    assert doubts[0].endswith(f"set {fix}.")
    assert sum(fix in record.message for record in caplog.records) == 1


def test_a_state_out_of_order_is_doubted_and_the_order_of_the_experiment_is_not(
    config: Config, calibration: Calibration
) -> None:
    reducer = ComptonReducer(config, calibration, "cpu")

    def doubts(number: int, state: int) -> tuple[str, ...]:
        reducer.add(Segment(series="s", number=number, first_frame=0, state=state, region=3))
        return reducer.snapshot().doubts

    assert not any(doubts(number, state) for number, state in enumerate((1, 1, 2, 4), start=1))
    [sentence] = doubts(5, 3)
    assert sentence.startswith("State 3 is exposed after state 4")
    assert doubts(6, 4) == ()


def test_a_segment_that_names_the_exposure_under_way_leaves_its_counts(
    config: Config, calibration: Calibration
) -> None:
    reducer = ComptonReducer(config, calibration, "cpu")
    frames = np.full((5, *calibration.shape), 2000, np.uint16)
    reducer.add(Segment(series="s", number=1, first_frame=0))
    reducer.add(Frames(series="s", first_frame=0, timestamp_s=0.0, frames=frames))
    reducer.add(Segment(series="s", number=1, first_frame=0, state=2, region=3))
    found = reducer.snapshot()
    assert found.counts.n_frames == 5
    assert found.segment is not None
    assert (found.segment.state, found.segment.region) == (2, 3)
    reducer.add(Segment(series="s", number=2, first_frame=5, state=2, region=2))
    assert reducer.snapshot().counts.n_frames == 0
