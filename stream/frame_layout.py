"""How the frames lie in a recording, whole or as lists of pixels: writing and reading either.

Whole frames are ``data``. Lists are the group ``events`` (NXevent_data): ``event_id``, the
row-major pixel, and ``adu``, frame after frame; the events of frame i are those from
``event_index[i]`` up to ``event_index[i + 1]``. Pixels below ``listing_adu`` are not listed.
"""

from pathlib import Path
from typing import Final, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from hexlive.kernels.sparse import ListedPixels, dense_frames, list_pixels
from hexlive.stream.growing import GrowingFile
from hexlive.stream.journal import Group, Link, Mark, Store
from hexlive.stream.packing import pack
from hexlive.stream.unpacking import RowReader

DETECTOR: Final = "/entry/instrument/detector"
FRAMES: Final = f"{DETECTOR}/data"
FRAME_NUMBER: Final = f"{DETECTOR}/frame_number"
EVENTS: Final = f"{DETECTOR}/events"
EVENT_ID, EVENT_ADU, EVENT_INDEX = (f"{EVENTS}/{n}" for n in ("event_id", "adu", "event_index"))
LISTING: Final = f"{EVENTS}/listing_adu"
CHUNK_FRAMES: Final = 64
CHUNK_NUMBERS: Final = 8192
CHUNK_EVENTS: Final = 32768
SAMPLED_EVERY: Final = 64  # messages, to know what whole frames would take
MAX_ADU: Final = 65535
Frames = NDArray[np.uint16]


class WholeFrames:
    """Frames as they come."""

    def __init__(self, file: GrowingFile, shape: tuple[int, int]) -> None:
        self._file = file
        file.make(Store(FRAMES, "<u2", shape, CHUNK_FRAMES))
        file.make(Mark(FRAMES, {"units": "ADU"}))
        file.make(Store(FRAME_NUMBER, "<u8", (), CHUNK_NUMBERS, along=FRAMES))
        file.make(Group("/entry/data", "NXdata"))
        file.make(Link("/entry/data/data", FRAMES))
        file.make(Mark("/entry/data", {"signal": "data"}))
        file.make(Mark("/entry", {"default": "data"}))

    def append(self, frames: Frames) -> None:
        """Write frames, ``(frames, rows, columns) uint16, ADU``."""
        self._file.append(FRAMES, frames)


class ListedFrames:
    """Frames as lists of the pixels that reach ``listing_adu``, ``(rows, columns)``."""

    def __init__(
        self, file: GrowingFile, shape: tuple[int, int], listing_adu: NDArray[np.float32]
    ) -> None:
        if listing_adu.shape != shape:
            raise ValueError(f"The listing map is {listing_adu.shape}, the frames are {shape}.")
        self._file = file
        self._listing_adu = np.ceil(listing_adu).clip(0, MAX_ADU).astype(np.uint16)
        self._n_events = self._n_frames = self._n_appended = 0
        self._sampled = np.zeros(2, np.int64)  # frames, and bytes that they take whole
        file.make(Group(EVENTS, "NXevent_data"))
        file.make(Store(LISTING, "<f4", shape, chunk_rows=1))
        file.make(Store(EVENT_ID, "<u4", (), CHUNK_EVENTS))
        file.make(Store(EVENT_ADU, "<u2", (), CHUNK_EVENTS, along=EVENT_ID))
        file.make(Store(EVENT_INDEX, "<u8", (), CHUNK_NUMBERS))
        file.make(Store(FRAME_NUMBER, "<u8", (), CHUNK_NUMBERS))
        file.append(LISTING, self._listing_adu[np.newaxis])
        file.append(EVENT_INDEX, [0])

    def append(self, frames: Frames) -> None:
        """Write frames, ``(frames, rows, columns) uint16, ADU``."""
        listed = list_pixels(frames, self._listing_adu)
        counts = np.bincount(listed.frame, minlength=len(frames))
        self._file.append(EVENT_ID, listed.pixel)
        self._file.append(EVENT_ADU, listed.adu)
        self._file.append(EVENT_INDEX, self._n_events + np.cumsum(counts))
        self._n_events += len(listed.frame)
        self._sample(frames)

    @property
    def ratio(self) -> float | None:
        """How many times the room whole frames would take; None before there is anything."""
        n_frames, n_bytes = self._sampled.tolist()
        n_listed = sum(self._file.n_bytes(name) for name in (EVENT_ID, EVENT_ADU, EVENT_INDEX))
        return n_bytes / n_frames * self._n_frames / n_listed if n_frames and n_listed else None

    def _sample(self, frames: Frames) -> None:
        if self._n_appended % SAMPLED_EVERY == 0:
            part = frames[:CHUNK_FRAMES]
            self._sampled += len(part), len(pack(part))
        self._n_appended, self._n_frames = self._n_appended + 1, self._n_frames + len(frames)


