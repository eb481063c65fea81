"""Faults of peers and processes around a real run: its counts are those of an undisturbed one."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from hexlive.stream.model import AnyMessage, End, Frames
from hexlive.stream.recorder import RecordingWriter
from hexlive.stream.recordings import RecordingSource
from hexlive.stream.simulator.injected import frame_numbers, packed

PATIENCE_S = 20.0
STALL_S = 2.0
DAY_S = 86_400.0
TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(160)
SCANS: dict[str, tuple[bytes, dict[str, int]]] = {
    "TLS hello": (TLS_HELLO, {}),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: beamline\r\n\r\n", {}),
    "a ZeroMQ greeting, then noise": (
        b"\xff" + bytes(8) + b"\x7f\x03" + bytes(500),
        {"handshake": 1},
    ),
    # Bytes that do not begin with 0xff are taken for a peer of the first ZeroMQ: its messages are
    # noise, and refused one by one.
    "random bytes": (np.random.default_rng(3).bytes(4096), {"header": 14}),
}
Start, Pusher, Send, Hold = (Callable[..., Any],) * 4


def halves(messages: list[AnyMessage]) -> tuple[list[AnyMessage], list[AnyMessage]]:
    """A series in two parts, cut between two batches."""
    middle = len(messages) // 2
    return messages[:middle], messages[middle:]


@contextmanager
def subscriber(address: str) -> Iterator[zmq.Socket[bytes]]:
    """A monitor that keeps one snapshot at most."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.rcvhwm = 1
        socket.linger = 0
        socket.subscribe(b"")
        socket.connect(address)
        yield socket


@pytest.mark.parametrize("name", SCANS)
def test_strangers_at_the_socket_change_nothing(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage], name: str,
) -> None:  # fmt: skip
    running, (first, second) = start(), halves(sound_messages)
    host, port = running.input.removeprefix("tcp://").split(":")
    push = pusher(running.input)
    send_all(push, map(packed, first))
    with socket.create_connection((host, int(port)), timeout=5) as stranger:
        stranger.sendall(SCANS[name][0])
        time.sleep(0.2)
        send_all(push, map(packed, second))
        hold_against(
            running,
            sound_messages,
            fault=f"A stranger at the socket sends {name}",
            missing=set(),
            rejected=SCANS[name][1],
        )


def test_two_senders_of_the_same_series_are_counted_once(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage],
) -> None:  # fmt: skip
    """Each message comes twice, from two sockets; which one is first does not matter."""
    first_batch = next(i for i, each in enumerate(sound_messages) if isinstance(each, Frames))
    batches = sound_messages[first_batch : first_batch + 3]
    assert isinstance(batches[-1], Frames)
    end = End(series=batches[-1].series, last_frame=batches[-1].end_frame - 1)
    series = [*sound_messages[:first_batch], *batches, end]
    running = start()
    one, other = pusher(running.input), pusher(running.input)
    send_all(one, map(packed, series[:first_batch]))
    time.sleep(0.5)  # neither sender overtakes the beginning, or is overtaken by the end
    for batch in batches:
        one.send_multipart(packed(batch))
        other.send_multipart(packed(batch))
    time.sleep(0.5)
    one.send_multipart(packed(end))
    hold_against(
        running,
        series,
        fault="Two senders of the same series",
        missing=set(),
        rejected={"duplicate": len(frame_numbers(series))},
    )


def test_a_receiver_that_was_stopped_for_a_while_loses_nothing(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage],
) -> None:  # fmt: skip
    """It was stopped for longer than it waits for messages, and what came waits for it."""
    running, (first, second) = start("idle_timeout_s = 1.0"), halves(sound_messages)
    push = pusher(running.input)
    send_all(push, map(packed, first))
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(STALL_S)
    send_all(push, map(packed, second))
    running.process.send_signal(signal.SIGCONT)
    hold_against(
        running,
        sound_messages,
        fault=f"The receiver is stopped for {STALL_S:g} s",
        missing=set(),
        rejected={},
        recovered="at once when it runs again",
    )


@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])
def test_a_clock_that_jumps_moves_no_count(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage], jump_s: float,
) -> None:  # fmt: skip
    first, second = halves(
        [
            msgspec.structs.replace(each, timestamp_s=time.time())
            if isinstance(each, Frames)
            else each
            for each in sound_messages
        ]
    )
    jumped = [
        msgspec.structs.replace(each, timestamp_s=each.timestamp_s + jump_s)
        if isinstance(each, Frames)
        else each
        for each in second
    ]
    running = start()
    send_all(pusher(running.input), map(packed, [*first, *jumped]))
    hold_against(
        running,
        sound_messages,
        fault=f"The clock of the sender jumps by {jump_s / DAY_S:+g} day",
        missing=set(),
        rejected={},
    )


