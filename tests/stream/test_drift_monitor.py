"""The drift monitor on simulated streams whose drift is known."""

import logging

import h5py
import numpy as np
import pytest

from hexlive.kernels.backend import EventSettings, SpectrumSettings
from hexlive.kernels.opening import open_backend
from hexlive.reconstruct.drift import DriftSettings
from hexlive.stream.config import DetectorSettings
from hexlive.stream.drift import DriftReducer, write_drift
from hexlive.stream.model import Frames, Segment
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator

SPECTRUM = SpectrumSettings()
DRIFT = 0.004
N_FRAMES = 9000


def followed(gain_drift, settings, on_gain=lambda gain: None):
    """The monitor after one simulated exposure of two regions."""
    simulator = Simulator(
        SimulatorSettings(
            states=(1,), regions=(2, 3), frames_per_segment=N_FRAMES, gain_drift=gain_drift,
            occupancy=0.05, lines_counts=60.0, seed=4,
            detector=DetectorSettings(rows=24, columns=24, pitch_mm=0.8),
        )
    )  # fmt: skip
    calibration, events = simulator.camera.calibration(), EventSettings()
    backend = open_backend(
        "cpu", events=events, spectrum=SPECTRUM, pixels=calibration.pixel_maps(events)
    )
    monitor = DriftReducer(
        settings,
        SPECTRUM.edges_kev,
        lambda: backend.snapshot().spectra,
        calibration.mask == 0,
        on_gain,
    )
    for message in simulator.messages():
        monitor.add(message)
        if isinstance(message, Segment):
            backend.clear()
        if isinstance(message, Frames):
            backend.add(message.frames, message.first_frame)
    monitor.finish()
    return monitor.snapshot()


@pytest.fixture(scope="module")
def drifting():
    return followed(DRIFT, DriftSettings(interval_s=0.5))


def test_the_monitor_follows_a_drift_in_all_quadrants(drifting):
    middle = np.array([point.first_frame + point.n_frames / 2 for point in drifting.points])
    known = DRIFT * (middle - middle[0]) / (2 * N_FRAMES)
    found = np.array([point.change.relative for point in drifting.points])
    sigma = np.array([point.change.sigma for point in drifting.points])
    assert len(drifting.points) == 4
    assert sigma[:, 0].max() < 0.0004
    pull = (found[1:] - known[1:, None]) / sigma[1:]
    assert np.abs(pull).max() < 4.5
    assert found[-1, 0] > 0.6 * DRIFT


def test_points_never_straddle_exposures(drifting):
    assert [point.segment for point in drifting.points] == [1, 1, 2, 2]
    assert sum(point.n_frames for point in drifting.points) == 2 * N_FRAMES


def test_a_drift_raises_one_alarm_in_words(caplog):
    with caplog.at_level(logging.WARNING):
        found = followed(DRIFT, DriftSettings(interval_s=0.5))
    assert [record.message for record in caplog.records if "gain" in record.message] != []
    assert sum("gain" in record.message for record in caplog.records) == 1
    assert found.alarm.startswith("The gain has changed by +0.")


def test_without_drift_there_is_no_alarm_and_no_correction():
    told = []
    found = followed(0.0, DriftSettings(interval_s=0.5, correct=True, alarm_sigma=5.0), told.append)
    assert found.alarm == ""
    assert found.gain == 1.0
    assert told == []


def test_a_correction_is_the_mean_gain_of_the_present_exposure():
    told = []
    found = followed(DRIFT, DriftSettings(interval_s=0.5, correct=True), told.append)
    changes = [point.change.relative[0] for point in found.points]
    assert found.gain == told[-1] == pytest.approx(1 + np.mean(changes[2:]), abs=2e-5)
    assert [point.applied for point in found.points[1:]] == told


def test_lines_that_are_not_there_make_no_points():
    assert followed(DRIFT, DriftSettings(lines=("45", "130"))).points == ()


def test_the_table_has_a_row_per_point(drifting, tmp_path):
    with h5py.File(tmp_path / "result.nxs", "w") as file:
        write_drift(file.create_group("drift"), drifting)
        group = file["drift"]
        assert group["centre_kev"].shape == (4, 2)
        assert group["quadrant_gain_percent"].shape == (4, 4)
        np.testing.assert_allclose(group["centre_kev"][0], [59.3, 74.95], atol=0.15)
        assert group["line"].asstr()[()].tolist() == ["W Ka", "Pb Ka"]
        assert group[group.attrs["signal"]].shape == (4,)
        assert not group.attrs["corrected"]
