"""A camera of several modules, each with a stream of its own, merged to whole frames by number.

The first module speaks for the camera: its `start`, `segment`, `end` and all else that is no frame
count, those of the others are only looked at to know what still may come. Each stream is in order;
a frame that one module lacks is no frame of the camera: the ledger finds its number missing.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.inbox import Queued
from hexlive.stream.model import AnyMessage, End, Frames, Start

LOG: Final = logging.getLogger(__name__)
PATIENCE_S: Final = 3.0
INCOMPLETE: Final = "module_incomplete"


class ModuleStream(Protocol):
    """The receiving end of one module, such as `hexlive.stream.sources.ZmqSource`."""

    rejected: Counter[str]

    @property
    def address(self) -> str:
        """Where it listens."""
        ...

    @property
    def queued(self) -> Queued:
        """What waits there."""
        ...

    def __iter__(self) -> Iterator[AnyMessage | None]: ...

    def close(self) -> None:
        """Listen no longer."""
        ...


class ModuleSource:
    """Whole frames from one stream per module.

    Only what is needed next is taken from a stream, so all of them wait when one is behind.

    Parameters
    ----------
    streams
        Row by row of the grid.
    grid
        Modules (down, across).
    shape
        Pixels (rows, columns) of one module.

    Raises
    ------
    ValueError
        There is not one stream per module.
    """

    live = True

    def __init__(
        self, streams: Sequence[ModuleStream], grid: tuple[int, int], shape: tuple[int, int]
    ) -> None:
        if len(streams) != grid[0] * grid[1]:
            raise ValueError(f"{grid[0]} x {grid[1]} modules have not {len(streams)} streams.")
        self._streams, self._shape, self._grid = streams, shape, grid
        self._alone: Counter[str] = Counter()  # refused here
        first, *others = (_Module(stream, shape, self._alone) for stream in streams)
        self._first, self._others = first, others

    @property
    def rejected(self) -> Counter[str]:
        """By reason: of all streams, and frames that not all modules had (`module_incomplete`)."""
        return sum((stream.rejected for stream in self._streams), self._alone.copy())

    @property
    def queued(self) -> Queued:
        """What waits for all modules."""
        each = [stream.queued for stream in self._streams]
        return Queued(sum(one.now_bytes for one in each), sum(one.most_bytes for one in each))

    @property
    def address(self) -> str:
        """Where all of them listen."""
        return ", ".join(stream.address for stream in self._streams)

    def __iter__(self) -> Iterator[AnyMessage | None]:
        while True:
            if self._first.head is None and not self._first.receive():
                yield None
                continue
            message = self._first.head
            if isinstance(message, Frames):
                yield self._merged(message)
            else:
                self._first.head = None
                yield self._of_camera(message)

    def close(self) -> None:
        """Close all streams."""
        for stream in self._streams:
            stream.close()

    def _of_camera(self, message: AnyMessage | None) -> AnyMessage | None:
        if not isinstance(message, Start):
            return message
        (down, across), (rows, columns) = self._grid, self._shape
        return msgspec.structs.replace(message, rows=down * rows, columns=across * columns)

    def _merged(self, wanted: Frames) -> Frames | None:
        """The longest run of frames, from the first wanted one, that all modules have; else None.

        None also while a module still has to say what it has.
        """
        first, end = wanted.first_frame, wanted.end_frame
        parts = [wanted]
        for module in self._others:
            part = module.from_frame(wanted)
            if part is None:
                return None
            if part.first_frame > first:  # this module lacks some: so does the camera
                self._drop(wanted, min(part.first_frame, end))
                return None
            end = min(end, part.end_frame)
            parts.append(part)
        self._first.take_to(end)
        return msgspec.structs.replace(
            wanted, frames=self._assembled([part.cut(first, end).frames for part in parts])
        )

    def _drop(self, wanted: Frames, end: int) -> None:
        self._alone[INCOMPLETE] += end - wanted.first_frame
        self._first.take_to(end)

    def _assembled(self, tiles: Sequence[NDArray[np.uint16]]) -> NDArray[np.uint16]:
        (down, across), (rows, columns) = self._grid, self._shape
        frames = np.empty((len(tiles[0]), down * rows, across * columns), np.uint16)
        for i, tile in enumerate(tiles):
            row, column = rows * (i // across), columns * (i % across)
            frames[:, row : row + rows, column : column + columns] = tile
        return frames


class _Module:
    """One stream, its next message in hand.

    Attributes
    ----------
    head
        The next message; None: not received yet.
    """

    def __init__(self, stream: ModuleStream, shape: tuple[int, int], refused: Counter[str]) -> None:
        self._stream, self._messages = stream, iter(stream)
        self._shape, self._refused = shape, refused
        self._series: str | None = None
        self._silent_s: float | None = None
        self.head: AnyMessage | None = None

    def receive(self) -> bool:
        """Take the next message in hand, if one comes within a moment and is of this camera."""
        message = next(self._messages)
        if isinstance(message, Frames) and message.frames.shape[1:] != self._shape:
            self._refused["shape"] += len(message.frames)
            return False
        if isinstance(message, Start) and (message.rows, message.columns) != self._shape:
            self._refused["shape"] += 1
            return False
        self.head = message
        return message is not None

    def take_to(self, end: int) -> None:
        """Let go of the frames in hand before this one."""
        assert isinstance(self.head, Frames)
        head = self.head
        self.head = None if end >= head.end_frame else head.cut(end, head.end_frame)

    def from_frame(self, wanted: Frames) -> Frames | None:
        """The next frames of this module that end behind the first wanted one, or an empty batch.

        Returns
        -------
        Frames or None
            Empty: this module has no more of the series. None: it has not said yet.
        """
        while True:
            if self.head is None and not self.receive():
                self._mind_silence()
                return None
            self._silent_s = None
            head = self.head
            match head:
                case Frames(series=wanted.series) if head.end_frame > wanted.first_frame:
                    return head
                case End(series=wanted.series):
                    return _nothing_before(wanted)
                case Start(series=series) if series != wanted.series == self._series:
                    return _nothing_before(wanted)
                case Start(series=series):
                    self._series = series
            self.head = None

    def _mind_silence(self) -> None:
        now_s = time.monotonic()
        if self._silent_s is None:
            self._silent_s = now_s
        elif now_s - self._silent_s > PATIENCE_S:
            LOG.warning(
                "the module at %s is silent, and the frames of the others wait for it.",
                self._stream.address,
            )
            self._silent_s = float("inf")


def _nothing_before(wanted: Frames) -> Frames:
    """What a module has that has ended: frames from behind all that are wanted on."""
    return wanted.cut(wanted.end_frame, wanted.end_frame)