def test_monitors_that_come_go_hang_or_crowd_change_nothing(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage],
) -> None:  # fmt: skip
    running = start("[monitor]\nrate_hz = 20.0")
    push, seen = pusher(running.input), 0
    with ExitStack() as stack:
        for _ in range(10):  # these never read
            stack.enter_context(subscriber(running.publish))
        for message in sound_messages:
            push.send_multipart(packed(message))
            with subscriber(running.publish) as passing:  # here today, gone tomorrow
                seen += bool(passing.poll(20))
        hold_against(
            running,
            sound_messages,
            fault="Ten monitors hang, others come and go",
            missing=set(),
            rejected={},
            recovered="never disturbed",
        )
    assert seen


def test_frames_that_another_receiver_takes_are_missing_one_by_one(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    free_addresses: list[str], sound_messages: list[AnyMessage],
) -> None:  # fmt: skip
    """A sender that binds shares its messages out among all that connect."""
    *head, end = sound_messages
    begin = next(i for i, message in enumerate(head) if isinstance(message, Frames))
    address = free_addresses[1]
    push = pusher(f"@{address}")
    running = start("idle_timeout_s = 3.0", input_=f">{address}")
    send_all(push, map(packed, head[:begin]))
    with zmq.Context() as context, context.socket(zmq.PULL) as thief:
        thief.connect(address)
        stolen: list[int] = []
        time.sleep(0.5)  # both are connected
        only_frames = [message for message in head[begin:] if isinstance(message, Frames)]
        for message in only_frames:
            push.send_multipart(packed(message))
            if thief.poll(100):
                thief.recv_multipart()
                stolen.append(message.first_frame)
    time.sleep(0.2)
    push.send_multipart(packed(end))
    taken = [
        message
        for message in sound_messages
        if message in head[:begin] or message is end
        or (isinstance(message, Frames) and message.first_frame not in stolen)
    ]  # fmt: skip
    assert len(stolen) == len(only_frames) // 2
    hold_against(
        running,
        taken,
        fault="Another receiver takes every second message",
        missing=frame_numbers(only_frames) - frame_numbers(taken),
        rejected={},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_everything_accepted_on_disk(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage], number: signal.Signals, tmp_path: Path,
) -> None:  # fmt: skip
    running, (first, _) = start(), halves(sound_messages)
    send_all(pusher(running.input), map(packed, first))
    time.sleep(0.2)  # arrived, but not all counted yet
    running.process.send_signal(number)
    running.process.wait(20)
    accepted = list(RecordingSource(tmp_path / "live.h5"))
    assert frame_numbers(accepted) == frame_numbers(first)
    hold_against(
        running,
        accepted,
        fault=f"{number.name}, with frames still in the queue",
        missing=set(),
        rejected={},
        recovered="not needed: the run ends whole",
    )


SENDER = """
import sys, time
from contextlib import closing
from pathlib import Path
from hexlive.stream.recordings import open_file
from hexlive.stream.sending import ZmqSender
with closing(ZmqSender(sys.argv[2])) as sender:
    for message in open_file(Path(sys.argv[1])):
        sender.send(message)
        print("sent", flush=True)
        time.sleep(0.02)
"""


def test_a_sender_that_is_killed_costs_what_it_had_not_sent(
    start: Start, pusher: Pusher, send_all: Send, hold_against: Hold,
    sound_messages: list[AnyMessage], tmp_path: Path,
) -> None:  # fmt: skip
    source = tmp_path / "sent.h5"
    with closing(RecordingWriter(source)) as writer:
        for message in sound_messages:
            writer.append(message)
    running = start()
    command = [sys.executable, "-c", SENDER, str(source), running.input]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        for _ in sound_messages[: len(sound_messages) // 2]:
            assert sender.stdout.readline()
        sender.kill()
    fresh = [msgspec.structs.replace(each, series="another") for each in sound_messages]
    send_all(pusher(running.input), map(packed, fresh))
    running.process.wait(PATIENCE_S)
    accepted = list(RecordingSource(tmp_path / "live.h5"))
    of_fresh = [each for each in accepted if each.series == "another"]
    assert frame_numbers(of_fresh) == frame_numbers(sound_messages)
    assert len(accepted) > len(of_fresh) + 5
    hold_against(
        running,
        accepted,
        fault="kill -9 of the sender; another begins a new series",
        missing=set(),
        rejected={},
        recovered="the start of the new series",
    )
