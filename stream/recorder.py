"""Recording a stream to HDF5: every accepted message, in order, so that a replay is the run again.

Frames go to ``/entry/instrument/detector/data``; each CT scan is an NXtomo entry ``/scan_0001``;
all other messages are kept as their JSON header in ``/entry/messages`` with the number of frames
recorded before them.
"""

import logging
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from hexlive.stream.files import require_room
from hexlive.stream.frame_layout import DETECTOR, FRAME_NUMBER, ListedFrames, WholeFrames
from hexlive.stream.growing import GrowingFile
from hexlive.stream.journal import Column, Group, Mark
from hexlive.stream.listing import Listing
from hexlive.stream.model import Frames, Message, Projections, ScanStart, Start
from hexlive.stream.nxtomo import ScanGroup
from hexlive.stream.wire import encode

BATCH_POSITION: Final = f"{DETECTOR}/batch_position"
BATCH_TIMESTAMP: Final = f"{DETECTOR}/batch_timestamp_s"
MESSAGES: Final = "/entry/messages"
MESSAGE_POSITION: Final = "/entry/message_position"
FLUSH_S: Final = 0.5
QUEUE_MB: Final = 64  # half a second at 9 kHz: what waits here is lost with the process
MB: Final = 1_000_000
RESERVE_BYTES: Final = 256 * MB  # left for the result of the run
END: Final = object()
LOG: Final = logging.getLogger(__name__)


class RecordingWriter:
    """Appends messages to a new recording, which survives whatever becomes of this process.

    Parameters
    ----------
    listing
        Record lists of the pixels that reach so many ADU, one value or ``(rows, columns)``; None:
        whole frames.

    Raises
    ------
    FileError
        The file exists already (raw data are never overwritten) or cannot be made.
    """

    def __init__(self, path: Path, listing: Listing = None) -> None:
        self._path, self._listing, self._empty = path, listing, True
        self._file = GrowingFile(path)
        self._file.make(Group("/entry", "NXentry"))
        self._file.make(Column(MESSAGES, None))
        self._file.make(Column(MESSAGE_POSITION, "<u8", along=MESSAGES))
        self._scans: dict[int, ScanGroup] = {}
        self._frames: WholeFrames | ListedFrames | None = None
        self._frame_shape: tuple[int, int] | None = None

    @property
    def n_frames(self) -> int:
        """Frames appended so far."""
        return self._file.n_rows(FRAME_NUMBER) if self._frame_shape else 0

    @property
    def n_bytes(self) -> int:
        """Bytes of packed frames and images in the file."""
        return self._file.n_bytes()

    @property
    def ratio(self) -> float | None:
        """How many times the room of its lists whole frames would take; None: no lists."""
        return self._frames.ratio if isinstance(self._frames, ListedFrames) else None

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
                self._frame_store((rows, columns))
            case ScanStart():
                self._make_scan(message)
        self._log(bytes(encode(message)[0]))

    def flush(self) -> None:
        """Put everything appended so far where it survives this process.

        Raises
        ------
        OSError
            The recording was removed, or the disk is full or gone.
        """
        self._file.flush()

    def close(self) -> None:
        """Write what is waiting and finish the file; one without a message is removed.

        Raises
        ------
        OSError, RuntimeError
            The disk is full or gone; `hexlive.stream.recovery` makes the recording whole.
        """
        self._file.close()
        if self._empty:
            self._path.unlink(missing_ok=True)

    def _frame_store(self, shape: tuple[int, int]) -> WholeFrames | ListedFrames:
        """Where frames go; made for the first, as a recorder may come too late for the start."""
        if self._frame_shape not in (None, shape):
            raise OSError("the frame size changed in the middle of the recording")
        if self._frames is not None:
            return self._frames
        self._file.make(Group("/entry/instrument", "NXinstrument"))
        self._file.make(Group(DETECTOR, "NXdetector"))
        self._frames = (
            WholeFrames(self._file, shape)
            if self._listing is None
            else ListedFrames(self._file, shape, np.broadcast_to(np.float32(self._listing), shape))
        )
        self._file.make(Column(BATCH_POSITION, "<u8"))
        self._file.make(Column(BATCH_TIMESTAMP, "<f8", along=BATCH_POSITION))
        self._file.make(Mark("/", {"default": "entry"}))
        self._frame_shape = shape
        return self._frames

    def _append_frames(self, message: Frames) -> None:
        _, rows, columns = message.frames.shape
        store, position = self._frame_store((rows, columns)), self.n_frames
        store.append(message.frames)
        numbers = np.arange(message.first_frame, message.end_frame, dtype=np.uint64)
        self._file.append(FRAME_NUMBER, numbers)
        self._file.append(BATCH_POSITION, [position])
        self._file.append(BATCH_TIMESTAMP, [message.timestamp_s])

    def _make_scan(self, message: ScanStart) -> None:
        entry, shape = f"/{scan_name(message.scan)}", (message.rows, message.columns)
        self._file.make(Group(entry, "NXentry"))
        self._scans[message.scan] = ScanGroup(self._file, entry, shape, pixel_um=message.pixel_um)

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
        self._file.append(MESSAGES, [header])
        self._file.append(MESSAGE_POSITION, [self.n_frames])


