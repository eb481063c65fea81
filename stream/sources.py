"""Where messages come from: a ZeroMQ socket here, files in ``hexlive.stream.recordings``."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import zmq

from hexlive.stream.model import AnyMessage
from hexlive.stream.wire import WireError, decode

POLL_MS: Final = 50
MAX_MESSAGE_BYTES: Final = 256 << 20
MB: Final = 1_000_000


class AddressError(ValueError):
    """An address that cannot be used; the sentence says which and why."""


class Endpoint:
    """A ZeroMQ socket with a context of its own.

    Parameters
    ----------
    kind
        zmq.PUSH, zmq.PULL or zmq.PUB.
    address
        ``tcp://host:port``; ``@`` in front binds, ``>`` connects, else ``bind`` decides.
    high_water_mark
        Messages that may be queued here.
    linger_ms
        How long closing waits for what is queued.

    Raises
    ------
    AddressError
        The address is malformed, in use, or not on this machine.
    """

    def __init__(
        self, kind: int, address: str, *, bind: bool, high_water_mark: int, linger_ms: int = 0
    ) -> None:
        bind = {"@": True, ">": False}.get(address[:1], bind)
        where = address.lstrip("@>")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.hwm = high_water_mark  # ZeroMQ heeds options only before bind or connect
        self.socket.maxmsgsize = MAX_MESSAGE_BYTES
        self.socket.immediate = True  # queue only for a peer that is there
        self.socket.linger = linger_ms
        try:
            self.socket.bind(where) if bind else self.socket.connect(where)
        except zmq.ZMQError as error:
            self.close()
            verb = "listen on" if bind else "connect to"
            raise AddressError(f"Cannot {verb} {where}: {error.strerror}.") from error

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def close(self) -> None:
        """Close the socket; waits for what is queued as long as ``linger_ms`` allows."""
        self.socket.close()
        self._context.term()


def messages_within(limit_mb: float, message_bytes: int) -> int:
    """Number of messages that a byte bound allows; at least 2, so that sending overlaps."""
    return max(2, int(limit_mb * MB / max(message_bytes, 1)))


class ZmqSource:
    """The data leg's receiving end: PULL, bounded; a slow run blocks the sender.

    Iterating gives messages, and None when nothing valid came for a moment, so that the caller can
    look at its clocks. Bytes that are no message are counted in ``rejected`` and dropped.
    """

    live = True

    def __init__(self, address: str, *, high_water_mark_mb: float, message_bytes: int) -> None:
        self.rejected: Counter[str] = Counter()
        limit = messages_within(high_water_mark_mb, message_bytes)
        self._endpoint = Endpoint(zmq.PULL, address, bind=True, high_water_mark=limit)

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self._endpoint.address

    def __iter__(self) -> Iterator[AnyMessage | None]:
        socket = self._endpoint.socket
        while True:
            yield self._decoded(socket) if socket.poll(POLL_MS) else None

    def _decoded(self, socket: zmq.Socket[bytes]) -> AnyMessage | None:
        parts = socket.recv_multipart(copy=False)
        try:
            return decode([part.buffer for part in parts])
        except WireError as error:
            self.rejected[str(error).split(":", 1)[0]] += 1
            return None

    def close(self) -> None:
        """Close the socket; what was not read yet is lost to this receiver."""
        self._endpoint.close()