class FrameReader(Protocol):
    """The frames of a recording, in their order."""

    def take(self, n_frames: int) -> Frames:
        """The next frames, ``(frames, rows, columns) uint16, ADU``."""

    def close(self) -> None:
        """Stop reading ahead."""


class ListedReader:
    """Frames from lists, with 0 ADU where nothing is listed; see `dense_frames`."""

    def __init__(self, path: Path, detector: h5py.Group, begin: int, end: int) -> None:
        events = detector["events"]
        index = events["event_index"]
        self._shape = events["listing_adu"].shape[1:]
        self._index = RowReader(path, index, begin + 1, end + 1)
        self._before, last = (int(index[at]) for at in (begin, end)) if end > begin else (0, 0)
        self._pixel, self._adu = (
            RowReader(path, events[name], self._before, last) for name in ("event_id", "adu")
        )

    def take(self, n_frames: int) -> Frames:
        """The next frames, ``(frames, rows, columns) uint16, ADU``."""
        index = self._index.take(n_frames).astype(np.int64)
        counts = np.diff(index, prepend=self._before)
        n_events, self._before = int(counts.sum()), int(index[-1])
        frame = np.repeat(np.arange(n_frames, dtype=np.uint32), counts)
        listed = ListedPixels(frame, self._pixel.take(n_events), self._adu.take(n_events))
        return dense_frames(listed, n_frames, self._shape)

    def close(self) -> None:
        """Stop reading ahead."""
        for reader in (self._index, self._pixel, self._adu):
            reader.close()


def open_frames(path: Path, detector: h5py.Group, begin: int, end: int) -> FrameReader:
    """Read the frames of a recording from one place to another."""
    if "events" in detector:
        return ListedReader(path, detector, begin, end)
    return RowReader(path, detector["data"], begin, end)


def frames_held(detector: h5py.Group) -> tuple[int, tuple[int, int]] | None:
    """How many frames a recording holds, and their shape; None if it holds none.

    Raises
    ------
    KeyError, ValueError
        Parts of it are missing.
    """
    n_numbers = len(detector["frame_number"]) if "frame_number" in detector else 0
    if "events" in detector:
        events = detector["events"]
        index, n_events = events["event_index"], min(len(events["event_id"]), len(events["adu"]))
        _, rows, columns = events["listing_adu"].shape
        n_frames = min(n_numbers, len(index) - 1)
        if n_frames > 0 and index[n_frames] > n_events:
            n_frames = int(np.searchsorted(index[:n_frames], n_events, side="right")) - 1
        return max(0, n_frames), (rows, columns)
    if "data" not in detector:
        return None
    n_frames, rows, columns = detector["data"].shape
    # After a crash the frames may be a few behind their numbers.
    return min(n_frames, n_numbers), (rows, columns)


def listing_adu(detector: h5py.Group) -> NDArray[np.float32] | None:
    """From where on the pixels of a recording are listed, ``(rows, columns)``; None: all are."""
    if "events" not in detector:
        return None
    (listing,) = detector["events/listing_adu"][()]
    return np.asarray(listing, np.float32)
