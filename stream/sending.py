"""The sending end of the data leg, and the pace at which frames leave."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import zmq

from hexlive.stream.model import Frames, Message
from hexlive.stream.sockets import MB, POLL_MS, Endpoint
from hexlive.stream.wire import Buffer, encode

LINGER_MS: Final = 40_000  # a receiver may stall for half a minute, and loses nothing
STOPPED_LINGER_MS: Final = 10_000
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
            keys=keys,
        )

    def send(self, message: Message) -> bool:
        """Send one message; False if asked to stop before a receiver could take it."""
        parts, waits = self._packed(message), 0
        while not self._put(parts, POLL_MS):
            if self._should_stop():
                return False
            waits += 1
            if waits == PATIENCE_WAITS:
                self._say_waiting()
        return True

    def try_send(self, message: Message) -> bool:
        """Send one message if it can be queued at once; False if not, and it is not sent."""
        return self._put(self._packed(message), 0)

    def _put(self, parts: list[Buffer], timeout_ms: int) -> bool:
        """Queue a message if there is room in time; the receiver may leave between two looks."""
        if not self._endpoint.socket.poll(timeout_ms, zmq.POLLOUT):
            return False
        try:
            self._endpoint.socket.send_multipart(parts, zmq.DONTWAIT, copy=False)
        except zmq.Again:
            return False
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
        """Deliver what is queued, then close; say so where it was not taken in time."""
        linger_ms = STOPPED_LINGER_MS if self._should_stop() else LINGER_MS
        self._endpoint.socket.linger = linger_ms
        began_s = time.monotonic()
        self._endpoint.close()
        if 1e3 * (time.monotonic() - began_s) >= linger_ms:
            LOG.warning(
                "the receiver did not take what was queued within %g s: the last messages are lost",
                linger_ms / 1e3,
            )


class PassedOn:
    """A sink that sends on whatever was accepted, and waits while the next machine is behind.

    Attributes
    ----------
    n_frames, n_left
        Frames that were sent on, and those that a stop left behind.
    """

    def __init__(self, sender: ZmqSender) -> None:
        self._sender = sender
        self.n_frames = self.n_left = 0

    def put(self, message: Message) -> None:
        """Send one message."""
        n_frames = len(message.frames) if isinstance(message, Frames) else 0
        if self._sender.send(message):
            self.n_frames += n_frames
        else:
            self.n_left += n_frames

    def close(self) -> None:
        """Deliver what is queued."""
        self._sender.close()


class Late(NamedTuple):
    """So many batches, and how late they left: sum, sum of squares, most."""

    n: int
    total_s: float
    squares_s2: float
    most_s: float


class Punctuality:
    """How late batches left behind the moment at which their last frame was read out.

    Attributes
    ----------
    n_frames, seconds
        What has left, and the time from the first batch to the last.
    """

    def __init__(self) -> None:
        self.n_frames, self.seconds = 0, 0.0
        self._began_s: float | None = None
        self._late = Late(0, 0.0, 0.0, 0.0)
        self._n_begun = 0

    def note(self, n_frames: int, late_s: float | None) -> None:
        """A batch has left, so late; None: as soon as it could."""
        now_s = time.monotonic()
        self._began_s = now_s if self._began_s is None else self._began_s
        self.n_frames, self.seconds = self.n_frames + n_frames, now_s - self._began_s
        if late_s is not None:
            n, total_s, squares_s2, most_s = self._late
            self._late = Late(n + 1, total_s + late_s, squares_s2 + late_s**2, max(most_s, late_s))

    def begin(self) -> None:
        """The clock starts, or starts anew."""
        self._n_begun += 1

    def __str__(self) -> str:
        """One line."""
        words = f"{self.n_frames:,} frames in {self.seconds:.1f} s"
        n, total_s, squares_s2, most_s = self._late
        if not n:
            return words
        mean_s = total_s / n
        jitter_s = math.sqrt(max(0.0, squares_s2 / n - mean_s**2))
        words += (
            f"; batches left {1e3 * mean_s:.2f} ms late, jitter {1e3 * jitter_s:.2f} ms rms, "
            f"{1e3 * most_s:.1f} ms at most"
        )
        n_again = self._n_begun - 1
        return f"{words}; the clock started anew: {n_again}" if n_again > 0 else words


def paced(
    messages: Iterable[Message],
    rate_hz: float | None,
    should_stop: Callable[[], bool] = lambda: False,
    punctuality: Punctuality | None = None,
) -> Iterator[Message]:
    """Let frames pass at ``rate_hz`` and stamp them with the present time; None: at once.

    A batch leaves when its last frame would have been read out, by its number, so that lost frames
    take their time too. The clock starts anew when a second late (a receiver that was behind, a CT
    scan in between), rather than catching up in a burst, and at gaps of more than ten seconds.

    Parameters
    ----------
    punctuality
        Told how late each batch leaves.
    """
    begin_s, begin_frame = time.monotonic(), None
    punctuality = punctuality or Punctuality()
    for message in messages:
        if not isinstance(message, Frames):
            yield message
            continue
        due_s = None
        if rate_hz is not None:
            now_s = time.monotonic()
            due_s = begin_s + (message.end_frame - (begin_frame or 0)) / rate_hz
            if begin_frame is None or not now_s - LATE_S < due_s < now_s + LONGEST_S:
                begin_s, begin_frame = now_s, message.first_frame
                due_s = now_s + len(message.frames) / rate_hz
                punctuality.begin()
            _sleep_until(due_s, should_stop)
        late_s = None if due_s is None else time.monotonic() - due_s
        yield msgspec.structs.replace(message, timestamp_s=time.time())
        punctuality.note(len(message.frames), late_s)  # it was taken, or nobody would ask on


def _sleep_until(due_s: float, should_stop: Callable[[], bool]) -> None:
    while (left_s := due_s - time.monotonic()) > 0 and not should_stop():
        time.sleep(min(left_s, NAP_S))
