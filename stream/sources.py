"""Where messages come from: a ZeroMQ socket here, files in ``hexlive.stream.recordings``."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from hexlive.stream.inbox import Inbox, Parts, Queued
from hexlive.stream.model import AnyMessage
from hexlive.stream.sockets import MB, POLL_MS, Endpoint
from hexlive.stream.wire import WireError, decode

LOG: Final = logging.getLogger(__name__)
# In ZeroMQ itself; what waits longer waits in the inbox. With keys and a mark of 1 nothing arrives.
SOCKET_MESSAGES: Final = 4


class ZmqSource:
    """The data leg's receiving end: PULL, bounded in bytes; a slow run blocks the sender.

    A thread takes messages off the socket; iterating decodes them here, and gives None when nothing
    valid came for a moment, so that the caller can look at its clocks. Bytes that are no message
    are counted in ``rejected`` and dropped; peers that were turned away are counted as
    ``handshake``.

    Parameters
    ----------
    high_water_mark_mb
        Bound on what waits here, in MB; four more messages may wait in ZeroMQ.
    keys
        Folder of CurveZMQ keys; None: none.
    """

    live = True

    def __init__(
        self, address: str, *, high_water_mark_mb: float, keys: Path | None = None
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self._endpoint = Endpoint(
            zmq.PULL, address, bind=True, high_water_mark=SOCKET_MESSAGES, keys=keys
        )
        self._inbox = Inbox(high_water_mark_mb * MB)
        self._refused = 0
        self._fault: Exception | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="inbox", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self._endpoint.address

    @property
    def queued(self) -> Queued:
        """What has arrived and waits to be processed."""
        return self._inbox.queued

    def __iter__(self) -> Iterator[AnyMessage | None]:
        while True:
            parts = self._inbox.take(POLL_MS / 1000)
            if self._refused:
                self._note_refused()
            if self._fault is not None:
                raise self._fault
            yield None if parts is None else self._decoded(parts)

    def _decoded(self, parts: Parts) -> AnyMessage | None:
        try:
            return decode([part.buffer for part in parts])
        except WireError as error:
            if not self.rejected[error.reason]:
                LOG.warning("a message was not taken: %s", error)
            self.rejected[error.reason] += 1
            return None

    def _note_refused(self) -> None:
        if not self.rejected["handshake"]:
            LOG.warning("a peer was turned away: its keys are not listed, or it is no ZeroMQ.")
        self.rejected["handshake"] = self._refused

    def _receive(self) -> None:
        """Off the socket, into the inbox; its full inbox is what makes the sender wait."""
        socket = self._endpoint.socket
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(self._endpoint.events, zmq.POLLIN)
        try:
            while not self._closing.is_set():
                ready = dict(poller.poll(POLL_MS))
                if socket in ready:
                    self._inbox.put(socket.recv_multipart(copy=False))
                if self._endpoint.events in ready:
                    self._refused = self._endpoint.refused()
        except Exception as error:  # the thread ends here: whatever it was, the run must hear of it
            self._fault = error

    def close(self) -> None:
        """Close the socket; what was not read yet is lost to this receiver."""
        self._closing.set()
        self._inbox.close()
        self._thread.join()
        self._endpoint.close()
