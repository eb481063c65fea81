"""The data leg over real sockets: bounded, blocking, and deaf to bytes that are no message."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import zmq

from hexlive.stream.model import AnyMessage, Frames
from hexlive.stream.sending import Punctuality, ZmqSender, paced
from hexlive.stream.sockets import AddressError, Endpoint
from hexlive.stream.sources import ZmqSource

PATIENCE_S = 20.0


@pytest.fixture
def source() -> Iterator[ZmqSource]:
    opened = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=1)
    with closing(opened):
        yield opened


def batch(first: int = 0, count: int = 8) -> Frames:
    frames = np.full((count, 80, 80), first % 1000, np.uint16)
    return Frames(series="s", first_frame=first, timestamp_s=0.0, frames=frames)


def receive(source: ZmqSource, n_messages: int) -> list[AnyMessage]:
    deadline = time.monotonic() + PATIENCE_S
    messages: list[AnyMessage] = []
    for message in source:
        if message is not None:
            messages.append(message)
        if len(messages) == n_messages or time.monotonic() > deadline:
            return messages
    return messages


def test_frames_arrive_whole_and_in_order(source: ZmqSource) -> None:
    def send() -> None:
        with closing(ZmqSender(source.address)) as sender:
            sender.send_all(batch(8 * i) for i in range(20))

    thread = threading.Thread(target=send)
    thread.start()
    messages = receive(source, 20)
    thread.join()
    assert [message.first_frame for message in messages] == list(range(0, 160, 8))
    np.testing.assert_array_equal(messages[3].frames, batch(24).frames)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [([b"garbage"], "header"), ([b"{}"], "header"), ([b""] * 100, "parts"), ([b""], "header")],
)
def test_a_message_of_garbage_is_counted_said_and_the_next_good_one_arrives(
    source: ZmqSource, parts: list[bytes], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
        pusher.connect(source.address)
        pusher.send_multipart(parts)
        with closing(ZmqSender(source.address)) as sender:
            sender.send(batch())
        arrived, deadline = 0, time.monotonic() + PATIENCE_S
        for message in source:
            arrived += isinstance(message, Frames)
            if (arrived and source.rejected) or time.monotonic() > deadline:
                break
        assert arrived == 1
        assert source.rejected == {reason: 1}
        assert f"a message was not taken: {reason}: " in caplog.text


@pytest.mark.parametrize("hello", [b"\x16\x03\x01\x02\x00" * 100, b"GET / HTTP/1.0\r\n\r\n", b""])
def test_a_port_scan_does_nothing(source: ZmqSource, hello: bytes) -> None:
    host, port = source.address.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(hello)
    with closing(ZmqSender(source.address)) as sender:
        sender.send(batch())
    assert isinstance(receive(source, 1)[0], Frames)


def test_a_receiver_that_does_not_read_makes_the_sender_wait(source: ZmqSource) -> None:
    stalled = threading.Event()
    sender = ZmqSender(source.address, high_water_mark_mb=1, should_stop=stalled.is_set)
    with closing(sender):
        timer = threading.Timer(1.0, stalled.set)
        timer.start()
        n_sent = 0
        while n_sent < 5000 and sender.send(batch(8 * n_sent)):
            n_sent += 1
        timer.cancel()
        assert n_sent < 5000
        assert len(receive(source, n_sent)) == n_sent


def test_without_a_receiver_nothing_is_queued_and_a_stop_is_heard() -> None:
    asked = threading.Event()
    with closing(ZmqSender("tcp://127.0.0.1:9", should_stop=asked.is_set)) as sender:
        threading.Timer(0.2, asked.set).start()
        assert not sender.send(batch())


def test_a_port_in_use_is_named(source: ZmqSource) -> None:
    with pytest.raises(AddressError, match=source.address):
        ZmqSource(source.address, high_water_mark_mb=1)


@pytest.mark.parametrize(
    "address",
    ["nonsense", "tcp://127.0.0.1:x", "tcp://192.0.2.1:5555", "tcp://127.0.0.1:65536"],
)
def test_a_wrong_address_is_refused_with_the_address(address: str) -> None:
    with pytest.raises(AddressError, match=address):
        ZmqSource(address, high_water_mark_mb=1)


def test_the_signs_before_an_address_choose_who_binds(free_addresses: list[str]) -> None:
    address = free_addresses[0]
    with closing(ZmqSender(f"@{address}")) as sender:
        connecting = ZmqSource(f">{address}", high_water_mark_mb=1)
        with closing(connecting) as source:
            sender.send(batch())
            assert isinstance(receive(source, 1)[0], Frames)


def test_pacing_follows_the_frame_numbers_and_stamps_the_present_time() -> None:
    before = time.time()
    messages = list(paced([batch(0), batch(8), batch(32)], 100.0))
    assert [message.first_frame for message in messages] == [0, 8, 32]
    stamps = [message.timestamp_s - before for message in messages]
    assert all(stamp >= due for stamp, due in zip(stamps, (0.08, 0.16, 0.4), strict=True))


def test_a_stop_is_heard_while_waiting_for_a_slow_rate() -> None:
    asked = threading.Event()
    threading.Timer(0.1, asked.set).start()
    before = time.monotonic()
    list(paced([batch(0, 64)], 1.0, asked.is_set))
    assert time.monotonic() - before < PATIENCE_S


def test_what_arrived_outlives_a_sender_that_binds_and_leaves(free_addresses: list[str]) -> None:
    address = free_addresses[0]
    endpoint = Endpoint(zmq.PULL, f">{address}", bind=True, high_water_mark=100)
    with closing(endpoint):
        with closing(ZmqSender(f"@{address}")) as sender:
            for i in range(20):
                assert sender.send(batch(8 * i))
            assert endpoint.socket.poll(1000 * PATIENCE_S)
            time.sleep(0.3)
        time.sleep(0.3)
        n_arrived = 0
        while endpoint.socket.poll(300):
            n_arrived += len(endpoint.socket.recv_multipart()) == 2
        assert n_arrived == 20


def test_a_receiving_thread_that_breaks_down_ends_the_run_and_never_just_falls_silent(
    source: ZmqSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(parts: object) -> None:
        raise MemoryError("a defect")

    monkeypatch.setattr(source._inbox, "put", broken)
    with closing(ZmqSender(source.address)) as sender:
        sender.send(batch())
        with pytest.raises(MemoryError, match="a defect"):
            receive(source, 1)


def test_what_a_receiver_does_not_take_in_time_is_said_to_be_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hexlive.stream.sending.LINGER_MS", 300)
    endpoint = Endpoint(zmq.PULL, "tcp://127.0.0.1:*", bind=True, high_water_mark=1)
    with closing(endpoint):
        stalled = threading.Event()
        sender = ZmqSender(endpoint.address, should_stop=stalled.is_set)
        threading.Timer(1.0, stalled.set).start()
        n_sent = 0
        while n_sent < 5000 and sender.send(batch(8 * n_sent)):
            n_sent += 1
        assert 0 < n_sent < 5000
        stalled.clear()
        sender.close()
        assert "the last messages are lost" in caplog.text
        caplog.clear()
        with closing(ZmqSender(endpoint.address)) as sender:
            sender.send(batch())
        assert not caplog.text


def test_a_replay_knows_how_late_its_batches_left() -> None:
    punctuality = Punctuality()
    list(paced([batch(8 * i) for i in range(6)], 400.0, punctuality=punctuality))
    assert punctuality.n_frames == 48
    found = re.search(
        r"left (\S+) ms late, jitter (\S+) ms rms, (\S+) ms at most", str(punctuality)
    )
    assert found is not None, str(punctuality)
    mean_ms, jitter_ms, most_ms = map(float, found.groups())
    assert 0 <= mean_ms <= most_ms + 0.1
    assert jitter_ms <= most_ms + 0.1
    assert "anew" not in str(punctuality)


def test_without_a_rate_there_is_nothing_to_be_late_for() -> None:
    punctuality = Punctuality()
    list(paced([batch(0), batch(8)], None, punctuality=punctuality))
    assert str(punctuality) == "16 frames in 0.0 s"


def test_lateness_is_that_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s = [0.0]
    monkeypatch.setattr("hexlive.stream.sending.time.monotonic", lambda: clock_s[0])

    def sleep(seconds: float) -> None:
        clock_s[0] += seconds

    def batches() -> Iterator[AnyMessage]:
        yield batch(0)
        clock_s[0] += 0.09  # 10 ms more than a batch takes
        yield batch(8)
        yield batch(16)
        clock_s[0] += 5.0
        yield batch(24)

    monkeypatch.setattr("hexlive.stream.sending.time.sleep", sleep)
    punctuality = Punctuality()
    list(paced(batches(), 100.0, punctuality=punctuality))
    assert str(punctuality) == (
        "32 frames in 5.2 s; batches left 2.50 ms late, jitter 4.33 ms rms, 10.0 ms at most; "
        "the clock started anew: 1"
    )


def test_a_part_beyond_the_bound_is_never_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexlive.stream.sockets.MAX_PART_BYTES", 1_000_000)
    with (
        closing(ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=10)) as source,
        zmq.Context() as context,
        context.socket(zmq.PUSH) as pusher,
    ):
        pusher.linger = 0
        pusher.connect(source.address)
        pusher.send(bytes(1_000_001))
        with closing(ZmqSender(source.address)) as sender:
            sender.send(batch())
            assert isinstance(receive(source, 1)[0], Frames)
        assert source.queued.most_bytes < 1_000_000
        assert not source.rejected
