"""The sending end of the data leg, and the pace at which frames leave."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
import zmq

from hexlive.stream.model import Frames, Message
from hexlive.stream.sources import POLL_MS, Endpoint, messages_within
from hexlive.stream.wire import encode

LINGER_MS: Final = 10_000
LATE_S: Final = 1.0
LONGEST_S: Final = 10.0
NAP_S: Final = 0.05
PATIENCE_WAITS: Final = 60  # of POLL_MS, then the user is told
LOG: Final = logging.getLogger(__name__)


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
        limit = messages_within(high_water_mark_mb, message_bytes)
        self._endpoint = Endpoint(
            zmq.PUSH, address, bind=False, high_water_mark=limit, linger_ms=LINGER_MS
        )

    def send(self, message: Message) -> bool:
        """Send one message; False if asked to stop before a receiver could take it."""
        socket = self._endpoint.socket
        waits = 0
        while not socket.poll(POLL_MS, zmq.POLLOUT):
            if self._should_stop():
                return False
            waits += 1
            if waits == PATIENCE_WAITS:
                LOG.warning("waiting for a receiver at %s", self._endpoint.address)
        socket.send_multipart(encode(message), copy=False)
        return True

    def try_send(self, message: Message) -> bool:
        """Send one message if it can be queued at once; False if not, and it is not sent."""
        if not self._endpoint.socket.poll(0, zmq.POLLOUT):
            return False
        self._endpoint.socket.send_multipart(encode(message), copy=False)
        return True

    def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages until they end or a stop is asked for."""
        for message in messages:
            if self._should_stop() or not self.send(message):
                return

    def close(self) -> None:
        """Deliver what is queued (10 s at most), then close."""
        self._endpoint.close()


def paced(
    messages: Iterable[Message],
    rate_hz: float | None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Message]:
    """Let frames pass at ``rate_hz`` and stamp them with the present time; None: at once.

    A batch leaves when its last frame would have been read out, by its number, so that lost frames
    take their time too. The clock starts anew when a second late (a receiver that was behind, a CT
    scan in between), rather than catching up in a burst, and at gaps of more than ten seconds.
    """
    begin_s, begin_frame = time.monotonic(), None
    for message in messages:
        if not isinstance(message, Frames):
            yield message
            continue
        if rate_hz is not None:
            now_s = time.monotonic()
            due_s = begin_s + (message.end_frame - (begin_frame or 0)) / rate_hz
            if begin_frame is None or not now_s - LATE_S < due_s < now_s + LONGEST_S:
                begin_s, begin_frame = now_s, message.first_frame
                due_s = now_s + len(message.frames) / rate_hz
            _sleep_until(due_s, should_stop)
        yield msgspec.structs.replace(message, timestamp_s=time.time())


def _sleep_until(due_s: float, should_stop: Callable[[], bool]) -> None:
    while (left_s := due_s - time.monotonic()) > 0 and not should_stop():
        time.sleep(min(left_s, NAP_S))
