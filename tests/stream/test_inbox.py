"""What waits to be processed is bounded in bytes, whatever the size of the messages."""

import threading
import time
from contextlib import closing

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from hexlive.stream.inbox import Inbox
from hexlive.stream.model import Frames
from hexlive.stream.sending import ZmqSender
from hexlive.stream.sources import SOCKET_MESSAGES, ZmqSource

PATIENCE_S = 20.0
FRAME_BYTES = 80 * 80 * 2
KERNEL_BYTES = 40e6  # what Linux buffers for a TCP connection at most, both ends


def message(n_bytes: int) -> list[zmq.Frame]:
    return [zmq.Frame(bytes(n_bytes))]


def batch(count: int, first: int = 0) -> Frames:
    frames = np.zeros((count, 80, 80), np.uint16)
    return Frames(series="s", first_frame=first, timestamp_s=0.0, frames=frames)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
def test_messages_pass_in_order_and_never_more_than_the_bound_waits(sizes: list[int]) -> None:
    inbox = Inbox(300)
    thread = threading.Thread(target=lambda: [inbox.put(message(size)) for size in sizes])
    thread.start()
    taken = [len(inbox.take(PATIENCE_S)[0]) for _ in sizes]
    thread.join()
    assert taken == sizes
    assert inbox.queued.now_bytes == 0
    assert inbox.queued.most_bytes <= max(300, *sizes)


def test_a_full_inbox_makes_the_receiving_thread_wait_until_it_is_closed() -> None:
    inbox = Inbox(100)
    inbox.put(message(80))
    thread = threading.Thread(target=inbox.put, args=(message(30),))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()
    assert inbox.queued == (80, 80)
    inbox.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_an_empty_inbox_says_so_in_time() -> None:
    assert Inbox(1).take(0.01) is None


@pytest.mark.parametrize("count", [1, 16, 256])
def test_a_stalled_run_stops_the_sender_within_the_bounds_at_any_message_size(count: int) -> None:
    stalled = threading.Event()
    inbox_mb, sender_mb = 2.0, 3.0
    source = ZmqSource("tcp://127.0.0.1:*", high_water_mark_mb=inbox_mb)
    with closing(source):
        sender = ZmqSender(source.address, high_water_mark_mb=sender_mb, should_stop=stalled.is_set)
        n_sent = 0
        with closing(sender):
            timer = threading.Timer(0.7, stalled.set)
            timer.start()
            while n_sent < 20_000 and sender.send(batch(count, n_sent * count)):
                n_sent += 1
            timer.cancel()
            size = count * FRAME_BYTES
            queued = source.queued
            assert queued.now_bytes <= max(inbox_mb * 1e6, 1.01 * size)
            in_zeromq = max(sender_mb * 1e6, 2 * size) + (SOCKET_MESSAGES + 2) * size
            assert n_sent * size <= queued.now_bytes + in_zeromq + KERNEL_BYTES
            arrived, deadline = 0, time.monotonic() + PATIENCE_S
            for each in source:
                arrived += each is not None
                if arrived == n_sent:
                    break
                assert time.monotonic() < deadline
    assert not source.rejected
