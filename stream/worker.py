"""Processes for reconstructions: beside the spectra, at low priority, replaced when they die."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import RawArray
from typing import Any, NamedTuple

UNKNOWN: float = -1.0


class Progress(NamedTuple):
    """How far the present call has come; None: it has not said."""

    fraction: float | None
    eta_s: float | None


class Worker:
    """One process that runs calls in order, started when first needed and again when it has died.

    Parameters
    ----------
    niceness
        How far it stands back behind the spectra.
    """

    def __init__(self, niceness: int) -> None:
        self._niceness = niceness
        self._pool: ProcessPoolExecutor | None = None
        self._pid: Future[int] | None = None
        self._progress = RawArray("d", [UNKNOWN, UNKNOWN])

    @property
    def progress(self) -> Progress:
        """What the present call said last with `report_progress`."""
        fraction, eta_s = (None if value < 0 else value for value in self._progress)
        return Progress(fraction, eta_s)

    def submit(self, function: Callable[..., Any], *arguments: object) -> "Future[Any]":
        """Queue a call; its future fails with BrokenProcessPool if the process dies."""
        try:
            return self._opened().submit(function, *arguments)
        except BrokenProcessPool:
            self.close()
            return self._opened().submit(function, *arguments)

    def kill(self) -> None:
        """End the process in the middle of its work."""
        if self._pid is not None and self._pid.done() and not failed(self._pid):
            os.kill(self._pid.result(), signal.SIGTERM)
        self.close()

    def close(self) -> None:
        """Let the present call finish, drop those that are queued, and end the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = self._pid = None

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._progress[:] = [UNKNOWN, UNKNOWN]
            self._pool = ProcessPoolExecutor(
                1, context, initializer=_begin, initargs=(self._niceness, self._progress)
            )
            self._pid = self._pool.submit(os.getpid)
        return self._pool


def failed(call: "Future[Any]") -> bool:
    """Whether a call that is done brought nothing."""
    return call.cancelled() or call.exception() is not None


_shared: Any = None  # of the worker process: where `Worker.progress` looks
_began_s = 0.0


def report_progress(fraction: float) -> None:
    """Say from within a call how much of it is done; 0 begins a new one. Elsewhere: nothing."""
    global _began_s
    if fraction <= 0:
        _began_s = time.monotonic()
    if _shared is not None:
        elapsed_s = time.monotonic() - _began_s
        left_s = elapsed_s * (1 - fraction) / fraction if fraction > 0 else UNKNOWN
        _shared[:] = [fraction, left_s]


def _begin(niceness: int, progress: Any) -> None:
    """Let the spectra go first; leave Ctrl-C to the parent, which ends the worker itself."""
    global _shared
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared = progress
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed leaves no worker behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
