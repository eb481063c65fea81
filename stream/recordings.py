"""Files as sources: native recordings, and plain frame stacks such as odin's ``raw_frames``."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Protocol

import h5py
import msgspec
import numpy as np

from hexlive.stream.files import FileError, opened
from hexlive.stream.model import AnyMessage, Count, End, Frames, Projections, Segment, Start
from hexlive.stream.recorder import scan_name
from hexlive.stream.unpacking import RowReader
from hexlive.stream.wire import WireError, decode

COLUMNS: Final = ("frame_number", "batch_position", "batch_timestamp_s")
BATCH_FRAMES: Final = 256
FRAME_DATASETS: Final = ("raw_frames", "data", "entry/data/data")


class FileSource(Protocol):
    """A source that knows how much there is."""

    live: bool
    rejected: Counter[str]
    shape: tuple[int, int]
    n_frames: int

    def __iter__(self) -> Iterator[AnyMessage | None]: ...


def open_file(path: Path, dataset: str | None = None, frame_rate_hz: float = 9000.0) -> FileSource:
    """Open a recording or a stack of frames, whichever it is.

    Parameters
    ----------
    dataset
        Path of a ``(frames, rows, columns) uint16`` dataset; None: look at the usual places.

    Raises
    ------
    FileError
        Not readable, or no frames in it.
    """
    with opened(path) as file:
        if dataset is None and "entry/messages" in file:
            return RecordingSource(path)
        name = dataset or next((n for n in FRAME_DATASETS if n in file), None)
        if name is None:
            raise FileError(
                f"{path} has none of {', '.join(FRAME_DATASETS)}; name the frames with --dataset."
            )
        _check_frames(file, name, path)
    return FrameStackSource(path, name, frame_rate_hz)


def _check_frames(file: h5py.File, name: str, path: Path) -> None:
    if not isinstance(file.get(name), h5py.Dataset):
        raise FileError(f"{path} has no dataset {name!r}; it has {', '.join(file) or 'nothing'}.")
    data = file[name]
    if data.dtype != np.uint16:
        raise FileError(f"{path}: {name} holds {data.dtype}, frames are uint16 ADU.")
    if data.ndim != 3 or data.size == 0:
        raise FileError(f"{path}: {name} is {data.shape}, frames are (frames, rows, columns).")


class FrameStackSource:
    """A dataset of frames without numbers, taken as one complete exposure from frame 0."""

    live = False

    def __init__(self, path: Path, dataset: str, frame_rate_hz: float) -> None:
        self.rejected: Counter[str] = Counter()
        self._path, self._dataset, self._rate = path, dataset, frame_rate_hz
        with opened(path) as file:
            self.n_frames, *frame = file[dataset].shape
        self.shape = (frame[0], frame[1])

    def __iter__(self) -> Iterator[AnyMessage]:
        series = f"{self._path.name}:{self._dataset}"
        rows, columns = self.shape
        yield Start(
            series=series, rows=rows, columns=columns, frame_rate_hz=self._rate, started_s=0.0
        )
        yield Segment(series=series, number=1, first_frame=0)
        with opened(self._path) as file:
            for begin in range(0, self.n_frames, BATCH_FRAMES):
                frames = file[self._dataset][begin : begin + BATCH_FRAMES]
                seconds = begin / self._rate
                yield Frames(series=series, first_frame=begin, timestamp_s=seconds, frames=frames)
        yield End(series=series, last_frame=self.n_frames - 1)


class RecordingSource:
    """A native recording: the same messages in the same order as they were accepted live."""

    live = False

    def __init__(self, path: Path) -> None:
        self.rejected: Counter[str] = Counter()
        self._path = path
        with opened(path) as file:
            detector = file.get("entry/instrument/detector", {})
            if "data" not in detector:
                raise FileError(f"{path} holds no frames.")
            columns = [detector.get(name) for name in ("data", *COLUMNS)]
            if None in columns or columns[0].ndim != 3 or "entry/message_position" not in file:
                raise FileError(f"{path} is a damaged recording: parts of its index are gone.")
            # After a crash the frames may be a few behind their numbers.
            self.n_frames = min(len(columns[0]), len(columns[1]))
            self.shape = columns[0].shape[1], columns[0].shape[2]

    def __iter__(self) -> Iterator[AnyMessage]:
        with opened(self._path) as file:
            entry = file["entry"]
            detector = entry["instrument/detector"]
            starts = detector["batch_position"][()]
            starts = starts[starts < self.n_frames]
            times_s = detector["batch_timestamp_s"][: len(starts)].tolist()
            bounds = pairwise([*starts.tolist(), self.n_frames])
            batches = list(zip(bounds, times_s, strict=True))
            # Each message comes after the batches that begin before its position.
            splits = np.searchsorted(starts, entry["message_position"][()]).tolist()
            series, done = "", 0
            with closing(_FrameReader(self._path, detector, self.n_frames)) as reader:
                for split, header in zip(splits, entry["messages"][()].tolist(), strict=True):
                    yield from reader.batches(series, batches[done:split])
                    message = self._message(file, header)
                    series, done = message.series, split
                    yield message
                yield from reader.batches(series, batches[done:])

    def _message(self, file: h5py.File, header: bytes) -> AnyMessage:
        try:
            if msgspec.json.decode(header, type=_Tag).type == "projections":
                return _projections(file, msgspec.json.decode(header, type=_ProjectionsNote))
            return decode([header])
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, WireError) as error:
            raise FileError(f"{self._path}: a recorded message is damaged ({error}).") from error


Batch = tuple[tuple[int, int], float]  # where its frames begin and end, and its time stamp, s


class _Tag(msgspec.Struct):
    """The type of a message, whatever else it has."""

    type: str


class _ProjectionsNote(msgspec.Struct):
    """Where in its scan's entry the recorder put the images of one message."""

    series: str
    scan: Annotated[int, msgspec.Meta(ge=1)]
    first_image: Count
    position: Count
    count: Count


class _FrameReader:
    """The frames of a recording, batch after batch."""

    def __init__(self, path: Path, detector: h5py.Group, n_frames: int) -> None:
        self._frames, self._numbers = (
            RowReader(path, detector[name], n_frames) for name in ("data", "frame_number")
        )

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


def _projections(file: h5py.File, note: _ProjectionsNote) -> Projections:
    scan = file[scan_name(note.scan)]
    part = slice(note.position, note.position + note.count)
    return Projections(
        series=note.series,
        scan=note.scan,
        first_image=note.first_image,
        angles_deg=scan["sample/rotation_angle"][part],
        image_key=scan["instrument/detector/image_key"][part],
        images=scan["instrument/detector/data"][part],
    )
