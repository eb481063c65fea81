"""Files as sources; a damaged one is refused in one sentence."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from hexlive.stream.files import FileError
from hexlive.stream.model import AnyMessage, Cycler, Frames, Start
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import open_file

SHAPE = (3, 4)


def frames(first_frame: int, count: int) -> Frames:
    images = np.arange(first_frame, first_frame + count, dtype=np.uint16)[:, None, None]
    return Frames(
        series="s", first_frame=first_frame, timestamp_s=first_frame / 10,
        frames=np.broadcast_to(images, (count, *SHAPE)),
    )  # fmt: skip


def cycler(time_s: float) -> Cycler:
    return Cycler(series="s", time_s=time_s, voltage_volt=3.7, current_ampere=0.0, capacity_ah=0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.h5"


def record(path: Path, messages: list[AnyMessage]) -> None:
    start = Start(series="s", rows=3, columns=4, frame_rate_hz=10.0, started_s=0.0)
    writer = RecordingWriter(path)
    for message in [start, *messages]:
        writer.append(message)
    writer.close()


def test_messages_come_back_in_their_order_with_their_times(path: Path) -> None:
    sent = [
        frames(0, 5), cycler(0.5), cycler(0.6), frames(5, 2), frames(9, 3), cycler(1.2),
        frames(12, 1),
    ]  # fmt: skip
    record(path, sent)
    received = list(open_file(path))[1:]
    assert [type(message) for message in received] == [type(message) for message in sent]
    for one, other in zip(received, sent, strict=True):
        if isinstance(one, Frames):
            assert (one.first_frame, one.timestamp_s) == (other.first_frame, other.timestamp_s)
            np.testing.assert_array_equal(one.frames, other.frames)
        else:
            assert one.time_s == other.time_s


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"type":"cycler"}',
        b'{"type":"projections","series":"s"}',
        b'{"type":"projections","series":"s","scan":7,"first_image":0,"position":0,"count":1}',
        b'{"type":"projections","series":"s","scan":0,"first_image":0,"position":-1,"count":1}',
    ],
)
def test_a_damaged_message_is_refused_in_one_sentence(path: Path, header: bytes) -> None:
    record(path, [cycler(0.1), frames(0, 5)])
    with h5py.File(path, "r+") as file:
        file["entry/messages"][1] = header
    with pytest.raises(FileError, match=r"recording\.h5: a recorded message is damaged"):
        list(open_file(path))
