"""Snapshots from a running pipeline: a background thread and a mailbox for one. No Qt here.

The thread empties the socket as fast as snapshots come and keeps only the newest, so a screen
that draws slowly, or not at all, never makes a queue.
"""

import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Literal

import zmq

from hexlive.stream.model import AdviceList, Snapshot
from hexlive.stream.sockets import Endpoint
from hexlive.stream.wire import WireError, decode

RECEIVE_HIGH_WATER_MARK: Final = 2
POLL_MS: Final = 100
HEARTBEAT_MS: Final = 5000
FRESH_S: Final = 5.0
STALE_S: Final = 30.0

Freshness = Literal["waiting", "fresh", "stale", "old", "stopped", "error"]


class Client:
    """Receives snapshots from ``address`` until closed; reconnecting is left to ZeroMQ.

    Parameters
    ----------
    address
        Of the publisher, such as ``tcp://127.0.0.1:5556``.
    keys
        Folder of CurveZMQ keys; None: none.

    Attributes
    ----------
    received
        Valid snapshots that came in.
    overwritten
        Of these, snapshots that a newer one replaced before anybody took them.
    invalid
        Messages dropped, by reason.
    refused
        Connections that came to nothing: other keys, or another protocol.
    advice
        What the run advises, as far as it has come.
    missed
        Snapshots that were sent and did not come: the publisher waits for nobody.

    Raises
    ------
    AddressError
        The address is malformed. That nobody listens there is no error: wait.
    KeysError
        The keys cannot be used.
    """

    def __init__(self, address: str, keys: Path | None = None) -> None:
        self.address = address
        self.received = 0
        self.overwritten = 0
        self.missed = 0
        self.advice: AdviceList | None = None
        self.invalid: Counter[str] = Counter()
        self._slot: Snapshot | None = None
        self._newest: Snapshot | None = None
        self._changed_s = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.refused = 0
        self._endpoint = Endpoint(
            zmq.SUB,
            address,
            bind=False,
            high_water_mark=RECEIVE_HIGH_WATER_MARK,
            heartbeat_ms=HEARTBEAT_MS,
            keys=keys,
        )
        self._endpoint.socket.subscribe(b"")
        self._thread = threading.Thread(target=self._receive, name="snapshots", daemon=True)
        self._thread.start()

    def latest(self) -> Snapshot | None:
        """Take the newest snapshot out of the mailbox; None where nothing new came."""
        with self._lock:
            snapshot, self._slot = self._slot, None
        return snapshot

    @property
    def age_s(self) -> float | None:
        """Seconds since a snapshot last reported new data; None before the first.

        A pipeline that keeps publishing while no frame arrives does not make its data younger.
        Measured here with a clock that never jumps, so the clocks of two hosts may differ.
        """
        with self._lock:
            return None if self._newest is None else time.monotonic() - self._changed_s

    @property
    def freshness(self) -> Freshness:
        """What may be believed of the newest snapshot."""
        age_s = self.age_s
        return "waiting" if age_s is None or self._newest is None else judge(self._newest, age_s)

    def close(self) -> None:
        """Stop the thread and close the socket; may be called twice."""
        self._closing.set()
        self._thread.join()
        self._endpoint.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _receive(self) -> None:
        socket = self._endpoint.socket
        while not self._closing.is_set():
            if socket.poll(POLL_MS):
                self._take(socket.recv_multipart())
            self.refused = self._endpoint.refused()

    def _take(self, parts: list[bytes]) -> None:
        try:
            message = decode(parts)
        except WireError as error:
            self.invalid[str(error).partition(":")[0]] += 1
            return
        if isinstance(message, Snapshot):
            self._store(message)
        elif isinstance(message, AdviceList):
            self.advice = message
        else:
            self.invalid["type"] += 1

    def _store(self, snapshot: Snapshot) -> None:
        with self._lock:
            self.received += 1
            if self._newest is not None:
                self.missed += _skipped_between(self._newest, snapshot)
            self.overwritten += self._slot is not None
            if self._newest is None or _evidence(snapshot) != _evidence(self._newest):
                self._changed_s = time.monotonic()
            self._slot = self._newest = snapshot


def _skipped_between(older: Snapshot, newer: Snapshot) -> int:
    """Snapshots that were sent between these two of one run; 0 where another run began."""
    same_run = newer.sequence > older.sequence
    return newer.sequence - older.sequence - 1 if same_run else 0


def judge(snapshot: Snapshot, age_s: float) -> Freshness:
    """Freshness of a snapshot whose data changed last ``age_s`` seconds ago."""
    if snapshot.status != "running":
        return snapshot.status
    return "fresh" if age_s < FRESH_S else "stale" if age_s < STALE_S else "old"


def _evidence(snapshot: Snapshot) -> tuple[object, ...]:
    """What differs between two snapshots when data came in between them."""
    ct = snapshot.ct
    scan = None if ct is None else (ct.scan, ct.status, ct.n_images)
    return (snapshot.series, snapshot.status, snapshot.health.frames_received, scan)
