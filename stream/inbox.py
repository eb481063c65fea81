"""Between the thread that receives and the one that works: a queue with an exact bound in bytes."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import zmq

Parts = Sequence[zmq.Frame]


class Queued(NamedTuple):
    """Bytes that wait to be processed, now and at most so far."""

    now_bytes: int = 0
    most_bytes: int = 0


NONE_QUEUED: Final = Queued()


class Inbox:
    """Takes a message when it fits under the bound, and makes the receiving thread wait until then.

    A message larger than the bound is taken alone, so that it cannot stop the stream.
    """

    def __init__(self, limit_bytes: float) -> None:
        self._limit = limit_bytes
        self._messages: deque[tuple[Parts, int]] = deque()
        self._changed = threading.Condition()
        self._now = self._most = 0
        self._closed = False

    @property
    def queued(self) -> Queued:
        """What waits here."""
        return Queued(self._now, self._most)

    def put(self, parts: Parts) -> None:
        """Queue a message; wait for room, unless closed."""
        n_bytes = sum(len(part) for part in parts)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or not self._now or self._now + n_bytes <= self._limit
            )
            self._messages.append((parts, n_bytes))
            self._now += n_bytes
            self._most = max(self._most, self._now)
            self._changed.notify()

    def take(self, timeout_s: float) -> Parts | None:
        """The oldest message; None where none came in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._messages), timeout_s):
                return None
            parts, n_bytes = self._messages.popleft()
            self._now -= n_bytes
            self._changed.notify()
        return parts

    def close(self) -> None:
        """Let the receiving thread go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
