"""Requests to stop, from signals or from the program itself."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Requests to stop: the first ends the run cleanly, the second gives up what it waits for."""

    def __init__(self) -> None:
        self._count = 0

    def request(self) -> None:
        """Ask once more."""
        self._count += 1

    def asked(self) -> bool:
        """Whether to end the run."""
        return self._count > 0

    def insisted(self) -> bool:
        """Whether to give up even what is nearly done."""
        return self._count > 1


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn SIGINT, SIGTERM and SIGHUP into polite requests to stop, for the time of the block."""
    stop = Stop()
    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in kept:
        signal.signal(number, lambda *_: stop.request())
    try:
        yield stop
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
