"""Streams of modules become frames of the camera: those that all modules have, and no others."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import h5py
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexlive.stream.config import Config, DetectorSettings, StreamSettings
from hexlive.stream.inbox import NONE_QUEUED
from hexlive.stream.inputs import live_source
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, End, Frames, Segment, Start
from hexlive.stream.modules import ModuleSource
from hexlive.stream.sending import ZmqSender
from hexlive.stream.session import Outputs, run_session
from hexlive.stream.sources import ZmqSource

ROWS, COLUMNS = 2, 3
N_FRAMES = 24


class ListStream:
    """A module whose messages are there already; then silence."""

    def __init__(self, messages: list[AnyMessage], address: str = "a list") -> None:
        self.rejected: Counter[str] = Counter()
        self.messages, self.address, self.queued = messages, address, NONE_QUEUED

    def __iter__(self) -> Iterator[AnyMessage | None]:
        for message in self.messages:
            yield None  # every stream is late now and then
            yield message
        while True:
            yield None

    def close(self) -> None:
        self.messages = []


def tile(module: int, frame: int) -> np.ndarray:
    """Pixels that say where and when they are from."""
    return np.full((ROWS, COLUMNS), 1000 * module + frame, np.uint16)


def batch(module: int, numbers: list[int], series: str = "s") -> Frames:
    frames = np.stack([tile(module, number) for number in numbers])
    return Frames(series=series, first_frame=numbers[0], timestamp_s=1.0, frames=frames)


def start(series: str = "s") -> Start:
    return Start(series=series, rows=ROWS, columns=COLUMNS, frame_rate_hz=9000, started_s=0)


def end(series: str = "s", last: int = N_FRAMES - 1) -> End:
    return End(series=series, last_frame=last)


def runs(numbers: set[int], cuts: set[int]) -> list[list[int]]:
    """Numbers in order, in batches that end at gaps and at cuts."""
    batches: list[list[int]] = []
    for number in sorted(numbers):
        if batches and batches[-1][-1] == number - 1 and number not in cuts:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches


def stream(module: int, numbers: set[int], cuts: set[int]) -> list[AnyMessage]:
    return [start(), *(batch(module, run) for run in runs(numbers, cuts)), end()]


def merged(*streams: list[AnyMessage], grid: tuple[int, int] = (1, 2)) -> list[AnyMessage]:
    """All that comes before the end of the last series of the first module, and that end."""
    source = ModuleSource([ListStream(messages) for messages in streams], grid, (ROWS, COLUMNS))
    return taken(source, streams[0][-1])


def taken(source: ModuleSource, last: AnyMessage) -> list[AnyMessage]:
    messages = []
    for message in source:
        if message is not None:
            messages.append(message)
        if message is last:
            return messages
    raise AssertionError("The source ended.")


def numbered(messages: list[AnyMessage]) -> dict[int, np.ndarray]:
    return {
        message.first_frame + i: frame
        for message in messages
        if isinstance(message, Frames)
        for i, frame in enumerate(message.frames)
    }


some = st.sets(st.integers(0, N_FRAMES - 1))


@given(has=st.lists(some, min_size=4, max_size=4), cuts=st.lists(some, min_size=4, max_size=4))
def test_the_camera_has_the_frames_that_all_modules_have(has, cuts):
    streams = [stream(i, *pair) for i, pair in enumerate(zip(has, cuts, strict=True))]
    frames = numbered(merged(*streams, grid=(2, 2)))
    assert set(frames) == set.intersection(*has)
    for number, frame in frames.items():
        expected = np.block(
            [[tile(0, number), tile(1, number)], [tile(2, number), tile(3, number)]]
        )
        np.testing.assert_array_equal(frame, expected)


@given(has=st.lists(some, min_size=2, max_size=2))
def test_the_ledger_finds_every_other_number_missing(has):
    ledger = Ledger(None, 9000.0)
    source = ModuleSource(
        [ListStream(stream(i, numbers, set())) for i, numbers in enumerate(has)],
        (1, 2), (ROWS, COLUMNS),
    )  # fmt: skip
    last = source._streams[0].messages[-1]
    for message in taken(source, last):
        list(ledger.accept(message))
    ledger.finish()
    both = has[0] & has[1]
    totals = ledger.totals()
    assert (totals.received, totals.expected) == (len(both), N_FRAMES)
    assert source.rejected["module_incomplete"] == len(has[0] - has[1])


def test_the_first_module_speaks_for_the_camera():
    whole = set(range(6))
    segment = Segment(series="s", number=1, first_frame=3, mode="xcs")
    first = [start(), batch(0, [0, 1, 2]), segment, batch(0, [3, 4, 5]), end(last=5)]
    second = [start(), Segment(series="s", number=9, first_frame=1, mode="xcs")]
    second += [batch(1, sorted(whole)), end(last=5)]
    messages = merged(first, second)
    assert [type(message) for message in messages] == [Start, Frames, Segment, Frames, End]
    assert (messages[0].rows, messages[0].columns) == (ROWS, 2 * COLUMNS)
    assert messages[2] is segment


def test_a_module_that_ended_early_costs_frames_and_not_the_next_series():
    first = [start(), batch(0, [0, 1]), batch(0, [2, 3]), end(last=3)]
    first += [start("t"), batch(0, [0, 1], "t"), end("t", 1)]
    second = [start(), batch(1, [0, 1]), start("t"), batch(1, [0, 1], "t"), end("t", 1)]
    messages = merged(first, second)
    assert [message.series for message in messages if isinstance(message, Frames)] == ["s", "t"]


def test_a_module_of_another_size_is_refused():
    other = Frames(series="s", first_frame=0, timestamp_s=0, frames=np.zeros((4, 9, 9), np.uint16))
    source = ModuleSource(
        [ListStream([start(), batch(0, [0]), end(last=0)]), ListStream([other, end(last=0)])],
        (2, 1), (ROWS, COLUMNS),
    )  # fmt: skip
    assert not numbered(taken(source, source._streams[0].messages[-1]))
    assert source.rejected == {"shape": 4, "module_incomplete": 1}


def test_a_silent_module_is_named(monkeypatch, caplog):
    monkeypatch.setattr("hexlive.stream.modules.PATIENCE_S", 0.0)
    streams = [ListStream([start(), batch(0, [0])]), ListStream([], "tcp://10.0.0.9:5555")]
    source = iter(ModuleSource(streams, (1, 2), (ROWS, COLUMNS)))
    for _ in range(20):
        next(source)
    assert [record.getMessage() for record in caplog.records] == [
        "the module at tcp://10.0.0.9:5555 is silent, and the frames of the others wait for it."
    ]


def test_modules_are_merged_over_sockets(tmp_path):
    whole = set(range(N_FRAMES))
    with ExitStack() as stack:
        streams = [ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=8) for _ in range(2)]
        source = stack.enter_context(closing(ModuleSource(streams, (2, 1), (ROWS, COLUMNS))))
        threads = []
        for i, receiver in enumerate(streams):
            sender = stack.enter_context(closing(ZmqSender(receiver.address)))
            messages = stream(i, whole, {4 * i, 7, 15})
            threads.append(threading.Thread(target=sender.send_all, args=(messages,)))
        for thread in threads:
            thread.start()
        frames: dict[int, np.ndarray] = {}
        for message in source:
            frames |= numbered([message])
            if isinstance(message, End):
                break
        for thread in threads:
            thread.join()
    assert set(frames) == whole
    np.testing.assert_array_equal(frames[5], np.vstack([tile(0, 5), tile(1, 5)]))


def test_a_run_of_two_modules_counts_what_the_whole_camera_would(
    sound_messages, make_source, config, calibration, tmp_path
):
    camera = replace(config.detector, modules=(2, 1))
    inputs = ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
    config = replace(config, detector=camera, stream=replace(config.stream, inputs=inputs))
    half = camera.rows // 2
    with ExitStack() as stack:
        source = stack.enter_context(closing(live_source(config)))
        threads = []
        for i, address in enumerate(source.address.split(", ")):
            sender = stack.enter_context(closing(ZmqSender(address)))
            rows = slice(i * half, (i + 1) * half)
            messages = [of_module(message, rows) for message in sound_messages]
            threads.append(threading.Thread(target=sender.send_all, args=(messages,)))
        for thread in threads:
            thread.start()
        run_session(source, config, calibration, Outputs(result=tmp_path / "modules.nxs"))
        for thread in threads:
            thread.join()
    whole = make_source(sound_messages)
    run_session(whole, config, calibration, Outputs(result=tmp_path / "whole.nxs"))
    with h5py.File(tmp_path / "modules.nxs") as ours, h5py.File(tmp_path / "whole.nxs") as theirs:
        for name in ("counts", "hits", "missing_frames"):
            for number in range(1, 7):
                path = f"entry/segment_{number:04d}/{name}"
                np.testing.assert_array_equal(ours[path][()], theirs[path][()], err_msg=path)
        assert ours["entry/segment_0006/counts"][()].sum() > 0


def of_module(message: AnyMessage, rows: slice) -> AnyMessage:
    """What a module sends that has these rows of the camera."""
    if isinstance(message, Frames):
        return msgspec.structs.replace(message, frames=message.frames[:, rows].copy())
    if isinstance(message, Start):
        return msgspec.structs.replace(message, rows=rows.stop - rows.start)
    return message


def test_streams_and_modules_must_be_as_many():
    with pytest.raises(ValueError, match=r"stream.inputs has 1 addresses, .* are 2."):
        Config(
            detector=DetectorSettings(modules=(1, 2)), stream=StreamSettings(inputs=("tcp://a:1",))
        )


@pytest.mark.parametrize("n", [1, 3])
def test_there_is_a_stream_for_each_module(n):
    with pytest.raises(ValueError, match="modules"):
        ModuleSource([ListStream([]) for _ in range(n)], (1, 2), (ROWS, COLUMNS))
