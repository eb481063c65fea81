"""A recording keeps every message; when it cannot, the run goes on and says so."""

import time
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from hexlive.stream.files import FileError
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import Frames, Projections, ScanEnd, ScanStart, Start
from hexlive.stream.nxtomo import read_scan
from hexlive.stream.pipeline import run
from hexlive.stream.recorder import Recorder, RecordingWriter, Written
from hexlive.stream.recordings import open_file
from hexlive.stream.session import Outputs, run_session


def test_a_recording_opens_in_plain_h5py(source, config, calibration, tmp_path: Path) -> None:
    outputs = Outputs(result=tmp_path / "r.nxs", recording=tmp_path / "recording.h5")
    run_session(source, config, calibration, outputs)
    with h5py.File(outputs.recording) as file:
        plot = file[file.attrs["default"]][file["entry"].attrs["default"]]
        assert plot[plot.attrs["signal"]].shape == (1152, 12, 10)
        detector = file["entry/instrument/detector"]
        assert detector["frame_number"][()].tolist() == list(range(1152))


def test_a_recorded_scan_is_an_nxtomo_entry_and_replays(tmp_path: Path) -> None:
    path = tmp_path / "recording.h5"
    images = np.arange(8 * 3 * 4, dtype=np.uint16).reshape(8, 3, 4)
    sent = [
        ScanStart(series="s", scan=1, rows=3, columns=4, n_images=8, pixel_um=5.0),
        *(
            Projections(
                series="s", scan=1, first_image=first, angles_deg=np.arange(first, first + 4.0),
                image_key=np.array([1, 0, 0, 0], np.uint8), images=images[first : first + 4],
            )
            for first in (0, 4)
        ),
        ScanEnd(series="s", scan=1, n_images=8),
    ]  # fmt: skip
    writer = RecordingWriter(path)
    for message in sent:
        writer.append(message)
    writer.close()
    scan = read_scan(path, "scan_0001")
    np.testing.assert_array_equal(scan.projections, images[[1, 2, 3, 5, 6, 7]])
    assert scan.pixel_um == 5.0
    with pytest.raises(FileError, match="no frames"):
        open_file(path)


def test_a_full_disk_stops_the_recording_and_not_the_run(
    source, config, calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    append, calls = RecordingWriter.append, []

    def full(self: RecordingWriter, message: object) -> None:
        calls.append(message)
        if len(calls) > 6:
            raise OSError(28, "No space left on device")
        append(self, message)

    monkeypatch.setattr(RecordingWriter, "append", full)
    outputs = Outputs(result=tmp_path / "r.nxs", recording=tmp_path / "recording.h5")
    outcome = run_session(source, config, calibration, outputs)
    assert outcome.faults
    assert "No space left" in outcome.recording
    assert "No space left" in caplog.text
    assert outcome.report.totals == (1152, 1152)
    assert outputs.result.exists()
    assert 0 < open_file(outputs.recording).n_frames < 1152


def test_a_recorder_that_failed_never_blocks(tmp_path: Path, monkeypatch) -> None:
    def broken(self: RecordingWriter, message: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(RecordingWriter, "append", broken)
    recorder = Recorder(tmp_path / "r.h5")
    frames = np.zeros((100, 80, 80), np.uint16)
    for first in range(0, 100_000, 100):  # five times what the queue holds
        recorder.put(Frames(series="s", first_frame=first, timestamp_s=0.0, frames=frames))
    recorder.close()
    assert recorder.failed
    assert "a defect" in recorder.status


def test_a_series_may_have_any_name(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r.h5")
    start = Start(series='run "7"', rows=2, columns=2, frame_rate_hz=1.0, started_s=0.0)
    scan = ScanStart(series=start.series, scan=1, rows=1, columns=1, n_images=1, pixel_um=1.0)
    one = Projections(
        series=start.series, scan=1, first_image=0, angles_deg=np.zeros(1),
        image_key=np.zeros(1, np.uint8), images=np.ones((1, 1, 1), np.uint16),
    )  # fmt: skip
    for message in (start, scan, one):
        writer.append(message)
    writer.close()
    replayed = list(open_file(tmp_path / "r.h5"))
    assert [type(message) for message in replayed] == [Start, ScanStart, Projections]
    assert {message.series for message in replayed} == {start.series}


def test_a_recording_into_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no folder"):
        RecordingWriter(tmp_path / "nowhere" / "r.h5")


def test_messages_of_any_length_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    writer = RecordingWriter(path)
    writer.append(Start(series="s", rows=2, columns=2, frame_rate_hz=1.0, started_s=0.0))
    for first, count in ((0, 10), (10, 70), (80, 3), (90, 60)):
        frames = np.arange(first, first + count, dtype=np.uint16)[:, None, None]
        frames = np.broadcast_to(frames, (count, 2, 2))
        writer.append(Frames(series="s", first_frame=first, timestamp_s=0.0, frames=frames))
    writer.close()
    batches = [message for message in open_file(path) if isinstance(message, Frames)]
    assert [(batch.first_frame, len(batch.frames)) for batch in batches] == [
        (0, 10), (10, 70), (80, 3), (90, 60),
    ]  # fmt: skip
    for batch in batches:
        assert batch.frames[:, 1, 1].tolist() == list(range(batch.first_frame, batch.end_frame))


def test_a_recording_stops_before_the_disk_is_full(
    tmp_path: Path, source, config, calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=100_000_000)
    monkeypatch.setattr("hexlive.stream.files.shutil.disk_usage", lambda folder: usage)
    outputs = Outputs(result=tmp_path / "r.nxs", recording=tmp_path / "recording.h5")
    outcome = run_session(source, config, calibration, outputs)
    assert "100 MB are left" in outcome.faults[0]
    assert outputs.result.exists()
    assert not outputs.recording.exists()


def test_a_recorder_says_how_much_it_has_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r.h5")
    assert recorder.written == Written()
    recorder.put(Start(series="s", rows=80, columns=80, frame_rate_hz=1.0, started_s=0.0))
    noise = np.random.default_rng(1).integers(0, 65536, (640, 80, 80)).astype("<u2")
    recorder.put(Frames(series="s", first_frame=0, timestamp_s=0.0, frames=noise))
    deadline_s = time.monotonic() + 60
    while not recorder.written.mb_per_s and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert recorder.written.written_mb == pytest.approx(noise.nbytes / 1e6, rel=0.02)
    assert recorder.written.mb_per_s > 0
    assert recorder.written.unwritten_mb == 0
    recorder.close()


def test_a_recorder_that_comes_too_late_for_the_start_keeps_what_it_hears(
    source, tmp_path: Path
) -> None:
    """It does not know the size of the frames when it hears the segment."""
    _, *heard = source._messages
    recorder = Recorder(tmp_path / "r.h5")
    source._messages = heard
    run(source, Ledger(None, 9000.0), [], [recorder])
    recorder.close()
    assert not recorder.failed, recorder.status
    replayed = list(open_file(tmp_path / "r.h5"))
    assert [type(message) for message in replayed] == [type(message) for message in heard]
    for one, other in zip(replayed, heard, strict=True):
        if isinstance(other, Frames):
            np.testing.assert_array_equal(one.frames, other.frames)


def test_whatever_goes_wrong_in_closing_is_a_recording_that_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = RecordingWriter.close

    def broken(self: RecordingWriter) -> None:
        close(self)
        raise KeyError("a defect")

    monkeypatch.setattr(RecordingWriter, "close", broken)
    recorder = Recorder(tmp_path / "r.h5")
    recorder.close()
    assert recorder.failed
    assert "a defect" in recorder.status
