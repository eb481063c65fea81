"""A recording of events: smaller, and the same counts as long as every hit is in it."""

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.files import FileError, index_of
from hexlive.stream.listing import event_list, frames_of
from hexlive.stream.model import Frames
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import open_file
from hexlive.stream.recovery import recover
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource

LISTING_ADU = 1060.0  # the hits of `calibration` begin at 1101


def listed(config, adu: float = LISTING_ADU):
    stream = replace(config.stream, record_as="events", record_listing_adu=adu)
    return replace(config, stream=stream)


def counts(result: Path) -> list[np.ndarray]:
    with h5py.File(result) as file:
        names = ("counts", "under", "over", "hits", "cluster_sizes")
        return [file[f"entry/segment_000{n}/{name}"][()] for n in range(1, 7) for name in names]


def test_events_give_the_counts_of_frames_live_and_again(
    source, config, calibration, tmp_path: Path, caplog
) -> None:
    caplog.set_level("INFO", "hexlive")
    live = Outputs(result=tmp_path / "live.nxs", recording=tmp_path / "events.h5")
    outcome = run_session(source, listed(config), calibration, live)
    assert not outcome.faults
    assert "whole frames would take" in caplog.text
    again = Outputs(result=tmp_path / "again.nxs")
    run_session(open_file(live.recording), config, calibration, again)
    for one, other in zip(counts(live.result), counts(again.result), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_lists_are_those_of_the_stream(source, tmp_path: Path) -> None:
    path, sent = tmp_path / "events.h5", list(source._messages)
    writer = RecordingWriter(path, LISTING_ADU)
    for message in sent:
        writer.append(message)
    writer.close()
    replayed = list(open_file(path))
    assert [type(message) for message in replayed] == [type(message) for message in sent]
    for one, other in zip(replayed, sent, strict=True):
        if isinstance(other, Frames):
            assert (one.first_frame, one.timestamp_s) == (other.first_frame, other.timestamp_s)
            np.testing.assert_array_equal(
                one.frames, frames_of(event_list(other, LISTING_ADU)).frames
            )
    with h5py.File(path) as file:
        events = file["entry/instrument/detector/events"]
        assert events.attrs["NX_class"] == "NXevent_data"
        assert (events["adu"][()] >= LISTING_ADU).all()
        assert len(events["event_index"]) == len(file["entry/instrument/detector/frame_number"]) + 1
        assert (events["listing_adu"][()] == LISTING_ADU).all()


@pytest.mark.parametrize("n_batches", [1, 5, 18])
def test_events_survive_their_writer(source, tmp_path: Path, n_batches: int) -> None:
    path, killed = tmp_path / "events.h5", tmp_path / "killed.h5"
    writer, sent = RecordingWriter(path, LISTING_ADU), []
    for message in source._messages:
        writer.append(message)
        sent += [message] if isinstance(message, Frames) else []
        if len(sent) == n_batches:
            break
    writer.flush()
    shutil.copy(path, killed)
    shutil.copy(index_of(path), index_of(killed))
    writer.close()
    assert recover(killed).frames == sum(len(message.frames) for message in sent)
    replayed = [message for message in open_file(killed) if isinstance(message, Frames)]
    for one, other in zip(replayed, sent, strict=True):
        expected = frames_of(event_list(other, LISTING_ADU)).frames
        np.testing.assert_array_equal(one.frames, expected)


def test_frames_whose_events_are_gone_are_gone_too(source, tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    writer = RecordingWriter(path, LISTING_ADU)
    for message in source._messages:
        writer.append(message)
    writer.close()
    with h5py.File(path, "r+") as file:
        index = file["entry/instrument/detector/events/event_index"][()]
        file["entry/instrument/detector/events/adu"].resize(int(index[100]) + 1, axis=0)
    cut = open_file(path)
    assert cut.n_frames == 100
    assert sum(len(message.frames) for message in cut if isinstance(message, Frames)) == 100


def test_lists_that_leave_hits_out_are_refused(
    hexlive, source, config, calibration, calibration_file, tmp_path: Path
) -> None:
    live = Outputs(result=tmp_path / "live.nxs", recording=tmp_path / "events.h5")
    with pytest.raises(FileError, match="lists pixels from too high an ADU on: 120 pixels"):
        run_session(source, listed(config, 1200.0), calibration, live)
    assert not live.recording.exists()
    run_session(source, listed(config), calibration, live)
    lower = tmp_path / "lower.toml"
    lower.write_text("[detector]\nrows = 12\ncolumns = 10\n[events]\nthreshold_kev = 1.0\n")
    code, said = hexlive(
        "process", live.recording, "--calibration", calibration_file, "--config", lower,
        "--out", tmp_path / "again.nxs",
    )  # fmt: skip
    assert code == 1
    assert f"{live.recording} lists pixels from too high an ADU on" in said
    assert "row 0, column 0, listed from 1060 ADU on and a hit from 10" in said


def test_a_listing_threshold_and_events_go_together(hexlive, tmp_path: Path) -> None:
    for text in ('record_as = "events"', "record_listing_adu = 1040"):
        path = tmp_path / "live.toml"
        path.write_text(f"[stream]\n{text}\n")
        code, said = hexlive("run", "--config", path)
        assert code == 1
        assert "go together" in said


def test_a_replay_says_what_the_lists_lack_and_how_it_went(hexlive, source, tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    writer = RecordingWriter(path, LISTING_ADU)
    for message in source._messages:
        writer.append(message)
    writer.close()
    with closing(ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)) as receiver:
        code, said = hexlive("replay", path, "--to", receiver.address, "--rate", "90000")
    assert code == 0, said
    assert "holds lists of the pixels from 1060 ADU on: whatever lay below is sent as 0" in said
    assert "1,152 frames in" in said
    assert "jitter" in said
