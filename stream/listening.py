"""Whether a stream is there and sound, from listening to what it publishes."""

import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import zmq

from hexlive.stream.doctor import Finding
from hexlive.stream.model import AdviceList, Snapshot
from hexlive.stream.sockets import POLL_MS, Endpoint
from hexlive.stream.wire import WireError, decode

SUBJECT: Final = "stream"
QUEUED: Final = 4
STALE_S: Final = 5.0
CONNECT_S: Final = 2.0


def examine_stream(address: str, patience_s: float, keys: Path | None = None) -> Finding:
    """Listen to a display leg for a while; nothing is taken from anybody.

    A data leg is never listened to: a second receiver would take every second message.

    Raises
    ------
    AddressError
        The address is malformed.
    KeysError
        The keys cannot be used.
    """
    with closing(
        Endpoint(zmq.SUB, address, bind=False, high_water_mark=QUEUED, keys=keys)
    ) as endpoint:
        endpoint.socket.subscribe(b"")
        deadline_s = time.monotonic() + patience_s
        while time.monotonic() < deadline_s:
            if not endpoint.socket.poll(POLL_MS):
                continue
            try:
                message = decode(endpoint.socket.recv_multipart())
            except WireError as error:
                return Finding("ERROR", SUBJECT, f"what comes is not hexlive's ({error})")
            if isinstance(message, Snapshot):
                return _found(message)
            if not isinstance(message, AdviceList):
                kind = type(message).__name__
                return Finding("ERROR", SUBJECT, f"{kind} messages come: this is no display leg")
        if endpoint.refused():
            return Finding("ERROR", SUBJECT, "it turns us away: name its keys with --keys")
    return _silent(address, patience_s)


def _found(snapshot: Snapshot) -> Finding:
    health, age_s = snapshot.health, time.time() - snapshot.created_s
    rows, columns = snapshot.emf.shape
    what = (
        f"{snapshot.status}, {health.rate_hz:,.0f} frames/s of {rows} x {columns} pixels, "
        f"{health.frames_received:,} received, {health.frames_missing:,} missing, "
        f"series {snapshot.series}"
    )
    if snapshot.status == "error":
        return Finding("ERROR", SUBJECT, f"{snapshot.note} ({what})")
    if abs(age_s) > STALE_S:
        return Finding("ERROR", SUBJECT, f"the clocks are {age_s:+.0f} s apart ({what})")
    return Finding("OK", SUBJECT, what)


def _silent(address: str, patience_s: float) -> Finding:
    try:
        parts = urlsplit(address.lstrip("@>"))
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname or "", parts.port or 0), CONNECT_S).close()
    except (OSError, ValueError):
        return Finding("absent", SUBJECT, f"nobody listens at {address}; is hexlive run on?")
    return Finding(
        "absent",
        SUBJECT,
        f"silent for {patience_s:g} s: a run that has not begun, one that turns us away, or its "
        "data leg (name stream.publish, not stream.input)",
    )
