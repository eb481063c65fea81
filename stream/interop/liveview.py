"""odin-data's LiveView as a source: each frame is a JSON header and a blob, published newest-wins.

PUB drops what a subscriber does not take in time. Frame numbers show it: what was dropped is
missing, as on any other way in.
"""

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import numpy as np
import zmq

from hexlive.stream.interop.blobs import Shape
from hexlive.stream.interop.live_frames import FrameReader, LiveFrame
from hexlive.stream.model import AnyMessage, Frames, Segment, Start
from hexlive.stream.sockets import MB, POLL_MS, Endpoint
from hexlive.stream.wire import WireError

BATCH_FRAMES: Final = 256
UNNAMED: Final = "unnamed"  # the series of an acquisition whose name was never set
REORDERED_FRAMES: Final = 1000  # among several processes of odin; what falls further is a new count
REST_S: Final = 1.0  # after which no frame is late
REMEMBERED: Final = 1000  # names of acquisitions
LOG: Final = logging.getLogger(__name__)


class _Acquisitions:
    """Gives each acquisition a series of its own, also where odin uses a name again."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self._current: str | None = None
        self._last = -1

    def begins(self, frame: LiveFrame, *, rested: bool) -> bool:
        """Whether a frame is the first of an acquisition; ``rested``: after a while of silence."""
        if frame.acquisition not in self._uses:
            return True
        if frame.acquisition != self._current:
            return rested
        fallen = self._last - frame.number
        return fallen > REORDERED_FRAMES or (rested and fallen > 0)

    def begin(self, name: str) -> bool:
        """Take a name for a new acquisition; whether it is the first of all."""
        first = self._current is None
        self._uses[name] = self._uses.pop(name, 0) + 1
        if len(self._uses) > REMEMBERED:
            del self._uses[next(iter(self._uses))]
        self._current, self._last = name, -1
        return first

    def series(self, name: str, last: int) -> str:
        """The series of frames up to the number ``last``."""
        if name == self._current:
            self._last = max(self._last, last)
        uses = self._uses[name]
        return (name or UNNAMED) + (f" ({uses})" if uses > 1 else "")


class OdinSource:
    """Frames of a LiveView publisher as messages, in batches.

    Each acquisition is a series and one exposure. The first is taken from the first frame seen, as
    nobody knows how much of it came before; later ones from frame 0. A name that is used again is
    another acquisition: the number falls far, or at all after a while of silence.

    Parameters
    ----------
    address
        Of the publisher, connected to; ``@`` in front binds.
    frame_bytes
        Typical size of a message, for the bound on what is queued.
    dataset, calibrated
        See `FrameReader`.

    Raises
    ------
    AddressError
        The address cannot be used.
    """

    live = True

    def __init__(
        self,
        address: str,
        *,
        frame_rate_hz: float,
        high_water_mark_mb: float = 64.0,
        frame_bytes: int = 1,
        dataset: str | None = None,
        calibrated: bool = False,
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self._rate_hz = frame_rate_hz
        self._reader = FrameReader(dataset, calibrated=calibrated)
        self._acquisitions, self._heard_s = _Acquisitions(), time.monotonic()
        # odin sends no times. What is read now came after the queue was last seen empty.
        self._empty_s = time.time()
        limit = max(2, int(high_water_mark_mb * MB / frame_bytes))
        self._endpoint = Endpoint(zmq.SUB, address, bind=False, high_water_mark=limit)
        self._endpoint.socket.subscribe(b"")

    @property
    def address(self) -> str:
        """The endpoint as bound or connected, with its real port."""
        return self._endpoint.address

    def __iter__(self) -> Iterator[AnyMessage | None]:
        while True:
            frames = self._receive()
            if not frames:
                yield None
            yield from self._messages(frames)

    def _receive(self) -> list[LiveFrame]:
        """Frames of the next moment, at most a batch."""
        socket, frames = self._endpoint.socket, list[LiveFrame]()
        deadline_s = time.monotonic() + POLL_MS / 1e3
        while len(frames) < BATCH_FRAMES and (left_s := deadline_s - time.monotonic()) > 0:
            if not socket.poll(0):
                self._empty_s = time.time()
                if not socket.poll(math.ceil(1e3 * left_s)):
                    break
            parts = socket.recv_multipart(copy=False)
            try:
                frames.append(self._reader.read([part.buffer for part in parts]))
            except WireError as error:
                self._reject(error)
        return frames

    def _reject(self, error: WireError) -> None:
        reason = error.reason
        if not self.rejected[reason]:
            LOG.warning("a LiveView message was not taken: %s", error)
        self.rejected[reason] += 1

    def _messages(self, frames: list[LiveFrame]) -> Iterator[AnyMessage]:
        """The same frames in messages of consecutive ones; a new acquisition is announced."""
        rested = bool(frames) and time.monotonic() - self._heard_s > REST_S
        for _, together in groupby(enumerate(frames), key=_belongs):
            run = [frame for _, frame in together]
            first = run[0]
            if self._acquisitions.begins(first, rested=rested):
                yield from self._announce(first)
            yield Frames(
                series=self._acquisitions.series(first.acquisition, run[-1].number),
                first_frame=first.number,
                timestamp_s=self._empty_s,
                frames=np.stack([frame.pixels for frame in run]),
            )
            rested, self._heard_s = False, time.monotonic()

    def _announce(self, frame: LiveFrame) -> Iterator[AnyMessage]:
        first_frame = frame.number if self._acquisitions.begin(frame.acquisition) else 0
        series = self._acquisitions.series(frame.acquisition, frame.number)
        rows, columns = frame.pixels.shape
        yield Start(
            series=series,
            rows=rows,
            columns=columns,
            frame_rate_hz=self._rate_hz,
            started_s=time.time(),
            first_frame=first_frame,
            detector="odin LiveView",
        )
        yield Segment(series=series, number=1, first_frame=first_frame)

    def close(self) -> None:
        """Close the socket; what was not read yet is lost to this receiver."""
        self._endpoint.close()
        self._reader.close()


def _belongs(numbered: tuple[int, LiveFrame]) -> tuple[str, int, Shape]:
    """What consecutive frames of one acquisition have in common."""
    place, frame = numbered
    rows, columns = frame.pixels.shape
    return frame.acquisition, frame.number - place, (rows, columns)
