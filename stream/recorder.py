"""Recording a stream to HDF5: every accepted message, in order, so that a replay is the run again.

Frames go to ``/entry/instrument/detector/data``; each CT scan is an NXtomo entry ``/scan_0001``;
all other messages are kept as their JSON header in ``/entry/messages`` with the number of frames
recorded before them.
"""

import logging
import queue
import threading
import time
from pathlib import Path
from typing import Any, Final

import h5py
import hdf5plugin
import msgspec
import numpy as np
from numpy.typing import NDArray

from hexlive.stream.files import FileError, new_group, part_of, require_room
from hexlive.stream.model import Frames, Message, Projections, ScanStart, Start
from hexlive.stream.nxtomo import ScanGroup
from hexlive.stream.wire import encode

CHUNK_FRAMES: Final = 64
FLUSH_S: Final = 0.5
QUEUE_MB: Final = 256
MB: Final = 1_000_000
RESERVE_BYTES: Final = 256 * MB  # left for the result of the run
END: Final = object()
LOG: Final = logging.getLogger(__name__)


class RecordingWriter:
    """Appends messages to a new recording.

    Raises
    ------
    FileError
        The file exists already (raw data are never overwritten) or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        part_of(path)
        self._path, self._empty = path, True
        self._waiting: NDArray[np.uint16] = np.empty((0, 0, 0), np.uint16)
        try:
            self._file = h5py.File(path, "x")
        except OSError as error:
            why = "it exists already" if path.exists() else error.strerror
            raise FileError(f"Cannot record to {path}: {why}.") from error
        self._entry = new_group(self._file, "entry", "NXentry")
        self._detector = new_group(
            new_group(self._entry, "instrument", "NXinstrument"), "detector", "NXdetector"
        )
        self._entry.create_dataset("messages", (0,), h5py.string_dtype(), maxshape=(None,))
        _column(self._entry, "message_position", np.uint64)
        _column(self._detector, "frame_number", np.uint64)
        _column(self._detector, "batch_position", np.uint64)
        _column(self._detector, "batch_timestamp_s", np.float64)
        self._scans: dict[int, ScanGroup] = {}
        self.n_frames = 0

    def append(self, message: Message) -> None:
        """Write one message.

        Raises
        ------
        OSError
            The disk is nearly full, or gone.
        """
        require_room(self._path, MB * _megabytes(message), RESERVE_BYTES)
        self._empty = False
        match message:
            case Frames():
                self._append_frames(message)
                return
            case Projections():
                self._append_projections(message)
                return
            case Start(rows=rows, columns=columns):
                self._make_frame_store(rows, columns)
            case ScanStart():
                self._make_scan(message)
        self._log(bytes(encode(message)[0]))

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Write what is waiting and finish the file; one without a message is removed."""
        if len(self._waiting):
            _extend(self._detector["data"], self._waiting)
        self._file.close()
        if self._empty:
            self._path.unlink(missing_ok=True)

    def _make_frame_store(self, rows: int, columns: int) -> None:
        if "data" in self._detector:
            if self._detector["data"].shape[1:] != (rows, columns):
                raise OSError("the frame size changed in the middle of the recording")
            return
        self._detector.create_dataset(
            "data",
            (0, rows, columns),
            "<u2",
            maxshape=(None, rows, columns),
            chunks=(CHUNK_FRAMES, rows, columns),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        ).attrs["units"] = "ADU"
        plot = new_group(self._entry, "data", "NXdata", signal="data")
        plot["data"] = h5py.SoftLink(self._detector["data"].name)
        self._entry.attrs["default"] = "data"
        self._file.attrs["default"] = "entry"

    def _append_frames(self, message: Frames) -> None:
        numbers = np.arange(message.first_frame, message.end_frame, dtype=np.uint64)
        _extend(self._detector["frame_number"], numbers)
        _extend(self._detector["batch_position"], [self.n_frames])
        _extend(self._detector["batch_timestamp_s"], [message.timestamp_s])
        self.n_frames += len(message.frames)
        self._write_whole_chunks(message.frames)

    def _write_whole_chunks(self, frames: NDArray[np.uint16]) -> None:
        """Write each chunk once: one that is rewritten when it grows does not survive kill -9."""
        waiting = np.concatenate([self._waiting, frames]) if len(self._waiting) else frames
        n_whole = len(waiting) // CHUNK_FRAMES * CHUNK_FRAMES
        if n_whole:
            _extend(self._detector["data"], waiting[:n_whole])
        self._waiting = waiting[n_whole:].copy()

    def _make_scan(self, message: ScanStart) -> None:
        entry = new_group(self._file, scan_name(message.scan), "NXentry")
        self._scans[message.scan] = ScanGroup(
            entry, (message.rows, message.columns), pixel_um=message.pixel_um
        )

    def _append_projections(self, message: Projections) -> None:
        scan = self._scans[message.scan]
        position = scan.n_images
        scan.append(message.images, message.angles_deg, message.image_key)
        note = {
            "type": "projections",
            "series": message.series,
            "scan": message.scan,
            "first_image": message.first_image,
            "position": position,
            "count": len(message.images),
        }
        self._log(msgspec.json.encode(note))

    def _log(self, header: bytes) -> None:
        _extend(self._entry["messages"], [header])
        _extend(self._entry["message_position"], [self.n_frames])


def scan_name(scan: int) -> str:
    """Name of a scan's entry in recordings and results."""
    return f"scan_{scan:04d}"


def _column(group: h5py.Group, name: str, dtype: Any) -> h5py.Dataset:
    return group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(1024,))


def _extend(dataset: h5py.Dataset, rows: Any) -> None:
    begin = len(dataset)
    dataset.resize(begin + len(rows), axis=0)
    dataset[begin:] = rows


class Recorder:
    """A recording written by its own thread; a full queue makes the data leg wait.

    When writing fails (disk full, folder gone) the run goes on without it: ``status`` says so and
    ``failed`` is set.
    """

    def __init__(self, path: Path) -> None:
        self._writer = RecordingWriter(path)
        self._queue: queue.Queue[Any] = queue.Queue()
        self._room = threading.BoundedSemaphore(QUEUE_MB)
        self.status = "recording"
        self.failed = False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Queue one message; wait while more than 256 MB are queued."""
        if self.failed:
            return
        for _ in range(_megabytes(message)):
            while not self._room.acquire(timeout=FLUSH_S):
                if self.failed:
                    return
        self._queue.put(message)

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._queue.put(END)
        self._thread.join()

    def _work(self) -> None:
        try:
            self._write_all()
        except Exception as error:  # the thread ends here: whatever it was, the run must hear of it
            self._fail(error)
        try:
            self._writer.close()
        except (OSError, RuntimeError) as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failed, self.status = True, f"recording stopped: {error}"
        LOG.error("%s The run goes on without it.", self.status)

    def _write_all(self) -> None:
        flushed_s = time.monotonic()
        while (message := self._next()) is not END:
            if message is not None:
                self._writer.append(message)
                for _ in range(_megabytes(message)):
                    self._room.release()
            if time.monotonic() - flushed_s > FLUSH_S:
                self._writer.flush()
                flushed_s = time.monotonic()

    def _next(self) -> Any:
        try:
            return self._queue.get(timeout=FLUSH_S)
        except queue.Empty:
            return None


def _megabytes(message: Message) -> int:
    arrays = {Frames: "frames", Projections: "images"}
    name = arrays.get(type(message))
    return min(QUEUE_MB, 1 + getattr(message, name).nbytes // MB) if name else 1
