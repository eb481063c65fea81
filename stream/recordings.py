"""Files as sources: native recordings, and plain frame stacks such as odin's ``raw_frames``."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Protocol

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import FileError, opened
from hexlive.stream.frame_layout import (
    FRAME_NUMBER,
    FrameReader,
    frames_held,
    listing_adu,
    open_frames,
)
from hexlive.stream.interop.stacks import FrameStack, cut_into_blocks, find_stack
from hexlive.stream.model import AnyMessage, End, Frames, Projections, Segment, Start
from hexlive.stream.places import PlaceReader, places
from hexlive.stream.recorder import (
    BATCH_POSITION,
    BATCH_TIMESTAMP,
    MESSAGE_POSITION,
    scan_name,
)
from hexlive.stream.scalars import Count
from hexlive.stream.unpacking import RowReader
from hexlive.stream.wire import WireError, decode

NEEDED: Final = (MESSAGE_POSITION, FRAME_NUMBER, BATCH_POSITION, BATCH_TIMESTAMP)
FRAME_DATASETS: Final = ("raw_frames", "data", "entry/data/data")
CALIBRATED_DATASETS: Final = ("processed_frames",)


class FileSource(Protocol):
    """A source that knows how much there is."""

    live: bool
    rejected: Counter[str]
    shape: tuple[int, int]
    n_frames: int
    listing_adu: NDArray[np.float32] | None

    def __iter__(self) -> Iterator[AnyMessage | None]: ...

    def outline(self, *, images: bool = True) -> Iterator[AnyMessage]:
        """The same messages without reading a frame; see `places`.

        Parameters
        ----------
        images
            Whether to read those of CT scans.
        """
        ...

    def frames(self, begin: int, end: int) -> Iterator[NDArray[np.uint16]]:
        """Blocks of the frames from one place in the file to another."""
        ...


def open_file(
    path: Path,
    dataset: str | None = None,
    frame_rate_hz: float = 9000.0,
    *,
    calibrated: bool = False,
) -> FileSource:
    """Open a recording or a stack of frames, whichever it is.

    Parameters
    ----------
    dataset
        Path of a ``(frames, rows, columns)`` dataset; None: look at the usual places.
    calibrated
        The frames are float32, keV, instead of uint16, ADU.

    Raises
    ------
    FileError
        Not readable, or no frames in it.
    """
    if dataset is None and not calibrated and h5py.is_hdf5(path):
        with opened(path) as file:
            if "entry/messages" in file:
                return RecordingSource(path)
    usual = CALIBRATED_DATASETS if calibrated else FRAME_DATASETS
    names = (dataset,) if dataset else usual
    return FrameStackSource(find_stack(path, names, calibrated=calibrated), frame_rate_hz)


class FrameStackSource:
    """Frames without numbers, taken as one exposure from frame 0; unwritten ones are missing."""

    live = False

    def __init__(self, stack: FrameStack, frame_rate_hz: float) -> None:
        self.rejected: Counter[str] = Counter()
        self._stack, self._rate = stack, frame_rate_hz
        self.n_frames, self.shape = stack.n_frames, stack.shape
        self.listing_adu: NDArray[np.float32] | None = None

    def __iter__(self) -> Iterator[AnyMessage]:
        return self._messages(self._stack.blocks())

    def outline(self, *, images: bool = True) -> Iterator[AnyMessage]:
        """The same messages without reading a frame; see `places`. There are no CT images here."""
        bounds = self._stack.bounds()
        return self._messages((begin, places(begin, end, self.shape)) for begin, end in bounds)

    def frames(self, begin: int, end: int) -> Iterator[NDArray[np.uint16]]:
        """Blocks of the frames from one place in the file to another."""
        with self._stack.opened() as read:
            for first, last in cut_into_blocks(begin, end):
                yield read(first, last)

    def _messages(self, blocks: Iterable[tuple[int, NDArray[np.uint16]]]) -> Iterator[AnyMessage]:
        series = f"{self._stack.path.name}:{self._stack.name}"
        rows, columns = self.shape
        yield Start(
            series=series, rows=rows, columns=columns, frame_rate_hz=self._rate, started_s=0.0
        )
        yield Segment(series=series, number=1, first_frame=0)
        for first, frames in blocks:
            seconds = first / self._rate
            yield Frames(series=series, first_frame=first, timestamp_s=seconds, frames=frames)
        yield End(series=series, last_frame=self.n_frames - 1)


class RecordingSource:
    """A native recording: the same messages in the same order as they were accepted live.

    Attributes
    ----------
    listing_adu
        Pixels below were not recorded, ``(rows, columns)``; None: whole frames were.
    """

    live = False

    def __init__(self, path: Path) -> None:
        self.rejected: Counter[str] = Counter()
        self._path = path
        with opened(path) as file:
            detector = file.get("entry/instrument/detector", {})
            try:
                held, self.listing_adu = frames_held(detector), listing_adu(detector)
            except (KeyError, ValueError) as error:
                raise _damaged(path) from error
            if held is None:
                raise FileError(f"{path} holds no frames.")
            if any(name not in file for name in NEEDED):
                raise _damaged(path)
            self.n_frames, self.shape = held

    def __iter__(self) -> Iterator[AnyMessage]:
        return self.after(0, 0)

    def after(self, n_messages: int, n_frames: int, *, frames: bool = True) -> Iterator[AnyMessage]:
        """What was recorded after so many messages that are not frames, and so many frames.

        Parameters
        ----------
        frames
            Whether to read frames at all.
        """
        return self._messages(n_messages, n_frames, open_frames, frames=frames)

    def outline(self, *, images: bool = True) -> Iterator[AnyMessage]:
        """The same messages without reading a frame; see `places`.

        Parameters
        ----------
        images
            Whether to read those of CT scans.
        """
        return self._messages(0, 0, self._open_places, images=images)

    def frames(self, begin: int, end: int) -> Iterator[NDArray[np.uint16]]:
        """Blocks of the frames from one place in the file to another."""
        with opened(self._path) as file:
            detector = file["entry/instrument/detector"]
            with closing(open_frames(self._path, detector, begin, end)) as reader:
                for first, last in cut_into_blocks(begin, end):
                    yield reader.take(last - first)

    def _open_places(self, path: Path, detector: h5py.Group, begin: int, end: int) -> FrameReader:
        return PlaceReader(begin, self.shape)

    def _messages(
        self,
        n_messages: int,
        n_frames: int,
        open_reader: Callable[[Path, h5py.Group, int, int], FrameReader],
        *,
        frames: bool = True,
        images: bool = True,
    ) -> Iterator[AnyMessage]:
        with opened(self._path) as file:
            entry = file["entry"]
            detector = entry["instrument/detector"]
            starts = detector["batch_position"][()]
            starts = starts[starts < (self.n_frames if frames else 0)]
            times_s = detector["batch_timestamp_s"][: len(starts)].tolist()
            bounds = pairwise([*starts.tolist(), self.n_frames])
            batches = list(zip(bounds, times_s, strict=True))
            # Each message comes after the batches that begin before its position.
            splits = np.searchsorted(starts, entry["message_position"][n_messages:]).tolist()
            headers = entry["messages"][()].tolist()
            series, done = "", int(np.searchsorted(starts, n_frames))
            if n_messages and headers:
                series = self._message(file, headers[:n_messages][-1]).series
            begin = batches[done][0][0] if done < len(batches) else self.n_frames
            pixels = open_reader(self._path, detector, begin, self.n_frames)
            numbers = RowReader(self._path, detector["frame_number"], begin, self.n_frames)
            with closing(_BatchReader(pixels, numbers)) as reader:
                for split, header in zip(splits, headers[n_messages:], strict=True):
                    yield from reader.batches(series, batches[done:split])
                    done = max(done, split)
                    if images or not _holds_images(header):
                        message = self._message(file, header)
                        series = message.series
                        yield message
                yield from reader.batches(series, batches[done:])

    def _message(self, file: h5py.File, header: bytes) -> AnyMessage:
        try:
            if _holds_images(header):
                return _projections(file, msgspec.json.decode(header, type=_ProjectionsNote))
            return decode([header])
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, WireError) as error:
            raise FileError(f"{self._path}: a recorded message is damaged ({error}).") from error


Batch = tuple[tuple[int, int], float]  # where its frames begin and end, and its time stamp, s


class _Tag(msgspec.Struct):
    """The type of a message, whatever else it has."""

    type: str


def _holds_images(header: bytes) -> bool:
    try:
        return msgspec.json.decode(header, type=_Tag).type == "projections"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False  # whoever decodes all of it says what is wrong


class _ProjectionsNote(msgspec.Struct):
    """Where in its scan's entry the recorder put the images of one message."""

    series: str
    scan: Annotated[int, msgspec.Meta(ge=1)]
    first_image: Count
    position: Count
    count: Count


