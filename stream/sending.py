"""The sending end of the data leg, and the pace at which frames leave."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
import zmq

from hexlive.stream.model import Frames, Message
from hexlive.stream.sources import POLL_MS, messages_within, open_socket
from hexlive.stream.wire import encode

LINGER_MS: Final = 10_000
LATE_S: Final = 1.0


class ZmqSender:
    """The data leg's sending end: PUSH, bounded; waits for a receiver, and while it is behind.

    Parameters
    ----------
    address
        Connects; a leading ``@`` binds.
    should_stop
        Asked while waiting; when it says so, ``send`` gives up.

    Raises
    ------
    AddressError
        The address cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        high_water_mark_mb: float = 64.0,
        message_bytes: int = 1,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._should_stop = should_stop
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._socket = open_socket(
                self._context,
                zmq.PUSH,
                address,
                bind=False,
                high_water_mark=messages_within(high_water_mark_mb, message_bytes),
            )
        except ValueError:
            self._context.term()
            raise
        self._socket.linger = LINGER_MS

    def send(self, message: Message) -> bool:
        """Send one message; False if asked to stop before a receiver could take it."""
        while not self._socket.poll(POLL_MS, zmq.POLLOUT):
            if self._should_stop():
                return False
        self._socket.send_multipart(encode(message), copy=False)
        return True

    def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages until they end or a stop is asked for."""
        for message in messages:
            if self._should_stop() or not self.send(message):
                return

    def close(self) -> None:
        """Deliver what is queued (10 s at most), then close."""
        self._socket.close()
        self._context.term()


def paced(messages: Iterable[Message], rate_hz: float | None) -> Iterator[Message]:
    """Let frames pass at ``rate_hz`` and stamp them with the present time; None: at once.

    A batch leaves when its last frame would have been read out. After a stall of more than a
    second (a receiver that was behind) the clock starts anew rather than catching up in a burst.
    """
    due_s = time.monotonic()
    for message in messages:
        if not isinstance(message, Frames):
            yield message
            continue
        if rate_hz is not None:
            due_s += len(message.frames) / rate_hz
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            elif wait_s < -LATE_S:
                due_s = time.monotonic()
        yield msgspec.structs.replace(message, timestamp_s=time.time())
