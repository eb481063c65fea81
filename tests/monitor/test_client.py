"""The receiving side of the monitor: newest wins, nothing queues, bad bytes do nothing."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from hexlive.monitor import client as client_module
from hexlive.monitor.client import Client, judge
from hexlive.stream.model import End, Snapshot
from hexlive.stream.sockets import AddressError
from hexlive.stream.wire import WireError, decode, encode

PATIENCE_S = 10.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def client(publisher: Any, snapshot: Snapshot) -> Iterator[Client]:
    """A client whose subscription has arrived at the publisher; its mailbox is empty."""
    with Client(publisher.address) as client:
        greet(publisher, client, snapshot)
        yield client


def taken_with(client: Client, sequence: int) -> bool:
    """Take snapshots until the one with this number comes."""
    wait_for(lambda: (taken := client.latest()) is not None and taken.sequence == sequence)
    return True


def numbered(snapshot: Snapshot, sequence: int, **changes: object) -> Snapshot:
    return msgspec.structs.replace(snapshot, sequence=sequence, **changes)


def greet(publisher: Any, client: Client, snapshot: Snapshot) -> None:
    """Send until something arrives, then take it: a new subscriber misses what came before it."""
    n_before = client.received

    def heard() -> bool:
        publisher.send(snapshot)
        return client.received > n_before

    wait_for(heard)
    time.sleep(0.1)
    client.latest()


def test_the_newest_snapshot_wins(publisher: Any, client: Client, snapshot: Snapshot) -> None:
    before = client.received
    for sequence in (1, 2):
        publisher.send(numbered(snapshot, sequence))
        wait_for(lambda: client.received == before + sequence)  # noqa: B023
    assert client.latest().sequence == 2
    assert client.overwritten >= 1


def test_a_snapshot_is_taken_once(publisher: Any, client: Client, snapshot: Snapshot) -> None:
    publisher.send(numbered(snapshot, 1))
    wait_for(lambda: client.latest() is not None)
    assert client.latest() is None


def test_a_flood_does_not_queue(publisher: Any, client: Client, snapshot: Snapshot) -> None:
    flood = numbered(snapshot, 1)
    before, taken = client.received - client.overwritten, 0
    for i in range(1000):
        publisher.send(flood)
        time.sleep(0.001)
        if i % 100 == 0:
            taken += client.latest() is not None
    time.sleep(0.1)
    while client.latest() is not None:  # what comes late on a busy machine
        taken += 1
        time.sleep(0.1)
    publisher.send(numbered(snapshot, 2))
    assert taken_with(client, 2)
    assert client.received > 500
    assert client.received - client.overwritten - before <= taken + 2


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ((b"",), "header"),
        ((b"GET / HTTP/1.1\r\n\r\n",), "header"),
        ((b'{"v": 1, "type": "snapshot"}', b"blob"), "header"),
        ((b"{}",) * 80, "parts"),
        (tuple(bytes(part) for part in encode(End(series="x", last_frame=1))), "type"),
    ],
)
def test_bad_bytes_are_counted_by_reason(
    publisher: Any, client: Client, snapshot: Snapshot, parts: tuple[bytes, ...], reason: str
) -> None:
    publisher.send_bytes(*parts)
    wait_for(lambda: client.invalid[reason] == 1)
    publisher.send(numbered(snapshot, 1))
    wait_for(lambda: client.latest() is not None)


@pytest.mark.parametrize(
    "changes",
    [
        {"emf_sigma": np.zeros((3, 3))},
        {"compton_counts": np.zeros(6400)},
        {"pz_au": np.zeros(7)},
        {"inner_au": 6.0},
        {"incident_kev": 0.0},
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    publisher: Any,
    client: Client,
    make_snapshot: Callable[..., Snapshot],
    changes: dict[str, object],
) -> None:
    publisher.send(make_snapshot(**changes))
    wait_for(lambda: client.invalid["shape"] == 1)
    assert client.latest() is None


@pytest.mark.parametrize("time_s", [-1.0, 1e20])
def test_a_time_that_no_calendar_has_is_refused(snapshot: Snapshot, time_s: float) -> None:
    mark = msgspec.structs.replace(snapshot.marks[0], time_s=time_s)
    for wrong in ({"created_s": time_s}, {"marks": [mark]}):
        with pytest.raises(WireError, match="header"):
            decode(encode(msgspec.structs.replace(snapshot, **wrong)))


def test_a_slice_must_be_an_image(publisher: Any, client: Client, snapshot: Snapshot) -> None:
    flat = msgspec.structs.replace(snapshot.ct, xy=np.zeros(9, np.float32))
    publisher.send(msgspec.structs.replace(snapshot, ct=flat))
    wait_for(lambda: client.invalid["shape"] == 1)


def test_a_server_of_another_protocol_does_no_harm() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with Client(address) as client:
            connection, _ = server.accept()
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50)
            connection.close()
            time.sleep(0.2)
            assert client.latest() is None
            assert client.received == 0


def test_a_publisher_that_comes_back_is_heard_again(
    make_publisher: Callable[..., Any], publisher: Any, client: Client, snapshot: Snapshot
) -> None:
    publisher.close()
    again = make_publisher(publisher.address)
    greet(again, client, snapshot)
    again.send(numbered(snapshot, 5))
    assert taken_with(client, 5)


def test_age_counts_from_the_last_data_not_the_last_message(
    publisher: Any, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with Client(publisher.address) as client:
        assert client.age_s is None
        assert client.freshness == "waiting"
        client._store(numbered(snapshot, 1))
        now[0] += 7.0
        client._store(numbered(snapshot, 2))
        assert client.age_s == 7.0
        assert client.freshness == "stale"
        health = msgspec.structs.replace(snapshot.health, frames_received=2_900_000)
        client._store(numbered(snapshot, 3, health=health))
        assert client.age_s == 0.0
        client._store(numbered(snapshot, 4, health=health, status="stopped"))
        now[0] += 100.0
        assert client.freshness == "stopped"


@pytest.mark.parametrize(
    ("age_s", "freshness"), [(0.0, "fresh"), (4.9, "fresh"), (5.0, "stale"), (30.0, "old")]
)
def test_freshness_follows_age(snapshot: Snapshot, age_s: float, freshness: str) -> None:
    assert judge(snapshot, age_s) == freshness


@pytest.mark.parametrize("status", ["stopped", "error"])
def test_stopped_and_error_stay_at_any_age(
    make_snapshot: Callable[..., Snapshot], status: str
) -> None:
    frozen = make_snapshot(status=status)
    assert judge(frozen, 0.0) == judge(frozen, 1e6) == status


@pytest.mark.parametrize("address", ["", "nowhere", "tcp://", "http://localhost:80"])
def test_a_malformed_address_is_one_sentence(address: str) -> None:
    with pytest.raises(AddressError, match="write tcp://HOST:PORT"):
        Client(address)


def test_closing_ends_the_thread_and_may_be_repeated(publisher: Any) -> None:
    client = Client(publisher.address)
    client.close()
    client.close()
    assert not any(thread.name == "snapshots" for thread in threading.enumerate())