class _BatchReader:
    """The frames of a recording, batch after batch."""

    def __init__(self, frames: FrameReader, numbers: RowReader) -> None:
        self._frames, self._numbers = frames, numbers

    def batches(self, series: str, batches: list[Batch]) -> Iterator[Frames]:
        """The next batches."""
        for (begin, end), timestamp_s in batches:
            yield Frames(
                series=series,
                first_frame=int(self._numbers.take(end - begin)[0]),
                timestamp_s=timestamp_s,
                frames=self._frames.take(end - begin),
            )

    def close(self) -> None:
        """Stop reading ahead."""
        self._frames.close()
        self._numbers.close()


def _damaged(path: Path) -> FileError:
    return FileError(f"{path} is a damaged recording: parts of it are gone.")


def _projections(file: h5py.File, note: _ProjectionsNote) -> Projections:
    scan = file[scan_name(note.scan)]
    # A recovered recording may lack the last images of a message.
    n_images = len(scan["instrument/detector/data"])
    part = slice(note.position, min(note.position + note.count, n_images))
    return Projections(
        series=note.series,
        scan=note.scan,
        first_image=note.first_image,
        angles_deg=scan["sample/rotation_angle"][part],
        image_key=scan["instrument/detector/image_key"][part],
        images=scan["instrument/detector/data"][part],
    )
