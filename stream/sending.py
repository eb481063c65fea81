"""The sending end of the data leg, and the pace at which frames leave."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import zmq

from hexlive.stream.model import Frames, Message
from hexlive.stream.sockets import MB, POLL_MS, Endpoint
from hexlive.stream.wire import Buffer, encode

LINGER_MS: Final = 10_000
LATE_S: Final = 1.0
LONGEST_S: Final = 10.0
NAP_S: Final = 0.05
PATIENCE_WAITS: Final = 60  # of POLL_MS, then the user is told
FEWEST_MESSAGES: Final = 2  # so that sending overlaps with making the next
LOG: Final = logging.getLogger(__name__)


class ZmqSender:
    """The data leg's sending end: PUSH, bounded; waits for a receiver, and while it is behind.

    Parameters
    ----------
    address
        Connects; a leading ``@`` binds.
    high_water_mark_mb
        Bound on what waits in ZeroMQ, in MB, but always room for two messages.
    should_stop
        Asked while waiting; when it says so, ``send`` gives up.
    keys
        Folder of CurveZMQ keys; None: none.
    checked
        Send a checksum with each message.

    Raises
    ------
    AddressError
        The address cannot be used.
    KeysError
        The keys cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        high_water_mark_mb: float = 64.0,
        should_stop: Callable[[], bool] = lambda: False,
        keys: Path | None = None,
        checked: bool = False,
    ) -> None:
        self._should_stop, self._checked = should_stop, checked
        self._limit_bytes, self._largest_bytes = high_water_mark_mb * MB, 0
        self._endpoint = Endpoint(
            zmq.PUSH,
            address,
            bind=False,
            high_water_mark=FEWEST_MESSAGES,
            linger_ms=LINGER_MS,
            keys=keys,
        )

    def send(self, message: Message) -> bool:
        """Send one message; False if asked to stop before a receiver could take it."""
        socket, parts = self._endpoint.socket, self._packed(message)
        waits = 0
        while not socket.poll(POLL_MS, zmq.POLLOUT):
            if self._should_stop():
                return False
            waits += 1
            if waits == PATIENCE_WAITS:
                self._say_waiting()
        socket.send_multipart(parts, copy=False)
        return True

    def try_send(self, message: Message) -> bool:
        """Send one message if it can be queued at once; False if not, and it is not sent."""
        parts = self._packed(message)
        if not self._endpoint.socket.poll(0, zmq.POLLOUT):
            return False
        self._endpoint.socket.send_multipart(parts, copy=False)
        return True

    def _packed(self, message: Message) -> list[Buffer]:
        """ZeroMQ counts messages: let in as many of the largest so far as the bound allows."""
        parts = encode(message, checked=self._checked)
        n_bytes = sum(len(part) for part in parts)
        if n_bytes > self._largest_bytes:
            self._largest_bytes = n_bytes
            self._endpoint.socket.sndhwm = max(FEWEST_MESSAGES, int(self._limit_bytes / n_bytes))
        return parts

    def _say_waiting(self) -> None:
        refused = self._endpoint.refused()
        why = "; it turned this sender away: are the keys the right ones?" if refused else ""
        LOG.warning("waiting for a receiver at %s%s", self._endpoint.address, why)

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
