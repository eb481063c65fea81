"""A list of pixels on the wire is frames to everyone behind it, or refused with one reason."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.listing import event_list, listed
from hexlive.stream.model import AnyMessage, EventList, Frames
from hexlive.stream.recordings import open_file
from hexlive.stream.sending import ZmqSender
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource
from hexlive.stream.wire import WireError, decode, encode

SHAPE = (3, 4)
COUNTED = ("counts", "under", "over", "hits", "cluster_sizes", "missing_frames")
Change = Callable[[EventList], EventList]


def batch(seed: int = 0, n_frames: int = 5) -> Frames:
    frames = np.random.default_rng(seed).integers(0, 100, (n_frames, *SHAPE)).astype(np.uint16)
    return Frames(series="s", first_frame=2**40, timestamp_s=1.5, frames=frames)


def over_the_wire(message: EventList) -> AnyMessage:
    return decode([bytes(part) for part in encode(message)])


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(0, 101))
def test_frames_come_back_with_zero_where_nothing_was_listed(
    seed: int, n_frames: int, listing_adu: int
) -> None:
    sent = batch(seed, n_frames)
    back = over_the_wire(event_list(sent, listing_adu))
    assert isinstance(back, Frames)
    assert (back.series, back.first_frame, back.timestamp_s) == ("s", 2**40, 1.5)
    expected = np.where(sent.frames >= listing_adu, sent.frames, 0)
    np.testing.assert_array_equal(back.frames, expected)


def changed(**fields: object) -> Change:
    return lambda message: msgspec.structs.replace(message, **fields)


def reordered(message: EventList) -> EventList:
    order = np.arange(len(message.adu))
    order[[3, 4]] = order[[4, 3]]
    parts = {name: getattr(message, name)[order] for name in ("frame", "pixel", "adu")}
    return msgspec.structs.replace(message, **parts)


def repeated(message: EventList) -> EventList:
    parts = {name: np.repeat(getattr(message, name), 2) for name in ("frame", "pixel", "adu")}
    return msgspec.structs.replace(message, **parts)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("events", changed(count=4)),
        ("events", changed(shape=(3, 3))),
        ("events", reordered),
        ("events", repeated),
        ("shape", changed(adu=np.zeros(3, np.uint16))),
        ("shape", changed(pixel=np.zeros((30, 2), np.uint32))),
        ("dtype", changed(pixel=np.zeros(60, np.uint16))),
        ("dtype", changed(frame=np.zeros(60, np.int64))),
        ("dtype", changed(adu=np.zeros(60, np.uint32))),
        ("length", changed(count=2**31)),
        ("length", changed(count=12, shape=(4096, 4096))),
        ("header", changed(count=0)),
        ("header", changed(count=2**31 + 1)),
        ("header", changed(shape=(0, 4))),
        ("header", changed(shape=(4097, 4))),
        ("header", changed(first_frame=-1)),
    ],
)
def test_lists_that_fit_no_frames_are_refused(reason: str, change: Change) -> None:
    good = event_list(batch(), 0)
    assert len(good.adu) == 60
    with pytest.raises(WireError) as caught:
        over_the_wire(change(good))
    assert str(caught.value).split(":", 1)[0] == reason


@pytest.mark.parametrize("listing_adu", [0, 1060], ids=["every pixel", "pixels above noise"])
def test_counts_and_losses_over_sockets_are_those_of_whole_frames(
    lossy_source, config, calibration, tmp_path: Path, listing_adu: int
) -> None:
    messages = list(lossy_source._messages)
    whole = Outputs(result=tmp_path / "whole.nxs")
    run_session(type(lossy_source)(messages), config, calibration, whole)
    sparse = Outputs(result=tmp_path / "sparse.nxs", recording=tmp_path / "sparse.h5")
    listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)
    with closing(listening) as source:

        def send() -> None:
            with closing(ZmqSender(source.address)) as sender:
                sender.send_all(listed([messages[0], *messages], listing_adu))

        thread = threading.Thread(target=send)
        thread.start()
        outcome = run_session(source, config, calibration, sparse)
        thread.join()
    assert outcome.report.rejected == {"repeated_start": 1}
    assert outcome.report.totals.lost == 192
    again = Outputs(result=tmp_path / "again.nxs")
    run_session(open_file(sparse.recording), config, calibration, again)
    for other in (sparse, again):
        assert_same_counts(whole.result, other.result)


def assert_same_counts(one: Path, other: Path) -> None:
    with h5py.File(one) as first, h5py.File(other) as second:
        names = [name for name in first["entry"] if name.startswith("segment")]
        assert len(names) == 6
        for name in names:
            for key in COUNTED:
                values = first[f"entry/{name}/{key}"][()]
                np.testing.assert_array_equal(values, second[f"entry/{name}/{key}"][()])
            assert first[f"entry/{name}/counts"][()].any()


def test_a_recording_is_replayed_as_lists(
    hexlive, source, config, calibration, tmp_path: Path
) -> None:
    whole = Outputs(result=tmp_path / "whole.nxs", recording=tmp_path / "recording.h5")
    run_session(source, config, calibration, whole)
    listing_adu = tmp_path / "listing.npy"
    np.save(listing_adu, np.full((12, 10), 1050.0))
    listening = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)
    received, sparse = [], Outputs(result=tmp_path / "sparse.nxs")

    class Recorder:
        def put(self, message: AnyMessage) -> None:
            received.append(message)

        def close(self) -> None:
            pass

    with closing(listening) as heard:
        thread = threading.Thread(
            target=run_session, args=(heard, config, calibration, sparse),
            kwargs={"watchers": [Recorder()]},
        )  # fmt: skip
        thread.start()
        code, said = hexlive(
            "replay", whole.recording, "--to", heard.address, "--rate", "max",
            "--sparse", listing_adu,
        )  # fmt: skip
        thread.join()
    assert code == 0, said
    assert_same_counts(whole.result, sparse.result)
    frames = np.concatenate([each.frames for each in received if isinstance(each, Frames)])
    assert len(frames) == 1152
    assert 0.7 < (frames == 0).mean() < 0.9


@pytest.mark.parametrize(
    ("sparse", "code", "says"),
    [("nan", 1, "finite ADU"), ("{tmp}/none.npy", 1, "neither"), ("{tmp}/few.npy", 1, "3 numbers")],
)
def test_a_listing_level_that_is_none_is_refused(
    hexlive, tmp_path: Path, sparse: str, code: int, says: str
) -> None:
    np.save(tmp_path / "few.npy", np.zeros(3))
    exit_code, said = hexlive(
        "simulate", "--to", "tcp://127.0.0.1:1", "--calibration", tmp_path / "cal.h5",
        "--sparse", sparse.format(tmp=tmp_path),
    )  # fmt: skip
    assert exit_code == code, said
    assert says in said
    assert not (tmp_path / "cal.h5").exists()


def test_a_recording_of_the_simulator_is_never_sparse(hexlive, tmp_path: Path) -> None:
    code, said = hexlive("simulate", "--out", tmp_path / "r.h5", "--sparse", "900")
    assert code == 2
    assert "--sparse goes with --to" in said
