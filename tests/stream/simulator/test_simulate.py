"""The simulated experiment: messages, statistics, and its own truth."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("xraylib")

from hexlive.kernels.backend import EventSettings, SpectrumSettings
from hexlive.kernels.opening import open_backend
from hexlive.reconstruct.compton import window_edges_kev
from hexlive.reconstruct.emf import each, emf, emf_weights, pool
from hexlive.stream.config import DetectorSettings
from hexlive.stream.model import (
    Cycler,
    End,
    Frames,
    Projections,
    ScanEnd,
    ScanStart,
    Segment,
    Start,
)
from hexlive.stream.simulator.phantom import ScanSettings
from hexlive.stream.simulator.scene import CLASSES, STATES
from hexlive.stream.simulator.settings import SimulatorSettings
from hexlive.stream.simulator.simulate import Simulator, runs
from hexlive.stream.simulator.truth import load_truth, truth
from hexlive.stream.wire import decode, encode

SMALL = DetectorSettings(rows=24, columns=24, pitch_mm=0.8)
SCAN = ScanSettings(rows=32, columns=60, n_projections=20, n_flats=2, n_darks=2, axis_offset_px=1.6)


def experiment(**changes):
    settings = {"detector": SMALL, "states": (1, 4), "frames_per_segment": 1000, "scan": SCAN}
    return Simulator(SimulatorSettings(**(settings | changes)))


def of_kind(messages, kind):
    return [message for message in messages if isinstance(message, kind)]


def all_frames(messages):
    return np.concatenate([message.frames for message in of_kind(messages, Frames)])


def test_messages_tell_the_whole_experiment_in_order():
    messages = list(experiment(ct_after_states=(4,)).messages(started_s=50.0, series="a"))
    assert isinstance(messages[0], Start)
    assert isinstance(messages[-1], End)
    segments = of_kind(messages, Segment)
    assert [(s.state, s.region) for s in segments] == [(s, r) for s in (1, 4) for r in (1, 2, 3)]
    assert [s.number for s in segments] == [1, 2, 3, 4, 5, 6]
    assert [s.soc for s in segments] == [STATES[s.state].soc for s in segments]
    first = [s.first_frame for s in segments]
    assert first == [1000 * n for n in range(6)]
    kinds = [type(message) for message in messages]
    scan_start, scan_end = kinds.index(ScanStart), kinds.index(ScanEnd)
    assert set(kinds[scan_start + 1 : scan_end]) == {Projections}
    assert scan_end == len(messages) - 2


def test_frame_numbers_and_times_run_on_without_gaps():
    batches = of_kind(experiment().messages(started_s=50.0), Frames)
    assert all(a.end_frame == b.first_frame for a, b in pairwise(batches))
    assert batches[0].first_frame == 0
    assert batches[-1].end_frame == 6000
    assert all(b.timestamp_s == 50.0 + b.first_frame / 9000 for b in batches)


def test_every_message_survives_the_wire():
    simulator = experiment(frames_per_segment=20, states=(1,), ct_after_states=(1,))
    for message in simulator.messages():
        again = decode([bytes(part) for part in encode(message)])
        assert type(again) is type(message)


def test_the_same_settings_give_the_same_frames_in_any_batches():
    reference = all_frames(experiment(states=(1,)).messages())
    np.testing.assert_array_equal(
        all_frames(experiment(states=(1,), batch_frames=77).messages()), reference
    )
    other = all_frames(experiment(states=(1,), seed=2).messages())
    assert (other != reference).any()


def test_lost_frames_are_missing_and_known():
    simulator, whole = experiment(states=(1,), loss=0.02), experiment(states=(1,))
    batches = of_kind(simulator.messages(), Frames)
    numbers = np.concatenate([np.arange(b.first_frame, b.end_frame) for b in batches])
    lost = np.concatenate([simulator.lost(segment) for segment in (1, 2, 3)])
    np.testing.assert_array_equal(numbers, np.flatnonzero(~lost))
    assert 0.01 < lost.mean() < 0.03
    kept = all_frames(whole.messages())[numbers]
    np.testing.assert_array_equal(np.concatenate([b.frames for b in batches]), kept)


def test_runs_are_half_open_ranges():
    assert runs(np.array([1, 1, 0, 1, 0, 0], bool)) == [(0, 2), (3, 4)]
    assert runs(np.zeros(3, bool)) == []


def test_cycler_follows_the_states():
    simulator = experiment(states=(1, 4, 7), frames_per_segment=3000)
    rows = of_kind(simulator.messages(started_s=10.0), Cycler)
    np.testing.assert_allclose(np.diff([row.time_s for row in rows]), 0.25)
    capacity_ah = np.array([row.capacity_ah for row in rows])
    assert np.sign(np.diff(capacity_ah[2:5]))[0] == np.sign(rows[3].current_ampere) == 1
    assert rows[8].current_ampere < 0
    assert capacity_ah.max() <= 2e-3
    assert all(2.5 < row.voltage_volt < 4.4 for row in rows)


def test_scan_numbers_agree():
    messages = list(experiment(ct_after_states=(1, 4), frames_per_segment=10).messages())
    starts, ends = of_kind(messages, ScanStart), of_kind(messages, ScanEnd)
    assert [start.scan for start in starts] == [end.scan for end in ends] == [1, 2]
    assert [start.state for start in starts] == [1, 4]
    for start in starts:
        parts = [p for p in of_kind(messages, Projections) if p.scan == start.scan]
        assert sum(len(p.images) for p in parts) == start.n_images == SCAN.n_images
        assert parts[-1].first_image + len(parts[-1].images) == SCAN.n_images
        assert parts[0].images.shape[1:] == (start.rows, start.columns)


@pytest.mark.parametrize("occupancy", [0.01, 0.03])
def test_occupancy_is_what_was_asked_for(occupancy):
    simulator = Simulator(SimulatorSettings(occupancy=occupancy))
    calibration = simulator.camera.calibration()
    hit = []
    for region in (1, 2, 3):
        signal_adu = simulator.frames(1, region, 0, 300) - calibration.pedestal_adu
        energy_kev = signal_adu * calibration.gradient_kev_per_adu + calibration.intercept_kev
        hit.append(np.mean((energy_kev >= 3.0)[:, calibration.mask == 0]))
    assert np.mean(hit) == pytest.approx(occupancy, rel=0.05)


def calibrated_kev(simulator, frames):
    camera = simulator.camera
    signal_adu = frames - camera.pedestal_adu
    return signal_adu * camera.gradient_kev_per_adu + camera.intercept_kev


@pytest.mark.parametrize("subject", ["disk", "am241", "dark"])
def test_a_calibration_is_one_exposure_without_cell_or_cycler(subject):
    simulator = experiment(subject=subject, ct_after_states=(4,))
    messages = list(simulator.messages())
    (segment,) = of_kind(messages, Segment)
    assert (segment.state, segment.region, segment.soc) == (None, None, None)
    assert not of_kind(messages, Cycler) + of_kind(messages, ScanStart)
    assert len(all_frames(messages)) == simulator.settings.n_frames == 1000
    known = truth(simulator)
    assert [row.name for row in known.emf] == (["disk"] if subject == "disk" else [])
    assert (known.subject, len(known.segments), known.ct) == (subject, 1, [])


def test_a_dark_has_no_photons_and_a_source_has_its_lines():
    dark = experiment(subject="dark")
    good = ~dark.camera.faulty
    energy_kev = calibrated_kev(dark, all_frames(dark.messages()))[:, good]
    assert (energy_kev > 3.5).mean() < 1e-5
    source = experiment(subject="am241", occupancy=0.05, frames_per_segment=4000)
    energy_kev = calibrated_kev(source, all_frames(source.messages()))[:, good]
    lines = [np.abs(energy_kev - kev) < 0.5 for kev in (13.95, 17.75, 26.35, 59.54)]
    beside = [np.abs(energy_kev - kev) < 0.5 for kev in (15.4, 19.3, 29.0, 62.0)]
    for line, side in zip(lines, beside, strict=True):
        assert line.sum() > 3 * side.sum() > 0 or side.sum() == 0


def test_the_disk_fills_the_view():
    disk = experiment(subject="disk").still_map().sum(axis=0)
    assert np.ptp(disk) < 1e-9 * disk.max()


def test_knobs_add_lines_and_background():
    plain, more = experiment(), experiment(lines_counts=50.0, flat_counts=100.0)
    for name, factor in (("lines", 10.0), ("flat", 20.0), ("lithium", 1.0)):
        kind = CLASSES["cell"].index(name)
        ratio = more.scene.region(3, 1)[kind].sum() / plain.scene.region(3, 1)[kind].sum()
        assert ratio == pytest.approx(factor)


def test_a_gain_drift_grows_from_the_first_frame_to_the_last():
    still, moving = experiment(states=(1,)), experiment(states=(1,), gain_drift=0.1)
    adu, drifted_adu = (all_frames(each.messages()).astype(float) for each in (still, moving))
    signal = adu - still.camera.pedestal_adu > 500
    for part, change in ((slice(0, 300), 0.005), (slice(2700, 3000), 0.095)):
        of_part = signal[part]
        pedestal_adu = np.broadcast_to(still.camera.pedestal_adu, adu[part].shape)[of_part]
        ratio = (drifted_adu[part][of_part] - pedestal_adu) / (adu[part][of_part] - pedestal_adu)
        assert np.median(ratio) == pytest.approx(1 + change, abs=0.002)


@pytest.mark.parametrize(
    "wrong",
    [
        {"states": (8,)},
        {"states": ()},
        {"regions": (0,)},
        {"regions": ()},
        {"occupancy": 0.0},
        {"loss": 1.0},
        {"seed": -1},
        {"gain_drift": 0.6},
        {"gain_drift": float("nan")},
        {"flat_counts": -1.0},
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(wrong):
    with pytest.raises(ValueError, match=r"^simulate: .*\.$"):
        SimulatorSettings(**wrong)


@pytest.fixture(scope="module")
def counted():
    """An experiment of one state, its truth, and pooled L and H of each region as counted."""
    events, spectrum = EventSettings(), SpectrumSettings()
    simulator = Simulator(SimulatorSettings(states=(4,), frames_per_segment=6000))
    calibration = simulator.camera.calibration()
    windows_kev = window_edges_kev(simulator.theta_rad, simulator.settings.compton)
    backend = open_backend(
        "cpu",
        events=events,
        spectrum=spectrum,
        pixels=calibration.pixel_maps(events, windows_kev),
    )
    weights = emf_weights(spectrum.edges_kev, simulator.theta_rad, simulator.settings.compton)
    regions = {}
    for message in simulator.messages():
        if isinstance(message, Frames):
            backend.add(message.frames, message.first_frame)
            if message.end_frame % 6000 == 0:
                counts = backend.snapshot()
                region = message.end_frame // 6000
                regions[region] = pool(emf(counts.spectra, weights), calibration.mask == 0)
                backend.clear()
    return simulator, truth(simulator, events), regions


def test_measured_emf_agrees_with_the_truth(counted):
    simulator, known, regions = counted
    mixing = simulator.settings.components.mixing
    mixing |= {f"region_{region}": {region: 1.0} for region in (1, 2, 3)}
    assert {row.name for row in known.emf} == mixing.keys()
    for row in known.emf:
        parts = [regions[region].scaled(factor) for region, factor in mixing[row.name].items()]
        total = each(lambda *values: np.sum(values), *parts)
        uncertainty = np.hypot(total.sigma, row.seen_sigma)
        assert abs(total.emf - row.seen) < 4 * uncertainty, row.name
        assert row.seen_sigma < 0.01
        assert row.seen < row.free


def test_photons_that_meet_lower_the_cathode_of_the_truth(counted):
    cathode = next(row for row in counted[1].emf if row.name == "cathode")
    assert cathode.seen < cathode.isolated * 0.99


def test_truth_is_written_beside_the_data(counted, tmp_path):
    known = counted[1]
    known.save(tmp_path / "truth.json")
    assert load_truth(tmp_path / "truth.json") == known
    assert [segment.n_frames for segment in known.segments] == [6000] * 3


def test_truth_knows_the_ct_scans():
    simulator = experiment(states=(1, 4), ct_after_states=(4,), frames_per_segment=10)
    (scan,) = truth(simulator).ct
    assert (scan.scan, scan.state, scan.centre_px) == (1, 4, SCAN.centre_px)
    assert scan.ra_um == pytest.approx(STATES[4].roughness_um)
