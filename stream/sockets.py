"""ZeroMQ sockets of all legs: bound or connected, with keys or on loopback, and bounded."""

import ipaddress
import logging
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import zmq
from zmq.utils.monitor import recv_monitor_message

from hexlive.stream.keys import secure
from hexlive.stream.wire import MAX_PART_BYTES

POLL_MS: Final = 50
MAX_PORT: Final = 65_535
MB: Final = 1_000_000
REFUSED: Final = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
# The peer left in the middle: with keys it is mostly one without, otherwise a monitor that closed.
LEFT: Final = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
LOG: Final = logging.getLogger(__name__)


class AddressError(ValueError):
    """An address that cannot be used; the sentence says which and why."""


class Endpoint:
    """A ZeroMQ socket with a context of its own.

    Parameters
    ----------
    kind
        zmq.PUSH, zmq.PULL, zmq.PUB, zmq.SUB, zmq.REP or zmq.REQ.
    address
        ``tcp://host:port``; ``@`` in front binds, ``>`` connects, else ``bind`` decides.
    high_water_mark
        Messages that may be queued here.
    linger_ms
        How long closing waits for what is queued.
    heartbeat_ms
        How often to ask whether the other end is still there; None: never.
    max_message_bytes
        ZeroMQ drops a peer that sends more in one part.
    keys
        Folder of CurveZMQ keys; None: anyone who reaches the address may speak.

    Raises
    ------
    AddressError
        The address is malformed, in use, or not on this machine.
    KeysError
        The keys cannot be used.
    """

    def __init__(
        self,
        kind: int,
        address: str,
        *,
        bind: bool,
        high_water_mark: int,
        linger_ms: int = 0,
        heartbeat_ms: int | None = None,
        max_message_bytes: int | None = None,
        keys: Path | None = None,
    ) -> None:
        bind = {"@": True, ">": False}.get(address[:1], bind)
        where = address.lstrip("@>")
        _require_port(where)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.hwm = high_water_mark  # ZeroMQ heeds options only before bind or connect
        self.socket.maxmsgsize = max_message_bytes or MAX_PART_BYTES
        # A sender queues only for a peer that is there. A receiver would throw away what it has not
        # read when its peer leaves.
        self.socket.immediate = kind == zmq.PUSH
        self.socket.linger = linger_ms
        if heartbeat_ms is not None:
            self.socket.heartbeat_ivl = heartbeat_ms
        self._refused = 0
        self.events = self.socket.get_monitor_socket(REFUSED | LEFT if keys else REFUSED)
        self._authenticator = None
        try:
            if keys is not None:
                self._authenticator = secure(self.socket, keys, listening=bind)
            elif bind and not is_local(where):
                _warn_open(where)
            self.socket.bind(where) if bind else self.socket.connect(where)
        except zmq.ZMQError as error:
            self.close()
            verb, remedy = ("listen on", "") if bind else ("connect to", "; write tcp://HOST:PORT")
            raise AddressError(f"Cannot {verb} {where}: {error.strerror}{remedy}.") from error
        except ValueError:
            self.close()
            raise

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def refused(self) -> int:
        """Peers turned away so far: wrong keys, none, or another protocol; one thread may ask."""
        while self.events.poll(0):
            recv_monitor_message(self.events)
            self._refused += 1
        return self._refused

    def close(self) -> None:
        """Close the socket; waits for what is queued as long as ``linger_ms`` allows."""
        if not self.socket.closed:
            self.socket.disable_monitor()
        self.events.close(0)
        self.socket.close()
        if self._authenticator is not None:
            self._authenticator.stop()
        self._context.term()


def _require_port(address: str) -> None:
    """ZeroMQ takes a number that is no port modulo 65536: somewhere else."""
    port = address.rpartition(":")[2]
    if address.startswith("tcp://") and port.isdecimal() and int(port) > MAX_PORT:
        raise AddressError(f"{address} cannot be used: ports go up to {MAX_PORT}.")


def is_local(address: str) -> bool:
    """Whether only this machine can reach what binds here."""
    parts = urlsplit(address)
    if parts.scheme != "tcp":
        return True  # ipc and inproc; what ZeroMQ does not know it refuses itself
    if parts.hostname in ("localhost", "lo"):
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _warn_open(address: str) -> None:
    LOG.warning(
        "%s listens to other machines without keys: whoever reaches it can send frames or read "
        'results. Run hexlive keys --out keys and set [security] keys = "keys" (--keys keys), or '
        "listen on 127.0.0.1.",
        address,
    )