def scan_name(scan: int) -> str:
    """Name of a scan's entry in recordings and results."""
    return f"scan_{scan:04d}"


@dataclass(frozen=True, kw_only=True)
class Written:
    """How recording goes.

    Attributes
    ----------
    written_mb
        In the recording, packed.
    mb_per_s
        Its growth of late.
    unwritten_mb
        Messages that wait to be written.
    """

    written_mb: float = 0.0
    mb_per_s: float = 0.0
    unwritten_mb: float = 0.0


class Recorder:
    """A recording written by its own thread; a full queue makes the data leg wait.

    When writing fails (disk full, folder gone) the run goes on without it: ``status`` says so and
    ``failed`` is set.

    Parameters
    ----------
    listing
        As for `RecordingWriter`.
    """

    def __init__(self, path: Path, listing: Listing = None) -> None:
        self._path, self._writer = path, RecordingWriter(path, listing)
        self._queue: queue.Queue[Any] = queue.Queue()
        self._room = threading.BoundedSemaphore(QUEUE_MB)
        self._put_mb = self._taken_mb = 0
        self.status = "recording"
        self.failed = False
        self._rate = (0.0, 0.0)  # MB at the last flush, MB/s up to it
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    @property
    def written(self) -> Written:
        """How recording goes, up to the last flush."""
        written_mb, mb_per_s = self._rate
        unwritten_mb = self._put_mb - self._taken_mb
        return Written(written_mb=written_mb, mb_per_s=mb_per_s, unwritten_mb=unwritten_mb)

    def put(self, message: Message) -> None:
        """Queue one message; wait while more than 64 MB are queued."""
        if self.failed:
            return
        for _ in range(_megabytes(message)):
            while not self._room.acquire(timeout=FLUSH_S):
                if self.failed:
                    return
        self._put_mb += _megabytes(message)
        self._queue.put(message)

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._queue.put(END)
        self._thread.join()
        if (ratio := self._writer.ratio) is not None:
            LOG.info(
                "%s lists events; whole frames would take %.3g times the room.", self._path, ratio
            )

    def _work(self) -> None:
        try:
            self._write_all()
        except Exception as error:  # the thread ends here: whatever it was, the run must hear of it
            self._fail(error)
        try:
            self._writer.close()
        except Exception as error:  # as above
            if not self.failed:
                self._fail(error)
            advice = f"hexlive recover {self._path} has what was recorded so far."
            self.status = f"{self.status} {advice}"
            LOG.error(advice)

    def _fail(self, error: Exception) -> None:
        self.failed, self.status = True, f"recording stopped: {error}"
        LOG.error("%s The run goes on without it.", self.status)

    def _write_all(self) -> None:
        flushed_s = time.monotonic()
        while (message := self._next(flushed_s + FLUSH_S)) is not END:
            if message is not None:
                self._writer.append(message)
                self._taken_mb += _megabytes(message)
                self._room.release(_megabytes(message))
            if (elapsed_s := time.monotonic() - flushed_s) >= FLUSH_S:
                self._writer.flush()
                self._measure(elapsed_s)
                flushed_s += elapsed_s

    def _measure(self, elapsed_s: float) -> None:
        written_mb = self._writer.n_bytes / MB
        self._rate = written_mb, (written_mb - self._rate[0]) / elapsed_s

    def _next(self, flush_s: float) -> Any:
        """The next message; None when it is time to flush before there is one."""
        try:
            return self._queue.get(timeout=max(0.0, flush_s - time.monotonic()))
        except queue.Empty:
            return None


def _megabytes(message: Message) -> int:
    arrays = {Frames: "frames", Projections: "images"}
    name = arrays.get(type(message))
    return min(QUEUE_MB, 1 + getattr(message, name).nbytes // MB) if name else 1
