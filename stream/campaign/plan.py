"""What of a recording is to be counted, in batches that workers can count apart from each other.

Counts are sums of integers, so any split gives the same. What is made of them is not: the drift
monitor, and the analysis of each exposure, look at the sum at certain frames. A batch never goes
beyond such a frame; where these are is found by the same ledger and drift monitor as in a run,
without reading a pixel.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hexlive.stream.config import Config
from hexlive.stream.drift import DriftReducer
from hexlive.stream.ledger import Ledger
from hexlive.stream.model import AnyMessage, Frames, Message, Segment
from hexlive.stream.pipeline import Pace, run
from hexlive.stream.places import bounds
from hexlive.stream.recordings import FileSource

BATCH_FRAMES: Final = 65_536  # 840 MB of frames, about a second of one core


class Piece(NamedTuple):
    """Frames that are consecutive in number and in their file: number of the first; places."""

    first_frame: int
    begin: int
    end: int

    @property
    def n_frames(self) -> int:
        """How many."""
        return self.end - self.begin

    def follows(self, other: "Piece") -> bool:
        """Whether this goes on where the other ends."""
        return (self.begin, self.first_frame) == (other.end, other.first_frame + other.n_frames)

    def cut(self, begin: int, end: int) -> "Piece":
        """The part between two offsets from its beginning."""
        return Piece(self.first_frame + begin, self.begin + begin, self.begin + end)


class Batch(NamedTuple):
    """What one worker counts at a time.

    Attributes
    ----------
    pieces
        In the order of the recording.
    before
        The frame before the first one, for next-frame rejection; None at the start of an exposure.
    """

    pieces: tuple[Piece, ...]
    before: Piece | None

    @property
    def n_frames(self) -> int:
        """Frames to count."""
        return sum(piece.n_frames for piece in self.pieces)


class Outline:
    """A recording as a source of messages with frames that are not read.

    Parameters
    ----------
    images
        Whether the images of CT scans are.
    """

    live = False

    def __init__(self, source: FileSource, *, images: bool = True) -> None:
        self.rejected, self._source, self._images = source.rejected, source, images

    def __iter__(self) -> Iterator[AnyMessage]:
        return self._source.outline(images=self._images)


def plan(source: FileSource, config: Config, batch_frames: int = BATCH_FRAMES) -> list[Batch]:
    """Batches of at most so many frames, in the order in which their sums are needed.

    Raises
    ------
    FileError
        The recording is damaged.
    """
    pieces = _Pieces(config)
    drift = DriftReducer(
        config.drift, config.spectrum.edges_kev, pieces.sums, np.ones((1, 1), bool)
    )
    ledger = Ledger(config.detector.shape, config.detector.frame_rate_hz)
    # The drift monitor comes first, as in a run: it looks at an exposure when the next one begins.
    run(Outline(source, images=False), ledger, [drift, pieces], pace=Pace(report_interval_s=np.inf))
    return [batch for stretch in pieces.stretches for batch in _batches(stretch, batch_frames)]


class _Pieces:
    """A reducer that notes which frames are to be counted, and where the sum is looked at."""

    busy = False

    def __init__(self, config: Config) -> None:
        self.stretches: list[Batch] = []
        self._nothing = np.zeros((1, 1, config.spectrum.n_bins), np.uint32)
        self._pieces: list[Piece] = []
        self._before: Piece | None = None
        self._segment: Segment | None = None

    def add(self, message: Message) -> None:
        """Take note of frames; a new segment starts from zero."""
        match message:
            case Frames(frames=frames, first_frame=first):
                self._note(Piece(first, *bounds(frames)))
            case Segment() if message.names(self._segment):
                self._segment = message
            case Segment():
                self._cut()
                self._before, self._segment = None, message

    def sums(self) -> NDArray[np.uint32]:
        """Asked for by the drift monitor: nothing has been counted yet."""
        self._cut()
        return self._nothing

    def snapshot(self) -> None:
        """Nothing is known yet."""

    def finish(self) -> None:
        """The last stretch ends here."""
        self._cut()

    def clear(self) -> None:
        """Nothing goes on elsewhere."""

    def _note(self, piece: Piece) -> None:
        if self._pieces and piece.follows(self._pieces[-1]):
            piece = self._pieces.pop()._replace(end=piece.end)
        self._pieces.append(piece)

    def _cut(self) -> None:
        if self._pieces:
            self.stretches.append(Batch(tuple(self._pieces), self._before))
            self._before, self._pieces = _last_frame(self._pieces), []


def _last_frame(pieces: list[Piece]) -> Piece:
    last = pieces[-1]
    return last.cut(last.n_frames - 1, last.n_frames)


def _batches(stretch: Batch, batch_frames: int) -> Iterator[Batch]:
    """A stretch in parts of at most so many frames, all of nearly the same size."""
    pieces: list[Piece] = []
    n_batches = -(-stretch.n_frames // batch_frames)
    batch_frames = -(-stretch.n_frames // n_batches)
    before, room = stretch.before, batch_frames
    for piece in stretch.pieces:
        done = 0
        while done < piece.n_frames:
            part = piece.cut(done, min(done + room, piece.n_frames))
            pieces.append(part)
            done, room = done + part.n_frames, room - part.n_frames
            if not room:
                yield Batch(tuple(pieces), before)
                before, pieces, room = _last_frame(pieces), [], batch_frames
    if pieces:
        yield Batch(tuple(pieces), before)
