"""Where in its recordings a run is, and what a killed run recorded after its checkpoint."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hexlive.stream.files import FileError, index_of
from hexlive.stream.kept_exposures import Position
from hexlive.stream.model import AnyMessage, Message, Projections, ScanStart
from hexlive.stream.pipeline import Sink
from hexlive.stream.recordings import RecordingSource
from hexlive.stream.recovery import excerpt

ALL: Final = 2**62  # frames, and more
LOG: Final = logging.getLogger(__name__)


class Tape:
    """Stands before the recorder and knows the place in the recordings; first it may play them.

    Parameters
    ----------
    recorder, recording
        Where to record, and its name; None: this run records nothing.
    position, scan
        Where the run stood, and where the CT scan under way began, at the checkpoint.
    """

    def __init__(
        self,
        recorder: Sink[Message] | None,
        recording: Path | None,
        position: Position | None = None,
        scan: Position | None = None,
    ) -> None:
        self._recorder, self._recording = recorder, recording
        self.position, self.scan = position, scan
        self._live = False

    def put(self, message: Message) -> None:
        """Record a message, unless it comes from a recording."""
        if self._live:
            self._pass(message)

    def close(self) -> None:
        """Who made the recorder closes it."""

    def record(self, opening: Sequence[AnyMessage]) -> None:
        """From here on messages are recorded, behind what began the present exposure."""
        if self._recorder is None:
            return
        self._live, scan = True, self.scan
        self.position = Position(recording=str(self._recording))
        for message in opening:
            self._pass(message)
        self.scan = scan

    def play(
        self, recordings: Sequence[str], next_scan: int, *, regain_scan: bool
    ) -> Iterator[AnyMessage]:
        """What was recorded behind the checkpoint.

        Parameters
        ----------
        recordings
            Of this run, oldest first.
        next_scan
            The number of the first CT scan of which images are needed.
        regain_scan
            Begin with the images before it of the CT scan that is under way.
        """
        if regain_scan and self.scan is not None and self.position is not None:
            yield from _scan(recordings, self.scan, self.position, next_scan)
        for place, message in _played(recordings, self.position, next_scan):
            self._note(place, message)
            yield message

    def _pass(self, message: Message) -> None:
        assert self._recorder is not None
        assert self.position is not None
        self._recorder.put(message)
        self._note(self.position, message)

    def _note(self, place: Position, message: Message) -> None:
        """Go behind a message that stands here."""
        if isinstance(message, ScanStart):
            self.scan = place
        self.position = place.after(message)


def _played(
    recordings: Sequence[str], since: Position | None, next_scan: int, *, frames: bool = True
) -> Iterator[tuple[Position, AnyMessage]]:
    """Messages from a place on, each with its own place."""
    known = since is not None and since.recording in recordings
    begin = recordings.index(since.recording) if since is not None and known else 0
    for name in recordings[begin:]:
        here = since is not None and since.recording == name
        place = since if since is not None and here else Position(recording=name)
        n_before = place.n_frames if frames else ALL
        try:
            with _readable(Path(name), n_before, next_scan) as source:
                for message in source.after(place.n_messages, place.n_frames, frames=frames):
                    yield place, message
                    place = place.after(message)
        except FileError as error:
            LOG.warning("%s What it held after the checkpoint counts as missing.", error)


def _scan(
    recordings: Sequence[str], since: Position, until: Position, number: int
) -> Iterator[AnyMessage]:
    """The beginning of a CT scan and its images, between two places."""
    for place, message in _played(recordings, since, number, frames=False):
        if place.recording == until.recording and place.n_messages >= until.n_messages:
            return
        if isinstance(message, ScanStart | Projections):
            yield message


@contextmanager
def _readable(path: Path, n_frames: int, next_scan: int) -> Iterator[RecordingSource]:
    """A recording, or an excerpt of one that was not closed: to make that whole may take hours."""
    if not index_of(path).exists():
        yield RecordingSource(path)
        return
    with TemporaryDirectory(prefix=f"{path.stem}_", dir=path.parent) as folder:
        out = Path(folder) / path.name
        excerpt(path, out, n_frames, next_scan)
        yield RecordingSource(out)
