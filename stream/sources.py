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


def open_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    address: str,
    *,
    bind: bool,
    high_water_mark: int,
) -> zmq.Socket[bytes]:
    """Open a socket at ``tcp://host:port``; ``@`` in front binds, ``>`` connects.

    ``high_water_mark`` is in messages, in either direction.

    Raises
    ------
    AddressError
        The address is malformed, in use, or not on this machine.
    """
    bind = {"@": True, ">": False}.get(address[:1], bind)
    endpoint = address.lstrip("@>")
    socket = context.socket(kind)
    socket.linger = 0
    socket.hwm = high_water_mark  # ZeroMQ heeds this and the next only before bind or connect
    socket.maxmsgsize = MAX_MESSAGE_BYTES
    socket.immediate = True  # queue only for a peer that is there, so that none is lost at the end
    try:
        socket.bind(endpoint) if bind else socket.connect(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        verb = "listen on" if bind else "connect to"
        raise AddressError(f"Cannot {verb} {endpoint}: {error.strerror}.") from error
    return socket


def messages_within(limit_mb: float, message_bytes: int) -> int:
    """Number of messages that a byte bound allows; at least 2, so that sending overlaps."""
    return max(2, int(limit_mb * MB / max(message_bytes, 1)))


class ZmqSource:
    """The data leg's receiving end: PULL, bounded; a slow run blocks the sender.

    Iterating gives messages, and None when nothing came for a moment, so that the caller can look
    at its clocks. Bytes that are no message are counted in ``rejected`` and dropped.
    """

    live = True

    def __init__(self, address: str, *, high_water_mark_mb: float, message_bytes: int) -> None:
        self.rejected: Counter[str] = Counter()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = open_socket(
                self._context,
                zmq.PULL,
                address,
                bind=True,
                high_water_mark=messages_within(high_water_mark_mb, message_bytes),
            )
        except AddressError:
            self._context.term()
            raise

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def __iter__(self) -> Iterator[AnyMessage | None]:
        while True:
            if not self._socket.poll(POLL_MS):
                yield None
                continue
            parts = self._socket.recv_multipart(copy=False)
            try:
                message = decode([part.buffer for part in parts])
            except WireError as error:
                self.rejected[str(error).split(":", 1)[0]] += 1
                continue
            yield message

    def close(self) -> None:
        """Close the socket; what was not read yet is lost to this receiver."""
        self._socket.close()
        self._context.term()
