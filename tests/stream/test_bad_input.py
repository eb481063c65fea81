"""Calibrations, settings and frame numbers that make no sense: refused, or counted and said."""

import logging
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream import memory
from hexlive.stream.calibration import Calibration
from hexlive.stream.config import Config
from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource

JUMP = 2**40


def batch(first: int) -> Frames:
    rng = np.random.default_rng(first)
    frames = np.where(rng.random((64, 12, 10)) < 0.09, 4000, 1000).astype("<u2")
    return Frames(series="s", first_frame=first, timestamp_s=0.0, frames=frames)


def series(*firsts: int) -> list[AnyMessage]:
    start = Start(series="s", rows=12, columns=10, frame_rate_hz=9000.0, started_s=0.0)
    end = End(series="s", last_frame=max(firsts) + 63)
    first = Segment(series="s", number=1, first_frame=0)
    return [start, first, *map(batch, firsts), end]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    with closing(RecordingWriter(tmp_path / "recording.h5")) as writer:
        for message in series(0, 64):
            writer.append(message)
    return tmp_path / "recording.h5"


@pytest.fixture
def process(hexlive, recording: Path, tmp_path: Path):
    """Process with a calibration and lines of configuration; exit code, words, result file."""

    def go(calibration: Calibration, *lines: str) -> tuple[int, str, Path]:
        calibration.save(tmp_path / "cal.h5")
        config = tmp_path / "c.toml"
        config.write_text("\n".join(["[detector]", "rows = 12", "columns = 10", *lines]))
        out = tmp_path / "result.nxs"
        code, said = hexlive(
            "process", recording, "--calibration", tmp_path / "cal.h5", "--config", config,
            "--out", out,
        )  # fmt: skip
        return code, said, out

    return go


def test_pixels_without_a_calibration_are_masked_counted_and_said_once(
    process, calibration: Calibration, caplog: pytest.LogCaptureFixture
) -> None:
    gradient = calibration.gradient_kev_per_adu.copy()
    intercept = calibration.intercept_kev.copy()
    gradient[0, :4] = np.nan, np.inf, 0.0, -0.03
    intercept[1, 0] = -np.inf
    mask = np.zeros((12, 10), np.uint8)
    mask[0, 0] = mask[5, 5] = 1  # known to be bad, so nothing to be said
    bad = replace(calibration, gradient_kev_per_adu=gradient, intercept_kev=intercept, mask=mask)
    code, said, out = process(bad)
    assert code == 0, said
    warned = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert warned == [
        "4 of 120 pixels are treated as masked: their gradient is not above 0, or a value of their "
        "calibration is not finite."
    ]
    with h5py.File(out) as file:
        assert file["entry/process/notes"].asstr()[()] == warned[0]
        segment = file["entry/segment_0001"]
        assert np.argwhere(segment["hits"][()] == 0).tolist() == [
            [0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [5, 5],
        ]  # fmt: skip
        assert np.isfinite(segment["profile/j"][()]).any()


@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0])
def test_a_calibration_without_a_usable_pixel_is_refused(
    process, calibration: Calibration, value: float
) -> None:
    gradient = np.full((12, 10), value, np.float32)
    code, said, out = process(replace(calibration, gradient_kev_per_adu=gradient))
    assert code == 1
    assert "no usable pixel" in said
    assert not out.exists()


def test_a_threshold_below_the_intercept_is_refused_with_both(
    process, calibration: Calibration
) -> None:
    loud = replace(calibration, intercept_kev=np.full((12, 10), 1.2, np.float32))
    code, said, out = process(loud, "[events]", "threshold_kev = 1.0")
    assert code == 1
    assert "120 of 120 pixels would be hit without any charge" in said
    assert "its threshold is 1 keV, its intercept 1.2 keV" in said
    assert not out.exists()


def test_a_few_loud_pixels_are_said(
    process, calibration: Calibration, caplog: pytest.LogCaptureFixture
) -> None:
    intercept_kev = calibration.intercept_kev.copy()
    intercept_kev[3, 4] = 3.5
    code, said, _ = process(replace(calibration, intercept_kev=intercept_kev))
    assert code == 0, said
    assert "1 of 120 pixels are hit without any charge" in caplog.text
    code, said, _ = process(
        calibration, "[events]", "threshold_kev = 3.0", "low_threshold_kev = 0.05"
    )
    assert code == 1
    assert "its threshold is 0.05 keV, its intercept 0.1 keV" in said


def test_spectra_beyond_the_memory_are_refused_with_the_size(
    process, calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_bytes", lambda: 2**27)
    code, said, out = process(calibration, "[spectrum]", "bin_kev = 0.002")
    assert code == 1
    assert "120 spectra of 80000 bins and their analysis take 0.2 GiB, more than the 0.1" in said
    assert not out.exists()


def test_the_memory_of_this_machine_is_known() -> None:
    assert 2**28 < memory.memory_bytes() < 2**50


def missing(result: Path) -> list[list[int]]:
    with h5py.File(result) as file:
        segment = file["entry/segment_0001"]
        ranges = segment["missing_frames"][()].tolist()
        lost = segment.attrs["frames_lost"]
    assert lost == sum(end - begin for begin, end in ranges)
    return ranges


def test_a_jump_of_the_frame_number_is_missing_frames_live_recorded_and_replayed(
    hexlive, config: Config, calibration: Calibration, make_source, tmp_path: Path
) -> None:
    live = Outputs(result=tmp_path / "live.nxs", recording=tmp_path / "jump.h5")
    jumped = series(0, 64 + JUMP, 64, 128 + JUMP)
    outcome = run_session(make_source(jumped), config, calibration, live)
    assert not outcome.faults
    assert not outcome.report.rejected
    assert outcome.report.totals == (192 + JUMP, 256)
    expected = [[128, 64 + JUMP]]
    assert missing(live.result) == expected
    offline = Outputs(result=tmp_path / "offline.nxs")
    run_session(open_file(live.recording), config, calibration, offline)
    assert missing(offline.result) == expected
    for rate in ("max", "9000"):
        replayed = Outputs(result=tmp_path / f"{rate}.nxs")
        listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)
        with closing(listening) as source:
            thread = threading.Thread(
                target=run_session, args=(source, config, calibration, replayed)
            )
            thread.start()
            code, said = hexlive("replay", live.recording, "--to", source.address, "--rate", rate)
            thread.join()
        assert code == 0, said
        assert missing(replayed.result) == expected
